"""What the endpoint remembers: one folder with an SQLite file, the uploaded files and the adapters.

Everything is committed before it is acknowledged. One process holds the folder at a time.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import UsageError

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
"""
_VERSION = 1

Row = dict[str, Any]


def new_id(kind: str) -> str:
    """A random id such as ``file-…``."""
    return f"{kind}-{os.urandom(12).hex()}"


class State:
    """The endpoint's memory.

    Args:
        folder: Where it lies; made if absent.

    Raises:
        UsageError: Another server holds the folder, or a newer version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        for name in ("files", "jobs"):
            self.folder.joinpath(name).mkdir(parents=True, exist_ok=True)
        holder = self.folder / "holder.json"
        self._lock = FileLock(self.folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(
                f"{self.folder} is in use by {_describe(holder)}", "Give --state another folder."
            ) from None
        holder.write_text(json.dumps({"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}), "utf-8")
        self._mutex = threading.RLock()
        self._db = sqlite3.connect(self.folder / "state.sqlite", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise UsageError(f"{self.folder} was written by a newer version", "Give --state another folder.")
        self._db.executescript(_SCHEMA)
        self._db.execute(f"PRAGMA user_version = {_VERSION}")

    def close(self) -> None:
        """Lets go of the folder."""
        with self._mutex:
            self._db.close()
        self._lock.release()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are committed together, or none."""
        with self._mutex:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _all(self, sql: str, *values: Any) -> list[Row]:
        with self._mutex:
            return [dict(row) for row in self._db.execute(sql, values)]

    def _one(self, sql: str, *values: Any) -> Row | None:
        rows = self._all(sql, *values)
        return rows[0] if rows else None

    def _do(self, sql: str, *values: Any) -> int:
        with self._mutex:
            return self._db.execute(sql, values).rowcount

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
        with source.open("rb") as stream:
            os.fsync(stream.fileno())
        source.replace(self.content(row["id"]))
        self._insert("files", row)
        return row

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        marks = ", ".join("?" * len(row))
        # Table and column names are this module's own; values are bound.
        self._do(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *row.values())  # noqa: S608

    def file(self, file: str) -> Row | None:
        """One file's record."""
        return self._one("SELECT * FROM files WHERE id = ?", file)

    def files(self) -> list[Row]:
        """All files, the newest first."""
        return self._all("SELECT * FROM files ORDER BY created_at DESC, rowid DESC")

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
        self._insert("jobs", {"id": body["id"], "status": body["status"], "body": json.dumps(body)})

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
        self, job: str, message: str, *, level: str = "info", kind: str = "message", data: Any = None
    ) -> None:
        """Records something that happened to a job."""
        row = {"id": new_id("ftevent"), "job": job, "created_at": int(time.time()), "level": level}
        self._insert("events", {**row, "message": message, "type": kind, "data": json.dumps(data)})

    def events(self, job: str) -> list[Row]:
        """A job's events, the newest first."""
        rows = self._all("SELECT * FROM events WHERE job = ? ORDER BY number DESC", job)
        return [{**row, "data": json.loads(row["data"])} for row in rows]

    def forget_metrics(self, job: str, after_step: int) -> None:
        """Removes step metrics that a resumed job will report again."""
        for row in self._all("SELECT number, data FROM events WHERE job = ? AND type = 'metrics'", job):
            if json.loads(row["data"])["step"] > after_step:
                self._do("DELETE FROM events WHERE number = ?", row["number"])

    def add_checkpoint(self, job: str, step: int, body: Row) -> None:
        """Records a checkpoint, once for each step."""
        self._do(
            "INSERT OR IGNORE INTO checkpoints (id, job, step, body) VALUES (?, ?, ?, ?)",
            body["id"], job, step, json.dumps(body),
        )  # fmt: skip

    def checkpoints(self, job: str) -> list[Row]:
        """A job's checkpoints, the newest first."""
        rows = self._all("SELECT body FROM checkpoints WHERE job = ? ORDER BY step DESC", job)
        return [json.loads(row["body"]) for row in rows]

    # Models

    def add_model(self, model: str, base: str, folder: Path) -> None:
        """Records a fine-tuned model whose adapter lies in a folder of this state."""
        relative = folder.resolve().relative_to(self.folder).as_posix()
        self._do("INSERT OR REPLACE INTO models VALUES (?, ?, ?, ?)", model, int(time.time()), base, relative)

    def model(self, model: str) -> Row | None:
        """One fine-tuned model's record, with its ``folder`` as a path."""
        row = self._one("SELECT * FROM models WHERE id = ?", model)
        return None if row is None else {**row, "folder": self.folder / row["folder"]}

    def models(self) -> list[Row]:
        """Fine-tuned models, the oldest first."""
        return self._all("SELECT * FROM models ORDER BY created, rowid")

    def delete_model(self, model: str) -> None:
        """Forgets a fine-tuned model and removes its adapter."""
        row = self.model(model)
        self._do("DELETE FROM models WHERE id = ?", model)
        if row is not None:
            shutil.rmtree(row["folder"], ignore_errors=True)


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text("utf-8"))
        return f"another server (process {facts['pid']}, since {facts['since']})"
    except (OSError, ValueError, KeyError):
        return "another server"
