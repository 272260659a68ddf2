"""Whether answers are as often right as they are sure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import harness
from harness_plugins.metrics._columns import sure


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Expected calibration error in bins that hold equally many answers (Nguyen & O'Connor 2015, EMNLP, 1587–1598).

    The mean over the bins, weighted by what they hold, of |share of right answers − mean confidence|. Equal masses,
    because most answers are sure: in bins of equal width a few hold nearly all (Nixon et al. 2019, CVPR Workshops).
    """

    name: ClassVar[str] = "calibration"

    bins: int = 10
    """How many bins; fewer where that leaves a bin less than 10 answers."""

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ValueError(f"bins = {self.bins}, expected a number above 0")

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `ece` from 0 to 1 over answered rows with probabilities; else `None`."""
        told = [(probabilities.get(row.predicted or "", math.nan), row.right) for row, probabilities in sure(rows)]
        pairs = sorted((sure_of, right) for sure_of, right in told if math.isfinite(sure_of))
        if not pairs:
            return {"ece": None}
        parts = equal_parts(pairs, min(self.bins, max(len(pairs) // 10, 1)))
        gaps = [abs(math.fsum(right - sure_of for sure_of, right in part)) for part in parts]
        return {"ece": math.fsum(gaps) / len(pairs)}


def equal_parts(pairs: Sequence[Any], number: int) -> list[Sequence[Any]]:
    """Cuts a sorted sequence into parts whose lengths differ by one at most."""
    edges = [round(part * len(pairs) / number) for part in range(number + 1)]
    return [pairs[low:high] for low, high in pairwise(edges) if high > low]


@harness.hookimpl
def harness_metrics() -> list[type[Calibration]]:
    """Declares the metric."""
    return [Calibration]
