"""Figures at their limits: many arms, long names, foreign scripts, equal, huge and tiny values, in both layouts."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from harness.blocks import (
    Axis,
    Chart,
    Dot,
    DotRow,
    Dots,
    Figure,
    Heap,
    Histogram,
    Interval,
    Intervals,
    Mark,
    Matrix,
    Point,
    Series,
)
from harness.report.arms import Look, letter, looks
from harness.report.charts import data_table, dots, histogram, intervals, matrix, svg, xy
from harness.report.charts.svg import fit_apart, label, width
from harness.report.view import FULL, NARROW, WIDE, draw

Corner = tuple[float, float]
ARMS = (1, 2, 6, 14)
NAMES: dict[str, Callable[[int], str]] = {
    "short": lambda n: f"arm {n}",
    "sixty": lambda n: f"{n:02} a name of an arm that goes on until it has sixty characters"[:60],
    "alike": lambda n: f"the same beginning of all names, which differ at the end {n:03}",
    "cjk": lambda n: f"{n} 微調整済みモデルの非常に長い名前がここにあります",
    "rtl": lambda n: f"نموذج مضبوط بدقة على بيانات كثيرة جدا {n}",
    "one": lambda n: "x",
}
VALUES: dict[str, Callable[[int], float]] = {
    "spread": lambda n: 0.5 + n / 40,
    "equal": lambda n: 0.75,
    "tiny": lambda n: 1e-9 * (1 + n),
    "huge": lambda n: 3e11 * (1 + n),
    "zero": lambda n: 0.0,
    "below": lambda n: -0.1 * n,
}


def arms_of(n: int, naming: Callable[[int], str]) -> dict[str, Look]:
    families = ("fine-tuned", "few-shot", "zero-shot", "classical")
    data = [{"name": f"{naming(k)}", "family": families[k % 4], "accuracy": 1 - k / 100} for k in range(n)]
    return looks({"arms": data})


def corners(text: ET.Element, given: dict[str, str]) -> tuple[str, list[Corner]]:
    """Returns what a text element says and the corners of its box, by the widths that the drawing reckons with."""
    attributes = given | text.attrib
    said = text.text or ""
    size = float(attributes.get("font-size", 12))
    long = width(said, size) * (1.1 if attributes.get("font-weight") else 1.0)
    anchor = attributes.get("text-anchor", "start")
    if attributes.get("direction") == "rtl":
        anchor = {"start": "end", "end": "start"}.get(anchor, anchor)
    left = {"start": 0.0, "middle": -long / 2, "end": -long}[anchor]
    turned = re.match(r"translate\((\S+) (\S+)\)rotate\((\S+)\)", attributes.get("transform", ""))
    angle = math.radians(float(turned[3]) if turned else 0.0)
    x, y = (float(turned[1]), float(turned[2])) if turned else (float(attributes["x"]), float(attributes["y"]))
    box = ((left, -size * 0.8), (left + long, -size * 0.8), (left + long, size * 0.15), (left, size * 0.15))
    cos, sin = math.cos(angle), math.sin(angle)
    return said, [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in box]


def texts(drawn: str) -> list[tuple[str, list[Corner]]]:
    return [corners(*pair) for pair in _texts(ET.fromstring(drawn), {})]


def _texts(element: ET.Element, given: dict[str, str]) -> Iterator[tuple[ET.Element, dict[str, str]]]:
    """Yields the text elements, each with what the elements around it say of all their texts."""
    for child in element:
        if child.tag == "text":
            yield child, given
        said = {name: child.attrib[name] for name in ("font-size", "text-anchor") if name in child.attrib}
        yield from _texts(child, given | said)


def overlap(one: list[Corner], other: list[Corner]) -> float:
    """Returns by how much two turned boxes cover each other at least, along any of their sides."""
    least = math.inf
    for box in (one, other):
        for (x0, y0), (x1, y1) in pairwise(box[:3]):
            long = math.hypot(x1 - x0, y1 - y0) or 1.0
            axis = ((x1 - x0) / long, (y1 - y0) / long)
            spans = [[x * axis[0] + y * axis[1] for x, y in corners_] for corners_ in (one, other)]
            least = min(least, min(max(span) for span in spans) - max(min(span) for span in spans))
    return least


def wrong(drawn: str) -> list[str]:
    """Returns texts outside their figure and pairs of texts that cover each other."""
    size = re.search(r'viewBox="0 0 (\S+) (\S+)"', drawn)
    assert size is not None
    wide, high = float(size[1]), float(size[2])
    found = texts(drawn)
    said = [
        f"outside: {text}"
        for text, box in found
        if any(x < -1 or x > wide + 1 or y < -1 or y > high + 1 for x, y in box)
    ]
    return said + [f"{a} on {b}" for (a, one), (b, other) in neighbours(found) if overlap(one, other) > 1.5]


def neighbours(found: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yields the pairs whose upright boxes meet."""
    boxes = sorted(
        (min(x for x, _ in box), max(x for x, _ in box), min(y for _, y in box), max(y for _, y in box), n)
        for n, (_, box) in enumerate(found)
    )
    for place, (_, right, top, bottom, n) in enumerate(boxes):
        for left, _, high, low, other in boxes[place + 1 :]:
            if left >= right:
                break
            if high < bottom and top < low:
                yield found[n], found[other]


