"""What a section yields is checked by the types of its blocks: each fault is named by its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.blocks import (
    Axis,
    Callout,
    Cell,
    Chart,
    Column,
    Interval,
    Intervals,
    Matrix,
    Passage,
    Point,
    Series,
    Table,
)
from harness.report.conform import conform

COLUMNS = (Column(title="a"), Column(title="b"))
AXIS = Axis(title="x")


def table(*rows: Any, **changes: Any) -> Any:
    return Table(**{"caption": "c", "columns": COLUMNS, "rows": rows, **changes})


def chart(*points: Any, **changes: Any) -> Any:
    series = (Series(arm="s", points=points),)
    return Chart(**{"title": "t", "subtitle": "", "x": AXIS, "y": AXIS, "series": series, **changes})


def matrix(**changes: Any) -> Any:
    known = {"title": "t", "subtitle": "", "rows": ("r", "s"), "columns": ("r", "s"), "counts": ((1, 2), (3, 4))}
    return Matrix(**{**known, **changes})


class Markup(str):
    """Text that claims to be markup."""

    def __html__(self) -> str:
        return str(self)


@pytest.mark.parametrize(
    "block",
    [
        Callout(text="x"),
        table(("x", Cell(text="y", tags=("t",)))),
        chart(Point(x=1, y=2.5), Point(x=0.0, y=1.0, low=None, high=2.0)),
        matrix(),
        Intervals(title="t", subtitle="", axis=AXIS, rows=(Interval(label="l", value=None),)),
    ],
)
def test_what_is_as_it_must_be_stays_the_same_object(block: Any) -> None:
    assert conform(block) is block


def test_lists_numbers_of_numpy_and_markup_become_plain() -> None:
    given = table(["x", Cell(text=Markup("<b>"), tags=["t"])], highlight=np.int64(0))
    found = conform(given)
    assert isinstance(found, Table)
    assert found.rows == (("x", Cell(text="<b>", tags=("t",))),)
    cell = found.rows[0][1]
    assert isinstance(cell, Cell)
    assert (type(cell.text), type(cell.tags), type(found.rows), type(found.highlight)) == (str, tuple, tuple, int)
    drawn = conform(chart(Point(x=np.float32(0.5), y=Fraction(1, 4))))
    assert isinstance(drawn, Chart)
    assert drawn.series[0].points == (Point(x=0.5, y=0.25),)
    assert type(drawn.series[0].points[0].x) is float
    counted = conform(matrix(counts=np.array([[1, 2], [3, 4]]).tolist()))
    assert isinstance(counted, Matrix)
    assert counted.counts == ((1, 2), (3, 4))
    assert type(conform(Passage(title="t", sentences=[Markup("x")])).sentences[0]) is str  # type: ignore[arg-type, union-attr]


@dataclass(frozen=True)
class Foreign:
    text: str = "x"


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: "text", TypeError, "yielded str, which is not a block"),
        (lambda: Foreign(), TypeError, "yielded Foreign, which is not a block"),
        (lambda: Callout(text=5), TypeError, "Callout.text is of type int instead of str"),
        (lambda: Callout(text="x", level="loud"), ValueError,
         "Callout.level is 'loud'; it may be 'ok', 'note', 'warning', 'error'"),
        (lambda: table(("x",)), ValueError, "Table.rows[0] has 1 cells for 2 columns"),
        (lambda: table(columns=()), ValueError, "Table.columns is empty"),
        (lambda: table(("x", 5)), TypeError, "Table.rows[0][1] is of type int instead of str or Cell"),
        (lambda: table("xy"), TypeError, "Table.rows[0] is of type str instead of tuple"),
        (lambda: table({"x": 1}), TypeError, "Table.rows[0] is of type dict instead of tuple"),
        (lambda: table(("x", "y"), folded=1), TypeError, "Table.folded is of type int instead of bool"),
        (lambda: table(("x", "y"), highlight=1.5), TypeError, "Table.highlight is of type float instead of int"),
        (lambda: table(("x", "y"), highlight=True), TypeError, "Table.highlight is of type bool instead of int"),
        (lambda: table(columns=("a", "b")), TypeError, "Table.columns[0] is of type str instead of Column"),
        (lambda: chart(Point(x="1", y=2)), TypeError, "Chart.series[0].points[0].x is of type str instead of float"),
        (lambda: chart(Point(x=1, y=math.nan)), ValueError,
         "Chart.series[0].points[0].y is nan: where there is no number, leave it out"),
        (lambda: chart(Point(x=1, y=math.inf)), ValueError,
         "Chart.series[0].points[0].y is inf: where there is no number, leave it out"),
        (lambda: chart(Point(x=1, y=None)), TypeError,
         "Chart.series[0].points[0].y is of type NoneType instead of float"),
        (lambda: chart(series=()), ValueError, "Chart.series is empty"),
        (lambda: chart(x="x"), TypeError, "Chart.x is of type str instead of Axis"),
        (lambda: matrix(counts=((1, 2),)), ValueError, "Matrix.counts has 1 rows for 2 labels"),
        (lambda: matrix(counts=((1, 2), (3,))), ValueError, "Matrix.counts[1] has 1 counts for 2 columns"),
        (lambda: matrix(counts=((1, 2), (3, 4.5))), TypeError, "Matrix.counts[1][1] is of type float instead of int"),
    ],
)  # fmt: skip
def test_a_fault_is_named_by_its_place(make: Callable[[], Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as caught:
        conform(make())
    assert str(caught.value) == said
