"""Blocks → what the templates print: figures drawn, cells normalised, their arms' looks at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from markupsafe import Markup, escape

from harness.blocks import (
    Block,
    Calculator,
    Callout,
    Cell,
    Chart,
    Code,
    Dots,
    Figure,
    Histogram,
    Intervals,
    Matrix,
    Passage,
    Table,
    Text,
    Tiles,
)
from harness.report import calculator
from harness.report.arms import Look, look_of
from harness.report.charts import data_table, dots, histogram, intervals, matrix, xy
from harness.report.charts.svg import marker, tag, width
from harness.report.explorer.packing import Packed
from harness.words import one_line

WIDE, FULL, NARROW = 524.0, 1080.0, 358.0
"""Width of a figure in px: half of the page, all of it, and a phone's screen without its margins."""
ROOM = 110.0
"""Names wider than that may be cut in a figure, px: the key below has them whole."""
FEW, MANY = 5, 8
"""Columns with which a table still fits beside a figure; columns with which it must be set smaller."""

KINDS: Mapping[type, str] = {
    Text: "text",
    Passage: "passage",
    Callout: "callout",
    Tiles: "tiles",
    Table: "table",
    **dict.fromkeys(get_args(Figure), "figure"),
    Code: "code",
    Packed: "explorer",
    Calculator: "calculator",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure in both layouts, with the arms that it shows and its data table."""

    title: str
    subtitle: str
    svg: Markup
    key: tuple[Look, ...]
    key_always: bool
    """Whether the wide layout needs the key as well: its lines carry letters only, or names are cut."""
    table: Table
    full: bool = False
    """Whether the wide layout takes the page's whole width."""


def views(blocks: Iterable[Block | Packed], looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    """Returns each block with its kind, neighbouring figures gathered in pairs that stand side by side.

    Raises:
        TypeError: Something that is no block.
    """
    found: list[dict[str, Any]] = []
    for block in blocks:
        kind = KINDS.get(type(block))
        if kind is None:
            raise TypeError(f"yielded {type(block).__name__}, which is not a block")
        if isinstance(block, Figure):
            drawn = draw(block, looks)
            _gather(found, {"kind": kind, "block": drawn}, alone=drawn.full)
        elif isinstance(block, Table) and block.half and len(block.columns) <= FEW:
            _gather(found, {"kind": kind, "block": block}, alone=False)
        else:
            found.append({"kind": kind, "block": calculator.form(block) if isinstance(block, Calculator) else block})
    return found


def _gather(found: list[dict[str, Any]], shown: dict[str, Any], *, alone: bool) -> None:
    """Adds what stands in a pair to the last group, or begins a group."""
    last = found[-1] if found and found[-1]["kind"] == "group" else None
    if last is not None and len(last["blocks"]) < 2 and not alone and not last["full"]:
        last["blocks"].append(shown)
    else:
        found.append({"kind": "group", "blocks": [shown], "full": alone})


def draw(figure: Any, looks: Mapping[str, Look]) -> Drawn:
    """Draws a `Figure` in both layouts."""
    full = isinstance(figure, Matrix) and len(figure.columns) > matrix.MANY
    layouts = [_svg(figure, looks, FULL if full else WIDE, False), _svg(figure, looks, NARROW, True)]
    key = _key(figure, looks)
    lettered = isinstance(figure, Chart) and any(
        series.line and len(series.points) > xy.MANY for series in figure.series
    )
    return Drawn(
        title=figure.title,
        subtitle=figure.subtitle,
        svg=Markup().join(layouts),
        key=key,
        key_always=lettered or not isinstance(figure, Chart) or not all(_named(look, layouts[0]) for look in key),
        table=data_table.table(figure),
        full=full,
    )


def _named(look: Look, drawn: Markup) -> bool:
    """Whether a label of a figure has an arm's whole name."""
    return f">{escape(one_line(look.label))}" in drawn


def _svg(figure: Figure, looks: Mapping[str, Look], wide: float, narrow: bool) -> Markup:
    if isinstance(figure, Chart):
        return xy.draw(figure, looks, wide, narrow)
    if isinstance(figure, Intervals):
        return intervals.draw(figure, looks, wide, narrow)
    if isinstance(figure, Dots):
        return dots.draw(figure, looks, wide, narrow)
    if isinstance(figure, Histogram):
        return histogram.draw(figure, looks, wide, narrow)
    return matrix.draw(figure, wide, narrow)


def _key(figure: Figure, looks: Mapping[str, Look]) -> tuple[Look, ...]:
    names: list[str] = []
    if isinstance(figure, Chart):
        names = [series.arm for series in figure.series if series.points]
    elif isinstance(figure, Dots):
        names = [dot.arm for row in figure.rows for dot in row.dots]
    elif isinstance(figure, Intervals):  # rows bear their names, unless these are too long
        names = [row.arm for row in figure.rows if row.arm and row.label == row.arm and width(row.arm) > ROOM]
    elif isinstance(figure, Histogram):
        names = [row.arm for row in figure.rows if width(row.arm) > ROOM]
    order = list(looks)
    found = [look_of(name, looks) for name in dict.fromkeys(names)]
    return tuple(sorted(found, key=lambda look: order.index(look.name) if look.name in looks else len(order)))


def stacks(table: Table) -> bool:
    """Whether a narrow screen sets each row as a card."""
    return len(table.columns) > FEW - 1 or any(column.head or column.prose for column in table.columns)


def classes(table: Table) -> str:
    """Returns how wide a table is set, and how tightly."""
    names = ["full"] if len(table.columns) > FEW or table.half else []
    if not names and any(column.prose for column in table.columns):
        names = ["full", "wordy"]
    return " ".join([*names, "many"] if len(table.columns) > MANY else names)


def anchor(href: str) -> str:
    """Returns a link's address where it leads to a place on the page, else nothing."""
    return href if href.startswith("#") else ""


def cell(value: str | Cell) -> Cell:
    """Returns a cell, whatever a section gave."""
    return value if isinstance(value, Cell) else Cell(text=str(value))


def badge(look: Look) -> Markup:
    """Draws an arm's marker beside its letter."""
    drawn = marker(look.shape, 7, 7, look.paint, hollow=look.hollow, radius=4.5)
    # Its height follows from width and view box: a page holds hundreds of them
    return tag("svg", drawn, viewBox="0 0 14 14", width=14, aria_hidden="true", class_="mk")
