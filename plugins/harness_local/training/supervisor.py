"""Fine-tuning jobs: one training process at a time, followed line by line, taken up again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, ClassVar

from harness_local.disk import sync
from harness_local.models.loading import Placement, Source
from harness_local.state import OPEN, Row, State
from harness_local.training.record import Record
from harness_local.training.task import Hyperparameters, Task

_LINE = 2**20
_LIVES = 3  # how often a training process may be killed before the job is given up
_PAUSE_S = 10.0
_LOG = logging.getLogger(__name__)


class Supervisor:
    """Carries out the jobs that the state holds, in the order of their creation.

    Args:
        state: The endpoint's memory.
        source: The base model.
        placement: Where to compute.
    """

    # -P: nothing is imported from the folder the server happens to run in.
    trainer: ClassVar[Sequence[str]] = ("-P", "-m", "harness_local.training.trainer")
    """Arguments of the interpreter that start a training process; the job's folder follows."""
    silence_s: ClassVar[float] = 3600.0
    """How long a training process may say nothing. One that computes gives a sign of life between any two parts."""

    def __init__(self, state: State, source: Source, placement: Placement) -> None:
        self._state, self._source, self._placement = state, source, placement
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process: Process | None = None
        self._current: str | None = None

    def wake(self) -> None:
        """Says that there is a new job; from any thread."""
        self._soon(self._wake.set)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(call)

    async def run(self) -> None:
        """Carries out jobs until cancelled; a training in progress ends with it and goes on at the next start."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                try:
                    await self._next()
                except (OSError, sqlite3.Error) as error:  # not even the failure can be written down: the job waits
                    _LOG.error("The endpoint's state cannot be written: %s", error)
                    await asyncio.sleep(_PAUSE_S)
        finally:
            self._kill()

    async def _next(self) -> None:
        """Carries out the oldest open job of this server's base model, or waits for one."""
        for job in reversed(self._state.jobs(*OPEN)):
            if self._is_for(job):
                break
        else:
            await self._wake.wait()
            return
        self._current = job["id"]
        record = Record(self._state, job["id"], self._source.id)
        try:
            await self._carry_out(job, record)
        except Exception as error:  # the next job must not suffer from this one
            record.fail("server_error", f"{type(error).__name__}: {error}")
        finally:
            self._current = None

    def _is_for(self, job: Row) -> bool:
        """Whether a job's base model is the one that is served; another's job waits for its own server."""
        own = self._state.model(job["model"])
        base = own["base"] if own else job["model"]
        namesake = base == self._source.id and not self._state.is_own(job["id"])
        if not namesake and (base == self._source.id or base.startswith("ft:")):  # the latter is gone: the job ends
            return True
        with self._state.transaction():
            if job["status"] == "running":
                self._state.update_job(job["id"], status="queued", estimated_finish=None)
            message = f"Waiting for a server of {base}; the one that runs now serves {self._source.id}"
            message += ", another model of that name" if namesake else ""
            self._state.add_event(job["id"], message, level="warn", once=f"waiting/{base}/{self._source.id}")
        return False

    def cancel(self, job: str) -> Row:
        """Cancels a job, unless it has ended; from any thread. Returns the job as it then is.

        Raises:
            KeyError: There is no such job.
        """
        with self._state.transaction():
            body = self._state.job(job)
            if body is None:
                raise KeyError(job)
            if body["status"] not in OPEN:
                return body
            now = int(time.time())
            body = self._state.update_job(job, status="cancelled", finished_at=now, estimated_finish=None)
            self._state.add_event(job, "The job was cancelled")
        if job == self._current:
            self._soon(self._kill)
        return body

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _carry_out(self, job: Row, record: Record) -> None:
        folder = self._state.job_folder(job["id"])
        if not self._begin(job["id"], record):
            return
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
        self._write_task(job, folder)
        for life in range(1, _LIVES + 1):
            code = await self._train(record, folder)
            if record.body["status"] != "running":
                break
            if code >= 0:
                record.fail("training_failed", f"The training process ended with code {code}.{_last(folder)}")
                break
            message = f"The training process was ended by signal {-code}"
            if life == _LIVES:
                record.fail("training_failed", f"{message} {life} times. Was there too little memory?")
            else:
                self._state.add_event(job["id"], f"{message} and is started again", level="warn")
        # Not before the job's end is on disk: until then a restart needs them.
        shutil.rmtree(folder / "snapshots", ignore_errors=True)

    def _begin(self, job: str, record: Record) -> bool:
        """Says that a job is running, if it can run."""
        with self._state.transaction():
            body = record.body
            if body["status"] not in OPEN:
                return False
            for name in ("training_file", "validation_file"):
                if body[name] and self._state.file(body[name]) is None:
                    record.fail("file_not_found", f"The {name.replace('_', ' ')} {body[name]} is gone.", name)
                    return False
            if body["model"] != self._source.id and self._state.model(body["model"]) is None:
                record.fail("model_not_found", f"The model {body['model']} is gone.", "model")
                return False
            self._state.update_job(job, status="running")
            if not self._state.add_event(job, "Fine-tuning job started", once="started"):
                self._state.add_event(job, "Fine-tuning job resumed after a restart of the server")
        return True

    def _write_task(self, job: Row, folder: Path) -> None:
        own = self._state.model(job["model"])
        hyperparameters = job["method"]["supervised"]["hyperparameters"]
        known = {k: v for k, v in hyperparameters.items() if v != "auto"}
        Task(
            source=self._source,
            placement=self._placement,
            training=self._state.content(job["training_file"]),
            validation=self._state.content(job["validation_file"]) if job["validation_file"] else None,
            hyperparameters=Hyperparameters(**known),
            seed=job["seed"],
            adapter=own["folder"] if own else None,
        ).write(folder / "task.json")

    async def _train(self, record: Record, folder: Path) -> int:
        """Runs a training process and writes down what it reports, until either ends; returns its exit code."""
        with folder.joinpath("log.txt").open("ab") as log:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable, *self.trainer, str(folder),
                stdin=PIPE, stdout=PIPE, stderr=log, limit=_LINE, start_new_session=True,
                # The adapter's configuration lists names in an order that follows from their hashes.
                env={**os.environ, "TOKENIZERS_PARALLELISM": "false", "PYTHONHASHSEED": "0"},
            )  # fmt: skip
            try:
                if record.body["status"] == "running":  # not cancelled while the process was made
                    await self._follow(record, process, log)
                    return await process.wait()
            finally:
                self._kill()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PAUSE_S):
                        await process.communicate()  # closes its pipes
            return 0

    async def _follow(self, record: Record, process: Process, log: IO[bytes]) -> None:
        while process.stdout is not None:
            try:
                async with asyncio.timeout(self.silence_s):
                    raw = await process.stdout.readline()
            except TimeoutError:
                record.fail("training_failed", f"The training process said nothing for {self.silence_s:g} seconds.")
                break
            except ValueError:  # a line beyond all bounds, which is dropped
                continue
            if not raw:
                return
            if (report := _report(raw)) is None:
                log.write(raw)
                log.flush()
            elif record.take(report):
                break
            await asyncio.sleep(0)  # reports that are told again come all at once, and requests must not wait for them
        self._kill()


def _report(raw: bytes) -> Row | None:
    """A line of the training process; None where it is none of its reports."""
    try:
        report = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return report if isinstance(report, dict) and "event" in report else None


def _last(folder: Path) -> str:
    """The last line the training process wrote to its log."""
    lines = folder.joinpath("log.txt").read_text("utf-8", errors="replace").strip().splitlines()
    return f" {lines[-1][:300]}" if lines else ""
