"""How far off the answers are, where labels have an order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import answered, scale


@dataclass(frozen=True, kw_only=True)
class Mae:
    """Mean absolute error on the scale of the labels: their values where all are numbers, else their ranks."""

    name: ClassVar[str] = "mae"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns three figures, each `None` where labels have no order or there is nothing to average.

        - `mae`: over answered rows.
        - `mae_all`: over all rows; an unparsed or failed answer counts as the largest error of the scale
          (highest − lowest label).
        - `off_by_one`: share of all rows with an answer at most 1 away, right answers included.
        """
        if not rows.ordered or not rows:
            return {"mae": None, "mae_all": None, "off_by_one": None}
        values = scale(rows.labels).values()
        largest = max(values) - min(values)
        errors = [abs(predicted - expected) for expected, predicted in zip(*answered(rows), strict=True)]
        missing = len(rows) - len(errors)
        return {
            "mae": math.fsum(errors) / len(errors) if errors else None,
            "mae_all": (math.fsum(errors) + largest * missing) / len(rows),
            "off_by_one": sum(error <= 1 for error in errors) / len(rows),
        }


@harness.hookimpl
def harness_metrics() -> list[type[Mae]]:
    """Declares the metric."""
    return [Mae]
