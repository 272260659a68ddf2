"""F1 with every answer, or every class by its size, counting the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import coded


@dataclass(frozen=True, kw_only=True)
class F1:
    """F1 over all answers (micro), and the mean of the classes' F1 weighted by their size.

    Over the labels that are expected in the rows; unparsed and failed answers are misses.
    """

    name: ClassVar[str] = "f1"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `micro_f1` and `weighted_f1` from 0 to 1; `None` without rows."""
        if not rows:
            return {"micro_f1": None, "weighted_f1": None}
        from sklearn.metrics import f1_score

        expected, predicted, classes = coded(rows)
        return {
            f"{kind}_f1": float(f1_score(expected, predicted, labels=classes, average=kind, zero_division=0))
            for kind in ("micro", "weighted")
        }


@harness.hookimpl
def harness_metrics() -> list[type[F1]]:
    """Declares the metric."""
    return [F1]
