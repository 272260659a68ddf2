"""Squared error of the probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import sure


@dataclass(frozen=True, kw_only=True)
class Brier:
    """Mean over rows of the sum over labels of (probability − truth)² (1950, Mon. Weather Rev. 78:1–3): 0 to 2."""

    name: ClassVar[str] = "brier"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `brier` over the rows with probabilities, 0 being best; else `None`."""
        judged = sure(rows)
        if not judged or len(rows.labels) < 2:
            return {"brier": None}
        from sklearn.metrics import brier_score_loss

        names = sorted(rows.labels)
        table = [[told[label] for label in names] for _, told in judged]
        expected = [row.expected for row, _ in judged]
        return {"brier": float(brier_score_loss(expected, table, labels=names, scale_by_half=False))}


@harness.hookimpl
def harness_metrics() -> list[type[Brier]]:
    """Declares the metric."""
    return [Brier]
