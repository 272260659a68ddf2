"""What the endpoint remembers: one folder with an SQLite file, the uploaded files and the adapters.

Everything is committed before it is acknowledged. One process holds the folder at a time. Content is written before
the row that names it and removed after it, so whatever a crash leaves behind is content without a row: it is swept away
when the folder is opened. A row whose content was taken away by someone else is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import UnfinishedError, UsageError, disk_full
from harness_local.disk import sync

_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, bytes INTEGER NOT NULL,
    filename TEXT NOT NULL, purpose TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, created_at INTEGER NOT NULL,
    level TEXT NOT NULL, message TEXT NOT NULL, type TEXT NOT NULL, data TEXT);
CREATE INDEX IF NOT EXISTS events_of_job ON events (job, number);
CREATE TABLE IF NOT EXISTS checkpoints (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, job TEXT NOT NULL, step INTEGER NOT NULL, body TEXT NOT NULL,
    UNIQUE (job, step));
CREATE TABLE IF NOT EXISTS models (
    id TEXT PRIMARY KEY, created INTEGER NOT NULL, base TEXT NOT NULL, folder TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS weights (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL);
"""
_VERSION = 1
OPEN = ("validating_files", "queued", "running")
"""Statuses of jobs that have not ended."""

_FILE = re.compile(r"file-[0-9a-f]{24}|\.upload-.*")
_JOB = re.compile(r"ftjob-[0-9a-f]{24}")
_CHECKPOINT = ":ckpt-step-"
_ELSEWHERE = "give --state another folder"

Row = dict[str, Any]


def new_id(kind: str) -> str:
    """A random id such as ``file-…``."""
    return f"{kind}-{os.urandom(12).hex()}"


def checkpoint_name(model: str, step: int) -> str:
    """What the state of a fine-tuned model after a step of its training is called."""
    return f"{model}{_CHECKPOINT}{step}"


def is_checkpoint(model: str) -> bool:
    """Whether a fine-tuned model's id is that of a state on the way."""
    return _CHECKPOINT in model