def figures(n: int, naming: Callable[[int], str], value: Callable[[int], float]) -> Iterator[tuple[Figure, Any]]:
    """Yields every kind of figure over `n` arms, with what draws it."""
    names = list(dict.fromkeys(naming(k) for k in range(n)))
    values = {name: value(k) for k, name in enumerate(names)}
    said = {"title": "Title", "subtitle": "Subtitle"}
    spread = Axis(title="An axis with a title that says a good deal about its quantity and unit", unit="number")
    spots = tuple(Series(arm=name, points=(Point(x=abs(v), y=v, low=v, high=v),)) for name, v in values.items())
    log = Axis(title="Cost", unit="usd", log=True)
    yield Chart(**said, x=log, y=spread, series=spots, frontier=True), xy.draw
    for points in (2, 5, 40):
        lines = tuple(
            Series(arm=name, line=True, points=tuple(Point(x=k, y=v * (1 + k), low=v, high=v) for k in range(points)))
            for name, v in values.items()
        )
        marks = tuple(Mark(x=1, y=v, text=f"crossing of {name}") for name, v in list(values.items())[:3])
        yield Chart(**said, x=spread, y=spread, series=lines, marks=marks, diagonal=True), xy.draw
    rows = tuple(Interval(label=name, arm=name, value=v, low=v, high=v, text=f"{v:.3g}") for name, v in values.items())
    yield Intervals(**said, axis=spread, rows=rows, reference=0.0, margin=0.02), intervals.draw
    dot_rows = tuple(
        DotRow(label=name, dots=tuple(Dot(arm=arm, value=v) for arm in names[:2])) for name, v in values.items()
    )
    yield Dots(**said, axis=spread, rows=dot_rows), dots.draw
    heaps = tuple(Heap(arm=name, counts=(1, 0, 5), value=abs(v), text=f"{v:.3g}") for name, v in values.items())
    top = max(map(abs, values.values())) or 1.0
    yield Histogram(**said, axis=spread, edges=(0.0, top / 3, top / 2, top), rows=heaps), histogram.draw


@pytest.mark.parametrize(
    ("naming", "kind"),
    [*((naming, "spread") for naming in NAMES), *(("short", kind) for kind in VALUES if kind != "spread")],
)
@pytest.mark.parametrize("n", ARMS)
def test_no_text_leaves_its_figure_or_covers_another(n: int, naming: str, kind: str) -> None:
    among = arms_of(n, NAMES[naming])
    for figure, drawing in figures(n, NAMES[naming], VALUES[kind]):
        for wide, narrow in ((WIDE, False), (NARROW, True)):
            drawn = str(drawing(figure, among, wide, narrow))
            assert wrong(drawn) == [], (type(figure).__name__, narrow)
            assert not re.search(r"[^a-z](nan|inf)[^a-z]", drawn)
        assert data_table.table(figure).rows


@pytest.mark.parametrize(("wide", "narrow"), [(WIDE, False), (NARROW, True)])
def test_a_mark_at_the_end_of_a_line_leaves_its_name_readable(wide: float, narrow: bool) -> None:
    lines = tuple(
        Series(arm=f"arm {n}", line=True, points=tuple(Point(x=x, y=x * (1 + n)) for x in range(3 + 4 * n)))
        for n in range(2)
    )
    marks = tuple(Mark(x=2, y=y, text="the crossing") for y in (2.5, 2.8))
    axis = Axis(title="x")
    chart = Chart(title="t", subtitle="s", x=axis, y=axis, series=lines, marks=marks)
    drawn = str(xy.draw(chart, arms_of(2, NAMES["short"]), wide, narrow))
    assert drawn.count(">the crossing<") == 2
    assert wrong(drawn) == []


