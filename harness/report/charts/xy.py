"""Points and lines over two axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from harness.blocks import Chart, Point, Series
from harness.report.arms import Look, look_of
from harness.report.charts.place import Box, place, spread
from harness.report.charts.scale import Scale, scale
from harness.report.charts.svg import (
    AXIS,
    INK,
    LINE,
    PAPER,
    RULE,
    SOFT,
    canvas,
    fit,
    label,
    marker,
    num,
    segment,
    strokes,
    tag,
    width,
)
from harness.words import say

BOLD = 1.1
"""Bold text is wider than `width` says, by about a tenth."""
MANY = 24
"""Lines of more points carry no markers and have their letter on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The drawing area of one chart in one layout."""

    x: Scale
    y: Scale
    wide: float
    high: float
    narrow: bool

    @property
    def plot(self) -> Box:
        """The area within the axes."""
        return Box(left=self.x.start, top=self.y.end, right=self.x.end, bottom=self.y.start)


def draw(chart: Chart, looks: Mapping[str, Look], wide: float, narrow: bool) -> Markup:
    """Draws a chart, `wide` px wide."""
    frame = _frame(chart, wide, narrow)
    shown = [(series, look_of(series.arm, looks)) for series in chart.series if series.points]
    parts = [_axes(chart, frame)]
    front = frontier([(p.x, p.y, s.arm) for s in chart.series for p in s.points]) if chart.frontier else []
    if chart.diagonal:
        parts.append(_diagonal(frame))
    parts.append(_front(front, frame))
    lines = [(series, look) for series, look in shown if series.line]
    parts += [_line(series, look, frame) for series, look in lines]
    obstacles = [box for series, _ in shown for box in _obstacles(series, frame)] + _steps(front, frame)
    for series, look in shown:
        if not series.line or 2 < len(series.points) <= MANY:
            parts += [_point(point, look, frame) for point in series.points]
    lettered = any(len(series.points) > MANY for series, _ in lines)
    parts += [] if lettered else _ends(lines, frame, obstacles)
    parts += _marks(chart, frame, obstacles)
    parts += _point_labels([pair for pair in shown if not pair[0].line], frame, obstacles)
    parts += _letters(lines, frame, obstacles) if lettered else []
    return canvas(wide, frame.high, f"{chart.title}. {chart.subtitle}", narrow, *parts)


def _frame(chart: Chart, wide: float, narrow: bool) -> Frame:
    points = [point for series in chart.series for point in series.points]
    ys = [v for p in points for v in (p.y, p.low, p.high) if v is not None] + [mark.y for mark in chart.marks]
    xs = [p.x for p in points] + [mark.x for mark in chart.marks]
    high = 300.0 if narrow else 320.0
    y = scale(chart.y, ys, high - 46, 30)
    marks = y.ticks(5)
    left = max((width(y.write(value, chart.y.unit, marks)) for value in marks), default=20) + 12
    right = 14.0
    ended = [s for s in chart.series if s.line and len(s.points) <= MANY]
    if ended and not narrow:
        right = min(max(width(s.arm) for s in ended) + 34, 150)
    elif ended:
        right = 34.0
    return Frame(x=scale(chart.x, xs, left, wide - right), y=y, wide=wide, high=high, narrow=narrow)


def _axes(chart: Chart, frame: Frame) -> Markup:
    plot = frame.plot
    parts = [label(fit(chart.y.title, frame.wide - 8), 2, 13)]
    marks = frame.y.ticks(5)
    parts.append(strokes([(plot.left, frame.y(value), plot.right, frame.y(value)) for value in marks], RULE))
    for value in marks:
        at = frame.y(value)
        parts.append(label(frame.y.write(value, chart.y.unit, marks), plot.left - 8, at + 4, anchor="end"))
    parts.append(segment((plot.left, plot.bottom), (plot.right, plot.bottom), AXIS, thick=1.5))
    parts += _x_ticks(chart, frame)
    title = say("{title} (log scale)", title=chart.x.title) if frame.x.log else chart.x.title
    middle = (plot.left + plot.right) / 2
    room = 2 * min(middle, frame.wide - middle)
    parts.append(label(fit(title, room), middle, frame.high - 5, anchor="middle"))
    return tag("g", *parts)


def _x_ticks(chart: Chart, frame: Frame) -> list[Markup]:
    plot, last = frame.plot, -1e9
    marks = list(chart.x.ticks) or frame.x.ticks(4 if frame.narrow else 6)
    parts, ticks = [], []
    for value in marks:
        text, at = frame.x.write(value, chart.x.unit, marks), frame.x(value)
        half = width(text) / 2
        if at - half < last + 8 or at + half > frame.wide:
            continue
        last = at + half
        ticks.append((at, plot.bottom, at, plot.bottom + 4))
        parts.append(label(text, at, plot.bottom + 18, anchor="middle"))
    parts.append(strokes(ticks, AXIS))
    if frame.x.zero:  # the axis is broken between zero and the smallest positive value
        gap = plot.left + (plot.right - plot.left) * 0.07
        parts.append(segment((gap - 3, plot.bottom), (gap + 3, plot.bottom), PAPER, thick=3))
        parts.append(segment((gap - 5, plot.bottom + 4), (gap - 1, plot.bottom - 4), AXIS))
        parts.append(segment((gap + 1, plot.bottom + 4), (gap + 5, plot.bottom - 4), AXIS))
    return parts


def frontier(points: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Returns the (x, y, name) that no other beats: none is as cheap and better, none is as good and cheaper."""
    front: list[tuple[float, float, str]] = []
    for x, y, name in sorted(points, key=lambda point: (point[0], -point[1], point[2])):
        if not front or y > front[-1][1]:
            front.append((x, y, name))
    return front


