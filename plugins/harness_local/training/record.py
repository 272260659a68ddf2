"""What a training process reports, written down: the job's fields, events, checkpoints and models.

Each report may come twice, and one that the server missed comes again when the training is taken up: whatever is
written down stays as it is.
"""

from __future__ import annotations

import csv
import io
import time
from typing import Any

from harness_local.state import OPEN, Row, State, checkpoint_name, new_id

_COLUMNS = ("step", "train_loss", "train_accuracy", "valid_loss", "valid_mean_token_accuracy")
_METRICS = (
    "step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy", "full_valid_loss",
    "full_valid_mean_token_accuracy",
)  # fmt: skip


class Record:
    """One job's record while it is trained.

    Args:
        state: The endpoint's memory.
        job: The job's id.
        base: Id of the base model.
    """

    def __init__(self, state: State, job: str, base: str) -> None:
        self._state, self._job, self._base = state, job, base
        self._steps = 0
        self._first = (0, time.monotonic())  # the step that this process began with, and when

    @property
    def body(self) -> Row:
        """The job as it stands."""
        body = self._state.job(self._job)
        if body is None:
            raise KeyError(self._job)
        return body

    def take(self, report: Row) -> bool:
        """Writes down one report, wholly or not at all; returns whether the job has ended.

        Raises:
            KeyError: The report lacks something.
        """
        with self._state.transaction():
            if self.body["status"] != "running":  # cancelled meanwhile
                return True
            event = report["event"]
            if event == "started":
                self._started(report)
            elif event == "step":
                self._stepped(report)
            elif event == "checkpoint":
                self._checkpointed(report)
            elif event == "done":
                self._succeeded(report["trained_tokens"])
            elif event == "failed":
                self.fail(report["code"], report["message"], report.get("param"))
        return event in ("done", "failed")

    def fail(self, code: str, message: str, param: str | None = None) -> None:
        """Ends the job with an error, unless it has ended already."""
        with self._state.transaction():
            if self.body["status"] in OPEN:
                self._end("failed", error={"code": code, "message": message, "param": param})
                self._state.add_event(self._job, message, level="error")

    def _end(self, status: str, **changes: Any) -> None:
        self._state.update_job(self._job, status=status, finished_at=int(time.time()), estimated_finish=None, **changes)

    def _started(self, report: Row) -> None:
        self._steps, self._first = report["steps"], (report["step"], time.monotonic())
        resolved = report["hyperparameters"]
        shown = {name: resolved[name] for name in ("n_epochs", "batch_size", "learning_rate_multiplier")}
        method = self.body["method"]
        method["supervised"]["hyperparameters"] = resolved
        self._state.update_job(self._job, hyperparameters=shown, method=method)
        if cut := report.get("cut"):
            message = f"{cut} of {report['examples']} examples are longer than the model's context and were cut"
            self._state.add_event(self._job, message, level="warn", once="cut")

    def _stepped(self, report: Row) -> None:
        step = report["step"]
        message = f"Step {step}/{self._steps}: training loss={report['train_loss']:.2f}"
        if report["valid_loss"] is not None:
            message += f", validation loss={report['valid_loss']:.2f}"
        data = {name: value for name, value in report.items() if name != "event"}
        data["total_steps"] = self._steps
        self._state.add_event(self._job, message, kind="metrics", data=data, once=f"step/{step}")
        first, began = self._first
        if step > first:
            left = (self._steps - step) * (time.monotonic() - began) / (step - first)
            self._state.update_job(self._job, estimated_finish=int(time.time() + left))

    def _checkpointed(self, report: Row) -> None:
        step = report["step"]
        name = checkpoint_name(self._model_name(), step)
        body = {
            "id": new_id("ftckpt"),
            "object": "fine_tuning.job.checkpoint",
            "created_at": int(time.time()),
            "fine_tuned_model_checkpoint": name,
            "fine_tuning_job_id": self._job,
            "metrics": {key: report[key] for key in _METRICS if report.get(key) is not None},
            "step_number": step,
        }
        if self._state.add_checkpoint(self._job, step, body):
            self._state.add_model(name, self._base, self._state.job_folder(self._job) / "checkpoints" / str(step))
            self._state.add_event(self._job, f"Checkpoint created at step {step}")

    def _model_name(self) -> str:
        """The same each time it is asked for, so that a repeated ending of a job makes no second model."""
        suffix = self.body.get("user_provided_suffix") or ""
        return f"ft:{self._base}:{suffix}:{self._job.rsplit('-', 1)[-1][:8]}"

    def _succeeded(self, trained_tokens: int) -> None:
        folder = self._state.job_folder(self._job)
        name = self._model_name()
        table = folder / "results.csv"
        table.write_text(results_table(self._state.metrics(self._job)), encoding="utf-8")
        results = self._state.add_file(table, "step_metrics.csv", "fine-tune-results")
        self._state.add_model(name, self._base, folder / "adapter")
        self._end("succeeded", fine_tuned_model=name, trained_tokens=trained_tokens, result_files=[results["id"]])
        self._state.add_event(self._job, f"New fine-tuned model created: {name}")
        self._state.add_event(self._job, "The job has successfully completed")


def results_table(metrics: list[Row]) -> str:
    """Metrics of steps as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "train_accuracy": row["train_mean_token_accuracy"]} for row in metrics)
    return text.getvalue()
