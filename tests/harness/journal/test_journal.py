"""The journal: committed before it is used, held by one process, and true to what was committed after any end."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.journals import fault_counts

from harness.errors import UnfinishedError, UsageError
from harness.journal import Entry, Fault, Job, Journal, ledger
from harness.journal.siblings import sibling_answers, sibling_job


def entry(key: str, text: str = "x", **more: object) -> Entry:
    return Entry(key=key, arm="a", endpoint="e", body={"text": text}, **more)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def stored(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as other:
        return [row[0] for row in other.execute("SELECT key FROM answers ORDER BY key")]


def test_on_disk_before_anybody_is_told(path: Path) -> None:
    seen: list[tuple[int, list[str]]] = []
    told = threading.Event()
    with Journal(path) as journal:
        for number in range(40):
            journal.submit([entry(f"k{number:02}")], lambda _, number=number: seen.append((number, stored(path))))  # type: ignore[misc]
        journal.submit([], lambda _: told.set())
        assert told.wait(20)
    assert [number for number, _ in seen] == list(range(40))
    assert all(f"k{number:02}" in keys for number, keys in seen)


def test_what_was_written_comes_back_after_reopening(path: Path) -> None:
    given = entry(
        "k", "é \ud800 \x00", started=1.5, service_s=0.25, queue_s=0.1, retry_s=2.0, attempts=3, reused="r", usd=0.5
    )
    job = Job(
        tag="t", arm="a", spec={"base": "b"}, files={"h": "f"}, result={"usd": 2.0}, status="succeeded", model="m"
    )
    with Journal(path) as journal:
        journal.add([given, entry("bad", error="400")])
        journal.add([Fault(time=1, key="k", arm="a", endpoint="e", attempt=1, kind="timeout", message="m")] * 2)
        journal.save_job(job)
    with Journal(path) as journal:
        assert journal.answers(["k", "bad", "none"]) == {"k": given, "bad": entry("bad", error="400")}
        assert journal.job("t") == job
        assert journal.job("u") is None
        assert fault_counts(journal) == {"timeout": 2}
        assert journal.answered("a")
        assert not journal.answered("b")


def test_only_own_spending_counts(path: Path) -> None:
    with Journal(path) as journal:
        journal.add([entry("a", usd=1.0), entry("b", usd=2.0, reused="other"), entry("c")])
        journal.save_job(Job(tag="own", arm="a", spec={}, files={}, result={"usd": 4.0}))
        journal.save_job(Job(tag="taken", arm="a", spec={}, files={}, result={"usd": 8.0, "reused": "other"}))
        journal.save_job(Job(tag="begun", arm="a", spec={}, files={}))
        assert journal.spent() == 5.0


def test_more_keys_than_one_query_takes(path: Path) -> None:
    keys = [f"{number:05}" for number in range(1300)]
    with Journal(path) as journal:
        journal.add([entry(key) for key in keys])
        assert set(journal.answers([*keys, "none"])) == set(keys)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """A journal for many examples: each of its own would wait for the disk several times."""
    with Journal(tmp_path_factory.mktemp("journal") / "j.sqlite") as journal:
        yield journal


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)
    )
)
def test_any_json_comes_back(kept: Journal, body: dict[str, object]) -> None:
    kept.add([Entry(key="k", arm="a", endpoint="", body=body)])
    assert kept.answers(["k"])["k"].body == body


def test_another_thread_may_close_it(path: Path) -> None:
    journal = Journal(path)
    thread = threading.Thread(target=journal.close)
    thread.start()
    thread.join()
    Journal(path).close()


def test_a_second_one_is_refused_and_the_first_named(path: Path) -> None:
    with Journal(path), pytest.raises(UsageError, match=f"process {os.getpid()} is working on this run"):
        Journal(path)
    Journal(path).close()


HOLD = """
import sys, time
from pathlib import Path
from harness.journal import Entry, Journal
journal = Journal(Path(sys.argv[1]))
number = 0
while True:
    journal.add([Entry(key=f"{number:06}", arm="a", endpoint="", body={"text": "x" * 200})])
    print(number, flush=True)
    number += 1
