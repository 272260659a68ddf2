"""Prices that replace those of a run: what each changes, what it leaves, and what is not known then."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.verdicts import prompt, run, tuned

from harness.scoring.facts import Decision, Price
from harness.scoring.judging import Repricing, assumptions, on_this_machine, plain, rejudge
from harness.scoring.results import build

OLD = Price(input=1.0, output=2.0, training=4.0)
NEW = Price(input=3.0, output=5.0, training=6.0)


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    """A tuned model of a provider and a prompt, 10 tokens in and 1 out, beside an arm of a local endpoint."""
    arms = [
        tuned(range(50), model="m-t", price=OLD, training_cost_usd=8.0, validation_accuracy=0.95),
        prompt(range(91), model="m-p", price=OLD, training_cost_usd=None),
        tuned(range(60), name="here", model="m-h", local=True, busy_s=2.0, training_cost_usd=None, training_s=1800.0),
    ]
    arms = [
        replace(arm, predictions=tuple(replace(row, arm=arm.name, input_tokens=10, output_tokens=1)
                                       for row in arm.predictions))
        for arm in arms
    ]  # fmt: skip
    return build(run(), arms)


def repriced(stored: dict[str, Any], prices: Repricing, **parts: Any) -> dict[str, dict[str, Any]]:
    found = rejudge({**stored, **parts}, Decision(), prices)
    return {arm["name"]: arm for arm in found["arms"]}


def test_another_price_of_a_model_follows_its_tokens(stored: dict[str, Any]) -> None:
    arms = repriced(stored, Repricing(models={"m-t": NEW}))
    assert arms["small"]["cost_per_1k_usd"] == pytest.approx((10 * 3 + 1 * 5) / 1e6 * 1000)
    assert (arms["small"]["repriced"], arms["small"]["price"]["input"]) == ("tokens", 3.0)
    # Nothing is known of the trained tokens: the same ones at the new price
    assert arms["small"]["training_cost_usd"] == pytest.approx(8.0 * 6 / 4)
    assert arms["large"] == stored["arms"][1]
    assert arms["here"] == stored["arms"][2]
    assert "repriced" not in stored["arms"][0]  # the run's results are left as they are


def test_trained_tokens_are_paid_for_at_the_new_price(stored: dict[str, Any]) -> None:
    jobs = [
        *({"arm": "small", "trained_tokens": tokens} for tokens in (7, 8, 3_000_000)),
        {"arm": "small"},
        {"arm": "here", "trained_tokens": 1},
    ]
    arms = repriced(stored, Repricing(models={"m-t": NEW}), training=jobs)
    assert arms["small"]["training_cost_usd"] == pytest.approx(18.0)


@pytest.mark.parametrize(
    ("new", "old", "paid", "cost"),
    [
        (replace(NEW, training=None), OLD, 8.0, 8.0),
        (replace(NEW, training=4.0), OLD, 8.0, 8.0),
        (NEW, None, 8.0, None),
        (NEW, replace(OLD, training=None), 8.0, None),
        (NEW, replace(OLD, training=0.0), 8.0, None),
        (NEW, OLD, None, None),
    ],
)
def test_what_training_costs_where_parts_are_not_known(
    stored: dict[str, Any], new: Price, old: Price | None, paid: float | None, cost: float | None
) -> None:
    price = None if old is None else {"input": old.input, "output": old.output, "training": old.training}
    arms = [stored["arms"][0] | {"price": price, "training_cost_usd": paid}, *stored["arms"][1:]]
    found = repriced(stored, Repricing(models={"m-t": new}), arms=arms)["small"]
    assert found["training_cost_usd"] == cost
    assert found["repriced"] == "tokens"


def test_an_hour_of_this_machine_prices_what_it_answered(stored: dict[str, Any]) -> None:
    arms = repriced(stored, Repricing(hour_usd=9.0))
    assert arms["here"]["cost_per_1k_usd"] == pytest.approx(2.0 / 3600 * 9.0)
    assert arms["here"]["training_cost_usd"] == pytest.approx(4.5)
    assert arms["here"]["repriced"] == "hour"
    assert arms["small"] == stored["arms"][0]
    untimed = [*stored["arms"][:2], stored["arms"][2] | {"machine_s_per_1k": None, "training_s": None}]
    found = repriced(stored, Repricing(hour_usd=9.0), arms=untimed)["here"]
    assert (found["cost_per_1k_usd"], found["training_cost_usd"], found["repriced"]) == (None, None, "hour")


def test_a_price_of_a_request_is_that_of_its_arm(stored: dict[str, Any]) -> None:
    arms = repriced(stored, Repricing(per_1k={"large": 7.0, "here": 3.0}, hour_usd=9.0))
    assert (arms["large"]["cost_per_1k_usd"], arms["large"]["repriced"]) == (7.0, "request")
    assert (arms["here"]["cost_per_1k_usd"], arms["here"]["repriced"]) == (3.0, "request")
    both = repriced(stored, Repricing(models={"m-t": NEW}, per_1k={"small": 7.0}))["small"]
    assert both["repriced"] == "tokens"


def test_the_whole_judgement_follows(stored: dict[str, Any]) -> None:
    assert stored["verdict"]["kind"] == "win"
    dear = rejudge(stored, Decision(), Repricing(models={"m-t": replace(NEW, input=900.0)}))
    assert dear["verdict"]["kind"] == "trade-off"
    line = next(line for line in dear["comparisons"] if {line["a"], line["b"]} == {"small", "large"})
    assert line["cost"]["cheaper"] == ("b" if line["a"] == "small" else "a")
    assert dear["payback"] != stored["payback"]
    assert dear["decision"]["assumptions"] == stored["decision"]["assumptions"]
    assert rejudge(stored, Decision(hour_usd=5.0))["decision"]["assumptions"]["hour_usd"] == 5.0


@pytest.mark.parametrize(
    ("changes", "here"), [({}, True), ({"local": False}, False), ({"model": None}, False), ({"simulated": True}, False)]
)
def test_what_a_local_endpoint_answers_for(changes: dict[str, Any], here: bool) -> None:
    assert on_this_machine({"local": True, "model": "m", "simulated": False, **changes}) is here


def test_assumptions_of_other_versions() -> None:
    told = {"hour_usd": 5.0, "horizon_months": None, "of_a_later_version": 1}
    assert assumptions({"decision": {"assumptions": told}}) == Decision(hour_usd=5.0)
    for nothing in ({}, {"decision": None}, {"decision": {}}, {"decision": {"assumptions": None}}):
        assert assumptions(nothing) == Decision()


def test_what_json_does_not_know_becomes_what_it_knows() -> None:
    value = {
        1: (1.5, math.nan, math.inf),
        "array": np.array([1.0, np.nan]),
        "scalars": [np.float64("-inf"), np.float64(2.5), np.int64(3), np.bool_(True)],
        "plain": ["x", None, True, {"y": 2}],
    }
    found = plain(value)
    assert found == {
        "1": [1.5, None, None],
        "array": [1.0, None],
        "scalars": [None, 2.5, 3, True],
        "plain": ["x", None, True, {"y": 2}],
    }
    assert [type(each) for each in found["scalars"][1:]] == [float, int, bool]