def labels_of(size: int, naming: Callable[[int], str]) -> tuple[str, ...]:
    return tuple(naming(k) if naming(0) != naming(1) else f"{naming(k)}{k}" for k in range(size))


def confusion(size: int, naming: Callable[[int], str], **options: Any) -> Matrix:
    names = labels_of(size, naming)
    counts = tuple(tuple(1234 if i == k else (i * 7 + k * 3) % 11 == 0 for k in range(size)) for i in range(size))
    return Matrix(title="t", subtitle="s", rows=names, columns=names, counts=counts, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "naming"),
    [*((size, "sixty") for size in (2, 3, 7, 12, 18, 22, 24, 25, 77)), (24, "short"), (24, "cjk"), (77, "rtl")],
)
def test_names_of_a_matrix_are_readable(size: int, naming: str) -> None:
    figure = confusion(size, NAMES[naming])
    for wide, narrow in ((FULL if size > matrix.MANY else WIDE, False), (NARROW, True)):
        drawn = str(matrix.draw(figure, wide, narrow))
        assert wrong(drawn) == []
        rows = [group for group in ET.fromstring(drawn).iter("g") if group.get("text-anchor") == "end"]
        assert [group.get("fill") for group in rows] == ["var(--ink,#1b1d21)"]
        assert len(rows[0]) >= min(size, 20)


def test_seventy_seven_labels_are_all_named_on_a_wide_page() -> None:
    drawn = str(matrix.draw(confusion(77, lambda n: f"intent_number_{n:02}"), FULL, False))
    said = [text for text, _ in texts(drawn)]
    assert [text for text in said if text.startswith("intent_")] == [f"intent_number_{n:02}" for n in range(77)] * 2
    [cells] = [group for group in ET.fromstring(drawn).iter("g") if group.get("class") == "cells"]
    assert cells.attrib["data-rows"].split(" ") == [f"intent_number_{n:02}" for n in range(77)]
    assert cells.attrib["data-counts"].startswith("0,0,1234 ")
    assert len(cells.attrib["data-counts"].split(" ")) == 77 + 77 * 7 - 7


def test_a_phone_shows_the_most_confused_labels_and_adds_up_the_rest() -> None:
    figure = confusion(77, lambda n: f"intent {n:02}")
    few = matrix.condense(figure, 20)
    assert len(few.rows) == len(few.columns) == 21
    assert few.rows[-1] == few.folded == "other (57)"
    assert sum(map(sum, few.counts)) == sum(map(sum, figure.counts))
    assert "Here the 20 labels most often confused." in matrix.draw(figure, NARROW, True)
    assert matrix.condense(few, 30) == few


def test_cells_lead_to_their_answers_without_a_tab_stop() -> None:
    names = ('a "quoted" <b>', "c:d/é")
    figure = Matrix(
        title="t",
        subtitle="s",
        rows=names,
        columns=(*names, "(none)"),
        counts=((3, 1, 2), (0, 4, 0)),
        arm="8-shot#2 & more",
        missing="(none)",
    )
    drawn = str(matrix.draw(figure, WIDE, False))
    arm, first, second = "8-shot%232%20%26%20more", "a%20%22quoted%22%20%3Cb%3E", "c%3Ad%2F%C3%A9"
    assert re.findall(r'<a href="([^"]*)" tabindex="-1">', drawn) == [
        f"#f={arm}:{first}:{first}",
        f"#f={arm}:{first}:{second}",
        f"#f={arm}:{first}:",
        f"#f={arm}:{second}:{second}",
    ]
    assert drawn.count("<a ") == 4
    assert 'role="group"' in drawn  # an image must hold no links
    cells = [cell for row in data_table.table(figure).rows for cell in row if not isinstance(cell, str)]
    assert [cell.href for cell in cells] == re.findall(r'<a href="([^"]*)"', drawn)
    assert "<a " not in matrix.draw(confusion(3, NAMES["short"]), WIDE, False)


def test_what_stands_for_several_labels_leads_nowhere() -> None:
    few = matrix.condense(confusion(30, lambda n: f"label {n}", arm="a"), 5)
    assert matrix.address(few, few.folded, few.rows[0]) == matrix.address(few, few.rows[0], few.folded) == ""
    assert matrix.address(few, few.rows[0], few.rows[1]).startswith("#f=a:label")