"""


@pytest.fixture
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_kill_9_loses_nothing_that_was_committed(path: Path, writer: subprocess.Popen[str]) -> None:
    assert writer.stdout is not None
    for _ in range(30):
        writer.stdout.readline()
    with pytest.raises(UsageError, match=f"process {writer.pid} is working on this run"):
        Journal(path)
    writer.send_signal(signal.SIGKILL)
    rest = [int(line) for line in writer.stdout.read().splitlines() if line.strip()]
    writer.wait()
    last = max([29, *rest])
    with Journal(path) as journal:  # nobody holds it any more
        keys = [f"{number:06}" for number in range(last + 1)]
        assert set(journal.answers(keys)) == set(keys)
        journal.add([entry("after")])
    assert "after" in stored(path)


def test_a_newer_schema_is_refused(path: Path) -> None:
    Journal(path).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(UsageError, match="written by a newer version") as caught:
        Journal(path)
    assert caught.value.hint == "update finetune-harness"
    assert stored(path) == []


VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema', '1');
CREATE TABLE answers (
    key TEXT PRIMARY KEY, arm TEXT NOT NULL, endpoint TEXT NOT NULL, body BLOB NOT NULL, error TEXT,
    started REAL NOT NULL, service_s REAL NOT NULL, queue_s REAL NOT NULL, retry_s REAL NOT NULL,
    attempts INTEGER NOT NULL, reused TEXT, usd REAL
) WITHOUT ROWID;
CREATE TABLE faults (
    id INTEGER PRIMARY KEY, time REAL NOT NULL, key TEXT NOT NULL, arm TEXT NOT NULL, endpoint TEXT NOT NULL,
    attempt INTEGER NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL
);
CREATE TABLE jobs (
    tag TEXT PRIMARY KEY, arm TEXT NOT NULL, spec TEXT NOT NULL, files TEXT NOT NULL, job TEXT, model TEXT,
    status TEXT NOT NULL, created REAL NOT NULL, finished REAL, result TEXT
) WITHOUT ROWID;
"""


@pytest.fixture
def old(path: Path) -> Path:
    """A journal as version 1 left it, with one answer."""
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(VERSION_1)
        body = zlib.compress(json.dumps({"text": "old"}).encode())
        row = ("k", "a", "e", body, None, 1.0, 0.5, 0.0, 0.0, 1, None, 0.25)
        db.execute("INSERT INTO answers VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", row)
    return path


def test_a_journal_of_version_1_is_brought_up(old: Path) -> None:
    with Journal(old) as journal:
        assert journal.answers(["k"])["k"] == entry("k", "old", started=1.0, service_s=0.5, usd=0.25)
        assert journal.spent() == 0.25
        journal.add([entry("new", tier="batch", first_token_s=0.1)])
        assert journal.answers(["new"])["new"].tier == "batch"
    with closing(sqlite3.connect(old)) as db:
        assert db.execute("SELECT arm, service_s, tier FROM requests WHERE key = 'k'").fetchall() == [("a", 0.5, "")]


def test_a_journal_of_version_2_is_brought_up(old: Path) -> None:
    Journal(old).close()
    with closing(sqlite3.connect(old)) as db, db:
        db.execute("ALTER TABLE faults DROP COLUMN usd")
        db.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
    assert ledger.of(old)["spent_usd"] == 0.25
    fault = Fault(time=1, key="k", arm="a", endpoint="e", attempt=1, kind="bad-body", message="m", usd=0.5)
    with Journal(old) as journal:
        journal.add([fault])
        assert journal.spent() == 0.75
    assert ledger.of(old)["spent_usd"] == 0.75


def test_answers_are_taken_over_from_a_journal_of_version_1_which_stays_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    assert sibling_answers(old, ["k"])["k"].body == {"text": "old"}
    assert old.read_bytes() == before


def test_notes_last(path: Path) -> None:
    with Journal(path) as journal:
        journal.take_note("batch 1", "a")
        journal.take_note("batch 2", "b")
        journal.take_note("batch 1", "c")
        journal.take_note("batch 2", None)
    with Journal(path) as journal:
        assert (journal.notes(), journal.note("batch 1"), journal.note("batch 2")) == (["batch 1"], "c", None)


