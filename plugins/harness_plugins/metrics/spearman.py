"""Whether higher answers stand for higher labels, where labels have an order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import answered


@dataclass(frozen=True, kw_only=True)
class Spearman:
    """Spearman's rank correlation of answers and labels, ties at their mean rank (1904, Am. J. Psychol. 15:72–101)."""

    name: ClassVar[str] = "spearman"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `spearman` over answered rows, from −1 to 1.

        `None` where labels have no order, or where all labels or all answers are the same.
        """
        if not rows.ordered:
            return {"spearman": None}
        expected, predicted = answered(rows)
        if len(set(expected)) < 2 or len(set(predicted)) < 2:
            return {"spearman": None}
        from scipy.stats import spearmanr

        return {"spearman": float(spearmanr(expected, predicted).statistic)}


@harness.hookimpl
def harness_metrics() -> list[type[Spearman]]:
    """Declares the metric."""
    return [Spearman]
