"""Statistics against published examples, reference packages, exact enumeration and invariants."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, multinomial, norm
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from harness.scoring import bootstrap, statistics
from harness.scoring.bootstrap import bootstrap_p, group_codes, percentile_interval, resampled_means

COUNTS = st.integers(0, 60)


@pytest.mark.parametrize("n", [1, 7, 120, 57_613])
def test_wilson_agrees_with_statsmodels_and_scipy(n: int) -> None:
    for right in {0, 1, n // 3, n - 1, n}:
        expected = proportion_confint(right, n, method="wilson")
        assert statistics.wilson(right, n) == pytest.approx(expected, abs=1e-9)
        scipy = binomtest(right, n).proportion_ci(method="wilson")
        assert statistics.wilson(right, n) == pytest.approx((scipy.low, scipy.high), abs=1e-9)


def test_wilson_gives_the_examples_of_newcombe_1998() -> None:
    # Table I of Newcombe (1998), Stat. Med. 17:857–872, method 3
    assert statistics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert statistics.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert statistics.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert statistics.wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


# Airway hyper-responsiveness (1 and 7 discordant pairs of 21) and complete response (6 and 16 of 161): the worked
# examples of Fagerland, Lydersen & Laake (2014), Stat. Med. 33:2850–2875, and of their book (2017, chapter 8)


def test_tango_gives_the_published_examples() -> None:
    assert statistics.tango(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert statistics.tango(6, 16, 161) == pytest.approx((-0.1240, -0.0054), abs=5e-5)


def test_mcnemar_gives_the_published_examples() -> None:
    assert statistics.mcnemar(6, 16) == pytest.approx(0.034690, abs=5e-7)
    assert statistics.mcnemar(1, 7) == pytest.approx(0.039, abs=5e-4)


@settings(deadline=None)
@given(COUNTS, COUNTS)
def test_mcnemar_is_the_exact_test_less_half_of_what_was_observed(only_a: int, only_b: int) -> None:
    assume(only_a != only_b)
    exact = reference_mcnemar([[0, only_a], [only_b, 0]], exact=True).pvalue
    observed = binom.pmf(only_a, only_a + only_b, 0.5)
    assert statistics.mcnemar(only_a, only_b) == pytest.approx(exact - observed, abs=1e-12)


def test_no_discordant_pair_shows_no_difference() -> None:
    assert statistics.mcnemar(0, 0) == 1.0
    assert statistics.mcnemar(9, 9) == pytest.approx(1.0)
    low, high = statistics.tango(0, 0, 100)
    assert low == -high < 0
    assert high == pytest.approx(norm.ppf(0.975) ** 2 / (100 + norm.ppf(0.975) ** 2))


@settings(deadline=None)
@given(COUNTS, COUNTS, st.integers(0, 500))
def test_tango_holds_the_estimate_and_swapping_the_arms_negates(a: int, b: int, same: int) -> None:
    n = same + a + b
    assume(n)
    low, high = statistics.tango(a, b, n)
    assert -1 <= low <= (a - b) / n <= high <= 1
    assert low < high
    assert statistics.tango(b, a, n) == (-high, -low)
    assert statistics.mcnemar(a, b) == statistics.mcnemar(b, a)
    assert 0 < statistics.mcnemar(a, b) <= 1


@pytest.mark.parametrize(("a", "b", "n"), [(1, 7, 21), (6, 16, 161), (0, 5, 40), (30, 12, 600), (40, 20, 160)])
def test_tango_bounds_are_where_the_score_test_turns(a: int, b: int, n: int) -> None:
    """At each bound the score statistic, with the nuisance parameter found by brute likelihood, is ±1.96."""
    for bound in statistics.tango(a, b, n):

        def surprise(q: float, bound: float = bound) -> float:
            cells = np.array([q + bound, q, 1 - 2 * q - bound])
            counts = np.array([a, b, n - a - b])
            return -float(np.sum(counts * np.log(np.maximum(cells, 1e-300))))

        q = minimize_scalar(
            surprise, bounds=(max(0, -bound), (1 - bound) / 2), method="bounded", options={"xatol": 1e-12}
        ).x
        statistic = (a - b - n * bound) / math.sqrt(n * (2 * q + bound * (1 - bound)))
        assert abs(statistic) == pytest.approx(norm.ppf(0.975), abs=1e-4)


@pytest.mark.parametrize("cells", [(0.05, 0.05), (0.10, 0.05), (0.2, 0.1), (0.25, 0.05), (0.02, 0.01)])
def test_tango_covers_as_announced(cells: tuple[float, float]) -> None:
    """Exact coverage at n = 60, by enumeration of every possible table."""
    n, (p_a, p_b) = 60, cells
    pairs = [(a, b) for a in range(n + 1) for b in range(n + 1 - a)]
    weights = multinomial.pmf([(a, b, n - a - b) for a, b in pairs], n, [p_a, p_b, 1 - p_a - p_b])
    covered = 0.0
    for (a, b), weight in zip(pairs, weights, strict=True):
        if weight > 1e-7:
            low, high = statistics.tango(a, b, n)
            covered += weight * (low <= p_a - p_b <= high)
    # With fewer than ten discordant pairs expected the interval may be cautious
    assert 0.93 <= covered <= (0.97 if n * (p_a + p_b) >= 10 else 1.0)


# Few, for statsmodels collects the garbage of the whole process each time
@pytest.mark.parametrize("size", [1, 2, 7, 20])
def test_holm_agrees_with_statsmodels(size: int) -> None:
    p_values = (np.random.default_rng(size).random(size).round(1) ** 3).tolist()  # some of them equal
    assert statistics.holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


@pytest.mark.parametrize("n", [1, 5, 400])
def test_all_pairs_discordant_in_one_direction(n: int) -> None:
    low, high = statistics.tango(n, 0, n)
    assert (low < 1.0, high) == (True, 1.0)
    assert statistics.tango(0, n, n) == (-1.0, -low)


def test_holm_of_nothing_is_nothing() -> None:
    assert statistics.holm([]) == []


def test_power_gives_the_known_numbers() -> None:
    # Connor (1987): at 10% discordance, 1, 2 and 5 points need about 7,850, 1,960 and 312 items
    assert [statistics.n_for_80_power(points / 100, 0.1) for points in (1, 2, 5)] == [7847, 1960, 312]
    assert statistics.n_for_80_power(0.0, 0.1) is None
    assert statistics.n_for_80_power(0.02, 0.0) == statistics.n_for_80_power(0.02, 0.02)
    assert statistics.n_for_80_power(0.02, 0.1, 2.0) == pytest.approx(2 * 1960, abs=1)


@settings(deadline=None)
@given(st.integers(20, 100_000), st.floats(0, 1))
def test_the_smallest_difference_is_the_one_that_needs_just_this_many(n: int, discordance: float) -> None:
    least = statistics.smallest_difference(n, discordance)
    assert least is not None
    needed = statistics.n_for_80_power(least, discordance)
    assert needed is not None
    assert abs(needed - n) <= 1


def test_too_few_examples_show_nothing() -> None:
    assert statistics.smallest_difference(1, 0.5) is None


def test_announced_power_is_reached() -> None:
    """Exact power of the mid-p test at the announced number of items."""
    delta, discordance = 0.08, 0.2
    n = statistics.n_for_80_power(delta, discordance)
    assert n is not None
    rng = np.random.default_rng(5)
    draws = rng.multinomial(n, [(discordance + delta) / 2, (discordance - delta) / 2, 1 - discordance], size=4000)
    shown = np.mean([statistics.mcnemar(int(a), int(b)) < 0.05 for a, b, _ in draws])
    assert shown == pytest.approx(0.8, abs=0.05)


def test_the_bootstrap_is_seeded_and_agrees_with_the_closed_form() -> None:
    rng = np.random.default_rng(1)
    right = rng.random((800, 2)) < [0.9, 0.8]
    codes = group_codes([str(number) for number in range(800)], {})
    means = resampled_means(right, codes, seed=3)
    assert np.array_equal(means, resampled_means(right, codes, seed=3))
    assert not np.array_equal(means, resampled_means(right, codes, seed=4))
    assert means.mean(axis=0) == pytest.approx(right.mean(axis=0), abs=1e-3)
    assert percentile_interval(means[:, 0], 800) == pytest.approx(
        statistics.wilson(int(right[:, 0].sum()), 800), abs=0.005
    )
    gap = means[:, 0] - means[:, 1]
    only_a, only_b = int((right[:, 0] & ~right[:, 1]).sum()), int((~right[:, 0] & right[:, 1]).sum())
    assert percentile_interval(gap, 800) == pytest.approx(statistics.tango(only_a, only_b, 800), abs=0.005)


def test_groups_of_equal_answers_count_as_one_example() -> None:
    once = np.random.default_rng(2).random(100) < 0.7
    codes = np.arange(100)
    plain = resampled_means(once, codes, seed=1)
    fivefold = resampled_means(np.repeat(once, 5), np.repeat(codes, 5), seed=1)
    assert np.allclose(plain, fivefold)


def test_with_many_groups_the_limit_gives_the_same_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    codes = rng.permutation(np.arange(6000) % 2500)
    right = rng.random((6000, 2)) < [0.9, 0.7]
    drawn = resampled_means(right, codes, seed=1, resamples=20_000)
    monkeypatch.setattr(bootstrap, "MANY_GROUPS", 2500)
    limit = resampled_means(right, codes, seed=1, resamples=20_000)
    for one, other in ((drawn[:, 0], limit[:, 0]), (drawn @ [1, -1], limit @ [1, -1])):
        assert percentile_interval(one, 2500) == pytest.approx(percentile_interval(other, 2500), abs=1e-3)


def test_groups_may_differ_in_size() -> None:
    means = resampled_means([1.0, 1.0, 1.0, 0.0], np.array([0, 0, 0, 1]), seed=1)[:, 0]
    assert set(np.unique(means)) == {0.0, 0.75, 1.0}


def test_group_codes_do_not_depend_on_order() -> None:
    ids, groups = ["e1", "e2", "e3"], {"e1": "x", "e3": "x"}
    codes = dict(zip(ids, group_codes(ids, groups), strict=True))
    turned = dict(zip(ids[::-1], group_codes(ids[::-1], groups), strict=True))
    assert codes == turned
    assert codes["e1"] == codes["e3"] != codes["e2"]


def test_clustered_interval_covers_where_the_plain_one_does_not() -> None:
    """25 groups of 8 whose examples go together: the clustered interval covers, one that ignores groups does not."""
    rng = np.random.default_rng(11)
    clustered = plain = 0
    codes = np.repeat(np.arange(25), 8)
    for trial in range(300):
        share = rng.beta(0.7 * 1.5, 0.3 * 1.5, size=25)
        right = rng.random(200) < share[codes]
        low, high = percentile_interval(resampled_means(right, codes, trial, resamples=800)[:, 0], 25)
        clustered += low <= 0.7 <= high
        low, high = statistics.wilson(int(right.sum()), 200)
        plain += low <= 0.7 <= high
    assert 0.91 <= clustered / 300 <= 0.99
    assert plain / 300 < 0.85


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=5, max_size=40), st.integers(0, 99))
def test_bootstrap_p_is_symmetric_and_a_probability(values: list[float], seed: int) -> None:
    codes = np.arange(len(values))
    means = resampled_means(values, codes, seed, resamples=400)[:, 0]
    p = bootstrap_p(means, len(values))
    assert 0 < p <= 1
    assert bootstrap_p(-means, len(values)) == pytest.approx(p)


def test_one_group_says_nothing() -> None:
    means = resampled_means([1.0, 0.0], np.array([0, 0]), seed=1)[:, 0]
    assert percentile_interval(means, 1) == (-math.inf, math.inf)
    assert bootstrap_p(means, 1) == 1.0
