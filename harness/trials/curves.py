"""Learning curves and shot curves: accuracy on validation against the training set's size and the number of shots.

They come last, when the verdict has been written: they change no answer of an arm, and nothing that happens to them
takes anything away. Like choosing they see `Learning` alone, which holds no test example. Every point is trained and
asked as an arm is, so each one resumes on its own, and what an arm has trained or answered already is not bought again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from harness.data_stage.training_sets import profile_of
from harness.errors import GateError, HarnessError, UnfinishedError, UsageError
from harness.execution.answers import Answered
from harness.execution.work import digest
from harness.experiment import Arm
from harness.experiment.candidates import CHECKPOINT
from harness.findings import finding
from harness.numbers import counted
from harness.prepare.subsets import subset
from harness.running.arm_training import ArmTraining, Trained
from harness.types import PROMPTS, Check, Example, Status

NOT_YET = "not measured yet: the same command goes on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A point that is to be measured."""

    kind: Literal["learning", "shots", "reference"]
    x: int = 0
    """Training examples, or shots."""
    run: int = 0
    """Its seed, from 0 on, or its draw, from 1 on."""
    arm: Arm
    work: ArmTraining
    """What its arm learns from."""
    items: tuple[Example, ...]
    """Validation examples that it is asked about: the same for all points of a curve."""
    reason: str | None = None
    """Why it cannot be measured."""

    @property
    def name(self) -> str:
        """What its answers are called."""
        return f"{self.kind} {self.x} {'draw' if self.kind == 'shots' else 'seed'} {self.run}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A point, measured or not."""

    spot: Spot
    ready: Trained | None = None
    answers: tuple[Answered, ...] = ()
    reason: str | None = None
    """Why it was not measured."""
    left: bool = False
    """Whether the same command goes on with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One curve of one arm."""

    arm: str
    kind: Literal["learning", "shots", "reference"]
    points: tuple[Point, ...]
    references: Mapping[str, tuple[Answered, ...]] = field(default_factory=dict)
    """Of a learning curve: prompted arm → its answers to the same examples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """All curves of a run."""

    curves: tuple[Curve, ...] = ()
    checks: tuple[Check, ...] = ()
    left: HarnessError | None = None
    """What is left to do, where something is."""

    def lacking(self) -> set[str]:
        """Returns the arms whose curves are not finished."""
        return {curve.arm for curve in self.curves if any(point.left for point in curve.points)}


# What is to be measured


def _as_chosen(arm: Arm, settings: Mapping[str, Any] | None) -> Arm:
    """Returns an arm with the settings that were chosen, not trained.

    Of a job's checkpoints, the last stands for all: a curve is about what more examples give.
    """
    if not arm.candidates:
        return arm
    wanted = {key: value for key, value in (settings or {}).items() if key != CHECKPOINT}
    return next((one for given, one in arm.candidates if dict(given) == wanted), arm.candidates[0][1])


def learning_spots(work: ArmTraining, arm: Arm, settings: Mapping[str, Any] | None = None) -> tuple[Spot, ...]:
    """Returns the points of an arm's learning curve.

    Args:
        work: The run's tools.
        arm: The arm.
        settings: What was chosen for it; by default its first candidate's.
    """
    if arm.learning_curve is None or not work.learning.validation:
        return ()
    own, n_train = _as_chosen(arm, settings), len(work.learning.train)
    sizes = [n_train if size == "all" else size for size in arm.learning_curve.sizes]
    # In process there is nothing that a seed could change about the whole train split.
    seeds = {n: 1 if n == n_train and hasattr(own.backend, "fit") else arm.learning_curve.seeds for n in sizes}
    return tuple(
        _learning_spot(work, arm, own, n, seed)
        for seed in range(arm.learning_curve.seeds)
        for n in seeds
        if n <= n_train and seed < seeds[n]
    )


def _learning_spot(work: ArmTraining, arm: Arm, own: Arm, n: int, number: int) -> Spot:
    learning = work.learning
    spot = Spot(kind="learning", x=n, run=number, arm=own, work=work, items=work.sample(arm.choose_items))
    if number == 0 and n == len(learning.train):  # the arm itself: what it was trained to is there
        return spot
    seed = learning.seed if number == 0 else int(digest(["curve", learning.seed, number])[:8], 16)
    part = replace(learning, train=subset(learning.train, n, seed), seed=seed)
    reason = None
    if hasattr(own.backend, "job"):
        profile = profile_of(work.asking.experiment, own.backend.endpoint)  # type: ignore[attr-defined]
        if n < profile.least_examples:
            reason = f"too few examples: {profile.name} takes {profile.least_examples} or more"
    named = replace(own, name=f"{arm.name}@{n}#{number}")
    return replace(spot, arm=named, work=replace(work, learning=part), reason=reason)


def shot_spots(work: ArmTraining, arm: Arm, ready: Arm) -> tuple[Spot, ...]:
    """Returns the points of an arm's shot curve.

    Args:
        work: The run's tools.
        arm: The arm.
        ready: The same as it can be asked: with what was chosen, and its model.
    """
    shots = ready.shots or arm.shots or next((one.shots for _, one in arm.candidates if one.shots), None)
    if arm.shot_curve is None or shots is None or not work.learning.validation:
        return ()
    items = work.sample(arm.choose_items)
    return tuple(
        Spot(
            kind="shots",
            x=k,
            run=draw,
            arm=replace(ready, name=f"{arm.name}@k{k}#{draw}", shots=replace(shots, k=k, draw=draw)),
            work=work,
            items=items,
        )
        for k in arm.shot_curve.k
        for draw in range(1, (arm.shot_curve.draws if k else 1) + 1)
    )


def checks(work: ArmTraining, arms: Sequence[Arm]) -> tuple[Check, ...]:
    """Says which sizes the train split does not have, and whether there is anything to measure on."""
    found = []
    n = len(work.learning.train)
    for arm in arms:
        if (arm.learning_curve or arm.shot_curve) and not work.learning.validation:
            found.append(finding("curve-validation", "warning", {"arm": arm.name}))
        large = [size for size in arm.learning_curve.sizes if size != "all" and size > n] if arm.learning_curve else []
        if large:
            found.append(finding("curve-size", "warning", {"arm": arm.name, "sizes": large, "n": n}))
    return tuple(found)


# Measuring


def measure(
    work: ArmTraining,
    arms: Sequence[Arm],
    ready: Mapping[str, Trained],
    settings: Mapping[str, Mapping[str, Any]],
    selected: Collection[str],
) -> Curves:
    """Trains and asks what the curves of a run need: shot curves first, then all learning curves, seed by seed.

    An arm that was not selected is sent nothing: its curves show what is there. What the budget or an endpoint says
    ends the stage and comes back as data.

    Args:
        work: The run's tools.
        arms: Those with results.
        ready: Arm → what answers the test items.
        settings: Arm → what was chosen for it, where anything was.
        selected: The arms for which something may be sent; none where an endpoint has gone.
    """
    able = [arm for arm in arms if ready[arm.name].refusal is None]
    stage = _Stage(work=work, selected=selected)
    shots = [(arm.name, spot) for arm in able for spot in shot_spots(work, arm, ready[arm.name].arm)]
    found: dict[str, list[Point]] = {}
    for name, point in stage.measured(shots, "shot curves"):
        found.setdefault(name, []).append(point)
    curves = [Curve(arm=name, kind="shots", points=_told_apart(points)) for name, points in found.items()]
    trained = {arm.name: of for arm in able if (of := learning_spots(work, arm, settings.get(arm.name)))}
    prompts = [ready[arm.name].arm for arm in able if arm.family in PROMPTS]
    references = {
        name: stage.measured(_references(work, prompts, of[0].items), "what learning curves are held against")
        for name, of in trained.items()
    }
    found = {name: [] for name in references}
    for seed in sorted({spot.run for of in trained.values() for spot in of}):
        part = [(name, spot) for name, of in trained.items() for spot in of if spot.run == seed]
        for name, point in stage.measured(part, f"learning curves, seed {seed}"):
            found[name].append(point)
    curves += [
        Curve(
            arm=name,
            kind="learning",
            points=tuple(points),
            references={arm: point.answers for arm, point in references[name] if point.answers},
        )
        for name, points in found.items()
    ]
    return Curves(curves=tuple(curves), checks=checks(work, arms), left=stage.left)


def _references(work: ArmTraining, prompts: Sequence[Arm], items: tuple[Example, ...]) -> list[tuple[str, Spot]]:
    """Returns what a learning curve is held against: the prompted arms over the same examples."""
    return [(arm.name, Spot(kind="reference", arm=arm, work=work, items=items)) for arm in prompts]


def _told_apart(points: Sequence[Point]) -> tuple[Point, ...]:
    """Leaves out draws that showed every item the same shots as an earlier draw: the selector draws nothing."""
    seen = set()
    kept = []
    for point in points:
        shown = (point.spot.x, *(answer.prediction.shot_ids for answer in point.answers))
        if not point.answers or shown not in seen:
            kept.append(point)
        seen.add(shown)
    return tuple(kept)


@dataclass(kw_only=True)
class _Stage:
    """Measures points, as many at a time as it is given, until something says that nothing more may be sent."""

    work: ArmTraining
    selected: Collection[str]
    left: HarnessError | None = None
    ended: bool = False
    """Whether nothing more is sent."""
    refused: set[str] = field(default_factory=set)
    """Arms whose training was refused: the next job would be, too."""

    def measured(self, part: Sequence[tuple[str, Spot]], stage: str) -> list[tuple[str, Point]]:
        """Returns the points, each with the name of its arm; `stage` is what to call them."""
        points = self._trained(part)
        asked = [place for place, point in enumerate(points) if point.ready is not None and not point.left]
        answered = self._answered([points[place] for place in asked], stage)
        for place, point in zip(asked, answered, strict=True):
            points[place] = point
        return [(name, point) for (name, _), point in zip(part, points, strict=True)]

    def _trained(self, part: Sequence[tuple[str, Spot]]) -> list[Point]:
        """Trains the arms of points, on endpoints elsewhere side by side."""
        came: dict[str, Trained] = {}
        try:
            plans = [
                spot.work.plan(spot.arm, False)
                for name, spot in part
                if spot.reason is None and not self._silent(name) and spot.arm.needs_job
            ]
            trained = self.work.train_planned(plans, {plan.tag: plan.arm.name for plan in plans})
            came = {plan.arm.name: ready for plan, ready in zip(plans, trained, strict=True)}
        except GateError as error:
            self._end(error)
        except UsageError:  # the one that is wrong says so again below, and the others are trained all the same
            pass
        return [self._one(name, spot, came.get(spot.arm.name)) for name, spot in part]

    def _silent(self, name: str) -> bool:
        return self.ended or name not in self.selected or name in self.refused

    def _one(self, name: str, spot: Spot, ready: Trained | None) -> Point:
        """Trains a point's arm, or takes what it was trained to; one that may send nothing has it there or waits."""
        if spot.reason is not None:
            return Point(spot=spot, reason=spot.reason)
        try:
            if ready is None and self._silent(name) and not self._known(spot):
                return Point(spot=spot, reason=NOT_YET, left=True)
            ready = ready or spot.work.train(spot.arm)
        except GateError as error:
            self._end(error)
            return Point(spot=spot, reason=NOT_YET, left=True)
        except UsageError as error:  # of this size alone: the arm itself was trained
            return Point(spot=spot, reason=error.message)
        if ready.refusal is None:
            return Point(spot=spot, ready=ready)
        message, _, hint = ready.refusal.partition("\n")
        self.left = self.left or UnfinishedError(message, hint)
        self.refused |= {name} if ready.refused else set()
        return Point(spot=spot, reason=message, left=True)

    def _known(self, spot: Spot) -> bool:
        return spot.work.is_trained(spot.arm) and self._there(spot.work.train(spot.arm), spot)

    def _there(self, ready: Trained, spot: Spot) -> bool:
        return self.work.asking.answered([(ready.arm, spot.items)])

    def _answered(self, points: Sequence[Point], stage: str) -> list[Point]:
        """Asks trained points, all in one go."""
        if not self.ended:
            try:
                return self._asked(points, stage)
            except (UsageError, GateError, UnfinishedError) as error:
                engine = self.work.asking.engine
                if engine.refusal is not None or engine.stopped is not None or not isinstance(error, UsageError):
                    self._end(error)
        return [self._alone(point, stage) for point in points]

    def _alone(self, point: Point, stage: str) -> Point:
        """Asks a single point, so that what is wrong with one is wrong with that one only."""
        assert point.ready is not None  # noqa: S101 - the caller saw to it
        if self.ended and not self._there(point.ready, point.spot):
            return replace(point, reason=NOT_YET, left=True)
        try:
            return self._asked([point], stage)[0]
        except UsageError as error:
            return replace(point, reason=error.message)

    def _asked(self, points: Sequence[Point], stage: str) -> list[Point]:
        pairs = [(point.ready.arm, point.spot.items) for point in points if point.ready is not None]
        answers = self.work.asking.ask(pairs, stage)
        return [self._whole(replace(point, answers=tuple(given))) for point, given in zip(points, answers, strict=True)]

    def _whole(self, point: Point) -> Point:
        """Returns a point as it is; one whose requests ran out of attempts has no accuracy yet."""
        failed = sum(answer.prediction.status is Status.FAILED for answer in point.answers)
        assert point.ready is not None  # noqa: S101 - the caller saw to it
        if not failed or self._there(point.ready, point.spot):
            return point
        return replace(point, answers=(), reason=f"{counted(failed, 'item')} without an answer", left=True)

    def _end(self, error: HarnessError) -> None:
        self.left, self.ended = self.left or error, True
