"""Arms against each other in each of several rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from harness.blocks import Dots
from harness.report.arms import Look, look_of
from harness.report.charts.ground import BELOW, ground
from harness.report.charts.scale import scale
from harness.report.charts.svg import AXIS, INK, canvas, fit_apart, label, marker, segment, width


def draw(figure: Dots, looks: Mapping[str, Look], wide: float, narrow: bool) -> Markup:
    """Draws one row for each label; its dots are joined, so that the gap is what the eye sees."""
    high = 26.0
    names = max((width(row.label) for row in figure.rows), default=0.0)
    left = min(names, wide * (0.32 if narrow else 0.36)) + 20
    bottom = 8 + high * len(figure.rows)
    values = [dot.value for row in figure.rows for dot in row.dots if dot.value is not None]
    x = scale(figure.axis, values, left, wide - 12)
    parts = [ground(figure.axis, x, bottom, wide)]
    cut = fit_apart([row.label for row in figure.rows], left - 16)
    for place, row in enumerate(figure.rows):
        y = 8 + high * (place + 0.5)
        parts.append(label(cut[place], left - 14, y + 4, anchor="end", fill=INK))
        known = [(dot.arm, x(dot.value)) for dot in row.dots if dot.value is not None]
        if len(known) > 1:
            spots = [spot for _, spot in known]
            parts.append(segment((min(spots), y), (max(spots), y), AXIS, thick=2))
        for (arm, spot), shift in zip(reversed(known), reversed(_shifts([spot for _, spot in known])), strict=True):
            look = look_of(arm, looks)
            parts.append(marker(look.shape, spot, y + shift, look.paint, hollow=look.hollow))
    return canvas(wide, bottom + BELOW, f"{figure.title}. {figure.subtitle}", narrow, *parts)


def _shifts(spots: Sequence[float]) -> list[float]:
    """Returns how far each marker stands above or below its row, so that equal values do not cover each other."""
    shifts = []
    for n, spot in enumerate(spots):
        close = [k for k, other in enumerate(spots) if abs(other - spot) < 7]
        shifts.append((close.index(n) - (len(close) - 1) / 2) * min(7.0, 14 / max(len(close) - 1, 1)))
    return shifts
