"""`harness train`: the training stage of a run alone. A later `harness run` finds its models there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.console import Console
from harness.data_stage import stage
from harness.errors import UnfinishedError, UsageError, nearest
from harness.execution.questions import mark
from harness.experiment import Arm, Experiment
from harness.running.arm_training import ArmTraining, Trained, left_to_train
from harness.running.session import RunOptions, folder_of, opened, require_keys, require_prices
from harness.runs import RunFolder
from harness.training import continuing
from harness.training.following import Detail
from harness.trials.sweeps import Sweeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What an arm's training came to."""

    arm: str
    model: str
    """Its id at the endpoint; for an arm that learns in process its folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFinished:
    """What the training stage came to."""

    models: tuple[Model, ...]
    """In the arms' order; an arm that chooses among trainings has several."""
    folder: RunFolder
    unfinished: UnfinishedError | None = None
    """What is left to do, where something is."""


def train(experiment: Experiment, options: RunOptions, console: Console, detail: Detail) -> TrainingFinished:
    """Trains arms in the folder of their run, from wherever that stopped.

    Args:
        experiment: The experiment.
        options: As for a run; `only` names the arms, without it all that an endpoint trains are trained.
        console: Told what goes on.
        detail: How much is told of a job.

    Raises:
        UsageError: An arm that is named is not there or learns nothing; or as in a run.
        GateError: A leak, or the budget.
    """
    experiment = continuing.resolved(experiment, options.out)
    arms = _selected(experiment, options.only)
    require_keys(experiment, arms)
    require_prices(experiment, arms, options)
    loaded = stage.load_examples(experiment, console)
    folder = folder_of(experiment, options, loaded)
    with opened(experiment, options, console, loaded, folder) as run:
        work = run.work
        work.trainer.detail = detail
        Sweeps(work=work).refuse(arms)
        trained = _trained(work, arms)
    models = [Model(arm=arm.name, model=model) for arm, one in trained if (model := _model(folder, work, one))]
    left = left_to_train((one for _, one in trained), "the other arms are trained; the same command goes on")
    return TrainingFinished(models=tuple(dict.fromkeys(models)), folder=folder, unfinished=left)


def _learns(arm: Arm) -> bool:
    return arm.trained or any(hasattr(one.backend, "fit") for one in arm.contenders)


def _decides_on_the_way(arm: Arm) -> bool:
    """Whether what an arm trains follows from what its choice has cost so far."""
    budget = arm.choose_budget
    return bool(arm.candidates) and not (budget.usd is None and budget.seconds is None)


def _selected(experiment: Experiment, names: Sequence[str]) -> list[Arm]:
    learning = [arm.name for arm in experiment.arms if _learns(arm)]
    there = f"trained are {', '.join(learning)}" if learning else "no arm of it is trained"
    for name in names:
        if name not in {arm.name for arm in experiment.arms}:
            raise UsageError(f'--arm {name}: there is no arm "{name}"; {nearest(name, learning)}')
        if name not in learning:
            raise UsageError(f"--arm {name}: this arm needs no training; {there}")
    chosen = [arm for arm in experiment.arms if (arm.name in names if names else arm.trained)]
    for arm in chosen:
        if _decides_on_the_way(arm):
            raise UsageError(
                f"{arm.name}: its choice has a budget in dollars or seconds, so what is trained follows from answers",
                f"train it with `harness run {experiment.path} --only {arm.name}`, or name other arms with --arm",
            )
    if not chosen:
        raise UsageError(
            f"{experiment.path}: no arm of it is trained by an endpoint",
            f"in this process learn {', '.join(learning)}: name one with --arm" if learning else "",
        )
    return chosen


def _trained(work: ArmTraining, arms: Sequence[Arm]) -> list[tuple[Arm, Trained]]:
    """Trains arms and their candidates, those elsewhere side by side."""
    pairs = [
        (arm, one, bool(arm.candidates))
        for arm in arms
        for one in arm.contenders
        if one.needs_job or hasattr(one.backend, "fit")
    ]
    found: dict[int, Trained] = {}
    for candidate in (False, True):
        places = [place for place, (_, _, of) in enumerate(pairs) if of is candidate]
        ready = work.train_all([pairs[place][1] for place in places], candidate=candidate)
        found |= zip(places, ready, strict=True)
    return [(arm, found[place]) for place, (arm, _, _) in enumerate(pairs)]


def _model(folder: RunFolder, work: ArmTraining, one: Trained) -> str | None:
    """Returns what a trained model is found by: its id, or its folder; `None` where there is none."""
    key = work.asking.asker.fit_keys.get(mark(one.arm)) if hasattr(one.arm.backend, "fit") else None
    return one.model or (str(folder.model(one.arm.name, key)) if key else None)
