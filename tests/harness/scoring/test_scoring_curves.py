"""Slope and crossing of curves, against scipy and by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.scoring.curves import Measured, crossing, fit, summary

N = 200


def right(accuracy: float, n: int = N, first: int = 0) -> dict[str, float]:
    hits = round(accuracy * n)
    return {f"item {number:03d}": float((number - first) % n < hits) for number in range(n)}


def curve(means: dict[int, float], spread: tuple[float, ...] = (0.0,), n: int = N) -> list[Measured]:
    return [
        Measured(x=x, run=run, right=right(mean + off, n))
        for x, mean in means.items()
        for run, off in enumerate(spread)
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([10, 64, 128, 500]), st.integers(0, N)), min_size=4, max_size=12))
def test_the_line_is_that_of_scipy(drawn: list[tuple[int, int]]) -> None:
    points = [Measured(x=x, run=run, right=right(hits / N)) for run, (x, hits) in enumerate(drawn)]
    found = fit(points)
    if len({x for x, _ in drawn}) < 3:
        assert found is None
        return
    assert found is not None
    known = stats.linregress([np.log2(x) for x, _ in drawn], [hits / N for _, hits in drawn])
    error = np.nan_to_num(known.stderr)  # SciPy has none for a level curve
    half = stats.t.ppf(0.975, len(drawn) - 2) * error
    assert found["slope"] == pytest.approx(known.slope, abs=1e-9)
    assert found["intercept"] == pytest.approx(known.intercept, abs=1e-9)
    assert found["slope_se"] == pytest.approx(error, abs=1e-7)
    assert found["slope_ci"] == pytest.approx([known.slope - half, known.slope + half], abs=1e-6)
    assert found["n_points"] == len(drawn)


@pytest.mark.parametrize("level", [0.5, 0.7])
def test_a_level_curve_has_a_slope_and_an_error_of_nothing(level: float) -> None:
    found = fit(curve({10: level, 70: level, 300: level}))
    assert found is not None
    assert [found["slope"], found["slope_se"], *found["slope_ci"]] == pytest.approx([0, 0, 0, 0], abs=1e-12)


def test_a_summary_has_a_range_only_where_there_are_several() -> None:
    points = [*curve({64: 0.6}, (-0.1, 0.0, 0.1)), Measured(x=128, run=0, right=right(0.8))]
    assert summary(points) == [
        {"x": 64, "mean": pytest.approx(0.6), "low": 0.5, "high": 0.7, "n": 3},
        {"x": 128, "mean": 0.8, "low": None, "high": None, "n": 1},
    ]


def test_between_two_sizes_it_is_interpolated_over_doublings() -> None:
    found = crossing(curve({64: 0.5, 128: 0.6, 512: 0.8}), right(0.7), {}, 1)
    assert found is not None
    assert (found["kind"], found["ci"]) == ("between", None)
    assert found["n"] == pytest.approx(256)  # half of the way from 128 to 512, in doublings


@pytest.mark.parametrize(
    ("means", "accuracy", "kind", "n"),
    [
        ({64: 0.7, 128: 0.8, 256: 0.9}, 0.7, "below", None),
        ({64: 0.5, 128: 0.6, 256: 0.7}, 0.8, "not-reached", None),  # no line is drawn beyond what was measured
        ({64: 0.7, 128: 0.6, 256: 0.5}, 0.9, "not-reached", None),
        ({64: 0.8, 128: 0.6, 256: 0.7}, 0.65, "between", 128 * 2**0.5),  # it fell back in between
        ({64: 0.8, 128: 0.9, 256: 0.7}, 0.75, "not-reached", None),
    ],
)
def test_where_it_lies_is_told_apart(means: dict[int, float], accuracy: float, kind: str, n: float | None) -> None:
    found = crossing(curve(means), right(accuracy), {}, 1)
    assert found is not None
    assert found["kind"] == kind
    assert found["n"] == (None if n is None else pytest.approx(n))


def test_the_interval_covers_the_crossing_and_has_open_ends_outside_of_what_was_measured() -> None:
    draw = random.Random(5)
    means = {64: 0.5, 128: 0.6, 256: 0.7, 512: 0.8}
    noisy = [
        Measured(x=x, run=run, right={f"item {k:03d}": float(draw.random() < mean) for k in range(400)})
        for x, mean in means.items()
        for run in range(3)
    ]
    prompt = {f"item {k:03d}": float(draw.random() < 0.65) for k in range(400)}
    found = crossing(noisy, prompt, {}, 1)
    assert found is not None
    low, high = found["ci"]
    assert 64 < low < found["n"] < high < 512
    assert found["reached"] == 1.0
    assert found == crossing(list(reversed(noisy)), dict(reversed(prompt.items())), {}, 1)
    few = crossing(noisy, {name: 1.0 - float(n < 20) for n, name in enumerate(prompt)}, {}, 1)
    assert few is not None
    assert few["ci"] == [None, None]  # 95%: the largest size does not reach it
    assert few["reached"] < 0.05
    # whole groups are drawn: the same answers say less
    grouped = crossing(noisy, prompt, {name: name[:6] for name in prompt}, 1)
    assert grouped is not None
    assert grouped["n"] == found["n"]
    assert grouped["ci"] != found["ci"]


def test_a_seed_that_lacks_a_size_still_counts_at_the_others() -> None:
    points = [point for point in curve({64: 0.5, 128: 0.6, 256: 0.8}, (-0.02, 0.02)) if (point.x, point.run) != (64, 1)]
    found = crossing(points, right(0.7), {}, 1)
    assert found is not None
    assert found["kind"] == "between"
    assert found["ci"] is not None
    assert crossing([], right(0.7), {}, 1) is None


@pytest.mark.parametrize(
    ("means", "largest", "reached"),
    [({50: 0.55, 100: 0.60, 200: 0.66}, 0.90, 1.0), ({50: 0.55, 100: 0.90, 200: 0.90}, 0.50, 0.0)],
)
def test_a_size_that_one_seed_has_counts_in_every_resample(
    means: dict[int, float], largest: float, reached: float
) -> None:
    # as in process, where no seed changes anything about the whole train split
    points = [*curve(means, (-0.02, 0.0, 0.02), 400), Measured(x=400, run=0, right=right(largest, 400))]
    found = crossing(points, right(0.75, 400), {}, 1)
    assert found is not None
    assert found["reached"] == reached
    low, high = found["ci"]
    assert (low, high) == (None, None) if not reached else 200 < low < found["n"] < high < 400
