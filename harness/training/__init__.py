"""Training jobs: launched once, followed, taken up again after a crash.

The order is what keeps a job from being paid for twice: the intent with its tag goes to the journal, the files are
uploaded, the job is created with the tag in its metadata, its id goes to the journal. Whoever finds an intent without
an id asks the endpoint for the tag before creating anything, be it another run's intent.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UnfinishedError, UsageError, nearest
from harness.execution.faults import BadBody
from harness.execution.targets import Target
from harness.execution.work import digest
from harness.experiment import LOCAL
from harness.files import write_whole
from harness.journal import Job, Journal
from harness.journal.siblings import sibling_record
from harness.runs import slug
from harness.secrets import Scrubber
from harness.training.base_models import looked_up
from harness.training.control import Control, open_control
from harness.training.following import (
    ENDED,
    FIRST_S,
    UNKNOWN,
    Detail,
    Following,
    lines_of,
    processed,
    retrieved,
    status_of,
)
from harness.training.going_on import furthest
from harness.training.launching import attempt_of, creation, file_name, files_there, find_job, without_metadata
from harness.types import JobSpec, TrainingFiles

if TYPE_CHECKING:
    from openai.types import FileObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A training job's files with what they hold."""

    files: TrainingFiles
    hashes: Mapping[str, str]
    """`train` and `validation` → SHA-256 of the file."""

    @property
    def paths(self) -> dict[str, Path]:
        """`train` and `validation` → the file."""
        return paths_of(self.files)


def paths_of(files: TrainingFiles) -> dict[str, Path]:
    """Returns the files that there are, by what they are for."""
    return {"train": files.train, **({"validation": files.validation} if files.validation else {})}