class State:
    """The endpoint's memory.

    Args:
        folder: Where it lies; made if absent.

    Attributes:
        weights: Fingerprint of the base model that is served: models and jobs that are added are of it, and others of
            a base by the same name are not taken for its own. None before it is known, when names alone count.

    Raises:
        UsageError: Another server holds the folder, a newer version wrote it, or it cannot be used.
        UnfinishedError: The disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.weights: str | None = None
        self._mutex = threading.RLock()
        with _usable(self.folder), ExitStack() as held:
            for name in ("files", "jobs"):
                self.folder.joinpath(name).mkdir(parents=True, exist_ok=True)
            self._hold(held)
            self._db = sqlite3.connect(self.folder / "state.sqlite", check_same_thread=False, isolation_level=None)
            held.callback(self._db.close)
            self._db.row_factory = sqlite3.Row
            self._set_up()
            self._held = held.pop_all()

    def _hold(self, held: ExitStack) -> None:
        holder = self.folder / "holder.json"
        lock = FileLock(self.folder / "lock", thread_local=False)  # any thread may close it
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{self.folder} is in use by {_describe(holder)}", _ELSEWHERE) from None
        held.callback(lock.release)
        holder.write_text(json.dumps({"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}), "utf-8")

    def _set_up(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise UsageError(f"{self.folder} was written by a newer version", _ELSEWHERE)
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {_VERSION}")
        self._sweep()

    def close(self) -> None:
        """Lets go of the folder."""
        with self._mutex:
            self._held.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are committed together, or none; one inside another is a part of it."""
        with self._mutex:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.OperationalError):  # a full disk may have ended it already
                    self._db.execute("ROLLBACK")
                raise

    def _all(self, sql: str, *values: Any) -> list[Row]:
        with self._mutex:
            return [dict(row) for row in self._db.execute(sql, values)]

    def _one(self, sql: str, *values: Any) -> Row | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def _do(self, sql: str, *values: Any) -> int:
        with self._mutex:
            return self._db.execute(sql, values).rowcount

    def _insert(self, table: str, row: Mapping[str, Any], *, otherwise: str = "ABORT") -> bool:
        """Adds a row; returns whether it was added, where `otherwise` lets one that is there stay."""
        marks = ", ".join("?" * len(row))
        # Table and column names are this module's own; values are bound.
        sql = f"INSERT OR {otherwise} INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608
        return self._do(sql, *row.values()) > 0

    def _sweep(self) -> None:
        """Removes what no row names: the remains of a crash. Names that are not this module's own are let be."""
        files = {row["id"] for row in self._all("SELECT id FROM files")}
        for path in self.folder.joinpath("files").iterdir():
            if _FILE.fullmatch(path.name) and path.name not in files:
                path.unlink(missing_ok=True)
        statuses = {row["id"]: row["status"] for row in self._all("SELECT id, status FROM jobs")}
        adapters = {self.folder / row["folder"] for row in self._all("SELECT folder FROM models")}
        for path in self.folder.joinpath("jobs").iterdir():
            if not _JOB.fullmatch(path.name):
                continue
            if path.name not in statuses:
                shutil.rmtree(path, ignore_errors=True)
            elif statuses[path.name] not in OPEN:  # an open job's folder belongs to its training
                shutil.rmtree(path / "snapshots", ignore_errors=True)
                for adapter in (path / "adapter", path / ".adapter.part", *path.glob("checkpoints/*")):
                    if adapter not in adapters:
                        shutil.rmtree(adapter, ignore_errors=True)

    # Files

    def content(self, file: str) -> Path:
        """Where a known file's content lies; its name is made of the id, never of what a client calls it."""
        return self.folder / "files" / file

    def add_file(self, source: Path, filename: str, purpose: str) -> Row:
        """Moves a finished upload in and records it."""
        row: Row = {
            "id": new_id("file"),
            "created_at": int(time.time()),
            "bytes": source.stat().st_size,
            "filename": filename,
            "purpose": purpose,
        }
        sync(source)
        target = self.content(row["id"])
        source.replace(target)
        sync(target.parent)
        self._insert("files", row)
        return row

    def file(self, file: str) -> Row | None:
        """One file's record; none where its content is gone."""
        row = self._one("SELECT * FROM files WHERE id = ?", file)
        return row if row is not None and self.content(file).is_file() else None

    def files(self) -> list[Row]:
        """All files whose content is there, the newest first."""
        rows = self._all("SELECT * FROM files ORDER BY created_at DESC, rowid DESC")
        return [row for row in rows if self.content(row["id"]).is_file()]

    def delete_file(self, file: str) -> None:
        """Forgets a file and removes its content."""
        self._do("DELETE FROM files WHERE id = ?", file)
        self.content(file).unlink(missing_ok=True)

    # Jobs

    def job_folder(self, job: str) -> Path:
        """Where a known job's work lies."""
        return self.folder / "jobs" / job

    def add_job(self, body: Row) -> None:
        """Records a new job; its body is the API's object."""
        with self.transaction():
            self._insert("jobs", {"id": body["id"], "status": body["status"], "body": json.dumps(body)})
            self._note_weights(body["id"])

    def job(self, job: str) -> Row | None:
        """One job's body."""
        row = self._one("SELECT body FROM jobs WHERE id = ?", job)
        return None if row is None else dict(json.loads(row["body"]))

    def jobs(self, *statuses: str) -> list[Row]:
        """Bodies of jobs, the newest first; of all, or of those with the statuses."""
        rows = self._all("SELECT status, body FROM jobs ORDER BY number DESC")
        return [json.loads(row["body"]) for row in rows if not statuses or row["status"] in statuses]

    def update_job(self, job: str, **changes: Any) -> Row:
        """Changes fields of a job's body; returns it."""
        with self._mutex:
            body = self.job(job)
            if body is None:
                raise KeyError(job)
            body.update(changes)
            self._do("UPDATE jobs SET status = ?, body = ? WHERE id = ?", body["status"], json.dumps(body), job)
            return body

    def add_event(
        self,
        job: str,
        message: str,
        *,
        level: str = "info",
        kind: str = "message",
        data: Any = None,
        once: str | None = None,
    ) -> bool:
        """Records something that happened to a job.

        Args:
            job: The job's id.
            message: For people.
            level: ``info``, ``warn`` or ``error``.
            kind: ``message`` or ``metrics``.
            data: Whatever JSON can hold.
            once: What happened, in a word that says the same when the event is told again: then it is recorded once.

        Returns:
            Whether it was recorded now.
        """
        event = new_id("ftevent")
        if once is not None:
            event = f"ftevent-{hashlib.sha256(f'{job}/{once}'.encode()).hexdigest()[:24]}"
        row = {"id": event, "job": job, "created_at": int(time.time()), "level": level, "message": message}
        return self._insert("events", {**row, "type": kind, "data": json.dumps(data)}, otherwise="IGNORE")

    def events(self, job: str, *, limit: int | None = None, after: str | None = None) -> list[Row]:
        """A job's events, the newest first.

        Args:
            job: The job's id.
            limit: Most of them; None for all.
            after: Id of the event after which to begin.

        Raises:
            KeyError: `after` is no event of this job.
        """
        first = 2**63 - 1
        if after is not None:
            row = self._one("SELECT number FROM events WHERE id = ? AND job = ?", after, job)
            if row is None:
                raise KeyError(after)
            first = row["number"]
        sql = "SELECT * FROM events WHERE job = ? AND number < ? ORDER BY number DESC LIMIT ?"
        rows = self._all(sql, job, first, -1 if limit is None else limit)
        return [{**row, "data": json.loads(row["data"])} for row in rows]

    def metrics(self, job: str) -> list[Row]:
        """What was measured at each step of a job, the earliest step first."""
        rows = self._all("SELECT data FROM events WHERE job = ? AND type = 'metrics'", job)
        steps = {data["step"]: data for data in (json.loads(row["data"]) for row in rows)}
        return [steps[step] for step in sorted(steps)]

    def add_checkpoint(self, job: str, step: int, body: Row) -> bool:
        """Records a checkpoint, once for each step; returns whether it was recorded now."""
        row = {"id": body["id"], "job": job, "step": step, "body": json.dumps(body)}
        return self._insert("checkpoints", row, otherwise="IGNORE")

    def checkpoints(self, job: str) -> list[Row]:
        """A job's checkpoints, the newest first."""
        rows = self._all("SELECT body FROM checkpoints WHERE job = ? ORDER BY step DESC", job)
        return [json.loads(row["body"]) for row in rows]

    # Models

    def add_model(self, model: str, base: str, folder: Path) -> None:
        """Records a fine-tuned model whose adapter lies in a folder of this state."""
        relative = folder.resolve().relative_to(self.folder).as_posix()
        with self.transaction():
            self._do("INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?)", model, int(time.time()), base, relative)
            self._note_weights(model)

    def _note_weights(self, name: str) -> None:
        if self.weights is not None:
            self._insert("weights", {"name": name, "fingerprint": self.weights}, otherwise="REPLACE")

    def is_own(self, name: str) -> bool:
        """Whether a job or a model is of the weights that are served, as far as both are known."""
        row = self._one("SELECT fingerprint FROM weights WHERE name = ?", name)
        return row is None or self.weights in (None, row["fingerprint"])

    def model(self, model: str, base: str | None = None) -> Row | None:
        """One fine-tuned model's record, with its ``folder`` as a path.

        Args:
            model: Its id.
            base: The base model it must be of, by name and weights; None for any.

        Returns:
            None where there is no such model, or where its adapter is gone.
        """
        return next(iter(self._models("WHERE id = ?", base, model)), None)

    def models(self, base: str | None = None) -> list[Row]:
        """Fine-tuned models whose adapter is there, the oldest first; of one base, or of all."""
        return self._models("ORDER BY created, rowid", base)

    def _models(self, which: str, base: str | None, *values: Any) -> list[Row]:
        rows = self._all(f"SELECT * FROM models {which}", *values)  # noqa: S608 - written above
        own = [row for row in rows if base is None or (row["base"] == base and self.is_own(row["id"]))]
        found = [{**row, "folder": self.folder / row["folder"]} for row in own]
        return [row for row in found if row["folder"].joinpath("adapter_model.safetensors").is_file()]

    def delete_model(self, model: str) -> None:
        """Forgets a fine-tuned model and removes its adapter."""
        row = self._one("SELECT folder FROM models WHERE id = ?", model)
        with self.transaction():
            self._do("DELETE FROM models WHERE id = ?", model)
            self._do("DELETE FROM weights WHERE name = ?", model)
        if row is not None:
            shutil.rmtree(self.folder / row["folder"], ignore_errors=True)


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    """Says that a folder cannot be used where the system or SQLite does."""
    try:
        yield
    except OSError as error:
        reason = f"{error.filename or folder}: {error.strerror or error}"
        raise disk_full(error, folder) or UsageError(f"{folder} cannot be used: {reason}", _ELSEWHERE) from None
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise UnfinishedError(f"{folder}: {error}", "free some space; the same command goes on") from None
        raise UsageError(f"{folder} cannot be used: state.sqlite: {error}", _ELSEWHERE) from None


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text("utf-8"))
        return f"another server (process {facts['pid']}, since {facts['since']})"
    except (OSError, ValueError, KeyError):
        return "another server"
