"""A training job that runs: its events as they come, and in the end all that is known of it.

A job is recorded as succeeded with everything that belongs to it, or not yet: who is stopped in between finds it ended
and collects again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from harness import numbers
from harness.errors import HarnessError, UnfinishedError
from harness.execution.faults import BadBody
from harness.journal import Job
from harness.replies import moment
from harness.training.control import Control
from harness.training.events import Events
from harness.training.launching import once
from harness.training.results_file import FIGURES, Step, canonical, joined, may_be_results, read_results

if TYPE_CHECKING:
    from openai.types.fine_tuning import FineTuningJob

Detail: TypeAlias = Literal["ends", "events", "steps"]
"""What is told of a job that runs: its begin and end, also its events, also the losses of every step."""

ENDED = frozenset({"succeeded", "failed", "cancelled"})
UNDER_WAY = frozenset({"intent", "validating_files", "queued", "running", "pending", "notrunning", "resuming"})
UNKNOWN = "unknown"
"""Of a job that its endpoint did not know when it was last asked."""
PAUSED = frozenset({"paused", "pausing"})
FIRST_S, SOON_S, LONGEST_S = 0.25, 0.5, 30.0
LOOKS = 5
"""How often a job that is not known, or has no model though it has succeeded, is asked for: endpoints settle late."""
SHARE = 0.02
"""A job that has ended waits to be noticed for at most `SOON_S`, or this share of the time that it has taken."""
RESULTS_BYTES = 64_000_000
"""Largest results file that is read; step metrics of a hundred thousand steps have a tenth of it."""
SNIFFED = 4096
FILE_S = 120.0
"""Seconds for which an uploaded file may be processed before the job is created all the same."""
_STEP = re.compile(r"Step (\d+)/(\d+)\b")
"""How endpoints word a step's event."""
_CURES = {
    "invalid_n_examples": "give it more training examples; with them the same command trains anew",
    "invalid_training_file": "`harness prepare` says what is wrong with the data; then the same command trains anew",
}
_AGAIN = "the same command launches it again"


