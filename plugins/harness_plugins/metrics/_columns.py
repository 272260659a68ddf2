"""What metrics share: rows as columns that scikit-learn takes, and the scale of ordered labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import harness

SUM_TOLERANCE = 1e-3
"""How far probabilities may be from summing to 1: files with results from elsewhere round theirs."""


def averaged(score: Callable[..., Any], rows: harness.Rows, figures: Mapping[str, str]) -> dict[str, float | None]:
    """Averages a score over the labels that are expected somewhere; `None` without rows.

    Whatever else was said is a miss.

    Args:
        score: One of scikit-learn's that takes `average`.
        rows: The rows.
        figures: Figure → how it averages.
    """
    if not rows:
        return dict.fromkeys(figures)
    classes = {label: code for code, label in enumerate(sorted({row.expected for row in rows}))}
    expected = [classes[row.expected] for row in rows]
    predicted = [-1 if row.predicted is None else classes.get(row.predicted, -1) for row in rows]  # −1: no class
    return {
        figure: float(score(expected, predicted, labels=[*classes.values()], average=how, zero_division=0))
        for figure, how in figures.items()
    }


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
