"""Who contends: named on validation, before the test is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.scoring.answers import Figures
from harness.types import PROMPTS, TUNED


def by_validation(arm: Figures) -> tuple[Any, ...]:
    """Sort key: best on validation first, then the cheaper one, then by name."""
    accuracy, usd, seconds = arm["validation_accuracy"], arm["cost_per_1k_usd"], arm["machine_s_per_1k"]
    return (
        -accuracy if accuracy is not None else math.inf,
        usd if usd is not None else math.inf,
        seconds if seconds is not None else math.inf,
        arm["name"],
    )


def name_contenders(arms: Sequence[Figures]) -> Figures:
    """Names the contenders: the best tuned arm and the best prompt arm, by validation accuracy.

    Where the experiment has no tuned or no prompt arm, the two best of all arms contend. An arm without answers cannot
    contend; where it leaves its side empty, nobody takes its place.

    Args:
        arms: The arms of `results.json`.

    Returns:
        `a`, `b` (names or `None`) and `chosen_on`: `only arms` where there was no choice, `validation`, or `cost and
        name` where validation accuracies are missing; `among` counts the arms of each side.
    """
    tuned = [arm for arm in arms if arm["family"] in TUNED]
    prompts = [arm for arm in arms if arm["family"] in PROMPTS]
    if tuned and prompts:
        sides = [_able(tuned), _able(prompts)]
        best = [min(side, key=by_validation)["name"] if side else None for side in sides]
        return {"a": best[0], "b": best[1], "chosen_on": _basis(sides), "among": [len(side) for side in sides]}
    able = sorted(_able(arms), key=by_validation)
    # A tuned arm stands first: the question is whether training helps
    two = sorted(able[:2], key=lambda arm: arm["family"] not in TUNED)
    names = [arm["name"] for arm in two] + [None, None]
    basis = "only arms" if len(able) <= 2 else _basis([able])
    return {"a": names[0], "b": names[1], "chosen_on": basis, "among": [len(able)]}


def _able(arms: Sequence[Figures]) -> list[Figures]:
    return [arm for arm in arms if arm["n"]]


def _basis(sides: Sequence[Sequence[Figures]]) -> str:
    chosen = [side for side in sides if len(side) > 1]
    if not chosen:
        return "only arms"
    known = all(arm["validation_accuracy"] is not None for side in chosen for arm in side)
    return "validation" if known else "cost and name"