@dataclass(kw_only=True)
class Following:
    """Follows one job to its end.

    Args:
        control: The endpoint.
        job: The job, launched.
        save: Writes a state of the job to the journal.
        say: Arm, message.
        progress: Arm, step, number of steps.
        detail: What is told.
    """

    control: Control
    job: Job
    save: Callable[[Job], None]
    say: Callable[[str, str], None]
    progress: Callable[[str, int, int], None]
    detail: Detail = "events"
    first_s: float = FIRST_S
    _told: set[str] = field(default_factory=set)
    """Statuses that were told."""

    def __post_init__(self) -> None:
        self._events = Events(self.control, str(self.job.job))

    def to_its_end(self) -> Job:
        """Polls until the job has ended; returns it as it was recorded, succeeded.

        Raises:
            UnfinishedError: It failed, was cancelled, or is not known any more; it has no model yet; or the endpoint
                cannot be reached.
        """
        wait, looks = self.first_s, 0
        while True:
            current = self._retrieved()
            for event in self._events.new():
                self._tell(event)
            status = status_of(current)
            over = _over(current)
            nameless = over and not current.fine_tuned_model and status not in ENDED - {"succeeded"}
            looks += nameless
            if nameless and status == "succeeded" and looks == LOOKS:
                raise UnfinishedError(
                    f"the training job {self.job.job} of {self.job.arm} has succeeded, but {self.control.where} "
                    "does not say what its model is called",
                    "the same command asks again; nothing is trained anew",
                )
            if over and not (nameless and looks < LOOKS):
                return self._ended(current)
            if not over:
                self._tell_status(status)
                if status != self.job.status:
                    self.job = replace(self.job, status=status)
                    self.save(self.job)
            self.control.sleep(wait)
            longest = min(LONGEST_S, max(SOON_S, SHARE * (time.time() - self.job.created)))
            wait = min(wait * 1.3, longest)

    def _tell_status(self, status: str) -> None:
        if status in UNDER_WAY or status in self._told:
            return
        self._told.add(status)
        name = self.job.job
        if status in PAUSED:
            self.say(
                self.job.arm,
                f"{name} is {status}: resume it at the endpoint, e.g. client.fine_tuning.jobs.resume({name!r}), "
                "or cancel it there; it is followed meanwhile",
            )
        else:
            self.say(self.job.arm, f'the endpoint calls {name} "{self.control.scrub(status)}", whatever that means')

    def _tell(self, event: Mapping[str, Any]) -> None:
        """Passes an event on: a step moves the bar, everything else is a line; so is a step with a validation loss."""
        if self.detail == "ends":
            return
        message, figures = event["message"], canonical(event["data"]) if isinstance(event["data"], dict) else None
        step = _STEP.match(message)
        if step is not None:
            self.progress(self.job.arm, int(step[1]), int(step[2]))
        if self.detail == "steps" and figures is not None and len(figures) > 1:
            self.say(self.job.arm, _losses(figures))
        elif step is None or (figures is not None and "valid_loss" in figures):
            self.say(self.job.arm, message)

    def _retrieved(self) -> FineTuningJob:
        for look in range(LOOKS):
            current = retrieved(self.control, self.job)
            if current is not None:
                return current
            if look < LOOKS - 1:
                self.control.sleep(SOON_S * 2**look)
        self.save(replace(self.job, status=UNKNOWN))
        raise UnfinishedError(
            f"{self.control.where} does not know the training job {self.job.job}: "
            "does the key belong to another project?",
            "the same command asks again; if the job is lost, it launches another",
        )

    def _ended(self, current: FineTuningJob) -> Job:
        model, ended_as = current.fine_tuned_model, status_of(current)
        done = ended_as not in ENDED - {"succeeded"}
        result: dict[str, Any] = {
            "trained_tokens": _count(current.trained_tokens),
            "seconds": _seconds(current),
            "metrics": [event["data"] for event in self._events.seen if _is_metrics(event)],
            "events": [{name: value for name, value in event.items() if name != "id"} for event in self._events.seen],
            "hyperparameters": _hyperparameters(current),
        }
        if self.job.spec.get("shutdown_date"):
            result["shutdown_date"] = self.job.spec["shutdown_date"]
        if done and model:
            result |= self._collected(current, model, result["metrics"])
        status = "succeeded" if done and model else "cancelled" if ended_as == "cancelled" else "failed"
        self.job = replace(self.job, model=model, status=status, finished=time.time(), result=result)
        self.save(self.job)
        if done and model:
            self.say(self.job.arm, _summary(model, result))
            return self.job
        raise self._failure(current)

    def _failure(self, current: FineTuningJob) -> UnfinishedError:
        # On success `error` can be an object whose fields are all None, so its code is what counts.
        given: Any = current.error  # of the API an object, of others a mere sentence
        error, code = getattr(given, "message", given) or "", str(getattr(given, "code", None) or "")
        error = str(error or code) if isinstance(error, str) else ""
        reason = self.control.scrub(error) if error else "the endpoint gave no reason"
        named = f" ({code})" if code and code not in reason else ""
        if status_of(current) == "cancelled" and not error:
            reason = "somebody cancelled it at the endpoint"
        return UnfinishedError(
            f"the training job {self.job.job} of {self.job.arm} {current.status}: {reason}{named}",
            _CURES.get(code, _AGAIN),
        )

    # What belongs to a job that has succeeded

    def _collected(self, current: FineTuningJob, model: str, metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Returns steps, checkpoints and files; what cannot be fetched is told and missing, the model is there."""
        checkpoints, files = self._optional("checkpoints", self._checkpoints, ([], {}))
        results: list[Step] = []
        names = [name for name in current.result_files or () if isinstance(name, str) and name]
        for name in names:
            results += self._optional(f"results file {name}", partial(self._results, name), [])
        steps = joined(results, metrics, checkpoints)
        return {
            "steps": steps,
            "checkpoints": _distinct(checkpoints, model, steps),
            "files": {"results": names, "checkpoints": files},
        }

    def _optional(self, what: str, fetch: Callable[[], Any], nothing: Any) -> Any:
        try:
            return fetch()
        except HarnessError as error:
            self.say(self.job.arm, f"{self.job.job} has succeeded, but its {what} cannot be had: {error.message}")
            return nothing

    def _checkpoints(self) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
        """Returns a job's checkpoints, oldest first, and the files of each step; an endpoint without any has none."""
        import openai

        def listed() -> list[Any]:
            try:
                return list(once(self.control.client.fine_tuning.jobs.checkpoints.list(str(self.job.job), limit=100)))
            except openai.NotFoundError:
                return []

        found, files = [], {}
        for one in self.control.ask(listed, attempts=3):
            step = getattr(one, "step_number", None)
            metrics = one.metrics.model_dump() if getattr(one, "metrics", None) is not None else {}
            figures = canonical({**metrics, "step": step}) or {}
            extra = getattr(one, "result_files", None)
            if isinstance(extra, list) and extra:
                files[str(step)] = [str(name) for name in extra]
            if getattr(one, "fine_tuned_model_checkpoint", None) and "step" in figures:
                found.append({"model": str(one.fine_tuned_model_checkpoint), **figures})
        return sorted(found, key=lambda checkpoint: int(checkpoint["step"])), files

    def _results(self, file: str) -> list[Step]:
        """Fetches a results file; other files of a job, such as an adapter, are left where they are."""
        import httpx2

        def fetch() -> bytes:
            raw = bytearray()
            try:
                with self.control.client.files.with_streaming_response.content(file) as response:
                    for chunk in response.iter_bytes(SNIFFED):
                        raw += chunk
                        if len(raw) >= SNIFFED and not may_be_results(bytes(raw[:SNIFFED])):
                            return b""
                        if len(raw) > RESULTS_BYTES:
                            raise BadBody(f"it has more than {RESULTS_BYTES // 1_000_000} MB")
            except httpx2.HTTPError as error:  # on the way; the client words only what comes before the body
                raise BadBody(f"the connection broke: {error}") from None
            if raw.lstrip()[:1] == b"<":
                raise BadBody("a page came in its place")
            return bytes(raw)

        return read_results(self.control.ask(fetch, attempts=3))


def processed(control: Control, file: Any) -> None:
    """Waits until an uploaded file is processed, where the endpoint tells a status, for two minutes at most.

    Args:
        control: The endpoint.
        file: The file object that the upload returned.
    """
    began = time.monotonic()
    while getattr(file, "status", None) in {"uploaded", "pending", "running"} and time.monotonic() - began < FILE_S:
        control.sleep(SOON_S)
        file = control.ask(partial(control.client.files.retrieve, file.id))


def lines_of(job: Job) -> Iterator[dict[str, Any]]:
    """Yields what a job's file in the run's folder holds: the job, its events, its steps, its checkpoints."""
    result = dict(job.result or {})
    facts = ("trained_tokens", "seconds", "hyperparameters", "shutdown_date", "reused", "usd")
    yield {
        "kind": "job", "arm": job.arm, "job": job.job, "model": job.model, "status": job.status,
        "base": job.spec.get("base"), **{name: result[name] for name in facts if result.get(name) is not None},
    }  # fmt: skip
    for kind in ("events", "steps", "checkpoints"):
        yield from ({"kind": kind[:-1], **one} for one in result.get(kind) or ())


def retrieved(control: Control, job: Job) -> FineTuningJob | None:
    """Returns a job as its endpoint has it; None where the endpoint does not know it."""
    import openai

    def ask() -> FineTuningJob | None:
        try:
            return control.client.fine_tuning.jobs.retrieve(str(job.job))
        except openai.NotFoundError:
            return None

    return control.ask(ask)


def status_of(job: FineTuningJob) -> str:
    """Returns a job's status in small letters, in which they are compared."""
    return str(job.status).lower()


def _over(current: FineTuningJob) -> bool:
    """Whether a job has ended, be it with a status that is not known here."""
    status = status_of(current)
    known = ENDED | UNDER_WAY | PAUSED
    return status in ENDED or (status not in known and (moment(current.finished_at) or 0.0) > 0)  # 0: not yet


def _seconds(current: FineTuningJob) -> float | None:
    began, ended = (moment(getattr(current, name, None)) for name in ("created_at", "finished_at"))
    return None if began is None or ended is None else ended - began


def _count(value: Any) -> int | None:
    """Returns a whole number, which some endpoints write as text."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _hyperparameters(current: FineTuningJob) -> dict[str, Any]:
    """Returns the hyperparameters as the endpoint settled them: where `auto` was asked, what became of it."""
    from pydantic import BaseModel

    given = getattr(current, "hyperparameters", None)
    settled: dict[str, Any] = given.model_dump(mode="json") if isinstance(given, BaseModel) else {}
    return {name: value for name, value in settled.items() if value is not None}


def _is_metrics(event: Mapping[str, Any]) -> bool:
    return event["type"] == "metrics" and isinstance(event["data"], dict)


def _distinct(checkpoints: Sequence[dict[str, Any]], model: str, steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Returns each checkpoint once, with the losses of its step; the job's own model is the last one."""
    by_step = {step["step"]: step for step in steps}
    once = {one["model"]: {**one, **by_step.get(one["step"], {})} for one in checkpoints}
    own = once.pop(model, None)
    return [*once.values(), *([own] if own is not None else [])]


def _losses(figures: Mapping[str, float]) -> str:
    said = [f"{name.replace('_', ' ')} {figures[name]:.4g}" for name in FIGURES if name in figures]
    return f"step {figures['step']:,}: {', '.join(said)}"


def _summary(model: str, result: Mapping[str, Any]) -> str:
    parts = [f"{model} is trained"]
    if result["seconds"]:
        parts.append(f"in {numbers.duration(result['seconds'])}")
    if result["trained_tokens"]:
        parts.append(f"on {result['trained_tokens']:,} tokens")
    last = next((step for step in reversed(result["steps"]) if len(step) > 1), None)
    return f"{' '.join(parts)}{f'; {_losses(last)}' if last else ''}"