@pytest.mark.parametrize("content", [b"this is no database, " * 60, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_no_journal_is_said_and_left_alone(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a readable journal") as caught:
        Journal(path)
    assert "move it away" in caught.value.hint
    assert path.read_bytes() == content
    path.unlink()
    Journal(path).close()  # the lock was let go


def test_a_journal_damaged_in_the_middle_is_said(path: Path) -> None:
    with Journal(path) as journal:
        journal.add([entry(f"{number:05}", "y" * 500) for number in range(500)])
    raw = bytearray(path.read_bytes())
    for offset in range(8192, len(raw), 4096):
        raw[offset : offset + 200] = b"\xff" * 200
    path.write_bytes(raw)
    with Journal(path) as journal, pytest.raises(UsageError, match="not a readable journal"):
        journal.answers([f"{number:05}" for number in range(500)])
    assert sibling_answers(path, ["00001"]) == {}


def test_schema_that_is_no_number(path: Path) -> None:
    Journal(path).close()
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE meta SET value = 'abc'")
    with pytest.raises(UsageError, match="not a readable journal"):
        Journal(path)


def test_a_full_disk_is_said_keeps_what_was_there_and_goes_on_later(path: Path) -> None:
    with Journal(path) as journal:
        journal.add([entry("first")])
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages + 3}")
        with pytest.raises(UnfinishedError, match="full") as caught:
            journal.add([entry(f"k{number}", os.urandom(3000).hex()) for number in range(20)])
        assert "free some space" in caught.value.hint
        with pytest.raises(UnfinishedError, match="full"):  # and nothing waits for ever afterwards
            journal.submit([entry("later")], lambda _: None)
    with Journal(path) as journal:
        assert set(journal.answers(["first", "k0", "later"])) == {"first"}
        journal.add([entry("later")])


def test_a_full_disk_stops_a_job_from_being_launched(path: Path) -> None:
    with Journal(path) as journal:
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UnfinishedError, match="full"):
            journal.save_job(Job(tag="t", arm="a", spec={"x": "y" * 20_000}, files={}))


def test_what_is_no_json_is_an_error_and_no_endless_wait(path: Path) -> None:
    with Journal(path) as journal, pytest.raises(TypeError, match="JSON"):
        journal.add([Entry(key="k", arm="a", endpoint="", body={"x": object()})])


def test_siblings_give_answers_but_no_errors(path: Path) -> None:
    bodies: list[dict[str, Any]] = [{}, {"text": ""}, {"choices": [{"message": {"content": ""}}]}, {"choices": []}]
    empty = [Entry(key=str(number), arm="a", endpoint="e", body=body) for number, body in enumerate(bodies)]
    bodies = [{"choices": [{"message": {"content": "good"}}]}, {"choices": [{"text": "good"}]}, {"data": [[0.5]]}]
    told = [Entry(key=f"said {number}", arm="a", endpoint="e", body=body) for number, body in enumerate(bodies)]
    with Journal(path) as journal:
        journal.add([entry("good"), entry("bad", error="400"), *empty, *told])
        journal.save_job(Job(tag="done", arm="a", spec={}, files={}, status="succeeded", model="m"))
        journal.save_job(Job(tag="begun", arm="a", spec={}, files={}, status="running"))
        # also while its owner still works on it
        keys = ["good", "bad", "0", "1", "2", "3", "none", *(one.key for one in told)]
        assert set(sibling_answers(path, keys)) == {"good", "said 0", "said 1", "said 2"}
        done = sibling_job(path, "done")
        assert done is not None
        assert done.model == "m"
        assert sibling_job(path, "begun") is None
    assert set(sibling_answers(path, ["good"])) == {"good"}
    assert sibling_answers(path.with_name("none"), ["good"]) == {}
    assert not path.with_name("none").exists()
    path.write_bytes(b"nonsense" * 100)
    assert sibling_answers(path, ["good"]) == {}
    assert sibling_job(path, "done") is None
