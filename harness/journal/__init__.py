"""The run's SQLite file: each answer, committed as it arrives, and each training job from its intent on.

One thread writes. It commits what has queued up as one group, with a full synchronisation, and only then hands the
answers on; so an answer that was paid for is on disk before anybody uses it, and the disk is asked once for many.
"""

from __future__ import annotations

import json
import os
import queue
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from harness.errors import HarnessError, UnfinishedError, UsageError
from harness.files import writable
from harness.journal.schema import answer_columns, bring_up, fault_usd

PART = 500
"""Keys in one statement."""
GROUP = 512
"""Most answers in one commit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One answer as the journal keeps it: a field for each column of `answers`, in their order."""

    key: str
    arm: str
    endpoint: str
    body: Mapping[str, Any]
    error: str | None = None
    started: float = 0.0
    service_s: float = 0.0
    queue_s: float = 0.0
    retry_s: float = 0.0
    attempts: int = 1
    reused: str | None = None
    usd: float | None = None
    first_token_s: float | None = None
    tier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One attempt that failed: a field for each column of `faults` but its number."""

    time: float
    key: str
    arm: str
    endpoint: str
    attempt: int
    kind: str
    message: str
    usd: float | None = None
    """What came instead of an answer and is billed all the same."""


Record: TypeAlias = Entry | Fault
Committed: TypeAlias = Callable[[BaseException | None], None]
"""Told that records are on disk, or what kept them from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training job as the journal keeps it: a field for each column of `jobs`, in their order."""

    tag: str
    arm: str
    spec: Mapping[str, Any]
    files: Mapping[str, str]
    job: str | None = None
    model: str | None = None
    status: str = "intent"
    created: float = 0.0
    finished: float | None = None
    result: Mapping[str, Any] | None = None


_ENTRY, _FAULT, _JOB = (tuple(field.name for field in fields(kind)) for kind in (Entry, Fault, Job))

_KEEP_FAILED = """
INSERT OR REPLACE INTO jobs
SELECT tag || '-' || coalesce(json_extract(spec, '$.attempt'), 1), arm, spec, files, job, model, status, created,
    finished, result
