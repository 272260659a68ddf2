"""An experiment's arms, trained and asked on paper: their requests and training jobs, made, counted and not sent."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.estimation.earlier import Earlier, Measured
from harness.estimation.estimate import (
    IN_PROCESS,
    LOCAL_BILL,
    LOCAL_HOUR,
    NO_PRICE,
    ArmEstimate,
    Load,
    Training,
    any_of,
)
from harness.estimation.probing import Probe
from harness.estimation.weighing import Weighing
from harness.execution.budget import MOST_OUTPUT
from harness.execution.questions import settled
from harness.experiment import LOCAL, Arm, Experiment
from harness.prepare.options import Prepared
from harness.prepare.token_rules import default_epochs, epoch_tokens
from harness.prices import BATCH
from harness.running.arm_training import ArmTraining
from harness.tokens import line_tokens, training_limit, vocabulary_of
from harness.trials import curves, validation
from harness.trials.sweeps import Sweeps
from harness.types import PROMPTS, Example, Split

NOT_MEASURED = "nothing like it has been measured yet: an earlier run of this name, or --probe, would tell"


@dataclass(kw_only=True)
class Counting:
    """Counts what arms take, one after the other, in the order in which a run asks: what is equal is sent once."""

    experiment: Experiment
    data: Prepared
    work: ArmTraining
    earlier: Earlier
    probes: Sequence[Probe]
    _sent: set[str] = field(default_factory=set)

    def arm(self, arm: Arm) -> ArmEstimate:
        """Returns what one arm takes."""
        backend: Any = arm.backend
        if not hasattr(backend, "calls"):
            return self._in_process(arm)
        ready = [self._ready(one, candidate=bool(arm.candidates)) for one in self._candidates(arm)]
        view = self._weighing(arm, ready[0].model)
        parts = self._parts(arm, ready, view)
        points = list(self._points(arm, ready[0]))
        parts["curves"] = sum((view.load(one.arm, items) for one, items in points), Load())
        whole, training = sum(parts.values(), Load()), self._training(arm, [*ready, *(one for one, _ in points)])
        seconds, seconds_reason = self._seconds(arm, whole, training, view.measured)
        unpriced = whole.usd is None or (training is not None and training.jobs and training.usd is None)
        return ArmEstimate(
            name=arm.name,
            family=arm.family,
            model=arm.model or arm.base,
            endpoint=backend.endpoint,
            **parts,
            training=training,
            vocabulary=view.vocabulary.name,
            tokens_exact=view.vocabulary.exact,
            usd_reason=self._local_reason() if backend.endpoint == LOCAL else NO_PRICE if unpriced else None,
            seconds=seconds,
            seconds_reason=seconds_reason,
            per_request=self._per_request(arm, ready[0], view),
            remarks=tuple(self._arm_remarks(arm, view, training)),
        )

    def _local_reason(self) -> str:
        return LOCAL_BILL if self.work.asking.prices.hour_usd() is None else LOCAL_HOUR

    def _per_request(self, arm: Arm, one: Ready, view: Weighing) -> dict[str, Any]:
        """Returns what the payback is computed from: dollars, or seconds of this machine where it does the work."""
        local, pace = one.endpoint == LOCAL, self.earlier.training_pace(arm.name)
        return {
            **view.means(one.arm, self.data.of(Split.TEST)),
            "machine_s": view.measured.busy_s if local and view.measured is not None else None,
            "training_usd": one.job_usd,
            "training_s": pace * one.job_tokens if pace is not None and one.job is not None else None,
        }

    def _weighing(self, arm: Arm, model: str) -> Weighing:
        local = arm.endpoint == LOCAL
        return Weighing(
            asker=self.work.asking.asker,
            prices=self.work.asking.prices,
            known=self.earlier.known,
            sent=self._sent,
            vocabulary=vocabulary_of(model, local),
            measured=self._measured(arm),
            tier=self._tier(arm.backend.endpoint),  # type: ignore[attr-defined]
            labels=[example.label for example in self.data.of(Split.TRAIN)],
        )

    def _parts(self, arm: Arm, ready: Sequence[Ready], view: Weighing) -> dict[str, Any]:
        """Returns an arm's requests by what they are for, in the order in which a run asks."""
        choosing = validation = Load()
        asked = [one.arm for one in ready]
        if arm.candidates:
            examples = self.work.sample(arm.choose_items)
            asked += [each for one in ready if arm.checkpoints for each in one.at(one.checkpoints)]
            guessed = [each for one in ready if arm.checkpoints for each in one.at(one.guessed)]
            choosing = sum((view.load(each, examples) for each in (*asked, *guessed)), Load())
        elif arm.name in self._validated:
            validation = view.load(ready[0].arm, self.work.sample(self._naming_size()))
        test = self.data.of(Split.TEST)
        certain = len(asked) == 1  # which of several candidates is asked is not known
        firsts = [view.load(one, test, exclusive=certain) for one in asked]
        times = range(1, 1 if settled(arm) else self.experiment.repeats)
        agains = [sum((view.load(one, test, repeat, exclusive=certain) for repeat in times), Load()) for one in asked]
        won = [place for place, load in enumerate(firsts) if not load.requests]
        if not choosing.requests and won:  # the choice has been made: the winner was asked the test items
            firsts, agains = [firsts[won[0]]], [agains[won[0]]]
        return {"choosing": choosing, "validation": validation, "test": any_of(firsts), "repeats": any_of(agains)}

    def _points(self, arm: Arm, one: Ready) -> Iterator[tuple[Ready, Sequence[Example]]]:
        """Yields what is asked for curves: an arm's own points, and what others' learning curves are held against.

        Where something is chosen, its first candidate stands for the winner.
        """
        for spot in curves.shot_spots(self.work, arm, one.arm):
            yield replace(one, arm=spot.arm, job=None), spot.items
        for spot in curves.learning_spots(self.work, arm):
            if spot.reason is None:
                yield replace(self, work=spot.work)._ready(spot.arm, candidate=False), spot.items
        for other in self.experiment.arms if arm.family in PROMPTS else ():
            if other.learning_curve:
                yield replace(one, job=None), self.work.sample(other.choose_items)

    def _in_process(self, arm: Arm) -> ArmEstimate:
        times = 1 if settled(arm) else self.experiment.repeats
        answers = len(self.data.of(Split.TEST)) * times
        answers += len(arm.candidates) * len(self.work.sample(arm.choose_items))
        if not arm.candidates and arm.name in self._validated:
            answers += len(self.work.sample(self._naming_size()))
        spots = (*curves.shot_spots(self.work, arm, arm), *curves.learning_spots(self.work, arm))
        answers += sum(len(spot.items) for spot in spots)
        measured = self.earlier.measured(arm.name)
        return ArmEstimate(
            name=arm.name,
            family=arm.family,
            model=None,
            endpoint=None,
            answers_in_process=answers,
            usd_reason=IN_PROCESS,
            seconds=None if measured is None else measured.busy_s * answers,
            seconds_reason=NOT_MEASURED if measured is None else f"from {measured.source}",
        )

    def _candidates(self, arm: Arm) -> list[Arm]:
        if not arm.candidates:
            return [arm]
        return [one for _, one in Sweeps(work=self.work).foreseen(arm)]

    @property
    def _validated(self) -> set[str]:
        return validation.validated(self.experiment.arms, thresholds=self.experiment.verdict.thresholds)

    def _naming_size(self) -> int | None:
        return min([arm.choose_items for arm in self.experiment.arms if arm.choose_items], default=None)

    def _measured(self, arm: Arm) -> Measured | None:
        probed = next((m for one in self.probes if one.arm == arm.name and (m := one.measured)), None)
        return self.earlier.measured(arm.name) or probed

    def _ready(self, arm: Arm, *, candidate: bool) -> Ready:
        """Returns an arm with a model: the one that it was trained to, where that is known."""
        backend: Any = arm.backend
        if not arm.trained:
            return Ready(arm=arm, model=str(backend.model), endpoint=backend.endpoint)
        plan = self.work.plan(arm, candidate)
        files, spec, tag = plan.files, plan.spec, plan.tag
        job = self.earlier.job(tag)
        asked, local = spec.hyperparameters.get("n_epochs"), spec.endpoint == LOCAL
        epochs = asked if isinstance(asked, int) else default_epochs(files.n_train)
        lines = [json.loads(line) for line in files.train.read_text(encoding="utf-8-sig").splitlines()]
        counts = line_tokens(lines, vocabulary_of(spec.base, local))
        tokens = epoch_tokens(counts, training_limit(spec.base, local)) * epochs
        model = job.model if job is not None and job.model else f"ft:{spec.base}:{tag[:8]}"
        found = [each["model"] for each in (job.result or {}).get("checkpoints") or ()] if job is not None else ()
        guessed = () if job is not None else [f"{model}:{epoch}" for epoch in range(1, epochs)]
        self.work.asking.prices.trained |= dict.fromkeys((model, *found, *guessed), spec.base)
        return Ready(
            arm=replace(arm, backend=replace(backend, model=model)),
            model=spec.base,
            endpoint=spec.endpoint,
            job=tag,
            job_known=job is not None,
            job_tokens=tokens,
            job_usd=None if local else self.work.asking.prices.training_usd(spec.base, tokens),
            epochs=epochs,
            epochs_assumed=not isinstance(asked, int),
            checkpoints=tuple(each for each in found if each != model),
            guessed=tuple(guessed),
        )

    def _training(self, arm: Arm, ready: Sequence[Ready]) -> Training | None:
        jobs = {one.job: one for one in ready if one.job is not None}
        if not jobs:
            return None
        new = [one for one in jobs.values() if not one.job_known]
        prices = [one.job_usd for one in new]
        pace, tokens = self.earlier.training_pace(arm.name), sum(one.job_tokens for one in new)
        return Training(
            jobs=len(new),
            known=len(jobs) - len(new),
            tokens=tokens,
            epochs=tuple(sorted({one.epochs for one in new})),
            epochs_assumed=any(one.epochs_assumed for one in new),
            usd=None if None in prices else sum(price for price in prices if price is not None),
            seconds=0.0 if not new else None if pace is None else pace * tokens,
        )

    def _seconds(
        self, arm: Arm, load: Load, training: Training | None, measured: Measured | None
    ) -> tuple[float | None, str | None]:
        """Returns the seconds that an arm takes, where something like it was measured, and why there are none."""
        backend: Any = arm.backend
        learning = 0.0 if training is None else training.seconds
        if self._tier(backend.endpoint) == BATCH and load.requests:
            return None, "a batch takes as long as the provider likes, at most 24 hours"
        if (measured is None and load.requests) or learning is None:
            return None, NOT_MEASURED
        if measured is None:
            return learning, None
        if backend.endpoint == LOCAL:
            return learning + load.requests * measured.busy_s, f"a guess from {measured.source}"
        abreast = min(self.experiment.endpoints[backend.endpoint].concurrency, max(load.requests, 1))
        return learning + load.requests * measured.service_s / abreast, f"a guess from {measured.source}"

    def _tier(self, endpoint: str) -> str:
        return "" if endpoint == LOCAL else str(getattr(self.experiment.executor, "tier", ""))

    def _arm_remarks(self, arm: Arm, view: Weighing, training: Training | None) -> list[str]:
        said = []
        endpoint = arm.backend.endpoint  # type: ignore[attr-defined]
        if not view.vocabulary.exact:
            said.append(f"tokens are counted in {view.vocabulary.name}, not in the model's own vocabulary")
        if view.open_ended:
            said.append(f"answers have no token limit of their own; at most {MOST_OUTPUT:,} tokens each are taken")
        if len(arm.candidates) > 1:
            said.append("which candidate wins is not known: the test items are taken at the mean of all")
        if arm.checkpoints and training is not None and training.jobs:
            said.append("checkpoints are candidates too: how many there will be is a guess, one for each epoch")
        if training is not None and training.epochs_assumed:
            said.append(f"the endpoint chooses the epochs; the usual {training.epochs[-1]} are taken")
        if self._tier(endpoint) == BATCH:
            prices, model = self.work.asking.prices, arm.model or f"ft:{arm.base}"
            said.append(f"batch price: {prices.batch_source(endpoint, model)}")
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """An arm that can be asked, and the job that it needs before."""

    arm: Arm
    model: str
    """Whose vocabulary is used: the base model of a trained one."""
    endpoint: str
    job: str | None = None
    job_known: bool = False
    job_tokens: int = 0
    job_usd: float | None = None
    epochs: int = 0
    epochs_assumed: bool = False
    checkpoints: tuple[str, ...] = ()
    """Models that the job has left on its way."""
    guessed: tuple[str, ...] = ()
    """What stands for them while there is no job: a model for each epoch but the last."""

    def at(self, models: Sequence[str]) -> list[Arm]:
        """Returns the arm with each of several models."""
        return [replace(self.arm, backend=replace(self.arm.backend, model=model)) for model in models]  # type: ignore[type-var]
