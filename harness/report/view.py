"""Blocks → what the templates print: figures drawn, cells normalised, their arms' looks at hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from harness.report.arms import Look, look_of
from harness.report.blocks import (
    Block,
    Callout,
    Cell,
    Chart,
    Code,
    Dots,
    Figure,
    Intervals,
    Matrix,
    Series,
    Table,
    Text,
    Tiles,
)
from harness.report.charts import behind, dots, intervals, matrix, xy
from harness.report.charts.svg import marker, tag

WIDE, NARROW = 524.0, 358.0
"""Width of a figure in px: half of the page, and a phone's screen without its margins."""

KINDS: Mapping[type, str] = {
    Text: "text",
    Callout: "callout",
    Tiles: "tiles",
    Table: "table",
    Chart: "figure",
    Intervals: "figure",
    Dots: "figure",
    Matrix: "figure",
    Code: "code",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A figure in both layouts, with the arms that it shows and its data table."""

    title: str
    subtitle: str
    svg: Markup
    key: tuple[Look, ...]
    key_always: bool
    """Whether the wide layout needs the key as well: its lines carry letters only."""
    table: Table


def views(blocks: Iterable[Block], looks: Mapping[str, Look]) -> list[dict[str, Any]]:
    """Returns each block with its kind, neighbouring figures gathered in pairs that stand side by side.

    Raises:
        TypeError: Something that is no block.
    """
    found: list[dict[str, Any]] = []
    for block in blocks:
        kind = KINDS.get(type(block))
        if kind is None:
            raise TypeError(f"yielded {type(block).__name__}, which is not a block")
        beside = isinstance(block, Table) and block.half
        if not isinstance(block, Chart | Intervals | Dots | Matrix) and not beside:
            found.append({"kind": kind, "block": block})
            continue
        shown = {"kind": kind, "block": block if isinstance(block, Table) else draw(block, looks)}
        if found and found[-1]["kind"] == "group" and len(found[-1]["blocks"]) < 2:
            found[-1]["blocks"].append(shown)
        else:
            found.append({"kind": "group", "blocks": [shown]})
    return found


def draw(figure: Any, looks: Mapping[str, Look]) -> Drawn:
    """Draws a figure (`Chart`, `Intervals`, `Dots` or `Matrix`) in both layouts."""
    layouts = [_svg(figure, looks, WIDE, False), _svg(figure, looks, NARROW, True)]
    lettered = isinstance(figure, Chart) and any(
        series.line and len(series.points) > xy.MANY for series in figure.series
    )
    return Drawn(
        title=figure.title,
        subtitle=figure.subtitle,
        svg=Markup().join(layouts),
        key=_key(figure, looks),
        key_always=lettered or isinstance(figure, Dots),
        table=behind.table(figure),
    )


def _svg(figure: Figure, looks: Mapping[str, Look], wide: float, narrow: bool) -> Markup:
    if isinstance(figure, Chart):
        return xy.draw(figure, looks, wide, narrow)
    if isinstance(figure, Intervals):
        return intervals.draw(figure, looks, wide, narrow)
    if isinstance(figure, Dots):
        return dots.draw(figure, looks, wide, narrow)
    return matrix.draw(figure, wide, narrow)


def _key(figure: Figure, looks: Mapping[str, Look]) -> tuple[Look, ...]:
    if isinstance(figure, Chart):
        names = [series.arm for series in figure.series if _shown(series)]
    elif isinstance(figure, Dots):
        names = [dot.arm for row in figure.rows for dot in row.dots]
    else:
        return ()
    order = list(looks)
    found = [look_of(name, looks) for name in dict.fromkeys(names)]
    return tuple(sorted(found, key=lambda look: order.index(look.name) if look.name in looks else len(order)))


def _shown(series: Series) -> bool:
    return bool(series.points)


def cell(value: str | Cell) -> Cell:
    """Returns a cell, whatever a section gave."""
    return value if isinstance(value, Cell) else Cell(text=str(value))


def badge(look: Look) -> Markup:
    """Draws an arm's marker beside its letter."""
    drawn = marker(look.shape, 7, 7, look.paint, hollow=look.hollow, radius=4.5)
    return tag("svg", drawn, viewBox="0 0 14 14", width=14, height=14, aria_hidden="true", class_="mk")
