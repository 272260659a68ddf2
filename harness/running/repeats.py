"""The test items asked again, to see how stable answers are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.errors import GateError
from harness.execution.answers import Answered
from harness.execution.questions import settled
from harness.running.arm_training import ArmTraining, Trained
from harness.types import Example


def ask_again(
    work: ArmTraining, able: Sequence[Trained], test: Sequence[Example], selected: Collection[str]
) -> tuple[dict[str, list[list[Answered]]], GateError | None]:
    """Asks the test items as often as the experiment says, each time all arms.

    An arm that always answers the same is not asked again, one that was not selected only where its answers are there.

    Returns:
        Arm → its answers, once for each further time; and what the budget said, where it ended this early.
    """
    asking, times = work.asking, work.asking.experiment.repeats
    again: dict[str, list[list[Answered]]] = {}
    same = [one.arm.name for one in able if settled(one.arm)]
    if times > 1 and same:
        asking.console.say(f"asked once only, for they always answer the same: {', '.join(same)}")
    for repeat in range(1, times):
        if asking.engine.endpoint_down:
            break  # the same command goes on when it is back
        arms = [
            one.arm
            for one in able
            if one.arm.name not in same and (one.arm.name in selected or asking.answered([(one.arm, test)], repeat))
        ]
        try:
            answers = asking.ask([(arm, test) for arm in arms], f"asking again ({repeat + 1} of {times})", repeat)
        except GateError as error:  # what was asked the first time is scored all the same
            return again, error
        for arm, given in zip(arms, answers, strict=True):
            again.setdefault(arm.name, []).append(given)
    return again, None


def lacks_repeats(one: Trained, again: Mapping[str, Sequence[Any]], repeats: int) -> bool:
    """Whether an arm has yet to be asked again, of an experiment that asks so many times in all."""
    asked = 1 + len(again.get(one.arm.name, ()))
    return one.refusal is None and not settled(one.arm) and asked < repeats
