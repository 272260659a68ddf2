"""Values that many plugins are handed: none of them can alter one for the others, and each can have its own copy."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from harness.types import Prediction, ReadOnly, Row, Rows, Status


def row(name: str, predicted: str | None = "a", **more: Any) -> Row:
    status = Status.ANSWERED if predicted is not None else Status.UNPARSED
    return Row(example_id=name, expected="a", predicted=predicted, status=status, **more)


@pytest.mark.parametrize(
    "change",
    [
        lambda shared: shared.update(a=2), lambda shared: shared.pop("a"), lambda shared: shared.clear(),
        lambda shared: shared.__setitem__("a", 2), lambda shared: shared.__delitem__("a"),
        lambda shared: shared.setdefault("b", 2), lambda shared: shared.popitem(), lambda shared: shared.__ior__({}),
    ],
)  # fmt: skip
def test_what_is_shared_cannot_be_changed(change: Any) -> None:
    shared = row("x", slices={"a": "1"}).slices
    with pytest.raises(TypeError, match=r"cannot be changed; change a copy: dict\(x\)"):
        change(shared)
    assert shared == {"a": "1"}


def test_copies_are_ones_own() -> None:
    shared = ReadOnly(a=1, inner=ReadOnly(b=[1]))
    plain = copy.copy(shared)
    plain["a"] = 2
    assert (type(plain), shared["a"]) == (dict, 1)
    deep = copy.deepcopy(shared)
    deep["inner"]["b"].append(2)
    assert shared["inner"]["b"] == [1]
    assert type(deep) is ReadOnly
    again = pickle.loads(pickle.dumps(shared))
    assert (again, type(again), type(again["inner"])) == (shared, ReadOnly, ReadOnly)


def test_rows_are_a_sequence() -> None:
    rows = Rows(rows=(row("x"), row("y", "b"), row("z", None)), labels=("a", "b"))
    assert (len(rows), rows[1].example_id, [each.example_id for each in rows]) == (3, "y", ["x", "y", "z"])
    assert [each.example_id for each in rows[1:]] == ["y", "z"]
    assert [each.right for each in rows] == [True, False, False]


def test_a_prediction_knows_whether_it_is_right() -> None:
    def right(predicted: str | None) -> bool:
        return Prediction(arm="a", example_id="x", expected="a", predicted=predicted, status=Status.ANSWERED).right

    assert (right("a"), right("b"), right(None)) == (True, False, False)
