"""A comparison seen from its other side, and how arms and lines are found."""

from __future__ import annotations

from typing import Any

import pytest

from harness.scoring.duel import Duel, arm_of, between, payback_of, turned

LINE: dict[str, Any] = {
    "a": "x", "b": "y", "difference": 0.1, "ci": [0.04, 0.16], "only_a_right": 30, "only_b_right": 20,
    "p95_change": -0.5, "n": 100, "decisive": True,
    "cost": {"unit": "usd", "a": 1.0, "b": 4.0, "change": -0.75, "cheaper": "a"},
}  # fmt: skip
X, Y, Z = ({"name": name, "family": "other"} for name in "xyz")


def test_turned_is_the_same_comparison_from_the_other_side() -> None:
    found = turned(LINE)
    assert found == {
        "a": "y", "b": "x", "difference": -0.1, "ci": [-0.16, -0.04], "only_a_right": 20, "only_b_right": 30,
        "p95_change": 1.0, "n": 100, "decisive": True,
        "cost": {"unit": "usd", "a": 4.0, "b": 1.0, "change": 3.0, "cheaper": "b"},
    }  # fmt: skip
    assert turned(found) == LINE


@pytest.mark.parametrize(
    ("cost", "other"),
    [
        ({"unit": None, "a": None, "b": None, "change": None, "cheaper": None},) * 2,
        (
            {"unit": "usd", "a": 2.0, "b": 2.0, "change": 0.0, "cheaper": "same"},
            {"unit": "usd", "a": 2.0, "b": 2.0, "change": 0.0, "cheaper": "same"},
        ),
        (
            {"unit": "usd", "a": 0.0, "b": 2.0, "change": -1.0, "cheaper": "a"},
            {"unit": "usd", "a": 2.0, "b": 0.0, "change": None, "cheaper": "b"},
        ),
    ],
)
def test_costs_turn_with_it(cost: dict[str, Any], other: dict[str, Any]) -> None:
    assert turned({**LINE, "cost": cost})["cost"] == other


@pytest.mark.parametrize(("change", "other"), [(None, None), (-1.0, None), (0.0, 0.0), (3.0, -0.75)])
def test_waiting_turns_with_it(change: float | None, other: float | None) -> None:
    assert turned({**LINE, "p95_change": change})["p95_change"] == other


def test_comparisons_are_found_whichever_arm_stands_first() -> None:
    results = {"comparisons": [{**LINE, "b": "z"}, LINE]}
    assert between(results, X, Y) == LINE
    assert between(results, Y, X) == turned(LINE)
    assert between(results, Y, Z) is None
    assert arm_of({"arms": [X, Y]}, "y") is Y
    assert arm_of({"arms": [X, Y]}, None) is None
    lines = [{"role": "incumbent"}, {"role": "best-prompt"}]
    assert payback_of({"payback": lines}, "best-prompt") is lines[1]
    assert payback_of({"payback": lines}, "cheapest-acceptable") is None


@pytest.mark.parametrize(("difference", "first"), [(0.1, "x"), (0.0, "x"), (-0.1, "y")])
def test_the_more_accurate_contender_stands_first(difference: float, first: str) -> None:
    line = {**LINE, "difference": difference}
    results = {"run": {"margin": 0.02}, "payback": [{"role": "best-prompt", "arm": "x"}]}
    duel = Duel(a=X, b=Y, line=line, results=results)
    ahead, other, seen = duel.ahead()
    assert ahead["name"] == seen["a"] == first
    assert {ahead["name"], other["name"]} == {"x", "y"}
    assert seen["difference"] == abs(difference)
    assert (duel.margin, duel.payback) == (0.02, {"role": "best-prompt", "arm": "x"})
