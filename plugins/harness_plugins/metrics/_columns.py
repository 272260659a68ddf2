"""What metrics share: rows as columns that scikit-learn takes, and the scale of ordered labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import harness

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUM_TOLERANCE = 1e-3
"""How far probabilities may be from summing to 1: files with results from elsewhere round theirs."""


@dataclass(frozen=True, slots=True)
class Tallies:
    """Rows by label; each array has an entry for each label that is expected somewhere."""

    right: NDArray[np.float64]
    """Rows with the label that were given it."""
    given: NDArray[np.float64]
    """Rows that were given the label."""
    expected: NDArray[np.float64]
    """Rows with the label: at least one."""

    @property
    def f1(self) -> NDArray[np.float64]:
        """F1 of each label."""
        return 2 * self.right / (self.expected + self.given)


def tallied(rows: harness.Rows) -> Tallies | None:
    """Counts rows by label; `None` without rows.

    Whatever else was said than a label that is expected somewhere is a miss, and counts for no label. scikit-learn
    counts the same, figures are its to the last digit; looking at what it is given takes it milliseconds each time.
    """
    import numpy as np

    if not rows:
        return None
    classes = {label: code for code, label in enumerate(sorted({row.expected for row in rows}))}
    rest = len(classes)
    expected = np.array([classes[row.expected] for row in rows])
    given = np.array([rest if row.predicted is None else classes.get(row.predicted, rest) for row in rows])

    def count(codes: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(codes, minlength=rest + 1)[:rest].astype(np.float64)

    return Tallies(count(expected[expected == given]), count(given), count(expected))


def scale(labels: Sequence[str]) -> dict[str, float]:
    """Returns label → value: their own where all are numbers, else their ranks."""
    try:
        values = {label: float(label) for label in labels}
    except ValueError:
        values = {}
    if values and all(map(math.isfinite, values.values())):
        return values
    return {label: float(rank) for rank, label in enumerate(labels)}


def answered(rows: harness.Rows) -> tuple[list[float], list[float]]:
    """Returns expected and predicted values of the rows with an answer, on the labels' scale."""
    values = scale(rows.labels)
    pairs = [(values[row.expected], values[row.predicted]) for row in rows if row.predicted is not None]
    return [first for first, _ in pairs], [second for _, second in pairs]


def sure(rows: harness.Rows) -> list[tuple[harness.Row, Mapping[str, float]]]:
    """Returns the rows that come with a probability for each label, each with them; they sum to 1 exactly.

    Empty where any row's are no probabilities: negative, not finite, missing a label's, or far from summing to 1.
    """
    found: list[tuple[harness.Row, Mapping[str, float]]] = []
    for row in rows:
        if row.probabilities is None:
            continue
        told = {label: row.probabilities.get(label, math.nan) for label in rows.labels}
        total = math.fsum(told.values())
        if not all(math.isfinite(value) and value >= 0 for value in told.values()) or abs(total - 1) > SUM_TOLERANCE:
            return []
        if row.expected in told:
            found.append((row, {label: value / total for label, value in told.items()}))
    return found


def probabilities(rows: harness.Rows) -> tuple[list[str], list[list[float]], list[str]] | None:
    """Returns the rows with probabilities as scikit-learn takes them; `None` where none has any, or with one label.

    Returns:
        The right label of each row, its probability of each label, and the labels, in the order of the latter.
    """
    judged, names = sure(rows), sorted(rows.labels)
    if not judged or len(names) < 2:
        return None
    return [row.expected for row, _ in judged], [[told[label] for label in names] for _, told in judged], names
