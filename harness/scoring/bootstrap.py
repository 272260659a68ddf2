"""The bootstrap of means, by example or by group: seeded, vectorised, the same resamples for all arms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from harness.scoring.answers import Codes, Floats
from harness.scoring.statistics import LEVEL, Interval

RESAMPLES = 10_000
"""Resamples behind every bootstrap interval."""
MANY_GROUPS = 20_000
"""From here on the resampled means are drawn from their limit instead of resample by resample."""
ALIKE = 8
"""From so many groups for each distinct one on, it is drawn how often each distinct one comes."""
_CELLS = 4_000_000
"""Cells of one block of resampling weights: 32 MB."""


def generator(seed: int) -> np.random.Generator:
    """Returns what draws by an experiment's seed, whatever its sign: numpy has no seeds below 0."""
    return np.random.default_rng(abs(seed))


def group_codes(ids: Sequence[str], groups: Mapping[str, str]) -> Codes:
    """Numbers the group of each example from 0, in sorted order: no hash order changes a resample.

    Args:
        ids: Example ids.
        groups: Example id → group; an example that is left out is a group of its own.
    """
    named = [f"group {groups[key]}" if key in groups else f"alone {key}" for key in ids]
    return np.unique(np.array(named, dtype=np.str_), return_inverse=True)[1]


def resampled_means(values: Any, codes: Codes, seed: int, resamples: int = RESAMPLES) -> Floats:
    """Returns the means of resampled data, one row for each resample, one column for each column of `values`.

    Whole groups are drawn with replacement (Davison & Hinkley 1997, Bootstrap Methods and their Application, §3.8;
    Field & Welsh 2007, J. R. Stat. Soc. B 69:369–390) and the mean is taken over their examples, so groups of any
    size count by what they hold. Where every example is a group of its own this is the ordinary bootstrap (Efron
    1979). All columns share each resample: the difference of two columns is the paired bootstrap's.

    With `MANY_GROUPS` or more the draws come from the normal distribution to which the bootstrap's tends, with the
    covariance of the linearised means (Davison & Hinkley 1997, §2.7): no interval differs by a digit that is shown.

    Args:
        values: Array of examples × quantities.
        codes: The group of each example, numbered from 0 without gaps.
        seed: The same seed gives the same resamples.
        resamples: How many to draw.
    """
    table = np.asarray(values, dtype=np.float64)
    table = table.reshape(len(table), -1)
    number = int(np.max(codes)) + 1
    sizes = np.bincount(codes, minlength=number).astype(np.float64)
    totals = [np.bincount(codes, weights=column, minlength=number) for column in table.T]
    sums: Floats = np.stack(totals, axis=1).astype(np.float64)
    rng = generator(seed)
    if number >= MANY_GROUPS:
        return _limit(sums, sizes, rng, resamples)
    kinds, counts = np.unique(np.column_stack([sums, sizes]), axis=0, return_counts=True)
    alike = len(kinds) * ALIKE <= number
    if alike:  # groups that hold the same are interchangeable: the counts of each kind are multinomial
        sums, sizes = kinds[:, :-1], kinds[:, -1]
    blocks: list[Floats] = []
    block = max(1, _CELLS // len(sizes))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        if alike:
            drawn = rng.multinomial(number, counts / number, size=rows).astype(np.float64)
        else:
            drawn = tallied(rng.integers(number, size=(rows, number)), number)
        blocks.append((drawn @ sums) / (drawn @ sizes)[:, None])
    return np.concatenate(blocks)


def tallied(draws: Codes, number: int) -> Floats:
    """Returns how often each of `number` things, numbered from 0, is drawn, a row for each resample."""
    rows = len(draws)
    places = draws + number * np.arange(rows)[:, None]
    return np.bincount(places.ravel(), minlength=rows * number).reshape(rows, number).astype(np.float64)


def _limit(sums: Floats, sizes: Floats, rng: np.random.Generator, resamples: int) -> Floats:
    """Draws means from their limiting normal distribution."""
    means = sums.sum(axis=0) / sizes.sum()
    influence = (sums - means * sizes[:, None]) / sizes.mean()
    covariance = np.atleast_2d(influence.T @ influence) / len(sizes) ** 2
    return rng.multivariate_normal(means, covariance, size=resamples, check_valid="ignore", method="eigh")


def percentile_interval(means: Any, groups: int, level: float = LEVEL) -> Interval:
    """Returns the expanded percentile interval of resampled means.

    The plain percentile interval is too short with few groups: it takes a normal quantile for Student's and divides
    by n for n − 1. The expanded one corrects both (Hesterberg 2015, Am. Stat. 69:371–386, §5.3) and tends to the
    plain one as groups grow many.

    Args:
        means: Resampled means of one quantity.
        groups: Number of groups that were resampled.
        level: Confidence level.
    """
    if groups < 2:
        return float("-inf"), float("inf")
    tail = float(ndtr(math.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, 0.5 - level / 2)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_p(means: Any, groups: int) -> float:
    """Returns the two-sided p value for the hypothesis that the true mean is 0.

    The level at which the expanded percentile interval would just touch 0; never below what the number of resamples
    can show (Davison & Hinkley 1997, §4.2: one is added to the count and to the number).
    """
    if groups < 2:
        return 1.0
    data = np.asarray(means)
    # A tie with 0 counts half to each side, so swapping the arms changes nothing.
    below = float(np.count_nonzero(data < 0)) + 0.5 * float(np.count_nonzero(data == 0))
    tail = (min(below, len(data) - below) + 1) / (len(data) + 1)
    if tail >= 0.5:
        return 1.0
    return min(1.0, 2 * float(stdtr(groups - 1, float(ndtri(tail)) / math.sqrt(groups / (groups - 1)))))
