"""Mean recall of the classes: accuracy as if all were equally frequent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import averaged


@dataclass(frozen=True, kw_only=True)
class BalancedAccuracy:
    """Unweighted mean of recall over the labels that are expected (Brodersen et al. 2010, ICPR, 3121–3124).

    Unparsed and failed answers are misses.
    """

    name: ClassVar[str] = "balanced-accuracy"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `balanced_accuracy` from 0 to 1; `None` without rows."""
        from sklearn.metrics import recall_score

        return averaged(recall_score, rows, {"balanced_accuracy": "macro"})


@harness.hookimpl
def harness_metrics() -> list[type[BalancedAccuracy]]:
    """Declares the metric."""
    return [BalancedAccuracy]
