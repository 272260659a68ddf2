"""The data table behind each figure."""

from __future__ import annotations

from collections.abc import Sequence

from harness import numbers
from harness.blocks import Cell, Chart, Column, Dots, Figure, Histogram, Intervals, Matrix, Point, Table, Unit
from harness.report.charts import matrix
from harness.report.charts.scale import write
from harness.words import say

ROWS = 21
"""Points of a line that its table has at most: a figure shows hundreds, but nobody reads so many."""


def table(figure: Figure) -> Table:
    """Returns what a figure shows as a table of the same numbers."""
    if isinstance(figure, Matrix):
        return _matrix(figure) if len(figure.columns) <= matrix.MANY else _pairs(figure)
    if isinstance(figure, Intervals):
        return _intervals(figure)
    if isinstance(figure, Dots):
        return _dots(figure)
    if isinstance(figure, Histogram):
        return _histogram(figure)
    return _pivot(figure) or _points(figure)


def _points(figure: Chart) -> Table:
    bounds = any(point.low is not None for series in figure.series for point in series.points)
    columns = [
        Column(title=say("Arm")),
        Column(title=figure.x.title, numeric=True),
        Column(title=figure.y.title, numeric=True),
    ]
    if bounds:
        columns.append(Column(title=figure.bounds or say("95% interval"), numeric=True))
    rows = []
    for series in figure.series:
        for place, point in enumerate(thinned(series.points, ROWS)):
            row: list[str | Cell] = [
                Cell(text=series.arm, arm=series.arm if place == 0 else ""),  # hundreds of markers
                write(point.x, figure.x.unit),
                write(point.y, figure.y.unit),
            ]
            if bounds:
                row.append(_range(point.low, point.high, figure.y.unit))
            rows.append(tuple(row))
    caption = figure.title
    if any(len(series.points) > ROWS for series in figure.series):
        caption = say("{title}: {n} points of each arm", title=figure.title, n=numbers.count(ROWS))
    return Table(caption=caption, columns=tuple(columns), rows=tuple(rows))


def thinned(points: Sequence[Point], most: int) -> Sequence[Point]:
    """Returns at most so many points: the first, the last, and others at even distances between."""
    last = len(points) - 1
    return points if last < most else [points[round(n * last / (most - 1))] for n in range(most)]


def _pivot(figure: Chart) -> Table | None:
    """Returns one column for each line where all lines share their x or their y values, and none has intervals."""
    lines = [series for series in figure.series if series.line]
    if not lines or len(lines) != len(figure.series):
        return None
    if any(point.low is not None for series in lines for point in series.points):
        return None
    heads = tuple(Column(title=series.arm, numeric=True) for series in lines)
    ys = [tuple(point.y for point in series.points) for series in lines]
    if len(set(ys)) == 1:
        rows = [
            (write(y, figure.y.unit), *(write(series.points[n].x, figure.x.unit) for series in lines))
            for n, y in enumerate(ys[0])
        ]
        return Table(caption=figure.title, columns=(Column(title=figure.y.title), *heads), rows=tuple(rows))
    xs = [tuple(point.x for point in series.points) for series in lines]
    if len(set(xs)) == 1:
        rows = [
            (write(x, figure.x.unit), *(write(series.points[n].y, figure.y.unit) for series in lines))
            for n, x in enumerate(xs[0])
        ]
        return Table(caption=figure.title, columns=(Column(title=figure.x.title), *heads), rows=tuple(rows))
    return None


def _intervals(figure: Intervals) -> Table:
    bounds = any(row.low is not None for row in figure.rows)
    columns = [Column(title=say("Row")), Column(title=figure.axis.title, numeric=True)]
    if bounds:
        columns.append(Column(title=say("Interval"), numeric=True))
    rows = []
    for row in figure.rows:
        cells: list[str | Cell] = [Cell(text=row.label, arm=row.arm), write(row.value, figure.axis.unit)]
        if bounds:
            cells.append(_range(row.low, row.high, figure.axis.unit))
        rows.append(tuple(cells))
    return Table(caption=figure.title, columns=tuple(columns), rows=tuple(rows))


def _dots(figure: Dots) -> Table:
    arms = list(dict.fromkeys(dot.arm for row in figure.rows for dot in row.dots))
    rows = []
    for row in figure.rows:
        values = {dot.arm: dot.value for dot in row.dots}
        rows.append((row.label, *(write(values.get(arm), figure.axis.unit) for arm in arms)))
    columns = (Column(title=say("Row")), *(Column(title=arm, numeric=True) for arm in arms))
    return Table(caption=figure.title, columns=columns, rows=tuple(rows))


def _matrix(figure: Matrix) -> Table:
    columns = (Column(title=say("Expected")), *(Column(title=name, numeric=True) for name in figure.columns))
    rows = tuple(
        (name, *(_count(figure, name, column, count) for column, count in zip(figure.columns, counts, strict=True)))
        for name, counts in zip(figure.rows, figure.counts, strict=True)
    )
    return Table(caption=figure.title, columns=columns, rows=rows)


def _count(figure: Matrix, row: str, column: str, count: int) -> str | Cell:
    href = matrix.address(figure, row, column) if count else ""
    return Cell(text=numbers.count(count), href=href) if href else numbers.count(count)


def _pairs(figure: Matrix) -> Table:
    """Returns a row for each cell that counts something, mistakes first: most cells of many labels are empty."""
    found = [
        (row == column, -count, row, column)
        for row, counts in zip(figure.rows, figure.counts, strict=True)
        for column, count in zip(figure.columns, counts, strict=True)
        if count
    ]
    rows = tuple(
        (row, column, numbers.count(-count) if right else _count(figure, row, column, -count))
        for right, count, row, column in sorted(found)
    )
    columns = (
        Column(title=say("Expected")),
        Column(title=say("Predicted")),
        Column(title=say("Examples"), numeric=True),
    )
    return Table(caption=figure.title, columns=columns, rows=rows)


def _histogram(figure: Histogram) -> Table:
    unit = figure.axis.unit
    columns = (Column(title=figure.axis.title), *(Column(title=row.arm, numeric=True) for row in figure.rows))
    rows: list[tuple[str, ...]] = [(say("mean"), *(write(row.value, unit) for row in figure.rows))]
    for n, (low, high) in enumerate(zip(figure.edges, figure.edges[1:], strict=False)):
        counts = [row.counts[n] for row in figure.rows]
        if any(counts):
            rows.append((_range(low, high, unit), *(numbers.count(count) for count in counts)))
    return Table(caption=figure.title, columns=columns, rows=tuple(rows))


def _range(low: float | None, high: float | None, unit: Unit) -> str:
    if low is None or high is None:
        return numbers.MISSING
    return numbers.span(write(low, unit), write(high, unit))
