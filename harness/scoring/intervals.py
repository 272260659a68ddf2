"""How far the figures of metrics move with the test items, and their differences between two arms: by the bootstrap.

Only figures that are known here have an interval, and only where they are what the run's metric plugin has computed: a
plugin of another kind under the same name is not guessed at. The expected calibration error has none: resamples repeat
items, and repeated items look less calibrated than they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from harness.scoring.answers import Answers, Codes, Figures, Flags, Floats, probabilities
from harness.scoring.bootstrap import percentile_interval, resampled_means
from harness.scoring.confidence import share_interval, share_method
from harness.scoring.resampling import RESAMPLES, interval, method, resampled
from harness.scoring.statistics import Interval
from harness.scoring.tallies import Tallies, scale_of

SURE = ("log_loss", "brier", "expected_label_mae")
"""Means over the rows that come with probabilities."""
COMPARED = ("macro_f1", "balanced_accuracy", "mae", "mae_all")
"""Figures of which the contenders' difference is worked out."""
_LEAST = 2.3e-16
"""No probability is taken to be less: its logarithm would be infinite (as in scikit-learn's log loss)."""

Metrics = Mapping[str, float | None]
"""What the metric plugins have computed of an arm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """What the test items are, to all arms."""

    labels: tuple[str, ...]
    """The label set, in rank order where `ordered`."""
    ordered: bool
    groups: Codes
    """The group of each item; each is one of its own without groups."""
    clustered: bool
    """Whether there are groups."""
    seed: int

    @property
    def number(self) -> int:
        """How many groups are drawn."""
        return int(self.groups.max()) + 1 if len(self.groups) else 0


def intervals(answers: Answers, metrics: Metrics, items: Items) -> Figures:
    """Returns figure → `ci` and `method` of one arm, for the figures of which an interval is known.

    Args:
        answers: The arm's answers to all items.
        metrics: Its figures.
        items: The items.
    """
    if items.number < 2:
        return {}
    found = {**_tallied(answers, items, metrics), **_shares(answers, items, metrics), **_means(answers, items, metrics)}
    return {name: {"ci": list(ci), "method": how} for name, (ci, how) in found.items() if ci is not None}


def differences(a: Answers, b: Answers, metrics: tuple[Metrics, Metrics], items: Items) -> list[Figures]:
    """Compares two arms on the same items by other figures than accuracy: the paired bootstrap.

    Args:
        a: Answers of the first arm.
        b: Of the second one.
        metrics: The figures of each.
        items: The items.

    Returns:
        For each of `COMPARED` that both have: `metric`, `difference` (a − b), `ci`, `ci_method`.
    """
    if items.number < 2:
        return []
    table, kinds, counts = Tallies.of((a, b), items.labels, ordered=items.ordered)
    points = table.figures(counts[None, :])[0]
    drawn = resampled(kinds, items.groups, table.figures, items.seed, table.width)
    lines = []
    for name in COMPARED:
        if name not in table.names:
            continue
        first, second = table.names.index(name), len(table.names) + table.names.index(name)
        if not (_same(points[first], metrics[0].get(name)) and _same(points[second], metrics[1].get(name))):
            continue
        found = interval(drawn[:, first] - drawn[:, second], items.number)
        lines.append(
            {
                "metric": name,
                "difference": float(points[first] - points[second]),
                "ci": None if found is None else list(found),
                "ci_method": method(len(drawn), clustered=items.clustered),
            }
        )
    return lines


def _same(point: float, told: float | None) -> bool:
    """Whether a figure is what the metric plugin has computed."""
    return told is not None and math.isclose(point, told, rel_tol=1e-9, abs_tol=1e-12)


def _tallied(answers: Answers, items: Items, metrics: Metrics) -> dict[str, tuple[Interval | None, str]]:
    """Returns the intervals of figures that follow from how often each label was given for each."""
    table, kinds, counts = Tallies.of((answers,), items.labels, ordered=items.ordered)
    points = table.figures(counts[None, :])[0]
    wanted = [(place, name) for place, name in enumerate(table.names) if _same(points[place], metrics.get(name))]
    if not wanted:
        return {}
    drawn = resampled(kinds, items.groups, table.figures, items.seed, table.width)
    how = method(len(drawn), clustered=items.clustered)
    return {name: (interval(drawn[:, place], items.number), how) for place, name in wanted}


def _shares(answers: Answers, items: Items, metrics: Metrics) -> dict[str, tuple[Interval | None, str]]:
    """Returns the interval of the share of answers at most 1 away, where labels have an order."""
    known = dict(zip(items.labels, scale_of(items.labels), strict=True))
    if not items.ordered or not set(answers.names) <= known.keys():
        return {}
    values = np.array([known[name] for name in answers.names])
    near = answers.labelled & (np.abs(values[answers.predicted_code] - values[answers.expected_code]) <= 1)
    if not _same(float(near.mean()), metrics.get("off_by_one")):
        return {}
    everything = np.ones(len(near), dtype=np.bool_)
    found = share_interval(near, everything, items.groups if items.clustered else None)
    return {"off_by_one": (found, share_method(clustered=items.clustered))}


def _means(answers: Answers, items: Items, metrics: Metrics) -> dict[str, tuple[Interval | None, str]]:
    """Returns the intervals of means over the rows with probabilities."""
    found = _losses(answers, items)
    if found is None:
        return {}
    there, losses = found
    points = losses.mean(axis=0).tolist()
    wanted = [(place, name) for place, name in enumerate(SURE) if _same(points[place], metrics.get(name))]
    codes = np.unique(items.groups[there], return_inverse=True)[1]
    if not wanted or codes.max() < 1:
        return {}
    places, names = zip(*wanted, strict=True)  # the others may be no numbers, such as distances without an order
    means = resampled_means(losses[:, places], codes, items.seed, RESAMPLES)
    how = method(RESAMPLES, clustered=items.clustered)
    return {
        name: (percentile_interval(column, int(codes.max()) + 1), how)
        for name, column in zip(names, means.T, strict=True)
    }


def _losses(answers: Answers, items: Items) -> tuple[Flags, Floats] | None:
    """Returns which rows come with probabilities, and `SURE` of each of these; `None` where any are broken."""
    place = {label: number for number, label in enumerate(items.labels)}
    there = np.array([row.probabilities is not None and row.expected in place for row in answers.rows], dtype=np.bool_)
    if len(items.labels) < 2 or not there.any():
        return None
    rows = [answers.rows[number] for number in np.flatnonzero(there).tolist()]
    given = probabilities(rows, items.labels)
    if given is None:
        return None
    given = given / given.sum(axis=1, keepdims=True)
    truth = np.array([place[row.expected] for row in rows])
    hit = np.eye(len(items.labels))[truth]
    right = np.clip(given[hit > 0], _LEAST, 1 - _LEAST)
    scale = np.array(scale_of(items.labels)) if items.ordered else np.full(len(items.labels), np.nan)
    errors = ((given - hit) ** 2).sum(axis=1)
    return there, np.column_stack([-np.log(right), errors, np.abs(given @ scale - scale[truth])])
