"""The journal asked by SQL: what it tells, and that nothing but reading is possible."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.journal import Entry, Fault, Journal
from harness.journal.view import STEPS, attempts, query, without_answer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    journal = tmp_path / "journal.sqlite"
    with Journal(journal) as made:
        made.add(
            Entry(
                key=f"{number:064d}", arm="zero" if number % 2 else "four", endpoint="e", service_s=number / 10,
                body={"text": f"größe {number} \ud800", "usage": {"prompt_tokens": number}}, usd=0.5,
            )
            for number in range(6)
        )  # fmt: skip
        made.add([Entry(key="refused", arm="zero", endpoint="e", body={}, error="400: no")])
        made.add(
            Fault(time=50.0 + number, key=key, arm="four", endpoint="e", attempt=number + 1, kind=kind, message="m")
            for key in ("lost", f"{0:064d}")
            for number, kind in enumerate(("rate-limit", "server-error"))
        )
        made.add([Fault(time=1.0, key="refused", arm="zero", endpoint="e", attempt=1, kind="x", message="no")])
    return journal


def test_answers_are_found_and_bodies_inflated(path: Path) -> None:
    found = query(path, "SELECT arm, count(*) AS n, sum(usd) FROM requests GROUP BY arm ORDER BY arm", 10)
    assert found.columns == ("arm", "n", "sum(usd)")
    assert found.rows == (("four", 3, 1.5), ("zero", 4, 1.5))
    bodies = query(path, "SELECT body(body) ->> '$.text', body(NULL) FROM answers ORDER BY service_s DESC LIMIT 1", 9)
    assert bodies.rows == (("größe 5 \ufffd\ufffd\ufffd", None),)
    raw = query(path, "SELECT body, 9e999, 1 AS body FROM answers LIMIT 1", 9)
    assert raw.columns == ("body", "9e999", "body_2")
    assert raw.rows[0][0].endswith(" bytes>")
    assert raw.rows[0][1:] == (None, 1)


def test_rows_beyond_the_limit_are_told_even_where_there_is_no_end(path: Path) -> None:
    assert query(path, "SELECT key FROM answers", 7).more is False
    assert query(path, "SELECT key FROM answers", 6).more is True
    endless = query(path, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c", 3)
    assert (endless.rows, endless.more) == (((1,), (2,), (3,)), True)


def test_a_query_may_take_long(path: Path) -> None:
    """Longer than the steps between two looks whether it was interrupted."""
    long = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 40000) SELECT count(*) FROM c"
    assert STEPS < 40_000 * 5
    assert query(path, long, 1).rows == ((40_000,),)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM answers",
        "UPDATE answers SET usd = 0",
        "INSERT INTO notes VALUES ('a', 'b')",
        "DROP TABLE faults",
        "CREATE TEMP TABLE t (a)",
        "CREATE TABLE t AS SELECT * FROM answers",
        "ATTACH '{other}' AS other",
        "VACUUM",
        "VACUUM INTO '{other}'",
        "PRAGMA query_only = OFF",
        "PRAGMA writable_schema = ON",
        "PRAGMA journal_mode = DELETE",
        "SELECT * FROM pragma_table_info('answers')",
        "BEGIN IMMEDIATE",
        "SAVEPOINT a",
        "ANALYZE",
        "REINDEX",
        "SELECT load_extension('{other}')",
        "WITH a AS (SELECT 1) DELETE FROM answers",
        "SELECT 1; DELETE FROM answers",
    ],
)
def test_nothing_but_reading_is_possible(path: Path, tmp_path: Path, sql: str) -> None:
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    other = tmp_path / "other.sqlite"
    with pytest.raises(UsageError) as error:
        query(path, sql.format(other=other), 10)
    assert error.value.message == "--sql: only reading is allowed" or "one statement" in error.value.message
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert not other.exists()


def test_each_lock_holds_without_the_others(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the authorizer the file is still read-only."""
    monkeypatch.setattr("harness.journal.view.ALLOWED", frozenset(range(100)))
    for sql in ("DELETE FROM answers", "PRAGMA user_version = 7"):
        with pytest.raises(UsageError, match="only reading is allowed"):
            query(path, sql, 1)


@pytest.mark.parametrize(
    ("sql", "said", "hint"),
    [
        ("SELECT * FROM reqests", "no such table: reqests", "answers, faults, jobs, meta, notes, requests"),
        ("SELECT arn FROM requests", "no such column: arn", "requests"),
        ("SELEC 1", 'near "SELEC": syntax error', "one SELECT is expected"),
        ("", "the query is empty", "requests"),
        ("SELECT body(arm) FROM answers", "body() was given something else", "body(body)"),
    ],
)
def test_what_is_wrong_with_a_query_is_said(path: Path, sql: str, said: str, hint: str) -> None:
    with pytest.raises(UsageError) as error:
        query(path, sql, 10)
    assert said in error.value.message
    assert hint in error.value.hint


def test_no_journal_and_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no journal"):
        query(tmp_path / "journal.sqlite", "SELECT 1", 1)
    assert list(tmp_path.iterdir()) == []
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(b"this is no database" * 100)
    for look in (lambda: query(broken, "SELECT 1", 1), lambda: without_answer(broken), lambda: attempts(broken, ["a"])):
        with pytest.raises(UsageError, match="not a readable journal"):
            look()


def test_a_journal_can_be_read_while_it_is_written(path: Path) -> None:
    with Journal(path) as journal:
        journal.add([Entry(key="new", arm="zero", endpoint="e", body={"text": "a"})])
        assert query(path, "SELECT count(*) FROM answers WHERE key = 'new'", 1).rows == ((1,),)
        journal.add([Entry(key="newer", arm="zero", endpoint="e", body={"text": "a"})])
    assert query(path, "SELECT count(*) FROM answers WHERE key LIKE 'new%'", 1).rows == ((2,),)


def test_attempts_of_requests_without_an_answer(path: Path) -> None:
    assert without_answer(path) == [("lost", "four", None), ("refused", "zero", "400: no")]
    found = attempts(path, ["lost", "refused", "nothing"])
    assert [(a.attempt, a.kind, a.time) for a in found["lost"]] == [(1, "rate-limit", 50.0), (2, "server-error", 51.0)]
    assert [a.message for a in found["refused"]] == ["no"]
    assert found["nothing"] == []


def test_faults_by_arm(path: Path) -> None:
    with Journal(path) as journal:
        assert journal.faults_by_arm() == {"four": {"rate-limit": 2, "server-error": 2}, "zero": {"x": 1}}


def test_a_journal_of_an_earlier_version_is_read_as_it_is(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DROP VIEW requests")
    connection.close()
    with pytest.raises(UsageError) as error:
        query(path, "SELECT * FROM requests", 1)
    assert error.value.hint.startswith("the journal has answers, faults, jobs")
