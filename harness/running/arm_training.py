"""Trains arms: what a run does between the data and the first question.

Training and choosing see `Learning`, which holds no test example: the test split is handed over once, to `Asking.ask`,
when every choice has been made.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from harness.data_stage.training_sets import profile_of, refuse
from harness.errors import GateError, TrainingRefusedError, UnfinishedError
from harness.execution.questions import mark
from harness.execution.work import digest
from harness.experiment import LOCAL, Arm, Experiment, plain
from harness.files import folder_whole, write_json, write_whole
from harness.journal import Job
from harness.numbers import usd as usd_text
from harness.plugins import attributed, guard
from harness.prepare.training import training_file
from harness.running.abreast import Pause, Task, side_by_side
from harness.running.asking import Asking
from harness.runs import slug
from harness.training import Trainer, Upload, job_tag, upload_of
from harness.training.record import deploy_first, deploy_too, record
from harness.types import Example, JobSpec, TrainingFiles

USUAL_EPOCHS = 3
"""What providers train where they are told nothing, for an estimate of the cost."""
JOBS_AT_ONCE = 3
"""Jobs of this run that an endpoint elsewhere has under way: providers let an organisation train few at a time, and
refuse or queue what comes on top. This machine trains one after the other: side by side each would take twice as
long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """What training and choosing may see."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    labels: tuple[str, ...]
    seed: int
    weights: Mapping[str, float] | None = None
    """Label → weight of its training examples, where they are weighted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """An arm that is ready to answer."""

    arm: Arm
    seconds: float | None = None
    usd: float | None = None
    tokens: int | None = None
    model: str | None = None
    checkpoints: tuple[Mapping[str, Any], ...] = ()
    """Models that the job left on its way, oldest first: `model`, `step`, and losses."""
    refusal: str | None = None
    """Why it is not ready: training was refused, or did not succeed."""
    refused: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """Training file → SHA-256."""
    job: str | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    """What the results say of its job, see `harness.training.record`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A training job as it is to be: nothing has been sent for it by this."""

    arm: Arm
    spec: JobSpec
    files: TrainingFiles
    upload: Upload
    tag: str
    usd: float | None
    """What it costs, estimated at 3 bytes a token and the usual 3 epochs; `None` where no price is known."""


