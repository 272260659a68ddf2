"""Training jobs: launched once, followed, taken up again after a crash.

The order is what keeps a job from being paid for twice: the intent with its tag goes to the journal, the files are
uploaded, the job is created with the tag in its metadata, its id goes to the journal. Whoever finds an intent without
an id asks the endpoint for the tag before creating anything.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.errors import HarnessError, TrainingRefusedError, UnfinishedError, UsageError
from harness.execution.faults import MORE_QUOTA, BadBody, Fate, judge
from harness.execution.targets import Target
from harness.execution.work import digest
from harness.journal import Job, Journal
from harness.secrets import Scrubber
from harness.siblings import sibling_job
from harness.types import JobSpec, TrainingFiles

if TYPE_CHECKING:
    import httpx2
    import openai
    from openai.types.fine_tuning import FineTuningJob

T = TypeVar("T")
TAG = "harness_tag"
ATTEMPTS = 6
CONNECTION_ATTEMPTS = 4
"""Fewer where nobody answers at all."""
REFUSED = frozenset({"training_not_available", "fine_tuning_not_available"})
_STEP = re.compile(r"Step (\d+)/(\d+)\b")
"""How endpoints word a step's event."""
ENDED = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A training job's files with what they hold."""

    files: TrainingFiles
    hashes: Mapping[str, str]
    """`train` and `validation` → SHA-256 of the file."""


def upload_of(files: TrainingFiles) -> Upload:
    """Hashes a job's files."""
    named = {"train": files.train, **({"validation": files.validation} if files.validation else {})}
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in named.items()}
    return Upload(files=files, hashes=hashes)


def job_tag(spec: JobSpec, upload: Upload, identity: str) -> str:
    """Returns what a trained model is known by: files + base + hyperparameters + endpoint."""
    settings = [identity, spec.base, dict(spec.hyperparameters), spec.suffix, spec.seed, dict(upload.hashes)]
    return digest(settings)[:32]


