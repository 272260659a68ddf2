"""Squared error of the probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import probabilities


@dataclass(frozen=True, kw_only=True)
class Brier:
    """Mean over rows of the sum over labels of (probability − truth)² (1950, Mon. Weather Rev. 78:1–3): 0 to 2."""

    name: ClassVar[str] = "brier"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `brier` over the rows with probabilities, 0 being best; else `None`."""
        found = probabilities(rows)
        if found is None:
            return {"brier": None}
        from sklearn.metrics import brier_score_loss

        expected, table, names = found
        return {"brier": float(brier_score_loss(expected, table, labels=names, scale_by_half=False))}


@harness.hookimpl
def harness_metrics() -> list[type[Brier]]:
    """Declares the metric."""
    return [Brier]
