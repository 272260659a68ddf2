"""Fine-tuning jobs: one training process at a time, followed line by line, taken up again after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from harness_local.models.loading import Placement, Source
from harness_local.state import Row, State, new_id
from harness_local.training.task import Hyperparameters, Task

OPEN = ("validating_files", "queued", "running")
_COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
_LINE = 2**20


class Supervisor:
    """Carries out the jobs that the state holds, in the order of their creation.

    Args:
        state: The endpoint's memory.
        source: The base model.
        placement: Where to compute.
    """

    def __init__(self, state: State, source: Source, placement: Placement) -> None:
        self._state, self._source, self._placement = state, source, placement
        self._wake = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._current: str | None = None

    def wake(self) -> None:
        """Says that there is a new job."""
        self._wake.set()

    async def run(self) -> None:
        """Carries out jobs until cancelled; a training in progress ends with it and goes on at the next start."""
        try:
            while True:
                waiting = self._state.jobs(*OPEN)
                if not waiting:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                job = waiting[-1]
                self._current = job["id"]
                try:
                    await self._carry_out(job)
                except Exception as error:  # the next job must not suffer from this one
                    self._fail(job["id"], "server_error", f"{type(error).__name__}: {error}")
                finally:
                    self._current = None
        finally:
            self._kill()

    def cancel(self, job: str) -> Row:
        """Cancels an open job."""
        body = self._state.update_job(job, status="cancelled", finished_at=int(time.time()))
        self._state.add_event(job, "The job was cancelled")
        if job == self._current:
            self._kill()
        return body

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _carry_out(self, job: Row) -> None:
        folder = self._state.job_folder(job["id"])
        folder.mkdir(exist_ok=True)
        self._write_task(job, folder)
        if job["status"] == "running":
            self._state.add_event(job["id"], "Fine-tuning job resumed after a restart of the server")
        else:
            self._state.update_job(job["id"], status="running")
            self._state.add_event(job["id"], "Fine-tuning job started")
        with folder.joinpath("log.txt").open("ab") as log:
            # -P: nothing is imported from the folder the server happens to run in.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "harness_local.training.trainer", str(folder),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=log, limit=_LINE,
                env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
            )  # fmt: skip
        try:
            finished = await self._follow(job["id"], self._process)
            code = await self._process.wait()
        finally:
            self._kill()
        current = self._state.job(job["id"])
        if current is not None and current["status"] == "running" and not finished:
            self._fail(job["id"], "training_failed", f"The training process ended with code {code}.{_last(folder)}")

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

    async def _follow(self, job: str, process: asyncio.subprocess.Process) -> bool:
        """Records what the training process reports; returns whether it came to an end of its own."""
        steps = 0
        if process.stdout is None:
            return False
        async for raw in process.stdout:
            facts = json.loads(raw)
            event = facts.pop("event")
            status = (self._state.job(job) or {}).get("status")
            if status != "running":  # cancelled meanwhile
                return True
            with self._state.transaction():
                if event == "started":
                    steps = facts["steps"]
                    self._started(job, facts)
                elif event == "step":
                    self._stepped(job, steps, facts)
                elif event == "checkpoint":
                    self._checkpointed(job, facts["step"])
                elif event == "done":
                    self._succeed(job, facts["trained_tokens"])
                elif event == "failed":
                    self._fail(job, facts["code"], facts["message"])
            if event in ("done", "failed"):
                return True
        return False

    def _started(self, job: str, facts: Row) -> None:
        self._state.forget_metrics(job, facts["step"])
        body = self._state.job(job) or {}
        resolved = facts["hyperparameters"]
        shown = {name: resolved[name] for name in ("n_epochs", "batch_size", "learning_rate_multiplier")}
        body["method"]["supervised"]["hyperparameters"] = resolved
        self._state.update_job(job, hyperparameters=shown, method=body["method"])

    def _stepped(self, job: str, steps: int, facts: Row) -> None:
        data = {**facts, "total_steps": steps}
        message = f"Step {facts['step']}/{steps}: training loss={facts['train_loss']:.2f}"
        if facts["valid_loss"] is not None:
            message += f", validation loss={facts['valid_loss']:.2f}"
        self._state.add_event(job, message, kind="metrics", data=data)

    def _checkpointed(self, job: str, step: int) -> None:
        name = self._model_name(job) + f":ckpt-step-{step}"
        folder = self._state.job_folder(job) / "checkpoints" / str(step)
        rows = [e["data"] for e in self._state.events(job) if e["type"] == "metrics" and e["data"]["step"] == step]
        metrics = {k: v for k, v in (rows[0] if rows else {}).items() if v is not None and k not in ("epoch",)}
        metrics.pop("total_steps", None)
        self._state.add_model(name, self._source.id, folder)
        body = {
            "id": new_id("ftckpt"),
            "object": "fine_tuning.job.checkpoint",
            "created_at": int(time.time()),
            "fine_tuned_model_checkpoint": name,
            "fine_tuning_job_id": job,
            "metrics": metrics,
            "step_number": step,
        }
        self._state.add_checkpoint(job, step, body)
        self._state.add_event(job, f"Checkpoint created at step {step}")

    def _model_name(self, job: str) -> str:
        """The same each time it is asked for, so that a repeated ending of a job makes no second model."""
        suffix = (self._state.job(job) or {}).get("user_provided_suffix") or ""
        return f"ft:{self._source.id}:{suffix}:{job.rsplit('-', 1)[-1][:8]}"

    def _succeed(self, job: str, trained_tokens: int) -> None:
        folder = self._state.job_folder(job)
        name = self._model_name(job)
        table = folder / "results.csv"
        table.write_text(results_table(self._state.events(job)), encoding="utf-8")
        results = self._state.add_file(table, "step_metrics.csv", "fine-tune-results")
        self._state.add_model(name, self._source.id, folder / "adapter")
        self._state.update_job(
            job,
            status="succeeded",
            fine_tuned_model=name,
            finished_at=int(time.time()),
            trained_tokens=trained_tokens,
            result_files=[results["id"]],
        )
        self._state.add_event(job, f"New fine-tuned model created: {name}")
        self._state.add_event(job, "The job has successfully completed")
        shutil.rmtree(folder / "snapshots", ignore_errors=True)

    def _fail(self, job: str, code: str, message: str) -> None:
        error = {"code": code, "message": message, "param": "training_file" if code.startswith("invalid") else None}
        self._state.update_job(job, status="failed", error=error, finished_at=int(time.time()))
        self._state.add_event(job, message, level="error")


def results_table(events: list[Row]) -> str:
    """Step metrics as CSV, the earliest step first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for event in reversed(events):
        if event["type"] == "metrics":
            data: dict[str, Any] = {**event["data"], "train_accuracy": event["data"]["train_mean_token_accuracy"]}
            writer.writerow(["" if data[name] is None else data[name] for name in _COLUMNS])
    return text.getvalue()


def _last(folder: Path) -> str:
    """The last line the training process wrote to its log."""
    lines = folder.joinpath("log.txt").read_text("utf-8", errors="replace").strip().splitlines()
    return f" {lines[-1][:300]}" if lines else ""
