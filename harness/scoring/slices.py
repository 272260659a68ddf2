"""Accuracy in the parts of the test items that the user tells apart: by country, by language, by source.

Parts are many and small, and no run is made to compare them: each figure has its interval, and no difference is
claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np

from harness.scoring.answers import Answers, Codes, Figures
from harness.scoring.bootstrap import group_codes
from harness.scoring.confidence import share_interval, share_method
from harness.scoring.facts import RunFacts

MOST = 20
"""Values of a column that stand by themselves, the largest; all others are one part."""
ELSEWHERE = -1
"""Place of an item that is none of the run's."""

Arms: TypeAlias = Mapping[str, tuple[Answers, Codes | None]]
"""Arm → its answers, and the group of each where there are groups."""


def slices(answers: Mapping[str, Answers], run: RunFacts) -> list[Figures]:
    """Returns each column of slices with its values, the largest first, and each arm's accuracy on their items.

    The values' `n` add up to the test items. Items without a value have the empty text. Where there are more than
    `MOST` values, the last entry has all others: its `value` is `None`, `others` says how many they are.

    Args:
        answers: Arm → its answers; arms without any are left out.
        run: The run.
    """
    names = dict.fromkeys(name for item in sorted(run.slices) for name in run.slices[item])
    arms = {
        arm: (each, group_codes(each.ids, run.groups) if run.groups else None)
        for arm, each in answers.items()
        if len(each)
    }
    method = share_method(clustered=bool(run.groups))
    return [
        {
            "name": name,
            "ci_method": method,
            "values": _values({i: of.get(name) or "" for i, of in run.slices.items()}, arms),
        }
        for name in names
    ]


def _values(value_of: Mapping[str, str], arms: Arms) -> list[Figures]:
    counts = Counter(value_of.values())
    order = sorted(counts, key=lambda value: (-counts[value], value))
    place: dict[str | None, int] = {value: min(number, MOST) for number, value in enumerate(order)}
    found: list[Figures] = [{"value": value, "n": counts[value], "others": None, "arms": []} for value in order[:MOST]]
    if rest := order[MOST:]:
        found.append({"value": None, "n": sum(counts[value] for value in rest), "others": len(rest), "arms": []})
    for arm, (answers, groups) in arms.items():
        places = np.array([place.get(value_of.get(item), ELSEWHERE) for item in answers.ids])
        for number, line in enumerate(found):
            inside = places == number
            interval = share_interval(answers.right, inside, groups)
            if interval is not None:
                n = int(inside.sum())
                accuracy = int((answers.right & inside).sum()) / n
                line["arms"].append({"arm": arm, "n": n, "accuracy": accuracy, "accuracy_ci": list(interval)})
    return found
