"""Prices that replace those of a run: what each changes, what it leaves, and what is not known then."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.verdicts import prompt, run, tuned

from harness.scoring.facts import Decision, Price
from harness.scoring.judging import Repricing, assumptions, on_this_machine, plain, rejudge
from harness.scoring.results import build
from harness.scoring.savings import requests_by_arm

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


def candidate(**given: Any) -> dict[str, Any]:
    nothing = {"n": 9, "trained": True, "training_usd": None, "training_s": None, "trained_tokens": None}
    return {**nothing, "cost_usd": None, "seconds": None, "model": None, **given}


def test_a_choice_costs_what_its_jobs_cost_at_the_new_price(stored: dict[str, Any]) -> None:
    """Two candidates of one job, one of another whose tokens nobody counted, and a checkpoint."""
    one = candidate(model="m-t", cost_usd=0.5, training_usd=8.0, trained_tokens=1_500_000)  # $2 of it are no tokens'
    checkpoint = candidate(model="m-t:1", cost_usd=0.5, trained=False)
    other = candidate(model="m-u", cost_usd=0.5, training_usd=4.0)
    refused = candidate(n=0, trained=False)
    choice = {"arm": "small", "usd": 14.0, "candidates": [one, one, checkpoint, other, refused]}
    of_others = [{"arm": "large", "usd": 1.0, "candidates": [one]}, {"arm": "gone", "usd": 1.0, "candidates": []}]
    results = {**stored, "choices": [choice, *of_others], "training": [{"arm": "small", "trained_tokens": 1_500_000}]}
    found = rejudge(results, Decision(), Repricing(models={"m-t": NEW}))
    assert found["choices"][0]["usd"] == pytest.approx(4 * 0.5 + 9.0 + 6.0)
    assert [each["training_usd"] for each in found["choices"][0]["candidates"]] == [9.0, 9.0, None, 6.0, None]
    assert found["choices"][1:] == of_others
    assert results["choices"][0] == choice
    lines = {line["name"]: line["usd"] for line in found["payback"][0]["investment"]}
    assert (lines["training"], lines["search"]) == (9.0, pytest.approx(4 * 0.5 + 6.0))
    same = rejudge(results, Decision(), Repricing(models={"m-t": replace(NEW, training=4.0)}))
    assert same["choices"] == results["choices"]
    older = {**results, "choices": [{"arm": "small", "usd": 14.0, "candidates": [{"cost_usd": 0.5}]}]}
    assert rejudge(older, Decision(), Repricing(models={"m-t": NEW}))["choices"] == older["choices"]


def test_a_choice_takes_hours_of_this_machine(stored: dict[str, Any]) -> None:
    one = candidate(model="m-h", seconds=100.0, training_s=1800.0)
    choice = {"arm": "here", "usd": None, "seconds": 1900.0, "candidates": [one, candidate(n=0, trained=False)]}
    results = {**stored, "choices": [choice]}
    (found,) = rejudge(results, Decision(), Repricing(hour_usd=9.0))["choices"]
    assert found["usd"] == pytest.approx(1900 / 3600 * 9)
    assert found["candidates"][0] == {**one, "cost_usd": 0.25, "training_usd": 4.5}
    assert found["candidates"][1] == choice["candidates"][1]
    assert rejudge(results, Decision(), Repricing(models={"m-t": NEW}))["choices"] == [choice]


def test_a_price_of_a_request_is_that_of_its_arm(stored: dict[str, Any]) -> None:
    arms = repriced(stored, Repricing(per_1k={"large": 7.0, "here": 3.0}, hour_usd=9.0))
    assert (arms["large"]["cost_per_1k_usd"], arms["large"]["repriced"]) == (7.0, "request")
    assert (arms["here"]["cost_per_1k_usd"], arms["here"]["repriced"]) == (3.0, "request")
    both = repriced(stored, Repricing(models={"m-t": NEW}, per_1k={"small": 7.0}))["small"]
    assert both["repriced"] == "tokens"


PROMPTED = Price(input=1.0, cached_input=0.2, output=4.0)
TUNED = Price(input=2.0, output=8.0)
HALVED = {"input": 0.5, "cached_input": 0.5, "cache_write": 0.5, "output": 0.5, "reasoning": 0.5}


@pytest.fixture(scope="module")
def batched() -> dict[str, Any]:
    """Two arms whose answers were bought in a batch, at half the price, none of their tokens cached."""
    long = {"input_tokens": 2000, "output_tokens": 5, "cached_tokens": 0}
    short = {"input_tokens": 340, "output_tokens": 5, "cached_tokens": 0}
    arms = [
        tuned(
            range(50), (340 * 2 + 5 * 8) / 2e6, model="m-t", price=TUNED, price_shares=HALVED, training_cost_usd=20.0
        ),
        prompt(range(91), (2000 * 1 + 5 * 4) / 2e6, model="m-p", price=PROMPTED, price_shares=HALVED),
    ]
    arms = [
        replace(arm, predictions=tuple(replace(row, **each) for row in arm.predictions))
        for arm, each in zip(arms, (short, long), strict=True)
    ]
    return build(run(decision=Decision(requests_per_month=20_000)), arms)


def bought(results: Mapping[str, Any]) -> list[Any]:
    """Returns what follows from prices."""
    (line,) = (line for line in results["payback"] if line["role"] == "best-prompt")
    figures = [arm["cost_per_1k_usd"] for arm in results["arms"]]
    figures += [line["saving_per_1k"], line["requests"], *line["ci"], results["decision"]["total_saving"]]
    return [*figures, *(point["value"] for point in results["decision"]["flip_points"])]


def requests() -> dict[str, Any]:
    """Returns the requests of `batched` as they are read from `predictions.parquet`."""
    costs = {"small": (340, (340 * 2 + 5 * 8) / 2e6), "large": (2000, (2000 * 1 + 5 * 4) / 2e6)}
    rows = [
        {"arm": arm, "example_id": f"{number:04d}", "input_tokens": tokens, "output_tokens": 5, "cached_tokens": 0,
         "reasoning_tokens": None, "cost_usd": usd, "status": "answered", "expected": "a", "predicted": "a"}
        for arm, (tokens, usd) in costs.items()
        for number in range(1000)
    ]  # fmt: skip
    return requests_by_arm({name: [row[name] for row in rows] for name in rows[0]})


def test_an_assumption_equal_to_a_run_by_the_batch_changes_nothing(batched: dict[str, Any]) -> None:
    assert batched["arms"][0]["price_shares"] == HALVED
    as_run, none = (
        rejudge(batched, Decision(requests_per_month=20_000, cache_hit=hit), requests=requests()) for hit in (None, 0.0)
    )
    assert bought(none) == pytest.approx(bought(as_run))
    assert bought(as_run)[2] == pytest.approx(1.01 - 0.36)
    half = bought(rejudge(batched, Decision(requests_per_month=20_000, cache_hit=0.5), requests=requests()))
    assert half[2] == pytest.approx((1000 * 1.0 + 1000 * 0.2 + 5 * 4) / 2e3 - 0.36)


def test_a_price_that_is_given_is_one_at_once_and_a_batch_costs_as_much_less(batched: dict[str, Any]) -> None:
    twice = repriced(batched, Repricing(models={"m-t": replace(TUNED, input=4.0, output=16.0)}))
    assert twice["small"]["cost_per_1k_usd"] == pytest.approx(0.72)
    assert twice["small"]["price"]["input"] == 4.0
    decision = Decision(requests_per_month=20_000)
    same = Repricing(models={"m-t": TUNED, "m-p": PROMPTED})
    again, as_run = (rejudge(batched, decision, prices, requests()) for prices in (same, None))
    assert bought(again) == bought(as_run)
    assert again["verdict"] == as_run["verdict"]


def test_an_arms_own_price_leaves_what_it_was_billed(stored: dict[str, Any]) -> None:
    """Not all that is billed follows from mean tokens: prices by length, embeddings for shots, what a cache stored."""
    arms = repriced(stored, Repricing(models={"m-t": replace(OLD, hosting_hour=1.0)}))
    assert arms["small"]["cost_per_1k_usd"] == stored["arms"][0]["cost_per_1k_usd"]
    assert arms["small"]["price"]["hosting_hour"] == 1.0
    assert "repriced" not in arms["small"]


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
