"""Scales, ticks, labels that do not collide, and figures at their limits."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.blocks import Axis, Chart, Interval, Intervals, Mark, Matrix, Point, Series
from harness.report.arms import Look, letter, looks
from harness.report.charts import data_table, intervals, matrix, xy
from harness.report.charts.place import Box, place, spread
from harness.report.charts.scale import scale
from harness.report.charts.svg import fit, label, num, width
from harness.words import one_line, say

FINITE = st.floats(min_value=1e-6, max_value=1e6)


@given(st.lists(FINITE, min_size=1, max_size=20), st.booleans())
def test_values_lie_inside_the_axis_and_keep_their_order(values: list[float], log: bool) -> None:
    found = scale(Axis(title="x", log=log), values, 50, 450)
    spots = [found(value) for value in sorted(values)]
    assert all(50 - 1e-6 <= spot <= 450 + 1e-6 for spot in spots)
    assert all(b - a > -1e-6 for a, b in pairwise(spots))


@given(st.lists(FINITE, min_size=1, max_size=20), st.booleans(), st.integers(2, 7))
@example([167005.0], False, 2)
def test_ticks_are_few_and_told_apart(values: list[float], log: bool, room: int) -> None:
    found = scale(Axis(title="x", log=log), values, 50, 450)
    marks = found.ticks(room)
    assert 1 <= len(marks) <= 2 * room + 1
    texts = [found.write(mark, "number", marks) for mark in marks]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0.3, 8.0, [0.5, 1, 2, 5]), (0.02, 900.0, [0.1, 1, 10, 100]), (150.0, 160.0, [150, 155, 160])],
)
def test_log_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    found = scale(Axis(title="x", log=True, low=low, high=high), [low, high], 0, 400).ticks(4)
    assert found == pytest.approx(ticks)


def test_zero_has_a_place_on_a_log_axis() -> None:
    found = scale(Axis(title="cost", unit="usd", log=True), [0.0, 0.5, 8.0], 50, 450)
    assert found(0.0) == 50 < found(0.5) < found(8.0) <= 450
    assert found.write(0.0, "usd", found.ticks(5)) == "$0"


@pytest.mark.parametrize(
    ("value", "unit", "among", "text"),
    [
        (0.85, "share", [0.8, 0.85, 0.9], "85%"),
        (0.905, "share", [0.9, 0.905], "90.5%"),
        (-0.02, "points", [-0.02, 0.0, 0.02], "−2"),
        (0.5, "usd", [0.5, 1.0], "$0.5"),
        (0.5, "ms", [0.5, 1.0], "500 ms"),
        (20_000, "requests", [0, 20_000], "20k"),
        (12_500, "requests", [10_000, 12_500], "12.5k"),
    ],
)
def test_ticks_are_written_with_their_unit(value: float, unit: Any, among: list[float], text: str) -> None:
    assert scale(Axis(title="x", unit=unit), among, 0, 100).write(value, unit, among) == text


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@given(
    st.lists(st.tuples(st.floats(40, 480), st.floats(30, 270)), min_size=1, max_size=14),
    st.sampled_from(["A", "B few-shot", "C a rather long name of an arm"]),
)
def test_labels_never_cover_each_other(points: list[tuple[float, float]], name: str) -> None:
    area = Box(left=30, top=16, right=520, bottom=280)
    found = place([(x, y, (name, name[0])) for x, y in points], [], area)
    assert all(not a.box.meets(b.box) for a, b in combinations(found, 2))
    assert all(label.box.inside(area) for label in found)


def test_fourteen_labels_of_one_point_find_room() -> None:
    area = Box(left=30, top=16, right=344, bottom=250)
    found = place([(200.0, 100.0, ("A name of forty characters, or nearly so", "A"))] * 14, [], area)
    assert all(not a.box.meets(b.box) for a, b in combinations(found, 2))


@given(st.lists(st.floats(0, 300), max_size=14))
def test_spread_keeps_apart_and_in_order(values: list[float]) -> None:
    moved = spread(values, 16, 0, 300)
    assert all(-1e-6 <= spot <= 300 + 1e-6 for spot in moved)
    order = sorted(range(len(values)), key=lambda n: (values[n], n))
    gaps = [moved[b] - moved[a] for a, b in pairwise(order)]
    assert all(gap >= 16 - 1e-6 for gap in gaps)


@given(NAMES, st.floats(20, 300))
def test_cut_text_fits(text: str, room: float) -> None:
    assert width(fit(text, room)) <= room + width("…")
    assert "\n" not in fit(text, room)


def test_direction_marks_do_not_reach_a_figure() -> None:
    assert one_line("a\u202eb\x00c\u2028d") == "abc d"
    assert one_line("\u2068עברית\u2069, 3") == "\u2068עברית\u2069, 3"
    assert one_line("\u2068open") == "open"
    assert "direction" not in label(say("{arm} leads", arm="עברית"), 10, 10)
    assert 'direction="rtl"' in label("\u2068עברית\u2069", 10, 10)


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (-0.01, "0"), (12.34, "12.3"), (-3.25, "-3.2")])
def test_coordinates_are_short(value: float, text: str) -> None:
    assert num(value) == text


@pytest.mark.parametrize(("place_", "text"), [(0, "A"), (25, "Z"), (26, "AA"), (51, "AZ"), (52, "BA")])
def test_letters_go_on(place_: int, text: str) -> None:
    assert letter(place_) == text


def arms_of(n: int, accuracy: float | None = 0.8) -> dict[str, Look]:
    return looks({"arms": [{"name": f"arm {k:02}", "family": "few-shot", "accuracy": accuracy} for k in range(n)]})


def test_looks_tell_fourteen_arms_apart_without_colour() -> None:
    among = arms_of(14)
    assert len({look.letter for look in among.values()}) == 14
    assert len({(look.shape, look.hollow) for look in among.values()}) == 14


def test_rank_is_shared_where_the_paired_interval_holds_zero() -> None:
    arms = [
        {"name": name, "family": "other", "accuracy": a}
        for name, a in (("a", 0.9), ("b", 0.89), ("c", 0.8), ("d", None))
    ]
    comparisons = [
        {"a": "a", "b": "b", "metric": "accuracy", "ci": [-0.01, 0.03]},
        {"a": "c", "b": "a", "metric": "accuracy", "ci": [-0.13, -0.07]},
    ]
    found = looks({"arms": arms, "comparisons": comparisons})
    assert [look.rank for look in found.values()] == [1, 1, 3, None]


def scatter(points: list[tuple[float, float]], **options: Any) -> Chart:
    series = tuple(
        Series(arm=f"arm {n:02}", points=(Point(x=x, y=y, low=y - 0.02, high=y + 0.02),))
        for n, (x, y) in enumerate(points)
    )
    axes = {"x": Axis(title="cost", unit="usd", log=True), "y": Axis(title="accuracy", unit="share")}
    return Chart(title="t", subtitle="s", series=series, frontier=True, **(axes | options))


@pytest.mark.parametrize("n", [1, 2, 6, 14])
@pytest.mark.parametrize("narrow", [False, True])
def test_identical_points_are_drawn(n: int, narrow: bool) -> None:
    drawn = xy.draw(scatter([(1.0, 0.8)] * n), arms_of(n), 358 if narrow else 524, narrow)
    letters = re.findall(r"<text[^>]*>([A-Z])(?: [^<]*)?</text>", drawn)
    assert sorted(set(letters)) == sorted(look.letter for look in arms_of(n).values())


def test_front_holds_what_nothing_beats() -> None:
    points = [(1.0, 0.7, "a"), (2.0, 0.9, "b"), (3.0, 0.8, "c"), (2.0, 0.85, "d"), (0.5, 0.6, "e")]
    assert [name for _, _, name in xy.frontier(points)] == ["e", "a", "b"]


def test_crossing_is_marked() -> None:
    lines = tuple(Series(arm=f"arm 0{n}", points=(Point(x=0, y=n), Point(x=10, y=2)), line=True) for n in range(2))
    chart = Chart(
        title="t",
        subtitle="s",
        x=Axis(title="x"),
        y=Axis(title="y"),
        series=lines,
        marks=(Mark(x=5, y=1, text="here"),),
    )
    assert ">here</text>" in xy.draw(chart, arms_of(2), 358, True)


def test_row_without_a_value_says_so() -> None:
    rows = (Interval(label="a", value=None), Interval(label="b", value=1.0, low=1.0, high=1.0))
    figure = Intervals(title="t", subtitle="s", axis=Axis(title="x"), rows=rows, reference=0.0, margin=0.1)
    assert "not measured" in intervals.draw(figure, {}, 524, False)
    assert data_table.table(figure).rows[0][1] == "–"


@pytest.mark.parametrize("n", [1, 3, 12, 40])
def test_matrix_stays_inside_its_width(n: int) -> None:
    names = tuple(f"label number {k}" for k in range(n))
    counts = tuple(tuple(1234 if i == k else 7 for k in range(n)) for i in range(n))
    figure = Matrix(title="t", subtitle="s", rows=names, columns=names, counts=counts)
    for wide, narrow in ((524, False), (358, True)):
        drawn = matrix.draw(figure, wide, narrow)
        rights = [float(x) + float(w) for x, w in re.findall(r'<rect x="([\d.]+)"[^>]*? width="([\d.]+)"', drawn)]
        assert max(rights) <= wide
    assert len(data_table.table(figure).rows) == (n if n <= matrix.MANY else n * n)