def _front(front: Sequence[tuple[float, float, str]], frame: Frame) -> Markup:
    if len(front) < 2:
        return Markup()
    path = f"M{num(frame.x(front[0][0]))} {num(frame.y(front[0][1]))}"
    path += "".join(f"H{num(frame.x(x))}V{num(frame.y(y))}" for x, y, _ in front[1:])
    return tag("path", d=path, fill="none", stroke=SOFT, stroke_width=1.2, stroke_dasharray="4 3")


def _steps(front: Sequence[tuple[float, float, str]], frame: Frame) -> list[Box]:
    """Returns what the front covers, so that no label stands on it."""
    spots = [(frame.x(x), frame.y(y)) for x, y, _ in front]
    boxes = []
    for (x0, y0), (x1, y1) in pairwise(spots):
        boxes.append(Box(left=x0, top=y0 - 1, right=x1, bottom=y0 + 1))
        boxes.append(Box(left=x1 - 1, top=y1, right=x1 + 1, bottom=y0))
    return boxes


def _diagonal(frame: Frame) -> Markup:
    """Draws the line on which both quantities are equal, as far as both axes reach."""
    low, high = max(frame.x.low, frame.y.low), min(frame.x.high, frame.y.high)
    if low >= high:
        return Markup()
    return segment((frame.x(low), frame.y(low)), (frame.x(high), frame.y(high)), SOFT, thick=1.2, dash="4 3")


def _line(series: Series, look: Look, frame: Frame) -> Markup:
    spots = [(frame.x(p.x), frame.y(p.y)) for p in series.points]
    parts = []
    banded = [p for p in series.points if p.low is not None and p.high is not None]
    if len(banded) > 1:
        edge = [f"{num(frame.x(p.x))} {num(frame.y(p.high or 0.0))}" for p in banded]
        edge += [f"{num(frame.x(p.x))} {num(frame.y(p.low or 0.0))}" for p in reversed(banded)]
        parts.append(tag("path", d="M" + "L".join(edge) + "Z", fill=look.paint, fill_opacity="0.18"))
    path = "M" + "L".join(f"{num(x)} {num(y)}" for x, y in spots)
    parts.append(
        tag("path", d=path, fill="none", stroke=look.paint, stroke_width=2, stroke_dasharray=look.dash or None)
    )
    return tag("g", *parts)


def _point(point: Point, look: Look, frame: Frame) -> Markup:
    x, y = frame.x(point.x), frame.y(point.y)
    parts = []
    if point.low is not None and point.high is not None and point.high > point.low:
        parts.append(segment((x, frame.y(point.low)), (x, frame.y(point.high)), look.paint, thick=2))
    parts.append(marker(look.shape, x, y, look.paint, hollow=look.hollow))
    return tag("g", *parts)


def _obstacles(series: Series, frame: Frame) -> list[Box]:
    boxes = []
    for point in series.points if not series.line else ():
        x, y = frame.x(point.x), frame.y(point.y)
        boxes.append(Box(left=x - 6, top=y - 6, right=x + 6, bottom=y + 6))
        if point.low is not None and point.high is not None:
            boxes.append(Box(left=x - 2, top=frame.y(point.high), right=x + 2, bottom=frame.y(point.low)))
    return boxes


