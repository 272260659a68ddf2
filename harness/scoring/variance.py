"""What varies: how far an arm's accuracy moves with the test items, and how far with its shots or training seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from harness.scoring.answers import Answers, Codes, Figures, Floats, complete
from harness.scoring.bootstrap import group_codes
from harness.scoring.facts import ArmFacts, RunFacts
from harness.types import TUNED


def covariance_of_means(columns: Floats, codes: Codes) -> Floats | None:
    """Returns the estimated covariance of the columns' means over other test sets of the same size and origin.

    That of totals of groups (Cameron & Miller 2015, J. Hum. Resour. 50:317–372), which is that of independent
    examples, s²/n, where every example is a group of its own. `None` with fewer than two groups.

    Args:
        columns: Examples × arms.
        codes: The group of each example, numbered from 0 without gaps.
    """
    n = len(columns)
    groups = int(codes.max()) + 1 if n else 0
    if groups < 2:
        return None
    gaps = columns - columns.mean(axis=0)
    totals = np.stack([np.bincount(codes, weights=column, minlength=groups) for column in gaps.T], axis=1)
    return np.asarray(totals.T @ totals * (groups / (groups - 1) / n**2), dtype=np.float64)


def components(columns: Floats, codes: Codes) -> Figures:
    """Splits the variance of one accuracy into what the test items and what the draw or seed adds.

    Right or wrong of item i in draw j is taken as μ + itemᵢ + drawⱼ + restᵢⱼ, all random, and the variances are
    estimated by the method of moments from the two-way table (Searle, Casella & McCulloch 1992, Variance
    Components): what the means of the draws vary beyond what the rest explains is due to the draw; 0 where they vary
    less. Without groups these are the mean squares of the analysis of variance.

    Args:
        columns: Items × draws, 1 where the answer is right.
        codes: The group of each item.

    Returns:
        `mean` accuracy, `sd_between` (of the draw), `sd_sample` (of the test items, for one draw) and `share_between`,
        the draw's part in the variance of both; `None` where there are too few draws or items.
    """
    nothing = {"mean": None, "sd_between": None, "sd_sample": None, "share_between": None}
    if columns.ndim != 2 or not columns.size:
        return nothing
    means = columns.mean(axis=0)
    found = nothing | {"mean": float(means.mean())}
    covariance, draws = covariance_of_means(columns, codes), len(means)
    if covariance is None or draws < 2:
        return found
    sample = float(np.trace(covariance)) / draws
    shared = (float(covariance.sum()) - float(np.trace(covariance))) / (draws * (draws - 1))
    between = max(0.0, float(np.var(means, ddof=1)) - (sample - shared))
    both = between + sample
    return found | {
        "sd_between": math.sqrt(between),
        "sd_sample": math.sqrt(sample),
        "share_between": between / both if both else None,
    }


def families(arms: Sequence[ArmFacts]) -> dict[str, list[ArmFacts]]:
    """Returns name → the arm with its further draws or seeds, for those that have any."""
    found: dict[str, list[ArmFacts]] = {}
    for arm in arms:
        if arm.of is not None:
            found.setdefault(arm.of, [one for one in arms if one.name == arm.of]).append(arm)
    return {name: members for name, members in found.items() if len(members) > 1}


def variation(arms: Sequence[ArmFacts], answers: Mapping[str, Answers], run: RunFacts) -> list[Figures]:
    """Returns for each family of draws or seeds what varies; arms that did not answer every test item stay out."""
    return [_family(name, members, answers, run) for name, members in families(arms).items()]


def _family(name: str, members: Sequence[ArmFacts], answers: Mapping[str, Answers], run: RunFacts) -> Figures:
    names = complete({arm.name: answers[arm.name] for arm in members}, run.n_test)
    columns = np.zeros((0, 0))
    codes = np.zeros(0, dtype=np.intp)
    if names:
        columns = np.stack([answers[one].right for one in names], axis=1).astype(np.float64)
        codes = group_codes(answers[names[0]].ids, run.groups or {})
    what = "seed" if members[0].family in TUNED else "draw"
    return {"of": name, "arms": names, "what": what, **components(columns, codes)}


def varied(arms: Sequence[ArmFacts], run: RunFacts) -> tuple[list[str], list[str]]:
    """Returns what the experiment varied and what it did not: of `test-items`, `shot-draw`, `training-seed`, `repeats`.

    What cannot matter is in neither list: there is no draw of shots without shots. Nor is what others have varied
    who brought the answers of an arm, for that is not known.
    """
    here = [arm for arm in arms if not arm.imported]
    again = {family[0].family in TUNED for family in families(arms).values()}
    tuned = any(arm.family in TUNED for arm in here)
    shown = any(arm.shots for arm in here)
    asked = any(len(line["accuracy"]) > 1 for line in run.repeats)
    settled = bool(run.repeats) and all(line["reason"] == "deterministic" for line in run.repeats)
    states = {
        "test-items": run.n_test > 1,
        "shot-draw": (False in again) if shown else None,
        "training-seed": (True in again) if tuned else None,
        "repeats": None if settled or (arms and not here) else asked,
    }
    return [name for name, state in states.items() if state], [name for name, state in states.items() if state is False]
