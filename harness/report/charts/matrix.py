"""Counts by expected and predicted label, from 2 labels to 150."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from urllib.parse import quote

from markupsafe import Markup

from harness import numbers
from harness.blocks import Matrix
from harness.report.charts.svg import INK, PAPER, SIZE, SOFT, canvas, fit, fit_apart, grouped, label, num, tag, width
from harness.words import say

HEAT = "var(--heat,#0062a3)"
CELL = "var(--cell,#eef1f5)"
MANY = 24
"""With more columns than that a figure takes the page's whole width."""
PHONE = 20
"""So many labels a phone can name; of more it shows the most confused ones and adds up the rest."""
SMALL = 10.0
"""Font size where rows are too close for the usual one, px."""


def draw(figure: Matrix, wide: float, narrow: bool) -> Markup:
    """Draws the cells; each row is shaded by its own shares, so that rare labels show as well."""
    name = f"{figure.title}. {figure.subtitle}"
    remark, many = "", len(figure.columns) > MANY
    if narrow and len(figure.columns) > PHONE + 2:
        figure = condense(figure, PHONE)
        remark = say("Here the {n} labels most often confused.", n=numbers.count(PHONE))
    grid = _Grid(figure=figure, wide=wide, narrow=narrow, many=many)
    parts = [label(fit(grid.corner, wide), 0, grid.top - 6 if grid.beside else 12)]
    parts += [grid.column_labels(), grid.row_labels(), *grid.cells()]
    bottom = grid.top + grid.side * len(figure.rows) + 6
    if remark:
        parts.append(label(fit(remark, wide), 0, bottom + 12))
        bottom += 18
    return canvas(wide, bottom, name, narrow, *parts, links=bool(figure.arm) and not many)


def condense(figure: Matrix, most: int) -> Matrix:
    """Returns a matrix of the `most` labels with the most errors; the others are added up."""
    given = [name for name in figure.rows if name != figure.folded]
    if len(given) <= most:
        return figure
    weight = _errors(figure)
    first = set(sorted(given, key=lambda name: (-weight[name], name))[:most])
    rest = len({*figure.rows, *figure.columns} - first - {figure.missing})
    folded = figure.folded or say("other ({n})", n=numbers.count(rest))
    names = [name for name in figure.rows if name in first]
    columns = [*names, folded, *([figure.missing] if figure.missing in figure.columns else [])]
    table = Counter[tuple[str, str]]()
    for row, counts in zip(figure.rows, figure.counts, strict=True):
        for column, count in zip(figure.columns, counts, strict=True):
            held = column if column in first or column == figure.missing else folded
            table[row if row in first else folded, held] += count
    added = tuple(tuple(table[row, column] for column in columns) for row in (*names, folded))
    return replace(figure, rows=(*names, folded), columns=tuple(columns), counts=added, folded=folded)


def address(figure: Matrix, row: str, column: str) -> str:
    """Returns where the page shows the answers that a cell counts; nothing where it cannot."""
    if not figure.arm or (figure.folded and figure.folded in (row, column)):
        return ""
    predicted = "" if column == figure.missing else column
    return "#f=" + ":".join(map(_quoted, (figure.arm, row, predicted)))


def _quoted(name: str) -> str:
    return quote(name, safe="", errors="replace")


def _errors(figure: Matrix) -> Counter[str]:
    """Returns label → how often it was taken for another, or another for it."""
    weight = Counter[str]()
    for row, counts in zip(figure.rows, figure.counts, strict=True):
        for column, count in zip(figure.columns, counts, strict=True):
            if row != column:
                weight[row] += count
                weight[column] += count
    return weight


