"""A report for a terminal: the verdict and the table of arms, or any section's blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, get_args

from harness import findings, numbers
from harness.blocks import (
    Block,
    Callout,
    Cell,
    Code,
    Dots,
    Explorer,
    Figure,
    Intervals,
    Passage,
    Results,
    Table,
    Text,
    Tiles,
)
from harness.report.arms import Look, looks
from harness.report.gaps import alarms
from harness.report.sections import Spoken
from harness.report.sentence import sentence
from harness.report.telling import tell
from harness.report.writers import tracks
from harness.report.writers.common import about, figure_table, leaderboard, parts, printable, shortened
from harness.words import one_line, say, say_n

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text as Line

COLOURS = {
    "fine-tuned": "blue",
    "few-shot": "dark_orange",
    "zero-shot": "bright_black",
    "classical": "green",
    "mock": "magenta",
}
LEVELS = {"error": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "cyan"), "ok": ("✓", "green")}
ROWS = 100
"""Rows of a table that are shown unless told otherwise."""


def to_terminal(results: Results) -> RenderableType:
    """Returns the verdict and the table of arms as something that rich prints; `results.data` suffices."""
    from rich.console import Group
    from rich.text import Text as Line

    told = tell(results)
    data = told.data
    failed = [Line(f"{say('Check failed')}: {one_line(findings.message(c))}", style="bold red") for c in alarms(data)]
    missing = [_callout(gap) for gap in told.gaps]
    head = Line(one_line(str(sentence(data))), style="bold")
    return Group(*failed, head, Line(about(data)), *missing, Line(""), _table(leaderboard(data), looks(data)))


def sections_to_terminal(
    sections: Sequence[Spoken], among: Mapping[str, Look], *, rows: int = ROWS
) -> Iterator[RenderableType]:
    """Yields sections as something that rich prints.

    Args:
        sections: What they say.
        among: The arms' looks.
        rows: Most rows of a table.
    """
    from rich.rule import Rule
    from rich.text import Text as Line

    for spoken in sections:
        yield Line("")
        yield Rule(Line(one_line(spoken.title), style="bold"), align="left", style="dim")
        for block in spoken.blocks:
            parts_ = list(_block(block, among, rows))
            yield from [Line(""), *parts_] if parts_ else ()


def _block(block: Block, among: Mapping[str, Look], rows: int) -> Iterator[RenderableType]:
    from rich.text import Text as Line

    if isinstance(block, Text):
        yield Line(one_line(block.text))
    elif isinstance(block, Passage):
        yield Line(one_line(block.title), style="bold")
        yield from (Line(f"{'· ' if block.listed else ''}{one_line(text)}") for text in block.sentences)
    elif isinstance(block, Callout):
        yield _callout(block)
    elif isinstance(block, Tiles):
        yield _tiles(block)
    elif isinstance(block, Table):
        yield from _captioned(block, among, rows)
    elif isinstance(block, Explorer):
        yield from _captioned(block.errors, among, rows)
    elif isinstance(block, Code):
        yield from (Line(line, style="cyan") for line in printable(block.text))
        if block.caption:
            yield Line(one_line(block.caption), style="dim")
    elif isinstance(block, get_args(Figure)):
        yield Line(one_line(block.title), style="bold")
        yield Line(one_line(block.subtitle), style="dim")
        drawn = tracks.intervals(block) if isinstance(block, Intervals) else ()
        drawn = tracks.dots(block, among) if isinstance(block, Dots) else drawn
        yield from _shown(figure_table(block), among, rows, drawn)


def _callout(block: Callout) -> RenderableType:
    from rich.text import Text as Line

    mark, style = LEVELS[block.level]
    return Line.assemble((f"{mark} ", style), one_line(block.text))


def _tiles(block: Tiles) -> RenderableType:
    from rich.table import Table as Grid
    from rich.text import Text as Line

    grid = Grid.grid(padding=(0, 3, 0, 0))
    for tile in block.tiles:
        label, value, detail = (one_line(text) for text in (tile.label, tile.value, tile.detail))
        grid.add_row(Line(label), Line(value, style="bold"), Line(detail, style="dim"))
    return grid


def _captioned(table: Table, among: Mapping[str, Look], rows: int) -> Iterator[RenderableType]:
    from rich.text import Text as Line

    yield Line(one_line(table.caption), style="dim")
    yield from _shown(table, among, rows)


def _shown(table: Table, among: Mapping[str, Look], rows: int, drawn: Sequence[str] = ()) -> Iterator[RenderableType]:
    from rich.text import Text as Line

    cut = shortened(table, rows)
    yield _table(cut.table, among, drawn)
    if cut.left_out:
        more = say_n(
            cut.left_out,
            "{n} more row: --limit shows more.",
            "{n} more rows: --limit shows more.",
            n=numbers.count(cut.left_out),
        )
        yield Line(more, style="dim")


def _table(table: Table, among: Mapping[str, Look], drawn: Sequence[str] = ()) -> RenderableType:
    from rich.table import Table as Grid
    from rich.text import Text as Line

    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        grid.add_column(Line(one_line(column.title)), justify="right" if column.numeric else "left", overflow="fold")
    if drawn:
        grid.add_column("", no_wrap=True)
    for place, row in enumerate(table.rows):
        found = [_cell(value, among) for value in row]
        grid.add_row(*found, *([Line(drawn[place])] if drawn else []))
    return grid


def _cell(value: str | Cell, among: Mapping[str, Look]) -> Line:
    from rich.text import Text as Line

    letter, text, beside = parts(value, among)
    line = Line()
    if letter and isinstance(value, Cell):
        line.append(letter, style=COLOURS.get(among[value.arm].family, "cyan")).append(" ")
    line.append(text, style="bold" if isinstance(value, Cell) and value.strong else "")
    return line.append(f" {beside}", style="dim") if beside else line