@dataclass(kw_only=True)
class Trainer:
    """Runs training jobs on endpoints."""

    journal: Journal
    connect: Callable[[str], Target]
    say: Callable[[str, str], None]
    """Arm, message."""
    progress: Callable[[str, int, int], None] = lambda _arm, _step, _steps: None
    """Arm, step, number of steps."""
    scrub: Scrubber = field(default_factory=Scrubber)
    siblings: tuple[Path, ...] = ()
    """Journals of other runs from which a trained model may be taken over."""
    poll_s: float = 2.0

    def ensure(
        self, arm: str, spec: JobSpec, upload: Upload, identity: str, admit: Callable[[], None] = lambda: None
    ) -> Job:
        """Returns a succeeded job, launching one only where there is none.

        Args:
            arm: The arm's name, for messages.
            spec: The job.
            upload: Its files.
            identity: What identifies the endpoint.
            admit: Called before a job is launched; what it raises keeps the job from being launched.

        Raises:
            TrainingRefusedError: The endpoint does not train.
            UnfinishedError: The job failed, or the endpoint cannot be reached.
            UsageError: The endpoint refuses the files, the base model or a hyperparameter.
        """
        tag = job_tag(spec, upload, identity)
        known = self.journal.job(tag)
        if known is not None and known.model is not None:
            return known
        for journal in self.siblings:
            found = sibling_job(journal, tag)
            if found is not None:
                self.say(arm, f"{found.model} was trained by {journal.parent.name}: taken over")
                found = replace(found, arm=arm, result={**(found.result or {}), "reused": journal.parent.name})
                self.journal.save_job(found)
                return found
        if known is None or known.job is None or known.status in ENDED:
            admit()
        target = self.connect(spec.endpoint)
        with closing(_client(target)) as client:
            job = self._launched(client, target, known, Job(
                tag=tag, arm=arm, spec={"base": spec.base, "hyperparameters": dict(spec.hyperparameters), "attempt": 1},
                files={}, created=time.time(),
            ), spec, upload)  # fmt: skip
            return self._follow(client, target, job)

    def _launched(
        self, client: openai.OpenAI, target: Target, known: Job | None, fresh: Job, spec: JobSpec, upload: Upload
    ) -> Job:
        """Returns a job that has an id at the endpoint: the one that runs already, or a new one."""
        job = known or fresh
        if job.status in {"failed", "cancelled"}:
            attempt = int(job.spec.get("attempt", 1)) + 1
            job = replace(fresh, spec={**fresh.spec, "attempt": attempt})
            known = None
        if job.job is not None:
            self.say(job.arm, f"following {job.job}, which was launched before")
            return job
        self.journal.save_job(job)
        if known is not None:  # a crash may lie between the launch and the record of its id
            found = self._lookup(client, target, job)
            if found is not None:
                return found
        files = dict(job.files)
        for name, path in (("train", upload.files.train), ("validation", upload.files.validation)):
            content_hash = upload.hashes.get(name)
            if path is not None and content_hash is not None and content_hash not in files:
                files[content_hash] = self._upload(client, target, path, content_hash)
                job = replace(job, files=files)
                self.journal.save_job(job)
        return self._create(client, target, job, spec, upload)

    def _upload(self, client: openai.OpenAI, target: Target, path: Path, content_hash: str) -> str:
        name = f"{path.stem}-{content_hash[:12]}.jsonl"
        raw = path.read_bytes()
        return self._ask(target, lambda: _named(client.files.create(file=(name, raw), purpose="fine-tune").id))

    def _create(self, client: openai.OpenAI, target: Target, job: Job, spec: JobSpec, upload: Upload) -> Job:
        request: dict[str, Any] = {
            "model": spec.base,
            "training_file": job.files[upload.hashes["train"]],
            "metadata": {TAG: _remote_tag(job)},
            "method": {"type": "supervised", "supervised": {"hyperparameters": dict(spec.hyperparameters)}},
        }
        if "validation" in upload.hashes:
            request["validation_file"] = job.files[upload.hashes["validation"]]
        if spec.suffix is not None:
            request["suffix"] = spec.suffix
        if spec.seed is not None:
            request["seed"] = spec.seed

        def once() -> Job:
            created = client.fine_tuning.jobs.create(**request)
            return replace(job, job=_named(created.id), status=str(created.status))

        # An attempt whose answer was lost may have launched the job: it is looked up before the next one.
        launched = self._ask(target, once, between=lambda: self._lookup(client, target, job))
        self.journal.save_job(launched)
        self.say(job.arm, f"launched {launched.job}")
        return launched

    def _lookup(self, client: openai.OpenAI, target: Target, job: Job) -> Job | None:
        """Asks the endpoint whether the job with this tag is there."""
        wanted = _remote_tag(job)

        def search() -> Job | None:
            for found in client.fine_tuning.jobs.list(limit=100, metadata={TAG: wanted}):
                if (found.metadata or {}).get(TAG) == wanted:
                    return replace(job, job=found.id, status=found.status)
            return None

        launched = self._ask(target, search)
        if launched is not None:
            self.journal.save_job(launched)
            self.say(job.arm, f"found {launched.job}, which was launched before")
        return launched

    def _follow(self, client: openai.OpenAI, target: Target, job: Job) -> Job:
        """Polls until the job has ended."""
        seen: set[str] = set()
        events: list[dict[str, Any]] = []
        wait = 0.25 if target.local else self.poll_s
        name = str(job.job)
        while True:
            current = self._retrieved(client, target, job)
            for event in self._events(client, target, name, seen):
                seen.add(event["id"])
                events.append(event)
                self._tell(job.arm, event)
            if current.status in ENDED:  # recorded with its model, never without
                return self._ended(job, current, events)
            if current.status != job.status:
                job = replace(job, status=str(current.status))
                self.journal.save_job(job)
            time.sleep(wait)
            wait = min(wait * 1.3, 1.0 if target.local else 30.0)

    def _tell(self, arm: str, event: Mapping[str, Any]) -> None:
        """Passes an event on: a step moves the bar, everything else is a line; so is a step with a validation loss."""
        message, data = self.scrub(str(event["message"])), event["data"]
        step = _STEP.match(message)
        if step is not None:
            self.progress(arm, int(step[1]), int(step[2]))
        if step is None or (isinstance(data, dict) and data.get("valid_loss") is not None):
            self.say(arm, message)

    def _retrieved(self, client: openai.OpenAI, target: Target, job: Job) -> FineTuningJob:
        import openai

        def ask() -> FineTuningJob | None:
            try:
                return client.fine_tuning.jobs.retrieve(str(job.job))
            except openai.NotFoundError:
                return None

        current = self._ask(target, ask)
        if current is None:
            self.journal.save_job(replace(job, status="failed", finished=time.time()))
            raise UnfinishedError(
                f"the endpoint {target.name} ({target.base_url}) does not know the training job {job.job} any more",
                "the same command launches it again",
            )
        return current

    def _events(self, client: openai.OpenAI, target: Target, job: str, seen: set[str]) -> list[dict[str, Any]]:
        """Returns the events that are new, oldest first; an endpoint without events has none."""
        import openai

        def new() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = []
            try:
                for event in client.fine_tuning.jobs.list_events(job, limit=100):  # newest first, page after page
                    if event.id in seen:
                        break
                    told = {"message": event.message, "type": event.type, "data": event.data, "at": event.created_at}
                    found.append({"id": event.id, **told})
            except openai.NotFoundError:
                return []
            return found

        return self._ask(target, new)[::-1]

    def _ended(self, job: Job, current: FineTuningJob, events: list[dict[str, Any]]) -> Job:
        metrics = [event["data"] for event in events if event["type"] == "metrics" and isinstance(event["data"], dict)]
        seconds = None
        if current.finished_at is not None:
            seconds = float(current.finished_at - current.created_at)
        result = {"trained_tokens": current.trained_tokens, "seconds": seconds, "metrics": metrics}
        job = replace(job, model=current.fine_tuned_model, status=current.status, finished=time.time(), result=result)
        self.journal.save_job(job)
        if job.status == "succeeded" and job.model:
            return job
        # On success `error` can be an object whose fields are all None, so its code is what counts.
        reason = current.error.message if current.error and current.error.code else "the endpoint gave no reason"
        raise UnfinishedError(
            f"the training job {job.job} of {job.arm} {job.status}: {self.scrub(str(reason))}",
            "the same command launches it again",
        )

    def _ask(self, target: Target, call: Callable[[], T], between: Callable[[], T | None] | None = None) -> T:
        """Makes one call to the endpoint's control side, again where a failure passes."""
        import openai

        for attempt in range(1, ATTEMPTS + 1):
            try:
                return call()
            except (openai.OpenAIError, BadBody) as error:
                fate = judge(error)
                if (
                    fate.scope != "retry"
                    or attempt == ATTEMPTS
                    or (fate.kind == "connection" and attempt >= CONNECTION_ATTEMPTS)
                ):
                    raise self._error(target, error, fate) from None
            time.sleep(max(0.25 * 2**attempt, fate.retry_after_s or 0.0))
            found = between() if between is not None else None
            if found is not None:
                return found
        raise AssertionError("unreachable")

    def _error(self, target: Target, error: Exception, fate: Fate) -> HarnessError:
        where = f"the endpoint {target.name} ({target.base_url})"
        message = self.scrub(fate.message)
        if getattr(error, "code", None) in REFUSED:
            return TrainingRefusedError(
                f"{where} refused to train: {message}", 'train elsewhere, e.g. endpoint = "local"'
            )
        if fate.scope in {"retry", "endpoint"}:
            hint = MORE_QUOTA if fate.kind == "quota" else "the same command goes on"
            return UnfinishedError(f"{where}: {message}", hint)
        if fate.kind == "authentication":
            cure = f"put a valid key into the environment variable {target.key_name}"
        elif fate.kind in {"unknown-model", "not-found"}:
            cure = "does it offer files and fine_tuning.jobs, and this base model?"
        else:
            cure = "correct the experiment or the data, then run the same command"
        return UsageError(f"{where} refused the training job: {message}", cure)


def _remote_tag(job: Job) -> str:
    attempt = int(job.spec.get("attempt", 1))
    return job.tag if attempt == 1 else f"{job.tag}-{attempt}"


def _named(name: str | None) -> str:
    """Returns an id that a reply must have."""
    if not name:
        raise BadBody("the reply has no id")
    return name


def _check_body(response: httpx2.Response) -> None:
    """Lets no page of a proxy through where an API's reply is due."""
    if response.is_success:
        try:
            json.loads(response.read())
        except ValueError:
            raise BadBody("the body is no JSON") from None


def _client(target: Target) -> openai.OpenAI:
    from openai import DefaultHttpxClient, OpenAI

    checked = DefaultHttpxClient(event_hooks={"response": [_check_body]})
    return OpenAI(**target.client_settings(), http_client=checked)
