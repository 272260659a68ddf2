"""Agreement beyond chance, where labels have an order."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness


@dataclass(frozen=True, kw_only=True)
class QuadraticKappa:
    """Cohen's kappa with quadratic weights over the ranks of the labels (Cohen 1968, Psychol. Bull. 70:213–220)."""

    name: ClassVar[str] = "quadratic-kappa"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `quadratic_kappa` over answered rows, at most 1.

        `None` where labels have no order, nothing is answered, or all is one label.
        """
        answered = [(row.expected, row.predicted) for row in rows if row.predicted is not None]
        if not rows.ordered or not answered:
            return {"quadratic_kappa": None}
        from sklearn.metrics import cohen_kappa_score

        rank = {label: place for place, label in enumerate(rows.labels)}
        expected = [rank[first] for first, _ in answered]
        predicted = [rank[second] for _, second in answered]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one label everywhere: 0/0, which is `None` here
            value = float(cohen_kappa_score(expected, predicted, labels=list(rank.values()), weights="quadratic"))
        return {"quadratic_kappa": value if math.isfinite(value) else None}


@harness.hookimpl
def harness_metrics() -> list[type[QuadraticKappa]]:
    """Declares the metric."""
    return [QuadraticKappa]
