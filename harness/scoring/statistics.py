"""Closed-form statistics of paired right/wrong answers: intervals, tests, power.

What varies is the test sample: every interval says what other test sets of the same size and origin would have shown.
Here `only_a` counts the examples that arm a alone answered correctly, `only_b` those that arm b alone did; both stand
among the same `n` examples. All functions are pure and take plain numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.optimize import brentq
from scipy.special import bdtr, ndtri

LEVEL = 0.95
"""Level of every interval."""
ALPHA = 0.05
"""Two-sided level at which the primary comparison decides."""
POWER = 0.8

Interval = tuple[float, float]


def wilson(right: float, n: float) -> Interval:
    """Returns the score interval of a proportion.

    Wilson (1927), J. Am. Stat. Assoc. 22:209–212; method 3 of Newcombe (1998), Stat. Med. 17:857–872.

    Args:
        right: Number of successes.
        n: Number of trials, above 0; may be a fraction where trials that depend on each other count for less.
    """
    z = float(ndtri(0.5 + LEVEL / 2))
    share, shrink = right / n, 1 + z * z / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low = 0.0 if right == 0 else (centre - half) / shrink
    high = 1.0 if right == n else (centre + half) / shrink
    return low, high


def tango(only_a: int, only_b: int, n: int) -> Interval:
    """Returns the score interval of the difference between two paired proportions, accuracy(a) − accuracy(b).

    Tango (1998), Stat. Med. 17:891–908: it inverts the score test whose case of no difference is McNemar's, keeps
    close to its level in small samples, and needs no discordant pair. Recommended by Fagerland, Lydersen and Laake
    (2014), Stat. Med. 33:2850–2875. Swapping the arms negates it exactly.

    Args:
        only_a: Examples that only a answered correctly.
        only_b: Examples that only b answered correctly.
        n: Number of examples, at least 1.
    """
    if only_a < only_b:
        low, high = tango(only_b, only_a, n)
        return -high, -low
    z = float(ndtri(0.5 + LEVEL / 2))
    estimate = (only_a - only_b) / n

    def excess(difference: float, bound: float) -> float:
        return _tango_statistic(only_a, only_b, n, difference) - bound

    high = 1.0 if only_a == n else float(brentq(excess, estimate, 1.0, args=(-z,), xtol=1e-14))
    low = -high if only_a == only_b else float(brentq(excess, -1.0, estimate, args=(z,), xtol=1e-14))
    return low, high


def _tango_statistic(only_a: int, only_b: int, n: int, difference: float) -> float:
    """Returns the score statistic for the hypothesis that the true difference is `difference` (Tango 1998, eq. 14)."""
    a = 2 * n
    b = -only_a - only_b + (2 * n - only_a + only_b) * difference
    c = -only_b * difference * (1 - difference)
    # max: rounding can push what is mathematically not negative a hair below zero
    q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
    variance = n * max(2 * q + difference * (1 - difference), 0.0)
    distance = only_a - only_b - n * difference
    if variance == 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def mcnemar(only_a: int, only_b: int) -> float:
    """Returns the two-sided mid-p value of McNemar's test; 1 with no discordant pair.

    The exact conditional test on Binomial(only_a + only_b, 1/2), less half the probability of what was observed:
    Fagerland, Lydersen and Laake (2013), BMC Med. Res. Methodol. 13:91, who recommend it over the exact one.
    """
    discordant, fewer = only_a + only_b, min(only_a, only_b)
    if not discordant:
        return 1.0
    below = float(bdtr(fewer - 1, discordant, 0.5)) if fewer else 0.0
    # 2·P(X ≤ fewer) − P(X = fewer) = P(X ≤ fewer) + P(X < fewer)
    return min(1.0, float(bdtr(fewer, discordant, 0.5)) + below)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusts p values for their number, in the order given.

    Holm (1979), Scand. J. Stat. 6:65–70: the chance of one false claim or more among all stays below the level,
    whatever the dependence.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for rank, index in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = reached
    return adjusted


def n_for_80_power(difference: float, discordance: float, design_effect: float = 1.0) -> int | None:
    """Returns how many examples show `difference` in four test sets of five, two-sided at 5%.

    Connor (1987), Biometrics 43:207–211:
    n = (z₀.₉₇₅ √ψ + z₀.₈ √(ψ − δ²))² / δ², with δ the difference and ψ the share of discordant pairs.

    Args:
        difference: True difference in accuracy, as a share; the margin in most uses.
        discordance: Share of examples that exactly one of the arms answers correctly. No difference exceeds it, so
            `difference` stands in where it is larger.
        design_effect: How many times the variance of independent examples the groups bring.

    Returns:
        The number, or `None` where `difference` is 0: no number shows it.
    """
    delta = abs(difference)
    if delta == 0:
        return None
    return math.ceil(_connor(delta, discordance) * design_effect - 1e-9)


def smallest_difference(n: int, discordance: float, design_effect: float = 1.0) -> float | None:
    """Returns the smallest difference in accuracy that `n` examples show with 80% power, two-sided at 5%.

    The inverse of `n_for_80_power`.

    Returns:
        A share, or `None` where even a difference of 1 would not show.
    """
    effective = n / design_effect
    if _connor(1.0, discordance) > effective:
        return None
    return float(brentq(lambda delta: _connor(delta, discordance) - effective, 1e-9, 1.0, xtol=1e-12))


def _connor(delta: float, discordance: float) -> float:
    """Returns the unrounded number of pairs; decreasing in `delta`."""
    psi = max(discordance, delta)
    reach = float(ndtri(1 - ALPHA / 2)) * math.sqrt(psi) + float(ndtri(POWER)) * math.sqrt(max(psi - delta**2, 0.0))
    return (reach / delta) ** 2
