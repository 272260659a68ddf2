"""How stable an arm's answers are when the same question is asked several times."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.types import Prediction, Status


def stability(arm: str, asked: Sequence[Sequence[Prediction]], reason: str | None = None) -> dict[str, Any]:
    """Compares an arm's answers to the same items, item by item.

    An item that failed in one of the repeats says nothing about the model: it is left out of the comparison, and counts
    as wrong in the accuracy of that repeat, as it does everywhere. An unparsed answer is an outcome like any label.

    Args:
        arm: The arm's name.
        asked: Its predictions for each time it was asked, the first time first; matched by example id.
        reason: Why it was asked less often than the others, where it was: `deterministic` or `not-asked`.

    Returns:
        `repeats` (times asked), `n` (items compared), `left_out` (items that failed at least once), `agreement` (share
        of items that got the same label each time), `flip_rate` (how probable it is that two askings of an item get
        different labels; unlike the agreement it does not fall with the number of repeats), `accuracy` of each repeat
        and `accuracy_sd`, their sample standard deviation.
    """
    accuracy = [sum(row.right for row in rows) / len(rows) for rows in asked if rows]
    times = len(asked)
    by_item: dict[str, list[Prediction]] = {}
    for rows in asked:
        for row in rows:
            by_item.setdefault(row.example_id, []).append(row)
    outcomes = [
        Counter(row.predicted for row in of)
        for of in by_item.values()
        if len(of) == times and all(row.status is not Status.FAILED for row in of)
    ]
    n, compared = len(outcomes), times > 1 and bool(outcomes)
    return {
        "arm": arm,
        "repeats": times,
        "n": n,
        "left_out": len(by_item) - n,
        "agreement": sum(len(labels) == 1 for labels in outcomes) / n if compared else None,
        "flip_rate": sum(_flips(labels, times) for labels in outcomes) / n if compared else None,
        "accuracy": accuracy,
        "accuracy_sd": statistics.stdev(accuracy) if len(accuracy) > 1 else None,
        "reason": reason,
    }


def _flips(labels: Mapping[str | None, int], times: int) -> float:
    """Returns the share of an item's pairs of askings that got different labels."""
    same = sum(count * (count - 1) for count in labels.values())
    return 1 - same / (times * (times - 1))
