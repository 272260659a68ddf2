"""Rows of values with their intervals: differences against a line, spreads of a quantity."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from harness.blocks import Interval, Intervals
from harness.report.arms import Look, look_of
from harness.report.charts.ground import BELOW, ground
from harness.report.charts.scale import Scale, scale
from harness.report.charts.svg import INK, LINE, RULE, SOFT, canvas, fit_apart, label, marker, segment, tag, width
from harness.words import say


def draw(figure: Intervals, looks: Mapping[str, Look], wide: float, narrow: bool) -> Markup:
    """Draws one row for each interval; in the narrow layout the names stand above their rows."""
    rows = figure.rows
    high = 42.0 if narrow else 30.0
    texts = max((width(row.text) for row in rows), default=0.0)
    names = max((width(_name(row, looks)) for row in rows), default=0.0)
    left = 10.0 if narrow else min(names, wide * 0.42) + 20
    right = wide - (texts + 16 if texts else 12)
    bottom = 8 + high * len(rows)
    values = [v for row in rows for v in (row.value, row.low, row.high) if v is not None]
    if figure.reference is not None:
        values.append(figure.reference)
    x = scale(figure.axis, values, left, right)
    parts = [_band(figure, x, bottom), ground(figure.axis, x, bottom, wide)]
    if figure.reference is not None:
        at = x(figure.reference)
        parts.append(segment((at, 4), (at, bottom), SOFT, thick=1.5, dash="3 3"))
    cut = fit_apart([_name(row, looks) for row in rows], wide - 12 if narrow else left - 16)
    for place, row in enumerate(rows):
        middle = 8 + high * place + (high - 13 if narrow else high / 2)
        parts.append(_row(row, look_of(row.arm, looks), x, middle, wide))
        if narrow:
            parts.append(label(cut[place], 2, middle - LINE + 2, fill=INK, over="halo"))
        else:
            parts.append(label(cut[place], left - 14, middle + 4, anchor="end", fill=INK))
    return canvas(wide, bottom + BELOW, f"{figure.title}. {figure.subtitle}", narrow, *parts)


def _name(row: Interval, looks: Mapping[str, Look]) -> str:
    letter = look_of(row.arm, looks).letter if row.arm else ""
    return f"{letter} {row.label}".strip()


def _band(figure: Intervals, x: Scale, bottom: float) -> Markup:
    if not figure.margin or figure.reference is None:
        return Markup()
    low = max(x(figure.reference - figure.margin), x.start)
    high = min(x(figure.reference + figure.margin), x.end)
    return tag("rect", x=low, y=4, width=max(high - low, 0), height=bottom - 4, fill=RULE, fill_opacity="0.5")


def _row(row: Interval, look: Look, x: Scale, y: float, wide: float) -> Markup:
    if row.value is None:
        return label(row.text or say("not measured"), x.start + 4, y + 4)
    parts = []
    if row.low is not None and row.high is not None and row.high > row.low:
        parts.append(segment((x(row.low), y), (x(row.high), y), look.paint, thick=2))
    parts.append(marker(look.shape, x(row.value), y, look.paint, hollow=look.hollow))
    if row.text:
        parts.append(label(row.text, wide - 2, y + 4, anchor="end", fill=INK))
    return tag("g", *parts)
