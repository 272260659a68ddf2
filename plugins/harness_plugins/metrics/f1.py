"""F1 with every answer, or every class by its size, counting the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import averaged


@dataclass(frozen=True, kw_only=True)
class F1:
    """F1 over all answers (micro), and the mean of the classes' F1 weighted by their size.

    F1 is 1 − the effectiveness measure of van Rijsbergen (1979, Information Retrieval, ch. 7) at α = ½.
    Over the labels that are expected in the rows; unparsed and failed answers are misses.
    """

    name: ClassVar[str] = "f1"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `micro_f1` and `weighted_f1` from 0 to 1; `None` without rows."""
        from sklearn.metrics import f1_score

        return averaged(f1_score, rows, {"micro_f1": "micro", "weighted_f1": "weighted"})


@harness.hookimpl
def harness_metrics() -> list[type[F1]]:
    """Declares the metric."""
    return [F1]