@dataclass(frozen=True, kw_only=True)
class _Grid:
    """Where everything stands in one layout."""

    figure: Matrix
    wide: float
    narrow: bool
    many: bool
    """Whether there are so many cells that they are drawn together."""

    @cached_property
    def left(self) -> float:
        names = max((width(name) for name in self.figure.rows), default=0.0)
        return float(min(names, 220.0, self.wide * (0.28 if self.narrow else 0.3))) + 10

    @property
    def across(self) -> int:
        return max(len(self.figure.columns), 1)

    @property
    def corner(self) -> str:
        return say("expected ↓   predicted →")

    @cached_property
    def beside(self) -> bool:
        """Whether the word on the axes fits beside the columns' names."""
        return width(self.corner) < self.left - 8

    @cached_property
    def flat(self) -> bool:
        """Whether the columns' names fit above their cells."""
        side = self._side(0.0)
        return all(width(name) <= side - 4 for name in self.figure.columns)

    @cached_property
    def turned(self) -> float:
        """The angle of the columns' names: aslant where that leaves a line for each, else upright."""
        return -45.0 if self._side(46.0) >= 21 else -90.0

    @cached_property
    def side(self) -> float:
        return self._side(46.0 if not self.flat and self.turned == -45 else 0.0)

    def _side(self, slack: float) -> float:
        most = 84.0 if self.across <= 4 else 56.0 if self.across <= 6 else 38.0
        return min(most, (self.wide - self.left - 2 - slack) / self.across)

    @property
    def size(self) -> float:
        return SIZE if self.side >= 14.5 else SMALL

    @cached_property
    def top(self) -> float:
        above = 4.0 if self.beside else 20.0
        if self.flat:
            return above + 15
        longest = max((width(name, self.size) for name in self.figure.columns), default=0.0)
        return above + 12 + (min(longest, 110.0) * 0.72 if self.turned == -45 else min(longest, 130.0))

    def column_labels(self) -> Markup:
        """Writes the columns' names: level, aslant or upright."""
        parts = []
        names = self.figure.columns
        above = self.top - (4 if self.beside else 20) - 8
        cut = fit_apart(names, above, self.size)
        for n in self._labelled(names):
            middle = self.left + self.side * (n + 0.5)
            if self.flat:
                short = fit(names[n], self.side - 2)
                parts.append(grouped(short, middle, self.top - 6, anchor="middle"))
            elif self.turned == -45:
                room = min(above / 0.72, (self.wide - middle - 6) / 0.72)
                parts.append(grouped(fit(names[n], room), middle - 2, self.top - 6, turn=-45))
            else:
                parts.append(grouped(cut[n], middle + self.size * 0.35, self.top - 5, turn=-90))
        small = self.size if not self.flat and self.turned == -90 and self.size != SIZE else None
        return tag("g", *parts, fill=INK, font_size=small, text_anchor="middle" if self.flat else None)

    def row_labels(self) -> Markup:
        """Writes the rows' names."""
        names = self.figure.rows
        cut = fit_apart(names, self.left - 10, self.size)
        low = self.top + self.size * 0.35
        parts = [
            grouped(cut[n], self.left - 8, low + self.side * (n + 0.5), anchor="end") for n in self._labelled(names)
        ]
        return tag("g", *parts, fill=INK, font_size=None if self.size == SIZE else self.size, text_anchor="end")

    def _labelled(self, names: Sequence[str]) -> list[int]:
        """Returns the places that are named: all where there is room, else first those with the most errors."""
        apart = -(-(self.size + 1.5) // self.side)
        if self.flat or apart <= 1 or self.side >= self.size + 1:
            return list(range(len(names)))
        weight, taken = _errors(self.figure), list[int]()
        for n in sorted(range(len(names)), key=lambda n: (-weight[names[n]], n)):
            if all(abs(n - other) >= apart for other in taken):
                taken.append(n)
        return sorted(taken)

    def cells(self) -> list[Markup]:
        """Draws what was counted over one ground with a grid: empty cells cost nothing."""
        figure, side = self.figure, self.side
        high, long = side * len(figure.rows), side * len(figure.columns)
        ground = tag("rect", x=self.left, y=self.top, width=long, height=high, fill=CELL)
        lines = [f"M{num(self.left + side * n)} {num(self.top)}v{num(high)}" for n in range(len(figure.columns) + 1)]
        lines += [f"M{num(self.left)} {num(self.top + side * n)}h{num(long)}" for n in range(len(figure.rows) + 1)]
        thick = 2.0 if side >= 14 else 1.0 if side >= 5 else 0.5
        grid = tag("path", d="".join(lines), stroke=PAPER, stroke_width=thick)
        places = [(n, figure.columns.index(name)) for n, name in enumerate(figure.rows) if name in figure.columns]
        same = "".join(self._square(row, column) for row, column in places)
        diagonal = tag("path", d=same, fill="none", stroke=SOFT, stroke_width=1 if side >= 8 else 0.5)
        return [ground, grid, self._together() if self.many else self._apart(), diagonal]

    def _counted(self) -> list[tuple[int, int, int, float]]:
        """Returns row, column, count and share of its row of each cell that counts something."""
        return [
            (row, column, count, count / sum(counts))
            for row, counts in enumerate(self.figure.counts)
            for column, count in enumerate(counts)
            if count
        ]

    def _apart(self) -> Markup:
        return tag("g", *(self._cell(*cell) for cell in self._counted()), fill=HEAT)

    def _together(self) -> Markup:
        """Draws hundreds of cells in few elements: one line of dashes for each shade, one group for each ink.

        The group says where its cells are and what they count; a script makes tooltips and links of that.
        """
        figure, side = self.figure, self.side
        thick = side - (2 if side >= 8 else 0.5)
        square = figure.columns[: len(figure.rows)] == figure.rows and len(figure.columns) > len(figure.rows)
        shades: dict[str, list[str]] = {}
        texts: dict[str, list[Markup]] = {}
        for row, column, count, share in self._counted():
            x, y = self.left + side * (column + 0.5), self.top + side * (row + 0.5)
            shade = f"{0.12 + 0.88 * round(share * 16) / 16:.2f}"
            shades.setdefault(shade, []).append(f"M{num(x - thick / 2)} {num(y)}h{num(thick)}")
            if width(text := numbers.count(count)) <= side - 3:
                ink = "var(--on-heat,#fff)" if share > 0.45 else INK
                texts.setdefault(ink, []).append(grouped(text, x, y + 4, anchor="middle"))
        drawn = [tag("path", d="".join(spots), stroke_opacity=shade) for shade, spots in sorted(shades.items())]
        written = [tag("g", *found, fill=ink, text_anchor="middle") for ink, found in sorted(texts.items())]
        return tag(
            "g",
            tag("g", *drawn, stroke=HEAT, stroke_width=thick),
            *written,
            class_="cells",
            data_grid=" ".join(f"{value:.3f}" for value in (self.left, self.top, side)),
            data_arm=_quoted(figure.arm) or None,
            data_rows=" ".join(map(self._name, figure.rows)),
            data_more=" ".join(map(self._name, figure.columns[len(figure.rows) :])) if square else None,
            data_columns=None if square else " ".join(map(self._name, figure.columns)),
            data_counts=" ".join(f"{row},{column},{count}" for row, column, count, _ in self._counted()),
        )

    def _name(self, name: str) -> str:
        """Returns a label as an address has it; a star, which no such label is, for several labels."""
        return "*" if name == self.figure.folded else "" if name == self.figure.missing else _quoted(name)

    def _square(self, row: int, column: int) -> str:
        inset = 1 if self.side >= 8 else 0.25
        long = num(self.side - 2 * inset)
        return (
            f"M{num(self.left + self.side * column + inset)} {num(self.top + self.side * row + inset)}"
            f"h{long}v{long}h-{long}z"
        )

    def _cell(self, row: int, column: int, count: int, share: float) -> Markup:
        figure, side = self.figure, self.side
        parts = [tag("path", d=self._square(row, column), fill_opacity=f"{0.12 + 0.88 * share:.2f}")]
        text = numbers.count(count)
        if width(text) <= side - 3:
            x, y = self.left + side * (column + 0.5), self.top + side * (row + 0.5) + 4
            parts.append(label(text, x, y, anchor="middle", fill="var(--on-heat,#fff)" if share > 0.45 else INK))
        where = address(figure, figure.rows[row], figure.columns[column])
        return tag("a", *parts, href=where, tabindex="-1") if where else tag("g", *parts)
