"""Mean F1 of the classes, each counting the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import averaged


@dataclass(frozen=True, kw_only=True)
class MacroF1:
    """Unweighted mean of F1 over the labels that are expected in the rows (Opitz & Burst 2019, arXiv:1911.03347).

    Unparsed and failed answers are misses.
    """

    name: ClassVar[str] = "macro-f1"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `macro_f1` from 0 to 1; `None` without rows."""
        from sklearn.metrics import f1_score

        return averaged(f1_score, rows, {"macro_f1": "macro"})


@harness.hookimpl
def harness_metrics() -> list[type[MacroF1]]:
    """Declares the metric."""
    return [MacroF1]
