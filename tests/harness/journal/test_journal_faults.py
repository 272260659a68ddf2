"""The journal where the machine will not: disks, permissions, locks, and what is told then."""

from __future__ import annotations

import queue
import re
import sqlite3
import threading
from pathlib import Path

import pytest

from harness.errors import HarnessError, UnfinishedError, UsageError
from harness.journal import Entry, Fault, Job, Journal
from harness.journal.schema import VERSION
from harness.journal.view import query


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def entry(key: str, **more: object) -> Entry:
    return Entry(**{"key": key, "arm": "a", "endpoint": "e", "body": {"text": key}, **more})  # type: ignore[arg-type]


def wait_for(event: threading.Event) -> None:
    assert event.wait(20)


class Refusing:
    """A connection whose every statement fails."""

    def __init__(self, connection: sqlite3.Connection, code: int) -> None:
        self.connection, self.code = connection, code

    def _refuse(self, *_: object) -> None:
        error = sqlite3.OperationalError("told by the database")
        error.sqlite_errorcode = self.code
        raise error

    execute = executemany = _refuse

    def __enter__(self) -> None:
        self.connection.__enter__()

    def __exit__(self, *error: object) -> None:
        self.connection.rollback()

    def close(self) -> None:
        self.connection.close()


FULL = "free some space; the same command goes on"
FOLDER = "make the run's folder writable, or choose another --out"
AWAY = "move it away to start anew; what it held will be asked again"


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        (sqlite3.SQLITE_FULL, UnfinishedError, FULL),
        (sqlite3.SQLITE_IOERR, UnfinishedError, FULL),
        (sqlite3.SQLITE_IOERR | (4 << 8), UnfinishedError, FULL),  # an extended code: SQLITE_IOERR_FSYNC
        (sqlite3.SQLITE_READONLY, UsageError, FOLDER),
        (sqlite3.SQLITE_CANTOPEN, UsageError, FOLDER),
        (sqlite3.SQLITE_PERM, UsageError, FOLDER),
        (sqlite3.SQLITE_CORRUPT, UsageError, AWAY),
    ],
)
def test_each_refusal_says_what_to_do(path: Path, code: int, kind: type[HarnessError], hint: str) -> None:
    journal = Journal(path)
    journal._connection = Refusing(journal._connection, code)  # type: ignore[assignment]
    looks = (
        lambda: journal.answers(["k"]), lambda: journal.known(["k"]), lambda: journal.job("t"), journal.spent,
        lambda: journal.note("n"), journal.notes, lambda: journal.take_note("n", "v"), lambda: journal.answered("a"),
        journal.answers_by_arm, journal.faults_by_arm,
        lambda: journal.save_job(Job(tag="t", arm="a", spec={}, files={})),
        lambda: journal.add([entry("k")]),
    )  # fmt: skip
    for look in looks:
        with pytest.raises(kind) as caught:
            look()
        assert str(path) in caught.value.message
        assert "told by the database" in caught.value.message
        assert caught.value.hint == hint
    journal.close()
    Journal(path).close()  # it was let go


def test_a_folder_that_is_no_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "journal.sqlite").mkdir()
    with pytest.raises(UsageError, match="unable to open database file") as caught:
        Journal(tmp_path / "journal.sqlite")
    assert caught.value.hint == FOLDER


def test_a_lock_that_cannot_be_had_is_said(path: Path) -> None:
    path.with_name("journal.sqlite.lock").mkdir()
    with pytest.raises(UsageError, match=re.escape(f"cannot write to {path}")):
        Journal(path)


def test_who_holds_it_is_named_or_not_known(path: Path) -> None:
    with Journal(path):
        owner = path.with_name("journal.sqlite.owner")
        owner.write_text("")
        with pytest.raises(UsageError, match="another process is working on this run") as caught:
            Journal(path)
        owner.unlink()
        with pytest.raises(UsageError, match="another process is working on this run"):
            Journal(path)
        assert caught.value.hint == "wait for it, or end it"
    assert sorted(each.name for each in path.parent.iterdir() if "owner" in each.name) == []


def test_a_group_that_is_refused_is_refused_to_all_who_wait(path: Path) -> None:
    told: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    start = threading.Event()
    with Journal(path) as journal:
        journal.submit([], lambda _: wait_for(start))  # the writer waits: what follows becomes one group
        journal.submit([entry("good")], told.put)
        journal.submit([entry("bad", body={"x": object()})], told.put)
        journal.submit([entry("later")], told.put)
        start.set()
        assert [type(told.get(timeout=20)) for _ in range(3)] == [TypeError] * 3
        with pytest.raises(TypeError, match="JSON"):
            journal.submit([entry("k")], told.put)
        assert journal.known(["good", "bad", "later"]) == set()


def test_what_is_queued_is_written_before_it_is_let_go(path: Path) -> None:
    told: list[BaseException | None] = []
    start = threading.Event()
    journal = Journal(path)
    journal.submit([], lambda _: wait_for(start))
    for number in range(1030):  # more than one group
        journal.submit([entry(f"{number:04}")], told.append)
    threading.Timer(0.05, start.set).start()
    journal.close()
    assert told == [None] * 1030
    with Journal(path) as again:
        assert len(again.known([f"{number:04}" for number in range(1030)])) == 1030


def test_counts_by_arm_and_the_last_answer_to_a_key(path: Path) -> None:
    with Journal(path) as journal:
        journal.add([entry("1"), entry("2", arm="b", error="400"), entry("3"), entry("1", usd=0.25)])
        journal.add([Fault(time=2.0, key="1", arm="b", endpoint="e", attempt=1, kind=kind, message="m")
                     for kind in ("rate", "time", "rate")])  # fmt: skip
        assert journal.answers_by_arm() == {"a": 2, "b": 1}
        assert journal.faults_by_arm() == {"b": {"rate": 2, "time": 1}}
        assert journal.known(["1", "2", "9"]) == {"1", "2"}
        assert (journal.answered("a"), journal.answered("b")) == (True, False)
        assert journal.answers(["1"])["1"].usd == 0.25
        assert (journal.note("n"), journal.notes()) == (None, [])


def test_a_job_comes_back_as_it_was_and_takes_its_own_place(path: Path) -> None:
    first = Job(tag="t", arm="a", spec={"b": 1, "a": [2]}, files={"h": "f"}, created=5.0)
    last = Job(tag="t", arm="a", spec={}, files={}, job="j", model="m", status="succeeded", created=5.0, finished=9.5,
               result={"usd": 1.5, "losses": [0.1]})  # fmt: skip
    with Journal(path) as journal:
        journal.save_job(first)
        assert journal.job("t") == first
        assert (first.status, first.finished, first.result) == ("intent", None, None)
        journal.save_job(last)
    with Journal(path) as journal:
        assert journal.job("t") == last
        assert journal.spent() == 1.5
    assert query(path, "SELECT count(*) FROM jobs", 1).rows == ((1,),)
    assert query(path, "SELECT value FROM meta WHERE key = 'schema'", 1).rows == ((str(VERSION),),)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", ""])
def test_a_schema_that_is_none_is_said(path: Path, value: str) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE meta SET value = ?", (value,))
    other.close()
    with pytest.raises(UsageError, match=f"its schema is '{value}'"):
        Journal(path)
    with sqlite3.connect(path) as other:
        other.execute("DELETE FROM meta")
    other.close()
    with pytest.raises(UsageError, match="it has no schema"):
        Journal(path)
