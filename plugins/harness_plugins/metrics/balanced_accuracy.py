"""Mean recall of the classes: accuracy as if all were equally frequent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import tallied


@dataclass(frozen=True, kw_only=True)
class BalancedAccuracy:
    """Unweighted mean of recall over the labels that are expected (Brodersen et al. 2010, ICPR, 3121–3124).

    Unparsed and failed answers are misses.
    """

    name: ClassVar[str] = "balanced-accuracy"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `balanced_accuracy` from 0 to 1; `None` without rows."""
        found = tallied(rows)
        return {"balanced_accuracy": None if found is None else float((found.right / found.expected).mean())}


@harness.hookimpl
def harness_metrics() -> list[type[BalancedAccuracy]]:
    """Declares the metric."""
    return [BalancedAccuracy]
