"""The fake provider's files and training jobs."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from support.provider.errors import ApiError
from support.provider.model import size
from support.provider.settings import Settings

ORDER = ("validating_files", "queued", "running", "succeeded")
FINAL = ("succeeded", "failed", "cancelled")


def _size(settings: Settings, line: str) -> int:
    """Returns the tokens of a training line: its words, unless there is a vocabulary to count its texts in."""
    if settings.vocabulary is None:
        return len(line.split())
    row = json.loads(line)
    return sum(size(settings, row[key]) for key in ("prompt", "completion"))


@dataclass(slots=True, kw_only=True)
class StoredFile:
    """An uploaded or produced file."""

    id: str
    name: str
    purpose: str
    content: bytes
    created: int
    status: str | None = "processed"
    pending: int = 0
    """So many looks at it still show that it was uploaded."""

    def show(self) -> dict[str, Any]:
        """Returns the file object."""
        status = "uploaded" if self.pending > 0 else self.status
        self.pending -= 1
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "filename": self.name,
            "purpose": self.purpose,
            "status": status,
            "status_details": None,
        }


@dataclass(slots=True, kw_only=True)
class Job:
    """A training job; `step` indexes `ORDER` while it is under way."""

    id: str
    model: str
    training_file: str
    validation_file: str | None
    suffix: str | None
    seed: int
    metadata: Mapping[str, str] | None
    method: Mapping[str, Any]
    hyperparameters: Mapping[str, Any]
    started: float
    status: str = ORDER[0]
    error: dict[str, Any] | None = None
    finished_at: int | None = None
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    result_files: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    checkpoints: list[dict[str, Any]] = field(default_factory=list)
    passes: list[str] = field(default_factory=list)
    """Statuses that it takes on before it ends."""

    def show(self) -> dict[str, Any]:
        """Returns the job object."""
        names = ("id", "model", "training_file", "validation_file", "seed", "metadata", "method", "hyperparameters")
        late = ("status", "error", "finished_at", "fine_tuned_model", "trained_tokens", "result_files")
        return {
            **{name: getattr(self, name) for name in names + late},
            "object": "fine_tuning.job",
            "created_at": int(self.started),
            "organization_id": "org-test",
            "user_provided_suffix": self.suffix,
            "integrations": [],
            "estimated_finish": None,
        }

    def log(self, message: str, *, level: str = "info", kind: str = "message", data: Any = None) -> None:
        """Adds an event."""
        self.events.append(
            {
                "object": "fine_tuning.job.event",
                "id": f"ftevent-{self.id}-{len(self.events)}",
                "created_at": int(time.time()),
                "level": level,
                "message": message,
                "type": kind,
                "data": data or {},
            }
        )


def check_training_file(content: bytes, minimum: int) -> tuple[str, str] | None:
    """Returns error code and message where the content is no training file, else `None`."""
    lines = [line for line in content.decode("utf-8-sig", "replace").splitlines() if line.strip()]
    for number, line in enumerate(lines, 1):
        problem = _line_problem(line, number)
        if problem:
            return "invalid_training_file", f"The job failed due to an invalid training file. {problem}"
    if len(lines) < minimum:
        return (
            "invalid_n_examples",
            f"Training file has {len(lines)} example(s), but must have at least {minimum} examples",
        )
    return None


def _line_problem(line: str, number: int) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        return f"Invalid file format. Line {number} is not valid JSON."
    if not isinstance(row, dict):
        return f"Invalid file format. Example {number} is not an object."
    if "messages" in row:
        for index, message in enumerate(row["messages"], 1):
            if message.get("role") not in {"system", "user", "assistant", "developer", "tool"}:
                return f"Invalid file format. Example {number}, message {index} Discriminator 'role' is missing"
        if not any(message["role"] == "assistant" for message in row["messages"]):
            return f"Invalid file format. Example {number} has no message of the assistant."
        return ""
    if not all(isinstance(row.get(key), str) for key in ("prompt", "completion")):
        return f"Invalid file format. Example {number} needs messages, or prompt and completion."
    return "" if row["completion"] else f"Invalid file format. Example {number} has an empty completion."


class Store:
    """Files, jobs and the models that jobs have made."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.files: dict[str, StoredFile] = {}
        self.filed = 0
        self.jobs: dict[str, Job] = {}
        self.tuned: dict[str, Job] = {}

    # --- files ------------------------------------------------------------------------------------------------------
    def add_file(self, name: str, purpose: str, content: bytes) -> StoredFile:
        """Keeps a file."""
        self.filed += 1
        number = self.filed
        stored = StoredFile(
            id=f"file-{number:06d}", name=name, purpose=purpose, content=content, created=int(time.time()),
            status="processed" if self.settings.file_status else None,
            pending=self.settings.file_pending if purpose == "fine-tune" else 0,
        )  # fmt: skip
        self.files[stored.id] = stored
        return stored

    def file(self, file_id: str) -> StoredFile:
        """Returns a file by id, or raises 404."""
        if file_id not in self.files:
            raise ApiError(404, "not_found", f"No such File object: {file_id}", param="id")
        return self.files[file_id]

    # --- jobs -------------------------------------------------------------------------------------------------------
    def create(self, body: Mapping[str, Any]) -> Job:
        """Creates a job; its files are judged when it validates them."""
        if self.settings.training_refused:
            raise ApiError(403, "training_not_available", "Fine-tuning is not available for this organization.")
        model, training = body.get("model", ""), body.get("training_file", "")
        if model not in self.settings.models and model not in self.tuned:
            raise ApiError(404, "model_not_found", f"The model `{model}` does not exist", param="model")
        for name in ("training_file", "validation_file"):
            if body.get(name) is not None and body[name] not in self.files:
                raise ApiError(400, "invalid_file", f"{name} {body[name]} does not exist", param=name)
        if not training:
            raise ApiError(400, "missing_required_parameter", "training_file is required", param="training_file")
        if len(body.get("suffix") or "") > 64:
            raise ApiError(400, "string_above_max_length", "suffix is longer than 64 characters", param="suffix")
        method = body.get("method") or {"type": "supervised", "supervised": {"hyperparameters": {}}}
        asked = dict((method.get(method.get("type", "")) or {}).get("hyperparameters") or {})
        job = Job(
            id=f"ftjob-{len(self.jobs) + 1:06d}",
            model=model,
            training_file=training,
            validation_file=body.get("validation_file"),
            suffix=body.get("suffix"),
            seed=42 if body.get("seed") is None else int(body["seed"]),
            metadata=body.get("metadata"),
            method=method,
            hyperparameters={"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto", **asked},
            started=time.time(),
            error={} if self.settings.job_error_object else None,
            passes=list(self.settings.job_passes),
        )
        job.log(f"Created fine-tuning job: {job.id}")
        job.log(f"Validating training file: {training}")
        self.jobs[job.id] = job
        return job

    def job(self, job_id: str, *, poll: bool = False) -> Job:
        """Returns a job by id, or raises 404; `poll` lets it go on."""
        if job_id not in self.jobs:
            raise ApiError(404, "fine_tune_not_found", f"Could not find fine tune: {job_id}", param="fine_tune_id")
        job = self.jobs[job_id]
        if job.status in FINAL:
            return job
        if self.settings.job_s is None:
            if poll:
                self._advance(job)
            return job
        share = (time.time() - job.started) / self.settings.job_s if self.settings.job_s else 1.0
        target = 0 if share < 0.2 else 1 if share < 0.3 else 2 if share < 1.0 else 3
        while job.status not in FINAL and (job.status not in ORDER or ORDER.index(job.status) < target):
            self._advance(job)
        return job

    def cancel(self, job_id: str) -> Job:
        """Cancels a job that is under way."""
        job = self.job(job_id)
        if job.status in FINAL:
            raise ApiError(400, "invalid_status", f"Job has already {job.status}.")
        job.status, job.finished_at = "cancelled", int(time.time())
        job.log("The job was cancelled")
        return job

    def _fail(self, job: Job, code: str, message: str) -> None:
        job.status, job.finished_at = "failed", int(time.time())
        job.error = {"code": code, "message": message, "param": "training_file"}
        job.log(message, level="error")

    def _advance(self, job: Job) -> None:
        if job.status == "validating_files":
            content = self.files[job.training_file].content
            problem = check_training_file(content, self.settings.min_examples)
            if problem is None and job.validation_file:
                problem = check_training_file(self.files[job.validation_file].content, 1)
            if problem:
                self._fail(job, *problem)
                return
            job.log("Files validated, moving job to queued state")
            job.status = "queued"
        elif job.status == "queued":
            job.log("Fine-tuning job started")
            job.status = "running"
        elif job.passes:
            job.status = job.passes.pop(0)
        elif self.settings.job_error:
            self._fail(job, self.settings.job_error, f"The job failed: {self.settings.job_error}")
        else:
            self._succeed(job)

    def _succeed(self, job: Job) -> None:
        lines = self.files[job.training_file].content.decode("utf-8-sig", "replace").splitlines()
        asked = job.hyperparameters["n_epochs"]
        epochs = asked if isinstance(asked, int) else 3
        batch = job.hyperparameters["batch_size"]
        batch = batch if isinstance(batch, int) else 1
        job.hyperparameters = {**job.hyperparameters, "n_epochs": epochs, "batch_size": batch}
        job.hyperparameters.setdefault("learning_rate_multiplier", 2)
        job.trained_tokens = epochs * sum(_size(self.settings, line) for line in lines)
        base = job.model.split(":")[1] if job.model.startswith("ft:") else job.model
        name = f"ft:{base}:test:{job.suffix or ''}:{job.id[-6:]}"
        rows = [",".join(self.settings.results_columns)]
        steps = max(1, epochs * len(lines) // batch)
        for epoch in range(1, epochs + 1):
            step, loss = steps * epoch // epochs, round(2.0 / (1 + epoch), 4)
            rows.append(f"{step},{loss},{1 - loss / 4:.4f},{loss + 0.1:.4f},{1 - loss / 3:.4f}")
            metrics = {"step": step, "train_loss": loss, "valid_loss": round(loss + 0.1, 4)}
            job.log(
                f"Step {step}/{steps}: training loss={loss}", kind="metrics", data={**metrics, "total_steps": steps}
            )
            job.checkpoints.append(
                {
                    "object": "fine_tuning.job.checkpoint",
                    "id": f"ftckpt-{job.id}-{epoch}",
                    "created_at": int(time.time()),
                    "fine_tuned_model_checkpoint": name if epoch == epochs else f"{name}:ckpt-step-{step}",
                    "fine_tuning_job_id": job.id,
                    "metrics": metrics,
                    "step_number": step,
                }
            )
        content = ("\n".join(rows) + "\n").encode()
        content = base64.b64encode(content) if self.settings.results_base64 else content
        job.result_files = [self.add_file("step_metrics.csv", "fine-tune-results", content).id]
        if self.settings.result_adapter:
            extra = self.add_file("adapter.safetensors", "fine-tune-results", bytes(range(256)) * 64).id
            job.result_files.append(extra)
            job.checkpoints = [{**checkpoint, "result_files": [extra]} for checkpoint in job.checkpoints]
        job.status, job.finished_at, job.fine_tuned_model = "succeeded", int(time.time()), name
        for checkpoint in job.checkpoints:
            self.tuned[checkpoint["fine_tuned_model_checkpoint"]] = job
        job.log(f"New fine-tuned model created: {name}")
        job.log("The job has successfully completed")