def _point_labels(shown: Sequence[tuple[Series, Look]], frame: Frame, obstacles: list[Box]) -> list[Markup]:
    wanted = []
    for series, look in shown:
        point = series.points[0]
        texts = [look.letter] if look.letter else [fit(series.arm, 60)]
        if look.letter and not frame.narrow:
            texts = [f"{look.letter} {fit(series.arm, room)}" for room in (180, 90)] + texts
        wanted.append((frame.x(point.x), frame.y(point.y), tuple(dict.fromkeys(texts))))
    area = Box(left=frame.plot.left + 2, top=16, right=frame.wide - 2, bottom=frame.plot.bottom - 2)
    parts = []
    for (x, y, _), placed in zip(wanted, place(wanted, obstacles, area), strict=True):
        box = placed.box
        obstacles.append(box)
        if placed.far:
            near = min(max(x, box.left), box.right), min(max(y, box.top), box.bottom)
            parts.append(segment((x, y), near, AXIS, thick=0.8))
        at, anchor = (box.right, "end") if placed.left else (box.left, "start")
        parts.append(label(placed.text, at, box.bottom - 4, anchor=anchor, fill=INK, over="halo"))
    return parts


def _marks(chart: Chart, frame: Frame, obstacles: list[Box]) -> list[Markup]:
    parts: list[Markup] = []
    spots = [(frame.x(mark.x), frame.y(mark.y)) for mark in chart.marks]
    obstacles += [Box(left=x - 6, top=y - 7, right=x + 6, bottom=y + 7) for x, y in spots]
    plot = frame.plot
    area = Box(left=plot.left + 2, top=16, right=plot.right, bottom=plot.bottom - 2)
    rooms = (plot.right - plot.left - 8, 110.0)
    wanted = [(x, y, [fit(mark.text, room) for room in rooms]) for mark, (x, y) in zip(chart.marks, spots, strict=True)]
    for (x, y), placed in zip(spots, place(wanted, obstacles, area, below=True), strict=True):
        parts.append(segment((x, y), (x, plot.bottom), SOFT, dash="3 3"))
        parts.append(marker("diamond", x, y, INK))
        if any(placed.box.meets(other) for other in obstacles):
            continue  # no room: the title and the data table say it too
        parts.append(label(placed.text, placed.box.left, placed.box.bottom - 4, fill=INK, over="halo"))
        obstacles.append(placed.box)
    return parts


def _letters(lines: Sequence[tuple[Series, Look]], frame: Frame, obstacles: Sequence[Box]) -> list[Markup]:
    """Writes each arm's letter on its line, at heights that differ so that close lines stay apart."""
    taken = list(obstacles)
    parts = []
    for place_, (series, look) in enumerate(lines):
        text = look.letter or fit(series.arm, 60)
        half = width(text) / 2 + 1
        spots = [(frame.x(p.x), frame.y(p.y)) for p in series.points]
        first = int((0.2 + 0.65 * (place_ * 0.618 % 1)) * (len(spots) - 1))
        tried = sorted(range(len(spots)), key=lambda n, first=first: (abs(n - first), n))  # type: ignore[misc]
        boxes = [
            Box(left=spots[n][0] - half, top=spots[n][1] - 7, right=spots[n][0] + half, bottom=spots[n][1] + 7)
            for n in tried
        ]
        free = [box for box in boxes if box.inside(frame.plot) and not any(box.meets(other) for other in taken)]
        if not free:
            free = [
                placed.box
                for placed in place([(*spots[first], (text,))], taken, frame.plot)
                if not any(placed.box.meets(other) for other in taken)
            ]
        if free:
            taken.append(free[0])
            middle = (free[0].left + free[0].right) / 2
            parts.append(label(text, middle, free[0].bottom - 3, anchor="middle", fill=look.paint, over="bold"))
    return parts


def _ends(lines: Sequence[tuple[Series, Look]], frame: Frame, obstacles: list[Box]) -> list[Markup]:
    """Writes names at the right ends of lines, moved apart."""
    spots = [(frame.x(series.points[-1].x), frame.y(series.points[-1].y)) for series, _ in lines]
    heights = spread([y for _, y in spots], LINE + 1, 20, frame.plot.bottom - 4)
    parts = []
    for (_, look), (x, _), y in zip(lines, spots, heights, strict=True):
        name = look.letter if frame.narrow and look.letter else look.label
        at = min(x, frame.plot.right) + 8
        text = fit(name, (frame.wide - frame.plot.right - 10) / BOLD)
        obstacles.append(Box(left=at - 2, top=y - LINE / 2, right=at + width(text) * BOLD, bottom=y + LINE / 2))
        parts.append(label(text, at, y + 4, fill=look.paint, over="bold"))
    return parts
