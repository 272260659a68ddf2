"""Intervals, wins and power held against drawn experiments whose truth is known (short; `benchmarks/intervals.py`)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from support.simulation import CLAIMS, Cell, coverage, drawn, panel, power, verdict_of_equals

from harness.scoring.statistics import n_for_80_power

EXPERIMENTS = 400
UNLUCKY = 1e-4
"""Chance that a right interval fails a test; the seeds are fixed, so it does not happen now and then."""


def test_drawn_answers_have_the_accuracies_they_should() -> None:
    right = drawn(np.random.default_rng(1), 100_000, (0.7, 0.9), 0.5, 10, 0.3)
    assert right.mean(axis=0) == pytest.approx([0.7, 0.9], abs=0.01)
    assert np.corrcoef(right.T)[0, 1] > 0.2
    # items of a group are alike: group means vary more than those of independent items
    means = right[:, 0].reshape(-1, 10).mean(axis=1)
    assert means.var() > 1.5 * 0.7 * 0.3 / 10


@pytest.mark.parametrize(
    "cell",
    [
        Cell(n=60, accuracies=(0.6, 0.6)),
        Cell(n=300, accuracies=(0.8, 0.85), shared=0.8),
        Cell(n=1000, accuracies=(0.9, 0.93), shared=0.0),
        Cell(n=200, accuracies=(0.7, 0.75), size=5),
        Cell(n=600, accuracies=(0.8, 0.8), size=20, within=0.5),
    ],
    ids=lambda cell: f"{cell.n} by {cell.size}",
)
def test_intervals_hold_the_truth_as_often_as_they_say(cell: Cell) -> None:
    held = coverage(cell, EXPERIMENTS, seed=3, resamples=1_000)
    low, high = binom.ppf([UNLUCKY, 1 - UNLUCKY], EXPERIMENTS, [0.93, 0.975]) / EXPERIMENTS
    assert low <= held.difference <= high
    assert low <= held.accuracy <= high
    if cell.accuracies[0] == cell.accuracies[1]:
        assert held.decisive <= binom.ppf(1 - UNLUCKY, EXPERIMENTS, 0.05) / EXPERIMENTS


def test_groups_that_are_overlooked_would_show() -> None:
    """The same items taken as independent: their interval holds the truth too rarely, so these tests can fail."""
    cell = Cell(n=600, accuracies=(0.8, 0.8), size=20, within=0.6)
    rng = np.random.default_rng(5)
    missed = 0
    for number in range(200):
        low, high = panel(cell.draw(rng), 1, number, 100).accuracy_interval("a")[0]
        missed += not low <= 0.8 <= high
    assert missed / 200 > 0.2


def test_a_win_among_equals_is_rare() -> None:
    rng = np.random.default_rng(11)
    kinds = [verdict_of_equals(rng, 80, 80, 6, 0.8) for _ in range(60)]
    assert sum(kind in CLAIMS for kind in kinds) <= binom.ppf(1 - UNLUCKY, 60, 0.05)
    assert "not-enough-data" in kinds


@pytest.mark.parametrize(("difference", "discordance"), [(0.05, 0.2), (0.1, 0.15)])
def test_power_is_what_is_announced(difference: float, discordance: float) -> None:
    n = n_for_80_power(difference, discordance)
    assert n is not None
    shown = power(n, difference, discordance, 1_000, seed=2)
    assert 0.75 <= shown <= 0.86
    assert power(n // 3, difference, discordance, 1_000, seed=2) < 0.6
