"""How stable answers are: by hand, by brute force, and at the edges."""

from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.scoring.repeats import stability
from harness.types import Prediction, Status


def rows(*labels: str | None) -> list[Prediction]:
    """One asking of items that all expect "a"; "!" failed, None was unparsed."""
    return [
        Prediction(
            arm="x",
            example_id=str(number),
            expected="a",
            predicted=None if label == "!" else label,
            status=Status.FAILED if label == "!" else Status.UNPARSED if label is None else Status.ANSWERED,
        )
        for number, label in enumerate(labels)
    ]


def test_by_hand() -> None:
    found = stability("x", [rows("a", "a", "b", None), rows("a", "b", "b", None), rows("a", "c", "b", "a")])
    assert found["agreement"] == 0.5  # the first and the third item
    assert found["flip_rate"] == pytest.approx((0 + 1 + 0 + 2 / 3) / 4)
    assert found["accuracy"] == [0.5, 0.25, 0.5]
    assert found["accuracy_sd"] == pytest.approx(statistics.stdev([0.5, 0.25, 0.5]))
    assert (found["arm"], found["repeats"], found["n"], found["left_out"], found["reason"]) == ("x", 3, 4, 0, None)


def test_a_failed_item_is_not_compared_and_counts_as_wrong() -> None:
    found = stability("x", [rows("a", "a"), rows("a", "!")])
    assert (found["n"], found["left_out"], found["agreement"], found["flip_rate"]) == (1, 1, 1.0, 0.0)
    assert found["accuracy"] == [1.0, 0.5]
    assert found["accuracy_sd"] == pytest.approx(statistics.stdev([1.0, 0.5]))
    lost = stability("x", [rows("!"), rows("a")])
    assert (lost["n"], lost["agreement"], lost["flip_rate"]) == (0, None, None)
    short = stability("x", [rows("a", "b"), rows("a")])
    assert (short["n"], short["left_out"], short["flip_rate"]) == (1, 1, 0.0)


def test_the_order_of_the_answers_does_not_matter() -> None:
    first, second = rows("a", "b", "c"), rows("a", "b", "b")
    assert stability("x", [first, second]) == stability("x", [first, second[::-1]])


def test_asked_once_or_never() -> None:
    once = stability("x", [rows("a", "b")], "deterministic")
    assert (once["repeats"], once["agreement"], once["flip_rate"], once["accuracy_sd"]) == (1, None, None, None)
    assert (once["accuracy"], once["reason"]) == ([0.5], "deterministic")
    assert stability("x", [[], []])["accuracy"] == []


@given(st.integers(2, 5).flatmap(lambda times: st.lists(st.lists(st.sampled_from([*"abc", None]), min_size=times,
       max_size=times), min_size=1, max_size=9)))  # fmt: skip
def test_against_every_pair_of_askings(items: list[list[str | None]]) -> None:
    asked = [rows(*labels) for labels in zip(*items, strict=True)]
    pairs = [one != other for labels in items for one, other in itertools.combinations(labels, 2)]
    found = stability("x", asked)
    assert found["flip_rate"] == pytest.approx(sum(pairs) / len(pairs))
    assert found["agreement"] == pytest.approx(sum(len(set(labels)) == 1 for labels in items) / len(items))
