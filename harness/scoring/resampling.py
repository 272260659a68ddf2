"""The bootstrap of figures that are no means, such as F1: functions of how many items of each kind there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.scoring.answers import Codes, Floats
from harness.scoring.bootstrap import ALIKE, generator, percentile_interval, tallied
from harness.scoring.statistics import Interval

RESAMPLES = 2_000
"""Resamples of a figure that is no mean."""
FEWEST = 200
"""… at least, where each of them takes long."""
_CELLS = 4_000_000
"""Numbers that are held at once: 32 MB."""
_WORK = 100_000_000
"""Numbers that are gone through for one figure: half a second or so."""


def kinds_of(*columns: NDArray[Any]) -> tuple[Codes, Codes]:
    """Tells items apart by what counts of them.

    Args:
        columns: Whole numbers of each item; items with equal ones are of one kind.

    Returns:
        The distinct rows of the columns, and the kind of each item, numbered from 0 without gaps.
    """
    table = np.column_stack(columns).astype(np.intp)
    low = table.min(axis=0)
    sizes = (table.max(axis=0) - low + 1).tolist()
    # One number for each row: sorting, or even counting, these takes a fraction of comparing rows
    codes = np.ravel_multi_index(tuple((table - low).T), sizes)
    if math.prod(sizes) <= 8 * len(codes):
        kinds = np.flatnonzero(np.bincount(codes, minlength=math.prod(sizes)))
        places = np.zeros(math.prod(sizes), dtype=np.intp)
        places[kinds] = np.arange(len(kinds))
        codes = places[codes]
    else:
        kinds, codes = np.unique(codes, return_inverse=True)
    return np.column_stack(np.unravel_index(kinds, sizes)) + low, codes


def resampled(kinds: Codes, groups: Codes, figures: Callable[[Floats], Floats], seed: int, width: int = 1) -> Floats:
    """Returns figures of resampled data, one row for each of as many resamples as take no longer than is bearable.

    Whole groups are drawn with replacement, as by `bootstrap.resampled_means`; all figures share each resample.

    Args:
        kinds: The kind of each item, numbered from 0 without gaps.
        groups: The group of each item, likewise.
        figures: Resamples × kinds, how often each kind was drawn → resamples × figures.
        seed: The same seed gives the same resamples.
        width: Numbers that `figures` holds for each kind.
    """
    number = int(np.max(kinds)) + 1
    resamples = int(np.clip(_WORK // (number * width), FEWEST, RESAMPLES))
    block = max(1, _CELLS // (max(number, int(np.max(groups)) + 1) * width))
    return np.concatenate([figures(counts) for counts in _counts(kinds, groups, seed, resamples, block)])


def interval(values: Floats, groups: int) -> Interval | None:
    """Returns the expanded percentile interval of a figure, over the resamples that have one.

    `None` with fewer than two groups, or where the figure is mostly not there.
    """
    known = values[np.isfinite(values)]
    return None if groups < 2 or 2 * len(known) < len(values) else percentile_interval(known, groups)


def method(resamples: int, *, clustered: bool) -> str:
    """Names the method of an interval."""
    return f"{'clustered bootstrap' if clustered else 'bootstrap'}, {resamples:,} resamples of " + (
        "groups" if clustered else "test items"
    )


def _counts(kinds: Codes, groups: Codes, seed: int, resamples: int, block: int) -> Iterator[Floats]:
    """Yields how often each kind was drawn, some resamples at a time."""
    rng = generator(seed)
    n, number, parts = len(kinds), int(np.max(kinds)) + 1, int(np.max(groups)) + 1
    clustered = parts < n
    share = np.bincount(kinds, minlength=number) / n
    held = _held(kinds, groups) if clustered else None
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        if not clustered and number * ALIKE <= n:
            yield rng.multinomial(n, share, size=rows).astype(np.float64)
            continue
        draws = rng.integers(parts, size=(rows, parts))
        if held is None:
            yield tallied(kinds[draws], number)
        else:
            yield np.asarray((held @ tallied(draws, parts).T).T)


def _held(kinds: Codes, groups: Codes) -> Any:
    """Returns what each group holds: a sparse table of kinds × groups."""
    from scipy.sparse import coo_array

    shape = int(np.max(kinds)) + 1, int(np.max(groups)) + 1
    return coo_array((np.ones(len(kinds)), (kinds, groups)), shape=shape).tocsr()
