"""What row plots have in common: the horizontal axis below, the grid behind."""

from __future__ import annotations

from markupsafe import Markup

from harness.blocks import Axis
from harness.report.charts.scale import Scale
from harness.report.charts.svg import AXIS, RULE, fit, label, segment, strokes, tag, width
from harness.words import say

BELOW = 44.0
"""Room below the rows for ticks and the axis' title, px."""


def ground(axis: Axis, x: Scale, bottom: float, wide: float) -> Markup:
    """Draws grid lines, ticks that do not touch, and the axis' title."""
    parts: list[Markup] = []
    marks = x.ticks(max(2, min(6, int((x.end - x.start) / 64))))
    last = -1e9
    for value in marks:
        at, text = x(value), x.write(value, axis.unit, marks)
        half = width(text) / 2
        if at - half >= max(last + 8, 0) and at + half <= wide:
            last = at + half
            parts.append(label(text, at, bottom + 18, anchor="middle"))
    parts.append(strokes([(x(value), 4, x(value), bottom) for value in marks], RULE))
    parts.append(segment((x.start, bottom), (x.end, bottom), AXIS, thick=1.5))
    shown = fit(say("{title} (log scale)", title=axis.title) if x.log else axis.title, wide - 8)
    half = width(shown) / 2
    middle = min(max((x.start + x.end) / 2, half + 2), wide - half - 2)
    parts.append(label(shown, middle, bottom + 39, anchor="middle"))
    return tag("g", *parts)