def test_the_table_of_many_labels_lists_what_was_counted_mistakes_first() -> None:
    figure = confusion(40, lambda n: f"label {n:02}")
    rows = data_table.table(figure).rows
    assert len(rows) == sum(count > 0 for counts in figure.counts for count in counts)
    wrong_first = [row[0] != row[1] for row in rows]
    assert wrong_first == sorted(wrong_first, reverse=True)


def test_names_that_begin_alike_stay_apart() -> None:
    names = [f"intent_label_{n:03}_of_many" for n in range(30)] + ["short"]
    cut = fit_apart(names, 90)
    assert len(set(cut)) == len(names)
    assert cut[-1] == "short"
    assert all(width(name) <= 90 for name in cut)
    assert fit_apart(["the same text twice", "the same text twice"], 60)[0].startswith("the")


def test_right_to_left_text_keeps_its_side() -> None:
    assert 'text-anchor="end" direction="rtl"' in label("عربي", 10, 10)
    assert "text-anchor" not in label("عربي", 10, 10, anchor="end")
    assert 'direction="rtl"' in label("12 עברית", 10, 10)
    assert "direction" not in label("A עברית", 10, 10)
    assert 'text-anchor="middle"' in label("عربي", 10, 10, anchor="middle")


def marks_of(drawn: str, look: Look) -> set[tuple[str, str, str]]:
    """Returns the markers in an arm's colour: element, fill and shape, wherever they stand."""
    found = set()
    for name, written in re.findall(r"<(circle|polygon|path)([^>]*)/>", drawn):
        attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', written))
        if look.paint not in (attributes.get("fill"), attributes.get("stroke")) or "fill-opacity" in attributes:
            continue
        if name == "path" and "stroke-dasharray" in attributes:
            continue
        spots = [float(value) for value in re.findall(r"-?[\d.]+", attributes.get("points", ""))]
        xs, ys = spots[::2], spots[1::2]
        turns = [(x1 > x0 + 0.3) - (x1 < x0 - 0.3) for x0, x1 in pairwise(xs)]
        turns += [(y1 > y0 + 0.3) - (y1 < y0 - 0.3) for y0, y1 in pairwise(ys)]
        shape = re.sub(r"[\d. -]+", "", attributes.get("d", "")) + str(turns)
        if name != "path" or shape.startswith(("MHMV", "MLML")):
            found.add((name, attributes.get("fill", ""), shape))
    return found


@pytest.mark.parametrize("place", range(14))
def test_an_arm_has_the_same_marker_and_colour_in_every_kind_of_figure(place: int) -> None:
    among = arms_of(14, NAMES["short"])
    look = list(among.values())[place]
    assert look.letter == letter(place)
    wanted = marks_of(str(svg.marker(look.shape, 7, 7, look.paint, hollow=look.hollow)), look)
    assert len(wanted) == 1
    for figure, drawing in figures(14, NAMES["short"], VALUES["spread"]):
        alone = str(drawing(only(figure, look.name), among, WIDE, False))
        if isinstance(figure, Chart) and figure.series[0].line and len(figure.series[0].points) != 5:
            continue  # two ends or a curve: the letter alone
        assert marks_of(alone, look) == wanted, type(figure).__name__


def only(figure: Any, arm: str) -> Any:
    """Returns a figure of one arm alone."""
    from dataclasses import replace

    if isinstance(figure, Chart):
        return replace(figure, series=tuple(series for series in figure.series if series.arm == arm), marks=())
    if isinstance(figure, Dots):
        return replace(figure, rows=(DotRow(label="row", dots=(Dot(arm=arm, value=0.5),)),))
    return replace(figure, rows=tuple(row for row in figure.rows if row.arm == arm))


def test_names_that_are_cut_stand_whole_in_the_key() -> None:
    for naming, whole in (("short", False), ("sixty", True)):
        among = arms_of(6, NAMES[naming])
        for figure, _ in figures(6, NAMES[naming], VALUES["spread"]):
            drawn = draw(figure, among)
            if isinstance(figure, Intervals | Histogram):
                assert bool(drawn.key) == whole
            elif not isinstance(figure, Dots):
                assert drawn.key_always == (whole or len(figure.series[0].points) > xy.MANY)
