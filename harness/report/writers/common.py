"""What a terminal and Markdown share: figures as tables, cells as text, long tables cut short."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness import numbers
from harness.blocks import Cell, Chart, Column, Figure, Matrix, Series, Table
from harness.report import cells, facts, verdict
from harness.report.arms import Arm, Look, look_of, looks, ranked
from harness.report.charts import data_table
from harness.words import one_line, say

ACROSS = 10
"""Columns of a matrix that can still be read as text."""
CONFUSED = 3
"""Labels that are named for each row of a larger matrix."""
POINTS = 12
"""Points that suffice for a line: a figure shows its shape, a table its values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A table, its rows as far as they are shown."""

    table: Table
    left_out: int = 0


def figure_table(figure: Figure) -> Table:
    """Returns a figure's data as a table that can be read as text."""
    if isinstance(figure, Matrix) and len(figure.columns) > ACROSS:
        return _confusions(figure)
    if isinstance(figure, Chart):
        return data_table.table(replace(figure, series=tuple(map(_thinned, figure.series))))
    return data_table.table(figure)


def _thinned(series: Series) -> Series:
    return replace(series, points=tuple(data_table.thinned(series.points, POINTS))) if series.line else series


def _confusions(matrix: Matrix) -> Table:
    """Returns a large matrix by its rows: how many were right, and what the others were most often taken for."""
    rows = []
    for label, counts in zip(matrix.rows, matrix.counts, strict=True):
        wrong = [
            (count, column) for count, column in zip(counts, matrix.columns, strict=True) if count and column != label
        ]
        wrong.sort(key=lambda pair: -pair[0])
        taken = ", ".join(f"{column} ({numbers.count(count)})" for count, column in wrong[:CONFUSED])
        rest = len(wrong) - CONFUSED
        right = sum(count for count, column in zip(counts, matrix.columns, strict=True) if column == label)
        more = say("{labels} and {n} more", labels=taken, n=numbers.count(rest)) if rest > 0 else taken
        rows.append((label, numbers.count(sum(counts)), numbers.count(right), more))
    titles = (say("Expected"), say("Examples"), say("Right"), say("Taken for"))
    columns = tuple(Column(title=title, numeric=place in (1, 2)) for place, title in enumerate(titles))
    return Table(caption=matrix.title, columns=columns, rows=tuple(rows))


def shortened(table: Table, most: int) -> Cut:
    """Returns at most the first `most` rows of a table."""
    if len(table.rows) <= most:
        return Cut(table=table)
    return Cut(table=replace(table, rows=table.rows[:most]), left_out=len(table.rows) - most)


def parts(value: str | Cell, among: Mapping[str, Look]) -> tuple[str, str, str]:
    """Returns an arm's letter (or nothing), a cell's text, and what is said beside it: lines without controls."""
    if not isinstance(value, Cell):
        return "", one_line(value), ""
    look = look_of(value.arm, among)
    beside = " ".join(one_line(text) for text in (value.note, *(f"({tag})" for tag in value.tags)) if text)
    return look.letter if value.arm else "", one_line(value.text), beside


def printable(text: str) -> list[str]:
    """Returns lines of text that keep their indentation, without controls."""
    kept = "".join(char for char in text.expandtabs(4) if char == "\n" or unicodedata.category(char)[0] != "C")
    return kept.split("\n")


def leaderboard(data: facts.Data) -> Table:
    """Returns the arms with what is asked first; the section "Results" has more."""
    measure = facts.cost_measure(data)
    among = looks(data)
    titles = (
        *(say("Rank"), say("Arm"), say("Accuracy (95% CI)"), say("Macro-F1"), say("Tokens in / out"), measure.brief),
        *("p50", "p95"),
    )
    arms = ranked(data)
    return Table(
        caption="",
        columns=tuple(Column(title=title, numeric=place != 1, head=place == 1) for place, title in enumerate(titles)),
        rows=tuple(_arm(arm, among, measure) for arm in arms),
    )


def _arm(arm: Arm, among: Mapping[str, Look], measure: facts.Measure) -> tuple[str | Cell, ...]:
    tokens = f"{numbers.count(arm.get('input_tokens_mean'))} / {numbers.count(arm.get('output_tokens_mean'))}"
    return (
        numbers.count(among[str(arm["name"])].rank),
        cells.arm(arm),
        cells.share(arm.get("accuracy"), arm.get("accuracy_ci")),
        numbers.decimal(arm.get("macro_f1")),
        numbers.MISSING if arm.get("input_tokens_mean") is None else tokens,
        measure.write(measure.of(arm)),
        numbers.ms(facts.latency(arm, "p50")),
        numbers.ms(facts.latency(arm)),
    )


def about(data: facts.Data) -> str:
    """Returns data set, date, size and seed, and what must be known before any number is read."""
    return " · ".join(one_line(part) for part in (*verdict.eyebrow(data), *verdict.remarks(data)))