def upload_of(files: TrainingFiles) -> Upload:
    """Hashes a job's files."""
    hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths_of(files).items()}
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
    """Journals of other runs from which a trained model, or a job that is under way, may be taken over."""
    has: Callable[[str], bool] = lambda _model: True
    """Whether the run's own endpoint can be asked for a model that was trained at it, or at that of another run."""
    folder: Path | None = None
    """Where each job's events, steps and checkpoints are written down; nowhere where there is none."""
    detail: Detail = "events"
    sleep: Callable[[float], None] = lambda seconds: time.sleep(seconds)
    """How a pause is made; what it raises ends the following, and the job runs on."""
    first_s: float = FIRST_S
    """Seconds before a job is looked at for the second time."""
    launching: threading.Lock = field(default_factory=threading.Lock)
    """Held while a job is launched: of jobs side by side, each finds the files that the one before has uploaded."""
    unfinished: dict[str, UnfinishedError] = field(default_factory=dict)
    """Tag → what a job has come to: it is for the next command to launch it anew, and not for another arm of this."""

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
        if tag in self.unfinished:
            raise self.unfinished[tag]
        known = self._known(arm, spec, tag)
        if known is not None and known.model is not None:
            return self._written(known)
        if known is None or known.job is None or known.status in ENDED:
            admit()
        with open_control(self.connect(spec.endpoint), self.scrub, self.sleep) as control:
            if known is not None and known.status == UNKNOWN and retrieved(control, known) is None:
                admit()
                self.say(arm, f"{known.job} is still unknown there: another is launched")
                known = replace(known, status="failed")
            fresh = Job(
                tag=tag, arm=arm, spec={"base": spec.base, "hyperparameters": dict(spec.hyperparameters), "attempt": 1},
                files={}, created=time.time(),
            )  # fmt: skip
            if known is None or known.status in ENDED:
                fresh = self._looked_at(control, fresh)
            with self.launching:
                self.sleep(0)  # nobody may be waiting any more
                job = self._launched(control, known, fresh, spec, upload)
            following = Following(
                control=control, job=job, save=self.journal.save_job, say=self.say, progress=self.progress,
                detail=self.detail, first_s=self.first_s,
            )  # fmt: skip
            try:
                return self._written(following.to_its_end())
            except UnfinishedError as error:
                self.unfinished[tag] = error
                raise

    def runs(self, tag: str) -> bool:
        """Whether a job is under way, launched by this or by another run."""
        found = furthest(self.journal.job(tag), [job for _, job in self._elsewhere(tag)])
        return found is not None and found.job is not None and found.status not in ENDED

    def _elsewhere(self, tag: str) -> Iterator[tuple[str, Job]]:
        """Yields what other runs have recorded of a job, each with its run's name."""
        for journal in self.siblings:
            found = sibling_record(journal, tag)
            if found is not None:
                yield journal.parent.name, found

    def _known(self, arm: str, spec: JobSpec, tag: str) -> Job | None:
        """Returns the record of a job from which to go on, this run's or another's; of a success if there is any."""
        own, others = self.journal.job(tag), []
        if own is not None and own.model is not None:
            model, own = own.model, self._usable(own, spec)
            if own.model is not None:
                return own
            self.say(arm, f"{model} is not at the run's endpoint any more: it is trained anew")
        for run, found in self._elsewhere(tag):
            job = self._usable(found, spec)
            if job.model is not None:
                self.say(arm, f"{job.model} was trained by {run}: taken over")
                taken = replace(job, arm=arm, result={**(job.result or {}), "reused": run})
                self.journal.save_job(taken)
                return taken
            others.append(job)
        known = furthest(own, others)
        if known is None or known is own:
            return own
        if spec.endpoint == LOCAL and known.status not in ENDED:
            # This run's endpoint may have taken that job up with the other one's state: it says so when it is asked.
            return replace(known, arm=arm, job=None, status="intent")
        return replace(known, arm=arm)

    def _usable(self, job: Job, spec: JobSpec) -> Job:
        """Returns a job with those of its models that can be asked; one whose model is lost has come to nothing."""
        if spec.endpoint != LOCAL or job.model is None:
            return job
        if not self.has(job.model):
            return replace(job, model=None, status="failed")
        result = job.result or {}
        kept = [one for one in result.get("checkpoints") or () if self.has(one["model"])]
        return replace(job, result={**result, "checkpoints": kept}) if "checkpoints" in result else job

    def _written(self, job: Job) -> Job:
        """Writes down what is known of a job that has succeeded, where that has not been done."""
        if self.folder is not None:
            path = self.folder / f"{slug(job.arm)}-{job.tag[:8]}.jsonl"
            if not path.is_file():
                lines = (json.dumps(line, ensure_ascii=False, default=str) for line in lines_of(job))
                write_whole(path, "".join(f"{line}\n" for line in lines))
        return job

    def _looked_at(self, control: Control, fresh: Job) -> Job:
        """Asks for the base model before anything is uploaded; tells when it is shut down.

        Raises:
            UsageError: The endpoint lists its models, and it is not among them.
        """
        base = str(fresh.spec["base"])
        if control.target.local:
            return fresh
        model = control.ask(lambda: looked_up(control.client, base))
        if model.missing:
            raise UsageError(
                f'{control.where} has no base model "{base}"; {nearest(base, model.others)}',
                "correct `base` in the experiment; nothing was uploaded, nothing is trained",
            )
        if model.shutdown_date is None:
            return fresh
        self.say(fresh.arm, f"{base} is shut down on {model.shutdown_date}, and what is trained from it with it")
        return replace(fresh, spec={**fresh.spec, "shutdown_date": model.shutdown_date})

    def _launched(self, control: Control, known: Job | None, fresh: Job, spec: JobSpec, upload: Upload) -> Job:
        """Returns a job that has an id at the endpoint: the one that runs already, or a new one."""
        job = known or fresh
        if job.status in {"failed", "cancelled"}:
            job = replace(fresh, spec={**fresh.spec, "attempt": attempt_of(job) + 1})
            known = None
        self.journal.save_job(job)
        if job.job is not None:
            self.say(job.arm, f"following {job.job}, which was launched before")
            return job
        if known is not None:  # a crash may lie between the launch and the record of its id
            found = self._lookup(control, job, spec, upload)
            if found is not None:
                return found
        job = self._with_files(control, job, upload)
        return self._create(control, job, spec, upload)

    def _with_files(self, control: Control, job: Job, upload: Upload) -> Job:
        """Sees to it that a job's files are at the endpoint; what is there already is not uploaded again."""
        paths = {upload.hashes[name]: path for name, path in upload.paths.items()}
        sizes = {content_hash: path.stat().st_size for content_hash, path in paths.items()}
        there = control.ask(lambda: files_there(control.client, sizes))
        for content_hash, path in paths.items():
            if there is not None or content_hash not in job.files:  # what cannot be looked up is believed
                file = (there or {}).get(content_hash) or self._upload(control, path, content_hash)
                processed(control, file)
                job = replace(job, files={**job.files, content_hash: file.id})
            self.journal.save_job(job)
        return job

    def _upload(self, control: Control, path: Path, content_hash: str) -> FileObject:
        name, raw = file_name(path.stem, content_hash), path.read_bytes()

        def there() -> FileObject | None:  # the reply may have got lost, not the file
            return (files_there(control.client, {content_hash: len(raw)}) or {}).get(content_hash)

        def upload() -> FileObject:
            file = control.client.files.create(file=(name, raw), purpose="fine-tune")
            _named(file.id)
            return file

        return control.ask(upload, between=lambda: control.ask(there))

    def _create(self, control: Control, job: Job, spec: JobSpec, upload: Upload) -> Job:
        import openai

        def once() -> Job:
            nonlocal job
            try:
                created = control.client.fine_tuning.jobs.create(**creation(job, spec, upload.hashes))
            except openai.APIStatusError as error:
                tagged = without_metadata(job, error)
                if tagged is None:
                    raise
                job = tagged
                self.journal.save_job(job)  # whoever looks for it after a crash must know where its tag is
                self.say(job.arm, "the endpoint takes no metadata: the job's tag goes into its suffix")
                created = control.client.fine_tuning.jobs.create(**creation(job, spec, upload.hashes))
            return replace(job, job=_named(created.id), status=status_of(created))

        # An attempt whose answer was lost may have launched the job: it is looked up before the next one.
        launched = control.ask(once, between=lambda: self._lookup(control, job, spec, upload))
        self.journal.save_job(launched)
        self.say(job.arm, f"launched {launched.job}")
        return launched

    def _lookup(self, control: Control, job: Job, spec: JobSpec, upload: Upload) -> Job | None:
        """Asks the endpoint whether the job with this tag is there."""
        found = control.ask(lambda: find_job(control.client, job, spec, upload.hashes))
        if found is None:
            return None
        launched = replace(job, job=found.id, status=status_of(found))
        self.journal.save_job(launched)
        self.say(job.arm, f"found {launched.job}, which was launched before")
        return launched


def _named(name: str | None) -> str:
    """Returns an id that a reply must have."""
    if not name:
        raise BadBody("the reply has no id")
    return name
