"""Arms that answer the validation split: those between which contenders are named, or whose thresholds are wanted."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.execution.answers import Answered
from harness.experiment import Arm
from harness.running.arm_training import ArmTraining, Trained
from harness.trials.search import Chosen
from harness.types import PROMPTS, Status


def contending(arms: Sequence[Arm]) -> set[str]:
    """Names the arms between which contenders must be chosen: those of a side that has more than one.

    Sides are the fine-tuned and the prompted arms; where one of them is empty, all arms stand on one side.
    """
    tuned = [arm.name for arm in arms if arm.family == "fine-tuned"]
    prompted = [arm.name for arm in arms if arm.family in PROMPTS]
    if tuned and prompted:
        return {name for side in (tuned, prompted) if len(side) > 1 for name in side}
    return {arm.name for arm in arms} if len(arms) > 2 else set()


def validated(arms: Sequence[Arm], *, thresholds: bool) -> set[str]:
    """Names the arms that are asked about validation, those aside for which something is chosen on it anyway.

    Those that contend; and for the sake of thresholds, which follow from answers to validation, arms that cost next to
    nothing, or with `thresholds` (`[verdict]` of the experiment) all of them.
    """
    free = {arm.name for arm in arms if arm.family == "classical" and not hasattr(arm.backend, "calls")}
    return contending(arms) | free | {arm.name for arm in arms if thresholds}


def answers(
    work: ArmTraining,
    able: Sequence[Trained],
    choices: Mapping[str, Chosen],
    names: Collection[str],
    selected: Collection[str],
) -> dict[str, Sequence[Answered]]:
    """Answers validation with the arms that `validated` has named; of a choice, takes what its winner has answered.

    An arm that was not selected is asked nothing: it takes part where its answers are there.

    Args:
        work: The run's tools.
        able: The arms that can be asked.
        choices: Arm → what was chosen for it on validation.
        names: The arms that are asked.
        selected: The arms for which something may be sent.
    """
    sizes = [arm.choose_items for arm in work.asking.experiment.arms if arm.choose_items]
    examples = work.sample(min(sizes, default=None))
    asked = [
        one
        for one in able
        if one.arm.name in names
        and one.arm.name not in choices
        and (one.arm.name in selected or work.asking.answered([(one.arm, examples)]))
    ]
    naming = contending(work.asking.experiment.arms) & {one.arm.name for one in asked}
    stage = "naming the contenders on validation" if naming else "asking the validation items"
    given = work.asking.ask([(one.arm, examples) for one in asked], stage)
    found: dict[str, Sequence[Answered]] = {
        one.arm.name: rows for one, rows in zip(asked, given, strict=True) if not _of_test_alone(one.arm, rows)
    }
    return found | {one.arm.name: choices[one.arm.name].answers for one in able if one.arm.name in choices}


def _of_test_alone(arm: Arm, rows: Sequence[Answered]) -> bool:
    """Whether an arm's results come from elsewhere, and say nothing of validation, as most of those."""
    imported = arm.imported
    return imported and all(row.prediction.status is Status.FAILED for row in rows)
