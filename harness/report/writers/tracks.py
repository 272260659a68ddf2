"""Intervals and dots as lines of text: a figure's rows drawn over one axis, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.blocks import Dots, Intervals
from harness.report.arms import Look, look_of

WIDTH = 32
"""Characters of a line."""


def intervals(figure: Intervals) -> list[str]:
    """Draws each row as `├──●──┤`, with `┊` at the value that rows are held against."""
    values = [value for row in figure.rows for value in (row.low, row.value, row.high) if value is not None]
    values += [] if figure.reference is None else [figure.reference]
    lines = []
    for row in figure.rows:
        marks: dict[int, str] = {}
        if figure.reference is not None:
            marks[_place(figure.reference, values)] = "┊"
        if row.value is not None:
            ends = [_place(row.value if end is None else end, values) for end in (row.low, row.high)]
            marks |= dict.fromkeys(range(ends[0], ends[1] + 1), "─")
            marks |= {ends[0]: "├", ends[1]: "┤"} if ends[0] < ends[1] else {}
            marks[_place(row.value, values)] = "●"
        lines.append(_drawn(marks))
    return lines


def dots(figure: Dots, among: Mapping[str, Look]) -> list[str]:
    """Draws each row with its arms' letters where their values are, and `*` where several meet."""
    values = [dot.value for row in figure.rows for dot in row.dots if dot.value is not None]
    lines = []
    for row in figure.rows:
        marks: dict[int, str] = {}
        known = [dot for dot in row.dots if dot.value is not None]
        places = [_place(dot.value, values) for dot in known if dot.value is not None]
        if places:
            marks |= dict.fromkeys(range(min(places), max(places) + 1), "─")
        for dot, place in zip(known, places, strict=True):
            letter = look_of(dot.arm, among).letter[:1] or "●"
            marks[place] = letter if marks.get(place) in (None, "─", letter) else "*"
        lines.append(_drawn(marks))
    return lines


def _place(value: float, values: Iterable[float]) -> int:
    low, high = min(values), max(values)
    return round((value - low) / (high - low) * (WIDTH - 1)) if high > low else WIDTH // 2


def _drawn(marks: Mapping[int, str]) -> str:
    return "".join(marks.get(place, " ") for place in range(WIDTH))
