"""Counts by expected and predicted label."""

from __future__ import annotations

from markupsafe import Markup

from harness import numbers
from harness.report.blocks import Matrix
from harness.report.charts.svg import INK, LINE, SOFT, canvas, fit, label, tag, width

HEAT = "var(--heat,#0062a3)"


def draw(figure: Matrix, wide: float, narrow: bool) -> Markup:
    """Draws the cells; each row is shaded by its own shares, so that rare labels show as well."""
    across = max(len(figure.columns), 1)
    names = max((width(name) for name in figure.rows), default=0.0)
    left = min(names, wide * (0.28 if narrow else 0.3)) + 10
    flat = all(width(name) <= _side(wide - left - 2, across) - 4 for name in figure.columns)
    slack = 0.0 if flat else 46.0
    side = _side(wide - left - 2 - slack, across)
    top = (LINE if flat else min(max((width(n) for n in figure.columns), default=0.0), 110.0) * 0.72 + 12) + 20
    parts = [label("expected ↓   predicted →", 0, 12)]
    for n, name in enumerate(figure.columns):
        middle = left + side * (n + 0.5)
        if flat:
            parts.append(label(fit(name, side - 2), middle, top - 6, anchor="middle", fill=INK))
        else:
            room = min((top - 32) / 0.72, (wide - middle - 6) / 0.72)
            parts.append(label(fit(name, room), middle - 2, top - 6, fill=INK, turn=-45))
    for n, (name, counts) in enumerate(zip(figure.rows, figure.counts, strict=True)):
        y = top + side * n
        parts.append(label(fit(name, left - 10), left - 8, y + side / 2 + 4, anchor="end", fill=INK))
        parts += _cells(counts, figure, n, left, y, side)
    high = top + side * len(figure.rows) + 6
    return canvas(wide, high, f"{figure.title}. {figure.subtitle}", narrow, *parts)


def _side(room: float, across: int) -> float:
    return float(min(84.0 if across <= 4 else 56.0 if across <= 6 else 38.0, room / across))


def _cells(counts: tuple[int, ...], figure: Matrix, row: int, left: float, y: float, side: float) -> list[Markup]:
    total = sum(counts)
    parts = []
    for n, count in enumerate(counts):
        x = left + side * n
        share = count / total if total else 0.0
        parts.append(tag("rect", x=x + 1, y=y + 1, width=side - 2, height=side - 2, rx=2, fill="var(--cell,#eef1f5)"))
        if count:
            shade = f"{0.12 + 0.88 * share:.2f}"
            parts.append(
                tag("rect", x=x + 1, y=y + 1, width=side - 2, height=side - 2, rx=2, fill=HEAT, fill_opacity=shade)
            )
            text = numbers.count(count)
            if width(text) <= side - 3:
                fill = "var(--on-heat,#ffffff)" if share > 0.45 else INK
                parts.append(label(text, x + side / 2, y + side / 2 + 4, anchor="middle", fill=fill))
        if figure.columns[n] == figure.rows[row]:
            parts.append(tag("rect", x=x + 1, y=y + 1, width=side - 2, height=side - 2, rx=2, fill="none", stroke=SOFT))
    return parts
