"""Typed blocks: what a report section says, without a word of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Columns: TypeAlias = Mapping[str, Sequence[Any]]
"""A table by columns, as `predictions.parquet` has them; all of one length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """All that a report may show: it is rebuilt from these three alone."""

    data: Mapping[str, Any]
    """`results.json`."""
    predictions: Columns = field(default_factory=dict)
    """`predictions.parquet`."""
    examples: Columns = field(default_factory=dict)
    """`data/examples.parquet`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Callout:
    """A paragraph that must not be overlooked."""

    text: str
    level: Literal["note", "warning", "error"] = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure with its name and a line of context."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """A row of tiles."""

    tiles: tuple[Tile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    numeric: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of ready-formatted cells."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured point of a chart, with its interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The points of one arm."""

    arm: str
    """The arm's name: it fixes letter, colour, marker and dash wherever the arm shows."""
    points: tuple[Point, ...]
    line: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a chart."""

    title: str
    unit: Literal["number", "share", "points", "usd", "ms", "s", "tokens", "requests"] = "number"
    log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A figure. Its title states the finding; its subtitle the unit, interval and method."""

    title: str
    subtitle: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    frontier: bool = False
    """Draw the Pareto front (up and left is better)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Counts by expected (row) and predicted (column) label."""

    title: str
    subtitle: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Something to copy: a command, a file's contents."""

    text: str
    caption: str = ""


Block: TypeAlias = Text | Callout | Tiles | Table | Chart | Matrix | Code
