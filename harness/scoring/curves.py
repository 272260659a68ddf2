"""Learning curves and shot curves in numbers: what each size came to, the slope, where a curve passes a prompt; pure.

Everything is accuracy against the doublings of the training set, log2 n: that is the scale on which learning curves
are nearly straight in the range that people can afford.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from harness.scoring.answers import Figures, Floats
from harness.scoring.bootstrap import generator, group_codes, resampled_means
from harness.scoring.statistics import LEVEL

LEAST_SIZES = 3
"""Different sizes without which there is no line to fit."""
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One point of a curve that was measured."""

    x: int
    """Training examples, or shots."""
    run: int
    """Its seed or draw."""
    right: Mapping[str, float]
    """Example id → 1 where the answer was right, else 0. All points of a curve are over the same examples."""

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return math.fsum(self.right.values()) / len(self.right)


def summary(points: Sequence[Measured]) -> list[Figures]:
    """Returns for each x the `mean` over its `n` seeds or draws, and the `low`est and `high`est of them.

    The latter are `None` where there is one only.
    """
    lines = []
    for x, found in sorted(_by_x(points).items()):
        values = [point.accuracy for point in found]
        spread = (min(values), max(values)) if len(values) > 1 else (None, None)
        mean = math.fsum(values) / len(values)
        lines.append({"x": x, "mean": mean, "low": spread[0], "high": spread[1], "n": len(values)})
    return lines


def _by_x(points: Sequence[Measured]) -> dict[int, list[Measured]]:
    found: dict[int, list[Measured]] = defaultdict(list)
    for point in points:
        found[point.x].append(point)
    return found


def fit(points: Sequence[Measured]) -> Figures | None:
    """Fits accuracy = intercept + slope · log2 n to the points by least squares; `None` below three sizes.

    Points of one seed are nested and all are over the same examples, so they are not independent: the standard error
    is that of ordinary least squares, and says how straight the curve is rather than what other data would show.

    Returns:
        `slope` (accuracy gained per doubling), `slope_se`, `slope_ci` (95%, Student's t), `intercept`, `n_points` and
        `n_sizes`.
    """
    from scipy.stats import linregress

    sizes = {point.x for point in points}
    if len(sizes) < LEAST_SIZES:
        return None
    line = linregress(np.log2([point.x for point in points]), [point.accuracy for point in points])
    slope, error = float(line.slope), float(np.nan_to_num(line.stderr))  # SciPy has no error for a level curve
    half = float(stdtrit(len(points) - 2, 0.5 + LEVEL / 2)) * error
    return {
        "slope": slope,
        "slope_se": error,
        "slope_ci": [slope - half, slope + half],
        "intercept": float(line.intercept),
        "n_points": len(points),
        "n_sizes": len(sizes),
    }


def crossing(
    points: Sequence[Measured], reference: Mapping[str, float], groups: Mapping[str, str], seed: int
) -> Figures | None:
    """Returns from how many training examples on a learning curve is at least as accurate as a prompt.

    Between two measured sizes the curve's mean is a straight line over log2 n. What counts is the size from which it
    stays there: a curve that falls back has not passed.

    Args:
        points: Of one curve.
        reference: Example id → how right the prompt was, for the examples of the points.
        groups: Example id → group, where examples have groups.
        seed: Of the resamples.

    Returns:
        `kind`: `between` (within what was measured), `below` (at the smallest size already) or `not-reached` (not with
        the largest: nothing is said of sizes that were not measured). `n`: the number of examples, `None` where there
        is none to name. `ci`: its 95% interval over seeds and examples, an end of it `None` where it lies outside what
        was measured; `None` with a single seed. `reached`: the share of resamples in which the curve was there at the
        largest size. `None` without any point.
    """
    if not points:
        return None
    ids = sorted(reference)
    accuracy = math.fsum(reference.values()) / len(reference)
    lines = summary(points)
    sizes = np.log2([line["x"] for line in lines])
    place = _passes(sizes, [line["mean"] for line in lines], accuracy)
    kind = {-math.inf: "below", math.inf: "not-reached"}.get(place, "between")
    n = float(2**place) if kind == "between" else None
    places = _resampled(points, [reference[name] for name in ids], ids, groups, seed)
    return {"accuracy": accuracy, "kind": kind, "n": n, **_interval(places)}


def _passes(sizes: Sequence[float] | Floats, means: Sequence[float] | Floats, accuracy: float) -> float:
    """Returns log2 of the size from which the means stay at or above: −∞ from the first on, ∞ not at the last."""
    if means[-1] < accuracy:
        return math.inf
    for (x0, y0), (x1, y1) in reversed(list(pairwise(zip(sizes, means, strict=True)))):
        if y0 < accuracy:
            return float(x0 + (accuracy - y0) / (y1 - y0) * (x1 - x0))
    return -math.inf


def _resampled(
    points: Sequence[Measured], reference: Sequence[float], ids: Sequence[str], groups: Mapping[str, str], seed: int
) -> Floats | None:
    """Returns where resamples of seeds and examples pass; `None` with a single seed."""
    runs = sorted({point.run for point in points})
    if len(runs) < 2:
        return None
    xs = sorted({point.x for point in points})
    table = [[point.right[name] for name in ids] for point in points] + [list(reference)]
    means = resampled_means(np.array(table).T, group_codes(ids, groups), seed, RESAMPLES)
    grid = np.full((RESAMPLES, len(runs), len(xs)), np.nan)
    for column, point in enumerate(points):
        grid[:, runs.index(point.run), xs.index(point.x)] = means[:, column]
    drawn = generator(seed).integers(len(runs), size=(RESAMPLES, len(runs)))
    sizes, places = np.log2(xs), np.empty(RESAMPLES)
    for number, seeds in enumerate(drawn):
        chosen = grid[number, seeds]
        # A size that none of the drawn seeds has keeps those that have it: without it, another curve would be measured
        held = np.where(np.isnan(chosen).all(axis=0), grid[number], chosen)
        places[number] = _passes(sizes, np.nanmean(held, axis=0), means[number, -1])
    return places


def _interval(places: Floats | None) -> Figures:
    if places is None:
        return {"ci": None, "reached": None}
    tail = (1 - LEVEL) / 2
    ends = np.quantile(places, [tail, 1 - tail], method="inverted_cdf")  # an observed value: no mean with infinity
    return {
        "ci": [float(2**end) if math.isfinite(end) else None for end in ends.tolist()],
        "reached": float((places < math.inf).mean()),
    }