FROM jobs WHERE tag = ? AND job IS NOT ? AND finished IS NOT NULL AND model IS NULL AND result IS NOT NULL
"""


class Journal:
    """A run's journal, held by one process at a time.

    Raises:
        UsageError: Another live process holds it, a newer version wrote it, or it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        from filelock import FileLock, Timeout

        self.path = path
        self._owner = path.with_name(f"{path.name}.owner")
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), thread_local=False)  # any thread may close it
        try:
            with writable(path):
                self._lock.acquire(timeout=0)
        except Timeout:
            owner = (self._owner.read_text() if self._owner.exists() else "") or "another process"
            raise UsageError(f"{path}: {owner} is working on this run", "wait for it, or end it") from None
        with suppress(OSError):  # it only says who; what is wrong with the disk shows in the journal itself
            self._owner.write_text(f"process {os.getpid()}")
        try:
            self._connection = _connect(path)
        except BaseException:
            self._let_go()
            raise
        self._db = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[list[Record], Committed] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._writer = threading.Thread(target=self._write, name="journal", daemon=True)
        self._writer.start()

    def close(self) -> None:
        """Commits what is queued and lets the file go."""
        self._queue.put(None)
        self._writer.join()
        with self._db:
            self._connection.close()
        self._let_go()

    def _let_go(self) -> None:
        self._owner.unlink(missing_ok=True)
        self._lock.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(self, records: list[Record], committed: Committed) -> None:
        """Queues records; `committed` is called, on the writer's thread, once they are on disk or cannot come there.

        Raises:
            UnfinishedError: The disk refused an earlier group.
        """
        self._check()
        self._queue.put((records, committed))

    def add(self, records: Iterable[Record]) -> None:
        """Commits records and returns when they are on disk.

        Raises:
            UnfinishedError: The disk refuses them.
        """
        committed: Future[None] = Future()

        def tell(error: BaseException | None) -> None:
            if error is None:
                committed.set_result(None)
            else:
                committed.set_exception(error)

        self.submit(list(records), tell)
        committed.result()

    def _check(self) -> None:
        """Raises what kept the writer from writing."""
        if self._failure is not None:
            raise self._failure

    def _write(self) -> None:
        while (first := self._queue.get()) is not None:
            groups = [first]
            size = len(first[0])
            stop = False
            while size < GROUP and not self._queue.empty():
                item = self._queue.get()
                if item is None:
                    stop = True
                    break
                groups.append(item)
                size += len(item[0])
            error: BaseException | None = None
            try:
                with self._db, self._connection:
                    _insert(self._connection, [record for records, _ in groups for record in records])
            except BaseException as refused:  # whoever waits for this group must be told
                error = _error(self.path, refused) if isinstance(refused, sqlite3.Error) else refused
                self._failure = error
            for _, committed in groups:
                committed(error)
            if stop:
                return

    def answers(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Returns the answers that are there, by key."""
        with self._db, _worded(self.path):
            return read_answers(self._connection, keys)

    def known(self, keys: Sequence[str]) -> set[str]:
        """Returns the keys that have an answer, without reading the answers."""
        with self._db, _worded(self.path):
            return read_keys(self._connection, keys)

    def save_job(self, job: Job) -> None:
        """Writes a training job's state; it is on disk when this returns.

        A job that came to nothing stays on record when another one takes its place: what was trained of it is billed.
        """
        with self._db, _worded(self.path), self._connection:
            self._connection.execute(_KEEP_FAILED, (job.tag, job.job))
            self._connection.execute(_into("jobs", _JOB), _job_row(job))

    def job(self, tag: str) -> Job | None:
        """Returns a training job by its tag."""
        with self._db, _worded(self.path):
            return read_job(self._connection, tag)

    def spent(self) -> float:
        """Returns the dollars that this run's own answers and training jobs have cost, as far as prices were known."""
        with self._db, _worded(self.path):
            return read_spent(self._connection)

    def note(self, key: str) -> str | None:
        """Returns what was noted under a key."""
        with self._db, _worded(self.path):
            row = self._connection.execute("SELECT value FROM notes WHERE key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

    def notes(self) -> list[str]:
        """Returns the keys under which something was noted."""
        with self._db, _worded(self.path):
            return [str(row[0]) for row in self._connection.execute("SELECT key FROM notes ORDER BY key")]

    def take_note(self, key: str, value: str | None) -> None:
        """Notes something, or forgets it; on disk when this returns."""
        with self._db, _worded(self.path), self._connection:
            if value is None:
                self._connection.execute("DELETE FROM notes WHERE key = ?", (key,))
            else:
                self._connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (key, value))

    def answered(self, arm: str) -> bool:
        """Whether an arm has at least one answer."""
        with self._db, _worded(self.path):
            query = "SELECT 1 FROM answers WHERE arm = ? AND error IS NULL LIMIT 1"
            return self._connection.execute(query, (arm,)).fetchone() is not None

    def answers_by_arm(self) -> dict[str, int]:
        """Returns how many answers each arm has."""
        with self._db, _worded(self.path):
            return dict(self._connection.execute("SELECT arm, count(*) FROM answers GROUP BY arm"))

    def faults_by_arm(self) -> dict[str, dict[str, int]]:
        """Returns how many attempts of each arm failed, by kind; an arm without any is not in it."""
        query = "SELECT arm, kind, count(*) FROM faults GROUP BY arm, kind ORDER BY arm, kind"
        with self._db, _worded(self.path):
            rows = self._connection.execute(query).fetchall()
        return {arm: {kind: count for name, kind, count in rows if name == arm} for arm, *_ in rows}


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Opens a journal, or another file of SQLite, for reading only."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    with _worded(path):
        connection = sqlite3.connect(path, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            bring_up(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def _worded(path: Path) -> Iterator[None]:
    """Says what an error of SQLite means."""
    try:
        yield
    except (sqlite3.Error, zlib.error) as error:
        raise _error(path, error) from None


def _error(path: Path, error: Exception) -> HarnessError:
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.OperationalError) and code is not None:
        primary = code & 0xFF
        if primary in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}:
            return UnfinishedError(f"{path}: {error}", "free some space; the same command goes on")
        if primary in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
            return UsageError(f"{path}: {error}", "make the run's folder writable, or choose another --out")
    return UsageError(
        f"{path}: not a readable journal ({error})", "move it away to start anew; what it held will be asked again"
    )


def _insert(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    entries = [_entry_row(record) for record in records if isinstance(record, Entry)]
    faults = [_values(record, _FAULT) for record in records if isinstance(record, Fault)]
    if entries:
        connection.executemany(_into("answers", _ENTRY), entries)
    if faults:
        connection.executemany(_into("faults", _FAULT), faults)


def _entry_row(entry: Entry) -> tuple[Any, ...]:
    key, arm, endpoint, body, *others = _values(entry, _ENTRY)
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return key, arm, endpoint, zlib.compress(text, 1), *others


def _job_row(job: Job) -> tuple[Any, ...]:
    tag, arm, spec, files, *others, result = _values(job, _JOB)
    kept = None if result is None else json.dumps(dict(result))
    return tag, arm, json.dumps(dict(spec), sort_keys=True), json.dumps(dict(files)), *others, kept


def _values(record: Any, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in names)


def _into(table: str, names: Sequence[str]) -> str:
    return f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({_marks(names)})"  # noqa: S608 - names of ours


def _marks(names: Sequence[str]) -> str:
    return ",".join("?" * len(names))


def _select(connection: sqlite3.Connection, columns: str, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yields rows of `answers`; SQLite takes a limited number of parameters, so keys go in parts."""
    for start in range(0, len(keys), PART):
        part = keys[start : start + PART]
        yield from connection.execute(f"SELECT {columns} FROM answers WHERE key IN ({_marks(part)})", part)  # noqa: S608


def read_answers(connection: sqlite3.Connection, keys: Sequence[str]) -> dict[str, Entry]:
    """Returns the answers that are there, by key."""
    rows = (dict(zip(_ENTRY, row, strict=True)) for row in _select(connection, answer_columns(connection), keys))
    return {row["key"]: Entry(**row | {"body": json.loads(zlib.decompress(row["body"]))}) for row in rows}


def read_keys(connection: sqlite3.Connection, keys: Sequence[str]) -> set[str]:
    """Returns the keys that have an answer, without reading the answers."""
    return {row[0] for row in _select(connection, "key", keys)}


def read_spent(connection: sqlite3.Connection) -> float:
    """Returns the dollars that a run's own answers and training jobs have cost, as far as prices were known."""
    queries = (
        "SELECT total(usd) FROM answers WHERE reused IS NULL",
        f"SELECT total({fault_usd(connection)}) FROM faults",  # noqa: S608 - a column of ours
        "SELECT total(json_extract(result, '$.usd')) FROM jobs WHERE json_extract(result, '$.reused') IS NULL",
    )
    return float(sum(connection.execute(query).fetchone()[0] for query in queries))


def read_job(connection: sqlite3.Connection, tag: str) -> Job | None:
    """Returns a training job by its tag."""
    row = connection.execute("SELECT * FROM jobs WHERE tag = ?", (tag,)).fetchone()
    if row is None:
        return None
    held = dict(zip(_JOB, row, strict=True))
    return Job(**held | {name: json.loads(held[name] or "null") for name in ("spec", "files", "result")})
