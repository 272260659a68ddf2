"""A look into a run's journal by SQL: reading alone, whatever the query says."""

from __future__ import annotations

import math
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.journal import reading

ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
"""What a query may do. All else is refused: writing, ATTACH, PRAGMA, transactions."""
REFUSED_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})
STEPS = 100_000
"""Steps of SQLite's machine between two moments at which Ctrl-C is heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a query found."""

    columns: tuple[str, ...]
    """No two alike."""
    rows: tuple[tuple[Any, ...], ...]
    """Numbers, texts and `None`; bytes became a remark on their number."""
    more: bool
    """Whether there are rows beyond the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that failed."""

    time: float
    """Seconds since the epoch."""
    attempt: int
    kind: str
    message: str


def query(path: Path, sql: str, limit: int) -> Found:
    """Asks a journal.

    Args:
        path: The journal.
        sql: One SELECT; `body(blob)` turns an answer's body into its JSON text.
        limit: Most rows to return.

    Raises:
        UsageError: There is no journal, it cannot be read, or the query is wrong or more than a question.
    """
    _require(path)
    tables: list[str] = []
    try:
        with reading(path) as connection:
            tables = [str(row[0]) for row in connection.execute(_TABLES)]
            _restrict(connection)
            with closing(connection.execute(sql)) as cursor:
                if cursor.description is None:
                    raise UsageError("--sql: the query is empty", _WHAT.format(", ".join(tables)))
                rows = cursor.fetchmany(limit + 1)
                columns = _distinct([str(column[0]) for column in cursor.description])
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
            raise KeyboardInterrupt from None
        raise _worded(path, error, tables) from None
    kept = tuple(tuple(_plain(value) for value in row) for row in rows[:limit])
    return Found(columns=columns, rows=kept, more=len(rows) > limit)


def attempts(path: Path, keys: Sequence[str]) -> dict[str, list[Attempt]]:
    """Returns the failed attempts of requests, by key, in order of time.

    Raises:
        UsageError: There is no journal, or it cannot be read.
    """
    found: dict[str, list[Attempt]] = {}
    with _opened(path) as connection:
        for key in keys:
            rows = connection.execute(
                "SELECT time, attempt, kind, message FROM faults WHERE key = ? ORDER BY id", (key,)
            )
            found[key] = [Attempt(time=row[0], attempt=row[1], kind=row[2], message=row[3]) for row in rows]
    return found


def without_answer(path: Path) -> list[tuple[str, str, str | None]]:
    """Returns key, arm and refusal of the requests that have failed and have no answer: all that a journal knows.

    Raises:
        UsageError: There is no journal, or it cannot be read.
    """
    with _opened(path) as connection:
        return [(str(row[0]), str(row[1]), row[2]) for row in connection.execute(_WITHOUT)]


_TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name"
_WITHOUT = """
SELECT faults.key, min(faults.arm), answers.error FROM faults LEFT JOIN answers USING (key)
WHERE answers.key IS NULL OR answers.error IS NOT NULL GROUP BY faults.key ORDER BY min(faults.id)
"""
_WHAT = "the journal has {}; one SELECT is expected"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens a journal for reading, errors worded."""
    _require(path)
    try:
        with reading(path) as connection:
            yield connection
    except sqlite3.Error as error:
        raise _worded(path, error, ()) from None


def _require(path: Path) -> None:
    if not path.is_file():
        raise UsageError(f"{path}: there is no journal: nothing has been asked yet")


def _restrict(connection: sqlite3.Connection) -> None:
    """Lets a connection read and nothing else: the file is opened read-only, and no statement does more than ask."""

    def allowed(action: int, _first: str | None, second: str | None, *_: str | None) -> int:
        refused = action == sqlite3.SQLITE_FUNCTION and second in REFUSED_FUNCTIONS
        return sqlite3.SQLITE_OK if action in ALLOWED and not refused else sqlite3.SQLITE_DENY

    connection.execute("PRAGMA query_only = ON")
    connection.create_function("body", 1, _body, deterministic=True)
    connection.set_progress_handler(lambda: 0, STEPS)
    connection.set_authorizer(allowed)


def _body(blob: bytes | None) -> str | None:
    """Inflates an answer's JSON; a lone surrogate in it becomes replacement characters, SQLite holds none."""
    return None if blob is None else zlib.decompress(blob).decode("utf-8", "replace")


def _worded(path: Path, error: Exception, tables: Sequence[str]) -> UsageError:
    said = str(error)
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in {sqlite3.SQLITE_AUTH, sqlite3.SQLITE_READONLY} or "not authorized" in said:
        return UsageError("--sql: only reading is allowed", _WHAT.format(", ".join(tables)))
    if "user-defined function raised" in said:
        return UsageError("--sql: body() was given something else than an answer's body", "body(body) of `answers`")
    if not tables:
        return UsageError(f"{path}: not a readable journal ({said})")
    return UsageError(f"--sql: {said}", _WHAT.format(", ".join(tables)))


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return tuple(found)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return None if isinstance(value, float) and not math.isfinite(value) else value
