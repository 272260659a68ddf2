"""How far off the mean of the answer's distribution is, where labels have an order and answers have probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import scale, sure


@dataclass(frozen=True, kw_only=True)
class ExpectedLabel:
    """Mean absolute error of the expected label: the labels' values weighted by their probabilities."""

    name: ClassVar[str] = "expected-label"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `expected_label_mae`, in the labels' unit, over the rows with probabilities; else `None`."""
        judged = sure(rows) if rows.ordered else []
        if not judged:
            return {"expected_label_mae": None}
        values = scale(rows.labels)
        errors = [
            abs(math.fsum(values[label] * share for label, share in told.items()) - values[row.expected])
            for row, told in judged
        ]
        return {"expected_label_mae": math.fsum(errors) / len(errors)}


@harness.hookimpl
def harness_metrics() -> list[type[ExpectedLabel]]:
    """Declares the metric."""
    return [ExpectedLabel]
