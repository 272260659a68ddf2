"""The data table behind each figure."""

from __future__ import annotations

from harness import numbers
from harness.report.blocks import Cell, Chart, Column, Dots, Figure, Intervals, Matrix, Table
from harness.report.charts.scale import write


def table(figure: Figure) -> Table:
    """Returns what a figure shows as a table of the same numbers."""
    if isinstance(figure, Matrix):
        return _matrix(figure)
    if isinstance(figure, Intervals):
        return _intervals(figure)
    if isinstance(figure, Dots):
        return _dots(figure)
    return _pivot(figure) or _points(figure)


def _points(figure: Chart) -> Table:
    bounds = any(point.low is not None for series in figure.series for point in series.points)
    columns = [
        Column(title="Arm"),
        Column(title=figure.x.title, numeric=True),
        Column(title=figure.y.title, numeric=True),
    ]
    if bounds:
        columns.append(Column(title=figure.bounds, numeric=True))
    rows = []
    for series in figure.series:
        for point in series.points:
            row: list[str | Cell] = [
                Cell(text=series.arm, arm=series.arm),
                write(point.x, figure.x.unit),
                write(point.y, figure.y.unit),
            ]
            if bounds:
                row.append(_range(point.low, point.high, figure.y.unit))
            rows.append(tuple(row))
    return Table(caption=figure.title, columns=tuple(columns), rows=tuple(rows))


def _pivot(figure: Chart) -> Table | None:
    """Returns one column for each line where all lines share their x or their y values."""
    lines = [series for series in figure.series if series.line]
    if not lines or len(lines) != len(figure.series):
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
    columns = [Column(title="Row"), Column(title=figure.axis.title, numeric=True)]
    if bounds:
        columns.append(Column(title="Interval", numeric=True))
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
    columns = (Column(title="Row"), *(Column(title=arm, numeric=True) for arm in arms))
    return Table(caption=figure.title, columns=columns, rows=tuple(rows))


def _matrix(figure: Matrix) -> Table:
    columns = (Column(title="Expected"), *(Column(title=name, numeric=True) for name in figure.columns))
    rows = tuple(
        (name, *(numbers.count(count) for count in counts))
        for name, counts in zip(figure.rows, figure.counts, strict=True)
    )
    return Table(caption=figure.title, columns=columns, rows=rows)


def _range(low: float | None, high: float | None, unit: str) -> str:
    if low is None or high is None:
        return numbers.MISSING
    return f"{write(low, unit)} to {write(high, unit)}"  # type: ignore[arg-type]
