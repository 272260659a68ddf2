"""Trains arms and chooses on validation: what a run does between the data and the test items.

Choosing sees `Learning`, which holds no test example: the test split is handed over once, to `Asking.ask`, when every
choice has been made.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.asking import Asking
from harness.errors import GateError, TrainingRefusedError, UnfinishedError
from harness.execution.questions import Answered, mark
from harness.execution.work import digest
from harness.experiment import LOCAL, Arm, plain
from harness.files import folder_whole, write_json, write_whole
from harness.numbers import usd as usd_text
from harness.plugins import attributed
from harness.preparation.training_sets import profile_of, refuse
from harness.prepare import training_file
from harness.runs import slug
from harness.training import Trainer, job_tag, upload_of
from harness.types import Example, JobSpec, Prediction, TrainingFiles, Usage

USUAL_EPOCHS = 3
"""What providers train where they are told nothing, for an estimate of the cost."""


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
    metrics: tuple[Mapping[str, Any], ...] = ()
    refusal: str | None = None
    """Why it is not ready: training was refused, or did not succeed."""
    refused: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    """Training file → SHA-256."""
    job: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a choice on validation looked at and took."""

    arm: str
    settings: Mapping[str, Any]
    ready: Trained
    tried: tuple[tuple[Mapping[str, Any], tuple[Answered, ...]], ...]
    skipped: int = 0
    """Candidates that the choice's budget left out."""

    @property
    def answers(self) -> tuple[Answered, ...]:
        """What the chosen candidate answered."""
        return next((answers for settings, answers in self.tried if settings == self.settings), ())


