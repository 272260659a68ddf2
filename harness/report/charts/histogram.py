"""How a quantity is spread: one row of bars for each arm over one axis."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from harness.blocks import Heap, Histogram
from harness.report.arms import Look, look_of
from harness.report.charts.ground import BELOW, ground
from harness.report.charts.scale import Scale, scale
from harness.report.charts.svg import AXIS, INK, LINE, canvas, fit, label, marker, num, segment, tag, width

BARS = 24.0
"""Height of the tallest bar of a row, px."""


def draw(figure: Histogram, looks: Mapping[str, Look], wide: float, narrow: bool) -> Markup:
    """Draws one row for each arm; in the narrow layout the names stand above their rows."""
    high = BARS + (LINE + 12 if narrow else 14)
    texts = max((width(row.text) for row in figure.rows), default=0.0)
    names = max((width(look_of(row.arm, looks).label) for row in figure.rows), default=0.0)
    left = 10.0 if narrow else min(names, wide * 0.36) + 20
    bottom = 6 + high * len(figure.rows)
    x = scale(figure.axis, [*figure.edges, *(row.value for row in figure.rows)], left, wide - (texts + 16), pad=0.02)
    parts = [ground(figure.axis, x, bottom, wide)]
    for place, row in enumerate(figure.rows):
        look = look_of(row.arm, looks)
        base = 6 + high * (place + 1) - 4
        parts += _bars(figure, row, look, x, base)
        middle = base - BARS / 2 + 4
        name = fit(look.label, wide - 12 if narrow else left - 16)
        if narrow:
            parts.append(label(name, 2, base - BARS - 5, fill=INK, over="halo"))
        else:
            parts.append(label(name, left - 14, middle, anchor="end", fill=INK))
        parts.append(label(row.text, wide - 2, middle, anchor="end", fill=INK))
    return canvas(wide, bottom + BELOW, f"{figure.title}. {figure.subtitle}", narrow, *parts)


def _bars(figure: Histogram, row: Heap, look: Look, x: Scale, base: float) -> list[Markup]:
    """Draws the bars as one outline, and the arm's marker at the mean."""
    peak = max(row.counts, default=0) or 1
    path = ""
    for count, low, high in zip(row.counts, figure.edges, figure.edges[1:], strict=False):
        if count:
            start, end = x(low), max(x(high), x(low) + 1)
            tall = max(BARS * count / peak, 1.5)
            path += f"M{num(start)} {num(base)}v-{num(tall)}H{num(end)}V{num(base)}z"
    return [
        segment((x.start, base), (x.end, base), AXIS),
        tag("path", d=path, fill=look.paint, fill_opacity="0.35", stroke=look.paint, stroke_width=1),
        marker(look.shape, x(row.value), base, look.paint, hollow=look.hollow),
    ]
