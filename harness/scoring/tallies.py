"""Figures that follow from how often each label was given for each: F1, recall, and those of ordered labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.scoring.answers import Answers, Codes, Floats
from harness.scoring.resampling import kinds_of

CLASSES = ("macro_f1", "weighted_f1", "micro_f1", "balanced_accuracy")
ORDERED = ("mae", "mae_all", "quadratic_kappa", "spearman")


def scale_of(labels: Sequence[str]) -> list[float]:
    """Returns the value of each label: their own where all are numbers, else their ranks."""
    try:
        values = [float(label) for label in labels]
    except ValueError:
        values = []
    return values if values and all(map(math.isfinite, values)) else [float(rank) for rank in range(len(labels))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """The kinds of items: which label was right, and which one each arm gave."""

    expected: Codes
    predicted: tuple[Codes, ...]
    """For each arm; −1 where it gave none."""
    size: int
    """Labels that occur."""
    values: Floats | None
    """The value of each, where labels have an order."""
    ranks: Floats | None
    """The rank of each, likewise."""
    largest: float

    @classmethod
    def of(cls, arms: Sequence[Answers], labels: Sequence[str], *, ordered: bool) -> tuple[Tallies, Codes, Floats]:
        """Returns the table, the kind of each item, and how many there are of each.

        Args:
            arms: Answers to the same items.
            labels: The label set, in rank order where `ordered`.
            ordered: Whether labels have an order.
        """
        names = sorted({name for arm in arms for name in arm.names})
        place = {name: number for number, name in enumerate(names)}
        maps = [np.array([place[name] for name in arm.names], dtype=np.intp) for arm in arms]
        given = [np.where(arm.labelled, own[arm.predicted_code], -1) for arm, own in zip(arms, maps, strict=True)]
        kinds, codes = kinds_of(maps[0][arms[0].expected_code], *given)
        known = {label: rank for rank, label in enumerate(labels)}
        ranked = ordered and set(names) <= known.keys()
        scale = scale_of(labels)
        table = cls(
            expected=kinds[:, 0],
            predicted=tuple(kinds[:, 1:].T),
            size=len(names),
            values=np.array([scale[known[name]] for name in names]) if ranked else None,
            ranks=np.array([float(known[name]) for name in names]) if ranked else None,
            largest=max(scale) - min(scale) if scale else 0.0,
        )
        return table, codes, np.bincount(codes, minlength=len(kinds)).astype(np.float64)

    @property
    def width(self) -> int:
        """Numbers that are held for each kind; those for each label count as well."""
        return 4 + 3 * self.size // max(1, len(self.expected))

    @property
    def names(self) -> tuple[str, ...]:
        """The figures of an arm."""
        return CLASSES + (ORDERED if self.values is not None else ())

    def figures(self, counts: Floats) -> Floats:
        """Returns the figures of each arm, those of the first arm first.

        Args:
            counts: Resamples × kinds.
        """
        parts = []
        for given in self.predicted:
            parts.append(self._classes(counts, given))
            if self.values is not None:
                parts.append(self._order(counts, given))
        return np.concatenate(parts, axis=1)

    def _among(self, codes: Codes) -> Floats:
        """Returns kinds × labels: 1 where the label is the one; without one, nowhere."""
        table = np.zeros((len(codes), self.size))
        known = codes >= 0
        table[np.flatnonzero(known), codes[known]] = 1.0
        return table

    def _classes(self, counts: Floats, given: Codes) -> Floats:
        """Returns `CLASSES`, over the labels that are expected somewhere in the resample."""
        truth, said = self._among(self.expected), self._among(given)
        support, told, hits = counts @ truth, counts @ said, counts @ (truth * said)
        there = support > 0
        number, n = there.sum(axis=1), counts.sum(axis=1)
        f1 = np.divide(2 * hits, support + told, out=np.zeros_like(hits), where=there)
        recall = np.divide(hits, support, out=np.zeros_like(hits), where=there)
        return np.column_stack(
            [
                f1.sum(axis=1) / number,
                (f1 * support).sum(axis=1) / n,
                2 * hits.sum(axis=1) / (n + (told * there).sum(axis=1)),
                recall.sum(axis=1) / number,
            ]
        )

    def _order(self, counts: Floats, given: Codes) -> Floats:
        """Returns `ORDERED`; NaN where there is nothing to average, or no spread."""
        assert self.values is not None and self.ranks is not None  # noqa: S101, PT018 - asked for with an order alone
        answered = given >= 0
        said = np.where(answered, given, 0)
        gaps = np.where(answered, np.abs(self.values[said] - self.values[self.expected]), 0.0)
        weights = counts * answered
        number, n = weights.sum(axis=1), counts.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            mae = weights @ gaps / number
            every = (weights @ gaps + self.largest * (n - number)) / n
            x, y = self.ranks[self.expected], self.ranks[said]
            apart = weights @ (x - y) ** 2 / number
            chance = (weights @ (x**2 + y**2) - 2 * (weights @ x) * (weights @ y) / number) / number
            kappa = np.where(chance > 0, 1 - apart / chance, np.nan)
        return np.column_stack([mae, every, kappa, self._spearman(weights, number, said)])

    def _spearman(self, weights: Floats, number: Floats, said: Codes) -> Floats:
        """Returns the correlation of mid-ranks."""
        assert self.values is not None  # noqa: S101 - asked for with an order alone
        order = np.argsort(self.values)
        places = [_midranks(weights @ self._among(codes), order)[:, codes] for codes in (self.expected, said)]
        with np.errstate(invalid="ignore", divide="ignore"):
            x, y = (each - ((weights * each).sum(axis=1) / number)[:, None] for each in places)
            spread = (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
            return np.where(spread > 1e-9, (weights * x * y).sum(axis=1) / np.sqrt(spread), np.nan)


def _midranks(counts: Floats, order: Codes) -> Floats:
    """Returns the mean rank of each label's items among all."""
    sorted_counts = counts[:, order]
    ranks = np.empty_like(counts)
    ranks[:, order] = np.cumsum(sorted_counts, axis=1) - sorted_counts / 2
    return ranks