@dataclass(kw_only=True)
class Evaluation:
    """The tools of one run, put together by the pipeline."""

    asking: Asking
    trainer: Trainer
    learning: Learning

    # Training

    def ready(self, arm: Arm, candidate: bool = False) -> Trained:
        """Trains an arm if it needs it.

        A training that was refused, or that failed, leaves the others to finish: it comes back as data.
        """
        if hasattr(arm.backend, "job") and getattr(arm.backend, "model", None) is None:
            try:
                return self._remote(arm, candidate)
            except TrainingRefusedError as error:
                return Trained(arm=arm, refusal=str(error), refused=True)
            except UnfinishedError as error:
                return Trained(arm=arm, refusal=str(error))
        if hasattr(arm.backend, "fit"):
            return self._in_process(arm)
        return Trained(arm=arm, model=getattr(arm.backend, "model", None))

    def _remote(self, arm: Arm, candidate: bool) -> Trained:
        files = self.files(arm, candidate)
        with attributed(arm.backend, "job"):
            spec = arm.backend.job(files)  # type: ignore[attr-defined]
        upload = upload_of(files)
        job = self.trainer.ensure(
            arm.name,
            spec,
            upload,
            self.asking.asker.identities[spec.endpoint],
            admit=lambda: self._check_budget(arm, spec, files),
        )
        result = job.result or {}
        tokens = result.get("trained_tokens")
        self.asking.prices.trained[str(job.model)] = spec.base
        usd = None if spec.endpoint == LOCAL else self.asking.prices.training_usd(spec.base, tokens)
        if usd is not None and "usd" not in result and "reused" not in result:
            self.asking.journal.save_job(replace(job, result={**result, "usd": usd}))
            self.asking.engine.budget.spent += usd
        return Trained(
            arm=replace(arm, backend=replace(arm.backend, model=job.model)),  # type: ignore[type-var]
            seconds=result.get("seconds"),
            usd=usd,
            tokens=tokens,
            model=job.model,
            metrics=tuple(result.get("metrics") or ()),
            files=upload.hashes,
            job=job.job,
        )

    def _check_budget(self, arm: Arm, spec: JobSpec, files: TrainingFiles) -> None:
        """Refuses a job that the budget does not cover, estimated at 3 bytes a token and the usual 3 epochs.

        Raises:
            GateError: Naming the estimate.
        """
        cap = self.asking.engine.budget.max_usd
        asked = spec.hyperparameters.get("n_epochs")
        epochs = asked if isinstance(asked, int) else USUAL_EPOCHS
        cost = self.asking.prices.training_usd(spec.base, files.train.stat().st_size // 3 * epochs)
        if (
            cap is not None
            and cost is not None
            and spec.endpoint != LOCAL
            and self.asking.engine.budget.spent + cost > cap
        ):
            raise GateError(
                f"training {arm.name} would cost about {usd_text(cost)}; of the budget of {usd_text(cap)} "
                f"{usd_text(self.asking.engine.budget.spent)} are spent",
                "raise budget.max_usd or --max-usd; the same command goes on where it stopped",
            )

    def files(self, arm: Arm, candidate: bool) -> TrainingFiles:
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

    def _in_process(self, arm: Arm) -> Trained:
        """Fits an arm into a folder of its own; the folder appears when the model is whole."""
        key = self._fit_key(arm)
        folder = self.asking.folder.model(arm.name, key)
        note = folder / "fit.json"
        if not note.is_file():
            with folder_whole(folder) as filling:
                began = time.perf_counter()
                with attributed(arm.backend, "fit"):
                    arm.backend.fit(self.learning.train, self.learning.validation, filling)  # type: ignore[attr-defined]
                write_json(filling / "fit.json", {"seconds": time.perf_counter() - began, "key": key})
        self.asking.asker.fit_keys[mark(arm)] = key
        return Trained(arm=arm, seconds=float(json.loads(note.read_text())["seconds"]))

    def _fit_key(self, arm: Arm) -> str:
        """Returns what an in-process model is known by: backend, its source, seed and what it learns from."""
        learned = [(example.id, example.label) for example in (*self.learning.train, *self.learning.validation)]
        return digest([plain(arm.backend), self.asking.asker.source_hash(arm.backend), self.learning.seed, learned])

    # What is there already

    def complete(self, arm: Arm, test: Sequence[Example]) -> bool:
        """Whether nothing would have to be trained or asked for an arm's results."""
        if not arm.candidates:
            return self._trained(arm) and self.asking.answered([(self.ready(arm).arm, test)])
        examples = self.sample(arm.choose_items)
        kept = [one for _, one in self.affordable(arm, examples)]
        if not all(self._trained(one, candidate=True) for one in kept):
            return False
        if not self.asking.answered([(self.ready(one, candidate=True).arm, examples) for one in kept]):
            return False
        return self.asking.answered([(self.choose([arm])[0].ready.arm, test)])

    def _trained(self, arm: Arm, candidate: bool = False) -> bool:
        """Whether an arm's model is there, or none is needed."""
        if hasattr(arm.backend, "job") and getattr(arm.backend, "model", None) is None:
            files = self.files(arm, candidate)
            with attributed(arm.backend, "job"):
                spec = arm.backend.job(files)
            tag = job_tag(spec, upload_of(files), self.asking.asker.identities[spec.endpoint])
            known = self.asking.journal.job(tag)
            return known is not None and known.model is not None
        if hasattr(arm.backend, "fit"):
            return (self.asking.folder.model(arm.name, self._fit_key(arm)) / "fit.json").is_file()
        return True

    # Choosing

    def choose(self, arms: Sequence[Arm]) -> list[Chosen]:
        """Tries every candidate of every arm on validation, all in one go, and takes the best of each arm."""
        plans = []
        for arm in arms:
            examples = self.sample(arm.choose_items)
            kept = self.affordable(arm, examples)
            plans.append((arm, [(settings, self.ready(one, candidate=True)) for settings, one in kept], examples))
        pairs = [
            (ready.arm, examples) for _, ready_ones, examples in plans for _, ready in ready_ones if not ready.refusal
        ]
        answered = iter(self.asking.ask(pairs, "choosing on validation"))
        chosen = []
        for arm, ready_ones, _ in plans:
            tried = tuple((settings, () if ready.refusal else tuple(next(answered))) for settings, ready in ready_ones)
            best = max(range(len(tried)), key=lambda index: accuracy(tried[index][1]))  # the first of equals
            settings, ready = tried[best][0], ready_ones[best][1]
            chosen.append(
                Chosen(
                    arm=arm.name, settings=settings, ready=ready, tried=tried,
                    skipped=len(arm.candidates) - len(ready_ones),
                )
            )  # fmt: skip
        return chosen

    def sample(self, items: int | None) -> tuple[Example, ...]:
        """Returns the validation examples that a choice looks at: the same ones for every arm, by content and seed."""
        ranked = sorted(
            self.learning.validation, key=lambda example: digest(["choose", self.learning.seed, example.id])
        )
        return tuple(ranked[:items])

    def affordable(self, arm: Arm, examples: Sequence[Example]) -> list[tuple[Mapping[str, Any], Arm]]:
        """Leaves out the candidates that the choice's own budget does not cover, estimated at 3 characters a token."""
        if arm.choose_usd is None:
            return list(arm.candidates)
        kept: list[tuple[Mapping[str, Any], Arm]] = []
        spent = 0.0
        for settings, one in arm.candidates:
            model = getattr(one.backend, "model", None)
            prompts = self.asking.asker.prompts(one, examples)
            sizes = [len(p.text) + sum(len(m.content) for m in p.messages) for p in prompts]
            costs = [
                self.asking.prices.request_usd(one.backend.endpoint, model, Usage(input=size // 3 + 1, output=8))  # type: ignore[attr-defined]
                for size in sizes
                if model
            ]
            cost = sum(value for value in costs if value is not None)
            if kept and spent + cost > arm.choose_usd:
                break
            spent += cost
            kept.append((settings, one))
        return kept


def accuracy(answers: Sequence[Answered]) -> float:
    """Returns the share of right answers; -1 where there are none, so that nothing loses to nothing."""
    return sum(is_right(answer.prediction) for answer in answers) / len(answers) if answers else -1.0


def is_right(prediction: Prediction) -> bool:
    """Whether the predicted label is the expected one."""
    return prediction.predicted == prediction.expected
