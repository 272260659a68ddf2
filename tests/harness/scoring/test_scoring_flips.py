"""Flip points: the answer really differs on their two sides, and no change of it is missed."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import ARMS, make_arm, make_examples, make_run

from harness.scoring.facts import Decision, Price
from harness.scoring.flips import Stake, flip_points
from harness.scoring.judging import Repricing, rejudge
from harness.scoring.results import build

EXAMPLES = make_examples(60)
STORED = build(make_run(EXAMPLES), [make_arm(arm, EXAMPLES) for arm in ARMS[:2]])
MODELS = {arm["name"]: arm["model"] for arm in STORED["arms"]}
AT = 1e-4


def times(price: dict[str, Any] | Price, factor: float) -> Price:
    table = price if isinstance(price, dict) else {each.name: getattr(price, each.name) for each in fields(Price)}
    tokens = {name: usd * factor for name, usd in table.items() if usd is not None and name != "hosting_hour"}
    return Price(**{**tokens, "hosting_hour": table["hosting_hour"]})


def answer(data: dict[str, Any]) -> bool:
    """What the flip points are about: pays within the horizon, or, without a volume, at any volume at all."""
    decision = data["decision"]
    if decision["requests_per_month"] is not None:
        return bool(decision["pays"])
    entry = next(line for line in data["payback"] if line["role"] == decision["role"])
    return entry["requests"] is not None


def at(data: dict[str, Any], decision: Decision, quantity: str, value: float) -> bool:
    """Decides again with one quantity changed."""
    prices = Repricing()
    side = {"tuned_price": "arm", "against_price": "against"}.get(quantity)
    if side is not None:
        name = data["decision"][side]
        price = next(arm["price"] for arm in data["arms"] if arm["name"] == name)
        prices = Repricing(models={MODELS[name]: times(price, value)})
    elif quantity == "error_usd_factor":
        assert isinstance(decision.error_usd, dict)
        decision = replace(decision, error_usd={name: usd * value for name, usd in decision.error_usd.items()})
    else:
        decision = replace(decision, **{quantity: value})
    return answer(rejudge(data, decision, prices))


amounts = st.floats(0.05, 20)
costs = st.none() | st.floats(0, 0.5) | st.fixed_dictionaries({"neutral": amounts, "default": amounts})
decisions = st.builds(
    Decision,
    requests_per_month=st.none() | st.just(0.0) | st.floats(10, 1e7),
    horizon_months=st.floats(0.5, 48),
    cache_hit=st.none() | st.floats(0, 1),
    error_usd=costs,
    setup_hours=st.floats(0, 20),
    hour_usd=st.sampled_from([0.0, 80.0]),
    upkeep_hours_per_month=st.floats(0, 2),
    retrainings_per_year=st.sampled_from([0.0, 4.0]),
    hosting_usd_per_month=st.sampled_from([0.0, 30.0]),
)
prices = st.builds(
    Price,
    input=amounts,
    cached_input=st.none() | st.floats(0.01, 5),
    cache_write=st.none() | st.floats(0.05, 25),
    output=amounts,
    hosting_hour=st.sampled_from([None, 0.1]),
)


@settings(max_examples=40, deadline=None)
@given(decisions, prices, prices)
def test_the_answer_differs_on_the_two_sides_of_each_point(decision: Decision, tuned: Price, other: Price) -> None:
    models = {MODELS["tuned"]: tuned, MODELS["8-shot"]: other}
    data = rejudge(STORED, decision, Repricing(models=models))
    json.dumps(data, allow_nan=False)
    for point in data["decision"]["flip_points"]:
        assert {point["above"], point["below"]} == {"tuned", "8-shot"}
        if point["quantity"].endswith("cost_per_1k"):
            continue  # the same as the factor before it
        for side, value in (("below", point["value"] * (1 - AT)), ("above", point["value"] * (1 + AT))):
            if point["unit"] != "share" or value <= 1:
                assert at(data, decision, point["quantity"], value) == (point[side] == "tuned"), (point, side)


@settings(max_examples=15, deadline=None)
@given(decisions, prices, prices)
def test_no_change_of_the_answer_is_missed(decision: Decision, tuned: Price, other: Price) -> None:
    data = rejudge(STORED, decision, Repricing(models={MODELS["tuned"]: tuned, MODELS["8-shot"]: other}))
    grids = {"tuned_price": (0.013, 0.31, 1.7, 9.0, 77.0), "cache_hit": (0.013, 0.27, 0.61, 0.99)}
    grids["against_price"] = grids["tuned_price"]
    for quantity, grid in grids.items():
        values = [p["value"] for p in data["decision"]["flip_points"] if p["quantity"] == quantity]
        if any(abs(value - spot) < 1e-3 * spot for value in values for spot in grid):
            continue
        for low, high in pairwise(grid):
            changed = at(data, decision, quantity, low) != at(data, decision, quantity, high)
            assert changed == (sum(low < value < high for value in values) % 2 == 1), (quantity, low, high, values)


def test_the_volume_by_hand() -> None:
    """$98 and $20 a month over 10 months at $1.96 saved a thousand: (9.80 + 20) / 1.96 = 15,204 requests a month."""
    data = json.loads(json.dumps(STORED))
    for arm, tokens in zip(data["arms"], (100, 1000), strict=True):
        arm |= {"input_tokens_mean": tokens, "output_tokens_mean": 10, "cached_tokens_mean": 0}
        arm |= {"cacheable_tokens_mean": 0, "training_cost_usd": 98.0}
    models = {MODELS["tuned"]: Price(input=1.0, output=4.0), MODELS["8-shot"]: Price(input=2.0, output=10.0)}
    decision = Decision(horizon_months=10, hosting_usd_per_month=20)
    points = {
        point["quantity"]: point
        for point in rejudge(data, decision, Repricing(models=models))["decision"]["flip_points"]
    }
    assert points["requests_per_month"] == {
        "quantity": "requests_per_month",
        "value": pytest.approx(15204.0816),
        "above": "tuned",
        "below": "8-shot",
        "unit": "requests",
    }
    # Without a volume, the prices meet but for half a percent: 2.10 × 0.995 / 0.14
    assert points["tuned_price"]["value"] == pytest.approx(14.925)
    assert points["tuned_cost_per_1k"]["value"] == pytest.approx(2.0895)
    assert "cache_hit" not in points


def test_nothing_flips_where_a_cost_is_not_known_or_no_time_is_left() -> None:
    unknown = json.loads(json.dumps(STORED))
    unknown["arms"][0]["training_cost_usd"] = None
    assert rejudge(unknown, Decision())["decision"]["flip_points"] == []
    past = json.loads(json.dumps(STORED))
    past["arms"][0]["shutdown_date"] = "2026-01-01"
    assert rejudge(past, Decision(requests_per_month=1e6))["decision"]["flip_points"] == []


def test_where_nothing_is_asked_only_the_volume_can_change_the_answer() -> None:
    decision = rejudge(STORED, Decision(requests_per_month=0.0))["decision"]
    assert decision["pays"] is False
    assert {point["quantity"] for point in decision["flip_points"]} <= {"requests_per_month"}


def arm_of(name: str, family: str, usd: float, wrong: int, **changes: Any) -> dict[str, Any]:
    """An arm of 100 answers whose model has a price for cached tokens."""
    table = {"labels": ["a"], "counts": [[100 - wrong]], "unparsed": [wrong], "failed": [0]}
    return {
        "name": name, "family": family, "n": 100, "local": False, "cost_per_1k_usd": usd, "machine_s_per_1k": None,
        "confusion": table, "price": None, **changes,
    }  # fmt: skip


def points(tuned: dict[str, Any], other: dict[str, Any], fixed: float = 40.0, **assumed: Any) -> dict[str, Any]:
    decision = Decision(requests_per_month=10_000, **assumed)
    stake = Stake(tuned=tuned, other=other, decision=decision, fixed=fixed, monthly=5.0, months=4.0)
    found = flip_points(stake)
    assert len({point["quantity"] for point in found}) == len(found)
    return {point["quantity"]: point for point in found}


def test_every_point_by_hand() -> None:
    """$40 over 4 months and $5 a month at 10,000 requests: 1,000 of them have to save $1.50."""
    found = points(arm_of("t", "fine-tuned", 2.0, 10), arm_of("p", "few-shot", 3.0, 20))
    assert {name: (point["unit"], point["above"], point["below"]) for name, point in found.items()} == {
        "requests_per_month": ("requests", "t", "p"),
        "tuned_price": ("factor", "p", "t"),
        "tuned_cost_per_1k": ("usd", "p", "t"),
        "against_price": ("factor", "t", "p"),
        "against_cost_per_1k": ("usd", "t", "p"),
        "error_usd": ("usd", "t", "p"),
    }
    assert {name: point["value"] for name, point in found.items()} == pytest.approx({
        "requests_per_month": 15_000, "tuned_price": 0.75, "tuned_cost_per_1k": 1.5, "against_price": 3.5 / 3,
        "against_cost_per_1k": 3.5, "error_usd": 0.005,
    })  # fmt: skip


def test_costs_of_errors_by_label_change_by_a_factor() -> None:
    found = points(arm_of("t", "fine-tuned", 2.0, 10), arm_of("p", "few-shot", 3.0, 20), error_usd={"a": 0.001})
    assert "error_usd" not in found
    assert found["error_usd_factor"]["value"] == pytest.approx(5.0)
    assert (found["error_usd_factor"]["unit"], found["error_usd_factor"]["above"]) == ("factor", "t")


def test_the_share_of_the_cache_by_hand() -> None:
    """$3 for 1,000 prompts of 1,500 tokens, a third of that out of the cache: at a share of one half it saves 1.50."""
    price = {"input": 2.0, "cached_input": 0.5, "output": 0.0}
    tokens = {"input_tokens_mean": 1500.0, "output_tokens_mean": 0.0, "cached_tokens_mean": 0.0}
    cached = arm_of("p", "few-shot", 3.0, 20, price=price, **tokens)
    found = points(arm_of("t", "fine-tuned", 0.375, 10), cached)
    assert found["cache_hit"]["value"] == pytest.approx(0.5)
    assert (found["cache_hit"]["unit"], found["cache_hit"]["above"], found["cache_hit"]["below"]) == ("share", "p", "t")
    assert "cache_hit" not in points(arm_of("t", "fine-tuned", 3.0, 10), cached)


def test_what_cannot_flip_is_no_point() -> None:
    tuned, other = arm_of("t", "fine-tuned", 2.0, 10), arm_of("p", "few-shot", 3.0, 20)
    assert points(tuned, {**other, "cost_per_1k_usd": None}) == {}
    assert "error_usd" not in points(tuned, {**other, "confusion": None})
    assert "error_usd" not in points(arm_of("t", "fine-tuned", 2.0, 30), other)
    assert "tuned_price" not in points(arm_of("t", "fine-tuned", 0.0, 10), other)
    assert "tuned_price" not in points(tuned, arm_of("p", "few-shot", 1.0, 20))
    timed = [{**arm, "cost_per_1k_usd": None, "machine_s_per_1k": seconds}
             for arm, seconds in ((tuned, 200.0), (other, 300.0))]  # fmt: skip
    assert list(points(*timed)) == ["requests_per_month"]
    dear = points(arm_of("t", "fine-tuned", 5.0, 10), other)
    assert "requests_per_month" not in dear
    gift = points(arm_of("t", "fine-tuned", 5.0, 10), other, fixed=-400.0)["requests_per_month"]
    assert (gift["value"], gift["above"]) == (pytest.approx(47_500), "p")


def test_what_gives_a_little_by_itself_pays_until_the_costs_differ() -> None:
    """5 cents a month are given. Half a percent of the price is more: the answer changes where the costs differ."""
    found = points(arm_of("t", "fine-tuned", 2.0, 10), arm_of("p", "few-shot", 3.0, 20), fixed=-20.2)
    assert found["tuned_price"]["value"] == pytest.approx(3.0 / 0.995 / 2.0)
    assert (found["tuned_price"]["above"], found["tuned_price"]["below"]) == ("p", "t")
    assert found["against_price"]["value"] == pytest.approx(2.0 * 0.995 / 3.0)