@dataclass(kw_only=True)
class ArmTraining:
    """The tools of one run, put together by the pipeline."""

    asking: Asking
    trainer: Trainer
    learning: Learning
    _plans: dict[tuple[str, bool], Plan] = field(default_factory=dict, init=False)
    _held: dict[str, float] = field(default_factory=dict, init=False)
    """Tag → dollars that a job under way is going to cost."""
    _money: threading.Lock = field(default_factory=threading.Lock, init=False)

    # Training

    def train(self, arm: Arm, candidate: bool = False) -> Trained:
        """Trains an arm if it needs it.

        A training that was refused, or that failed, leaves the others to finish: it comes back as data.
        """
        return self.train_all([arm], candidate=candidate)[0]

    def train_all(self, arms: Sequence[Arm], *, candidate: bool = False, names: Sequence[str] = ()) -> list[Trained]:
        """Trains those of several arms that need it, on endpoints elsewhere side by side.

        Args:
            arms: The arms.
            candidate: Whether they are candidates of a choice: their files get names of their own.
            names: What to call each of them in messages; by default its name.

        Raises:
            GateError: The budget does not cover a job; those that were launched before it are at their end.
        """
        plans = [self.plan(arm, candidate) if arm.needs_job else None for arm in arms]
        called = {plan.tag: name for plan, name in zip(plans, names or [a.name for a in arms], strict=True) if plan}
        trained = iter(self.train_planned([plan for plan in plans if plan is not None], called))
        return [self._fitted(arm) if plan is None else next(trained) for arm, plan in zip(arms, plans, strict=True)]

    def train_planned(self, plans: Sequence[Plan], called: Mapping[str, str]) -> list[Trained]:
        """Trains what was planned, by this or by tools that learn from other examples.

        Args:
            plans: The jobs; equal ones are one.
            called: Tag → what to call the job in messages.

        Raises:
            GateError: The budget does not cover a job; those that were launched before it are at their end.
        """
        jobs = {plan.tag: plan for plan in plans}
        self._held |= {tag: plan.usd or 0.0 for tag, plan in jobs.items() if self.trainer.runs(tag)}
        pause = Pause(self.trainer.sleep)
        tasks = [
            Task(
                do=lambda plan=plan: self._job(plan, called[plan.tag], pause),  # type: ignore[misc]
                group=None if plan.spec.endpoint == LOCAL else plan.spec.endpoint,
            )
            for plan in jobs.values()
        ]
        came = dict(zip(jobs, side_by_side(tasks, JOBS_AT_ONCE, pause), strict=True))
        return [self._arrived(plan, came[plan.tag]) for plan in plans]

    def plan(self, arm: Arm, candidate: bool) -> Plan:
        """Writes an arm's training files and describes its job."""
        key = (mark(arm), candidate)
        if key not in self._plans:
            files = self._files(arm, candidate)
            with attributed(arm.backend, "job"):
                spec = guard.job(arm.backend, arm.backend.job(files), self.asking.experiment.endpoints)  # type: ignore[attr-defined]
            upload = upload_of(files)
            asked = spec.hyperparameters.get("n_epochs")
            epochs = asked if isinstance(asked, int) else USUAL_EPOCHS
            usd = self.asking.prices.training_usd(spec.base, files.train.stat().st_size // 3 * epochs)
            tag = job_tag(spec, upload, self.asking.asker.identities[spec.endpoint])
            self._plans[key] = Plan(
                arm=arm, spec=spec, files=files, upload=upload, tag=tag, usd=0.0 if spec.endpoint == LOCAL else usd
            )
        return self._plans[key]

    def _job(self, plan: Plan, name: str, pause: Pause) -> Job | UnfinishedError:
        """Returns a job that has succeeded, or why it has not."""
        told = self.trainer
        trainer = replace(
            told,
            say=lambda _, message: told.say(name, message),
            progress=lambda _, step, steps: told.progress(name, step, steps),
            sleep=pause,
        )
        identity = self.asking.asker.identities[plan.spec.endpoint]
        came: Job | UnfinishedError
        try:
            came = trainer.ensure(plan.arm.name, plan.spec, plan.upload, identity, admit=lambda: self._admit(plan))
        except UnfinishedError as error:
            came = error
        with self._money:
            self._held.pop(plan.tag, None)
            job = came if isinstance(came, Job) else self.asking.journal.job(plan.tag)
            charged = None if job is None else self._charged(plan, job)
        return came if charged is None or isinstance(came, UnfinishedError) else charged

    def _admit(self, plan: Plan) -> None:
        """Refuses a job that the budget does not cover, and keeps its price aside otherwise.

        Raises:
            GateError: Naming the estimate.
        """
        budget = self.asking.engine.budget
        with self._money:
            kept = sum(usd for tag, usd in self._held.items() if tag != plan.tag)
            if budget.max_usd is None or plan.usd is None or budget.spent + kept + plan.usd <= budget.max_usd:
                self._held[plan.tag] = plan.usd or 0.0
                return
        aside = f", and {usd_text(kept)} are kept for jobs that run" if kept else ""
        raise GateError(
            f"training {plan.arm.name} would cost about {usd_text(plan.usd)}; of the budget of "
            f"{usd_text(budget.max_usd)} {usd_text(budget.spent)} are spent{aside}",
            "raise budget.max_usd or --max-usd; the same command goes on where it stopped",
        )

    def _charged(self, plan: Plan, job: Job) -> Job:
        """Writes down what a job cost, once; one that came to nothing is billed for what was trained of it."""
        result = job.result or {}
        if plan.spec.endpoint == LOCAL or "usd" in result or "reused" in result:
            return job
        usd = self.asking.prices.training_usd(plan.spec.base, result.get("trained_tokens"))
        if usd is None:
            return job
        charged = replace(job, result={**result, "usd": usd})
        self.asking.journal.save_job(charged)
        self.asking.engine.budget.spent += usd
        return charged

    def _arrived(self, plan: Plan, job: Job | UnfinishedError) -> Trained:
        if not isinstance(job, Job):
            known, refused = self.asking.journal.job(plan.tag), isinstance(job, TrainingRefusedError)
            told = record(plan.arm.name, plan.spec, plan.files, known, str(job), refused=refused)
            return Trained(arm=plan.arm, refusal=str(job), refused=refused, record=told)
        result, prices = job.result or {}, self.asking.prices
        others = {each["model"]: each for each in _checkpoints(result, job.model, plan.spec.endpoint)}
        prices.trained |= dict.fromkeys((str(job.model), *others), plan.spec.base)
        tokens = result.get("trained_tokens")
        refusal = self._named_to_answer(plan, job, tuple(others))
        return Trained(
            arm=replace(plan.arm, backend=replace(plan.arm.backend, model=job.model)),  # type: ignore[type-var]
            seconds=result.get("seconds"),
            usd=None if plan.spec.endpoint == LOCAL else prices.training_usd(plan.spec.base, tokens),
            tokens=tokens,
            model=job.model,
            # A deployment serves one model: no checkpoint can be asked beside it.
            checkpoints=() if deployed_to_answer(self.asking.experiment, plan.arm) else tuple(others.values()),
            files=plan.upload.hashes,
            job=job.job,
            refusal=refusal,
            record=record(plan.arm.name, plan.spec, plan.files, job, refusal or ""),
        )

    def _named_to_answer(self, plan: Plan, job: Job, others: Sequence[str]) -> str | None:
        """Lets the engine know under which names what was trained answers; returns what is still to be done for it."""
        fresh, model = self.asking.engine.fresh, str(job.model)
        deployment = plan.arm.deployment
        fresh.add((model, *others, *([deployment] if deployment else [])), job.finished or 0.0)
        if deployment:
            self.asking.prices.trained[deployment] = plan.spec.base
            if fresh.deployed(deployment, model) != model:
                return deploy_too(plan.arm.name, model, deployment)
        elif deployed_to_answer(self.asking.experiment, plan.arm):
            return deploy_first(plan.arm.name, model)
        return None

    def _files(self, arm: Arm, candidate: bool) -> TrainingFiles:
        """Writes an arm's training files: shuffled, one line for each example, as the provider wants them.

        Raises:
            DataError: The provider would refuse them.
        """
        name = slug(arm.name) + (f".{mark(arm)[:8]}" if candidate else "")
        paths = {}
        profile = profile_of(self.asking.experiment, arm.backend.endpoint)  # type: ignore[attr-defined]
        for split, examples in (("train", self.learning.train), ("validation", self.learning.validation)):
            with attributed(arm.formatter, "training_line"):
                content = training_file(
                    examples, arm.formatter, self.learning.labels, self.learning.seed, profile, self.learning.weights
                )
            if split == "train":
                refuse(content, profile, f"train.{name}.jsonl")
            paths[split] = self.asking.folder.data / f"{split}.{name}.jsonl"
            write_whole(paths[split], content)
        return TrainingFiles(
            train=paths["train"],
            validation=paths["validation"] if self.learning.validation else None,
            n_train=len(self.learning.train),
            n_validation=len(self.learning.validation),
        )

    def _fitted(self, arm: Arm) -> Trained:
        """Fits an arm in this process, where it learns: its folder appears when the model is whole."""
        if not hasattr(arm.backend, "fit"):
            usd = getattr(arm.backend, "training_usd", None)  # it was trained elsewhere, and the backend knows
            return Trained(arm=arm, model=arm.model, usd=usd)
        key = self.fit_key(arm)
        folder = self.asking.folder.model(arm.name, key)
        note = folder / "fit.json"
        if not note.is_file():
            with folder_whole(folder) as filling:
                began = time.perf_counter()
                fitting = f"fitting {arm.name} on {len(self.learning.train):,} examples"
                with self.asking.console.busy(fitting, said=False), attributed(arm.backend, "fit"):
                    arm.backend.fit(self.learning.train, self.learning.validation, filling)
                write_json(filling / "fit.json", {"seconds": time.perf_counter() - began, "key": key})
        self.asking.asker.fit_keys[mark(arm)] = key
        return Trained(arm=arm, seconds=float(json.loads(note.read_text())["seconds"]))

    def fit_key(self, arm: Arm) -> str:
        """Returns what an in-process model is known by: backend, its source, seed and what it learns from."""
        learned = [(example.id, example.label) for example in (*self.learning.train, *self.learning.validation)]
        return digest([plain(arm.backend), self.asking.asker.source_hash(arm.backend), self.learning.seed, learned])

    def is_trained(self, arm: Arm, candidate: bool = False) -> bool:
        """Whether an arm's model is there, or none is needed."""
        if arm.needs_job:
            known = self.asking.journal.job(self.plan(arm, candidate).tag)
            return known is not None and known.model is not None
        if hasattr(arm.backend, "fit"):
            return (self.asking.folder.model(arm.name, self.fit_key(arm)) / "fit.json").is_file()
        return True

    def sample(self, items: int | None) -> tuple[Example, ...]:
        """Returns the validation examples that a choice looks at: the same ones for every arm, by content and seed."""
        return self._ranked[:items]

    @cached_property
    def _ranked(self) -> tuple[Example, ...]:
        seed = self.learning.seed
        return tuple(sorted(self.learning.validation, key=lambda example: digest(["choose", seed, example.id])))


def _checkpoints(result: Mapping[str, Any], model: str | None, endpoint: str) -> Iterator[Mapping[str, Any]]:
    """Yields the checkpoints of a job that are not its last model.

    OpenAI calls that by the model's own name; the local endpoint keeps the same weights once more, as the last step's.
    """
    steps = [each["step"] for each in result.get("metrics") or () if isinstance(each.get("step"), int)]
    for each in result.get("checkpoints") or ():
        last = endpoint == LOCAL and each.get("step") == max(steps, default=None)
        if each["model"] != model and not last:
            yield each


def deployed_to_answer(experiment: Experiment, arm: Arm) -> bool:
    """Whether what an arm trains answers only under the name of a deployment."""
    if arm.deployment:
        return True
    return profile_of(experiment, arm.backend.endpoint).deploys  # type: ignore[attr-defined]


def left_to_train(trained: Iterable[Trained], hint: str) -> UnfinishedError | None:
    """Returns what is left to do where an arm is not ready; `None` where all are.

    Args:
        trained: The arms.
        hint: What to tell where the refusal itself says nothing of what to do.
    """
    refusal = next((one.refusal for one in trained if one.refusal is not None), None)
    if refusal is None:
        return None
    message, _, advice = refusal.partition("\n")
    return UnfinishedError(message, advice or hint)
