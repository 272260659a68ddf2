"""Metrics beyond accuracy against scikit-learn, scipy and sums by hand."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import (
    balanced_accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    log_loss,
)

import harness
from harness_plugins.metrics.balanced_accuracy import BalancedAccuracy
from harness_plugins.metrics.brier import Brier
from harness_plugins.metrics.calibration import Calibration
from harness_plugins.metrics.expected_label import ExpectedLabel
from harness_plugins.metrics.f1 import F1
from harness_plugins.metrics.kappa import QuadraticKappa
from harness_plugins.metrics.log_loss import LogLoss
from harness_plugins.metrics.spearman import Spearman

STARS = ("1", "2", "10")
ALL = (BalancedAccuracy(), Brier(), Calibration(), ExpectedLabel(), F1(), QuadraticKappa(), LogLoss(), Spearman())

Row = tuple[str, str | None, Sequence[float] | None]


def rows(given_rows: Sequence[Row], *, ordered: bool = True, labels: Sequence[str] = STARS) -> harness.Rows:
    return harness.Rows(
        rows=tuple(
            harness.Row(
                example_id=str(n),
                expected=expected,
                predicted=predicted,
                status=harness.Status.UNPARSED if predicted is None else harness.Status.ANSWERED,
                probabilities=None if shares is None else dict(zip(labels, shares, strict=True)),
            )
            for n, (expected, predicted, shares) in enumerate(given_rows)
        ),
        labels=tuple(labels),
        ordered=ordered,
    )


@st.composite
def answered(draw: st.DrawFn, *, whole: bool = False) -> list[Row]:
    found: list[Row] = []
    for _ in range(draw(st.integers(1, 16))):
        weights = [draw(st.integers(0, 20)) for _ in STARS]
        total = sum(weights)
        shares = [weight / total for weight in weights] if total and (whole or draw(st.booleans())) else None
        if whole and shares is None:
            shares = [0.5, 0.25, 0.25]
        predicted = draw(st.sampled_from([*STARS, None])) if not whole else draw(st.sampled_from(STARS))
        found.append((draw(st.sampled_from(STARS)), predicted, shares))
    return found


@given(answered())
def test_classes_as_scikit_learn_has_them(given_rows: list[Row]) -> None:
    expected = [row[0] for row in given_rows]
    predicted = [row[1] or "?" for row in given_rows]
    scored = rows(given_rows)
    present = sorted(set(expected))
    for kind in ("micro", "weighted"):
        wanted = f1_score(expected, predicted, labels=present, average=kind, zero_division=0)
        assert F1().score(scored)[f"{kind}_f1"] == pytest.approx(wanted, abs=1e-12)
    if len(present) > 1 and set(predicted) <= set(present):  # scikit-learn warns of classes that are not expected
        wanted = balanced_accuracy_score(expected, predicted)
        assert BalancedAccuracy().score(scored)["balanced_accuracy"] == pytest.approx(wanted, abs=1e-12)


@given(answered(whole=True))
def test_ranks_as_scikit_learn_and_scipy_have_them(given_rows: list[Row]) -> None:
    expected = [float(row[0]) for row in given_rows]
    predicted = [float(str(row[1])) for row in given_rows]
    kappa = QuadraticKappa().score(rows(given_rows))["quadratic_kappa"]
    rho = Spearman().score(rows(given_rows))["spearman"]
    if len(set(expected)) > 1 and len(set(predicted)) > 1:
        assert rho == pytest.approx(spearmanr(expected, predicted).statistic, abs=1e-12)
        # by rank, not by value: 10 is the third label
        ranks = [[STARS.index(str(int(value))) for value in values] for values in (expected, predicted)]
        assert kappa == pytest.approx(cohen_kappa_score(*ranks, labels=[0, 1, 2], weights="quadratic"), abs=1e-12)
    else:
        assert rho is None


@given(answered(whole=True))
def test_probabilities_as_scikit_learn_scores_them(given_rows: list[Row]) -> None:
    names = sorted(STARS)
    table = np.array([[dict(zip(STARS, row[2] or (), strict=True))[name] for name in names] for row in given_rows])
    expected = [row[0] for row in given_rows]
    scored = rows(given_rows)
    assert LogLoss().score(scored)["log_loss"] == pytest.approx(log_loss(expected, table, labels=names), abs=1e-9)
    wanted = brier_score_loss(expected, table, labels=names, scale_by_half=False)
    assert Brier().score(scored)["brier"] == pytest.approx(wanted, abs=1e-12)
    means = [sum(float(star) * share for star, share in zip(STARS, row[2] or (), strict=True)) for row in given_rows]
    errors = [abs(mean - float(star)) for mean, star in zip(means, expected, strict=True)]
    assert ExpectedLabel().score(scored)["expected_label_mae"] == pytest.approx(sum(errors) / len(errors), abs=1e-9)


@given(answered(), st.booleans(), st.randoms())
def test_figures_are_finite_or_none_and_row_order_changes_nothing(
    given_rows: list[Row], ordered: bool, draw: random.Random
) -> None:
    mixed = list(given_rows)
    draw.shuffle(mixed)
    for metric in ALL:
        first = metric.score(rows(given_rows, ordered=ordered))
        for name, value in first.items():
            assert value is None or math.isfinite(value), (metric.name, name)
        assert metric.score(rows(mixed, ordered=ordered)) == pytest.approx(first)


def test_without_rows_nothing_is_said() -> None:
    for metric in ALL:
        assert set(metric.score(rows([])).values()) == {None}


def test_without_probabilities_nothing_is_said_of_them() -> None:
    for metric in (Brier(), Calibration(), ExpectedLabel(), LogLoss()):
        assert set(metric.score(rows([("1", "1", None), ("2", "1", None)])).values()) == {None}


@pytest.mark.parametrize("wrong", [(0.9, 0.9, 0.1), (-0.5, 1.0, 0.5), (math.nan, 0.5, 0.5)])
def test_what_is_no_distribution_is_not_scored(wrong: tuple[float, ...]) -> None:
    told: list[Row] = [("1", "1", (0.8, 0.1, 0.1)), ("2", "1", wrong)]
    for metric in (Brier(), Calibration(), ExpectedLabel(), LogLoss()):
        assert set(metric.score(rows(told)).values()) == {None}


def test_rounded_probabilities_count_as_what_they_stand_for() -> None:
    told: list[Row] = [("1", "1", (0.3333, 0.3333, 0.3333))]
    assert Brier().score(rows(told))["brier"] == pytest.approx(2 / 3)


def test_calibration_by_hand() -> None:
    """20 answers at 0.9 of which 15 are right, 20 at 0.6 of which 12 are: gaps 0.15 and 0."""
    high: list[Row] = [("1" if n < 15 else "2", "1", (0.9, 0.1, 0.0)) for n in range(20)]
    low: list[Row] = [("1" if n < 12 else "2", "1", (0.6, 0.4, 0.0)) for n in range(20)]
    assert Calibration(bins=2).score(rows(high + low))["ece"] == pytest.approx((0.15 + 0.0) / 2)
    # a bin has 10 answers at least, so 19 answers make one
    assert Calibration(bins=10).score(rows(high[:19]))["ece"] == pytest.approx(abs(15 / 19 - 0.9))
    unparsed: list[Row] = [("1", None, (0.9, 0.1, 0.0))]
    assert Calibration().score(rows(unparsed))["ece"] is None


def test_a_number_of_bins_that_is_none() -> None:
    with pytest.raises(ValueError, match="bins = 0"):
        Calibration(bins=0)
