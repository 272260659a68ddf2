"""Typed blocks: what a report section says, without a word of HTML.

A section yields blocks; the page, the terminal and Markdown each know how to write them. All text is plain text.
"""

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
    """`predictions.parquet`; without the column `response` where samples are left out."""
    examples: Columns = field(default_factory=dict)
    """`data/examples.parquet`; empty where samples are left out."""
    samples: Literal["all", "errors", "none"] = "all"
    """Which texts and answers are in it: all, those of examples that some arm got wrong, or none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A paragraph of plain text."""

    text: str
    lang: str = ""
    """The text's language, where it is not the page's: `en` for what is stored in English."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A few sentences under a heading of their own."""

    title: str
    sentences: tuple[str, ...]
    listed: bool = False
    """Each in a line of its own, where they do not follow from one another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Callout:
    """A paragraph that must not be overlooked."""

    text: str
    level: Literal["ok", "note", "warning", "error"] = "note"
    lang: str = ""
    """The text's language, where it is not the page's: `en` for what is stored in English."""


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
class Cell:
    """A cell that says more than its text."""

    text: str
    note: str = ""
    """Smaller, beside the text: an interval, a unit."""
    arm: str = ""
    """An arm's name: the cell begins with that arm's letter and marker, in its colour."""
    strong: bool = False
    """The best value of its column, or the row's name."""
    tags: tuple[str, ...] = ()
    """Short remarks in frames: `simulated`, `imported`."""
    lang: str = ""
    """The text's language, where it is not the page's: `en` for what is stored in English."""
    href: str = ""
    """A place on this page, `#…`, that the text leads to; other addresses are no links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table."""

    title: str
    numeric: bool = False
    """Set right, in tabular numerals."""
    prose: bool = False
    """Free text: wrapped, with its own line breaks and its own direction."""
    head: bool = False
    """What the row is about; where a narrow screen sets each row as a card, the card's heading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of ready-formatted cells."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    highlight: int | None = None
    """Index of the row that the eye should find first."""
    folded: bool = False
    """Shown only when asked for: long lists that few readers need."""
    half: bool = False
    """Set beside a figure where there is room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One measured point of a chart, with the interval of `y` where it has one."""

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
    """Join the points; without markers where there are more than 24."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place in a chart that is worth a word, such as a crossing of two lines."""

    x: float
    y: float
    text: str


Unit: TypeAlias = Literal["number", "share", "points", "usd", "ms", "s", "tokens", "requests"]
"""How an axis writes its numbers. Shares and points come as shares of 1, times in seconds, money in dollars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a chart."""

    title: str
    unit: Unit = "number"
    log: bool = False
    low: float | None = None
    """Where the axis begins; by default just below the data."""
    high: float | None = None
    ticks: tuple[float, ...] = ()
    """Values that get a tick where there is room; by default round ones."""


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
    diagonal: bool = False
    """Draw the line on which both quantities are equal."""
    marks: tuple[Mark, ...] = ()
    bounds: str = ""
    """What the points' `low` and `high` are, at the head of a column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One row of an interval plot."""

    label: str
    value: float | None
    """`None` draws nothing and says so."""
    low: float | None = None
    high: float | None = None
    arm: str = ""
    """The arm whose colour and marker the row has."""
    text: str = ""
    """The value as it is to be read, at the row's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Values with their intervals, one row each: differences against a reference line, spreads of a quantity."""

    title: str
    subtitle: str
    axis: Axis
    rows: tuple[Interval, ...]
    reference: float | None = None
    """A value to hold the rows against, such as 0 for "no difference"."""
    margin: float | None = None
    """Half the width of the band around the reference within which a difference does not matter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One arm's value in one row of a dot plot."""

    arm: str
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DotRow:
    """One row of a dot plot: the values of several arms, joined by a line."""

    label: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dots:
    """Arms against each other in each of several rows: labels, slices."""

    title: str
    subtitle: str
    axis: Axis
    rows: tuple[DotRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Counts by expected (row) and predicted (column) label."""

    title: str
    subtitle: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    arm: str = ""
    """The arm whose answers are counted: its cells lead to these answers, where the page can show them."""
    folded: str = ""
    """The name among rows and columns that stands for several labels; its cells lead nowhere."""
    missing: str = ""
    """The name among the columns that stands for answers without a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heap:
    """One arm's row of a histogram."""

    arm: str
    counts: tuple[int, ...]
    """How many values lie in each bin."""
    value: float
    """The mean, where the arm's marker stands."""
    text: str = ""
    """The mean as it is to be read, at the row's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """How a quantity is spread, one row for each arm over bins that all share; each row is as high as its peak."""

    title: str
    subtitle: str
    axis: Axis
    edges: tuple[float, ...]
    """Bounds of the bins, one more than there are; the last bin includes its upper bound."""
    rows: tuple[Heap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Something to copy: a command, a file's contents."""

    text: str
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explorer:
    """Test examples with every arm's answer, to be filtered, searched and looked into; on paper its `errors` alone.

    All columns have one row for each example, the most instructive first: a page too long to hold them all keeps the
    first ones and puts the others into files beside it.
    """

    errors: Table
    """What stands in the explorer's place where no script runs, on paper and in a terminal."""
    pair: tuple[str, ...]
    """The arms that are held against each other at first: two, or one alone."""
    labels: tuple[str, ...]
    """The labels in their order."""
    examples: Columns
    """`id` and `expected`; `text` where texts may be shown."""
    slices: Mapping[str, Sequence[str | None]]
    """Slice → its value for each example."""
    answers: Mapping[str, Columns]
    """Arm → columns of `predictions.parquet`, with `status` `None` where the arm has no answer."""
    shots: Mapping[str, tuple[str, str]]
    """Id → label and text of the examples that `shot_ids` name, as far as they may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculator:
    """The decision between training and asking, to be computed anew in the browser; elsewhere it shows nothing.

    What holds without a script must stand in tables beside it.
    """

    stake: Mapping[str, Any]
    """What `harness.scoring.coefficients.coefficients` returned."""


Figure: TypeAlias = Chart | Intervals | Dots | Matrix | Histogram
Block: TypeAlias = Text | Passage | Callout | Tiles | Table | Figure | Code | Explorer | Calculator
