"""What training takes beside the price of a request, and what errors cost: by hand, and never made up."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from support.results import ARMS, SMALL, Made, make_arm, make_examples, make_run

from harness.scoring.facts import ArmFacts, Decision
from harness.scoring.judging import Repricing, assumptions, rejudge
from harness.scoring.results import build
from harness.scoring.savings import requests_by_arm
from harness.types import Status

EXAMPLES = make_examples(300)
CHOICE = {
    "arm": "tuned",
    "usd": 3.13,
    "seconds": 1000.0,
    "candidates": [{"cost_usd": 0.25, "seconds": 5.0}, {"cost_usd": 0.25, "seconds": 5.0}],
}
LEDGER = {"spent_usd": 5.0, "training_usd": 2.63}


def facts(*arms: Made, run: dict[str, Any] | None = None, **decision: Any) -> tuple[Any, list[ArmFacts]]:
    made = [make_arm(arm, EXAMPLES) for arm in arms or ARMS[:2]]
    return make_run(EXAMPLES, decision=Decision(**decision), **(run or {})), made


def results(*arms: Made, run: dict[str, Any] | None = None, **decision: Any) -> dict[str, Any]:
    data = build(*facts(*arms, run=run, **decision))
    json.dumps(data, allow_nan=False)
    return data


def entry(data: dict[str, Any], role: str = "best-prompt") -> dict[str, Any]:
    return next(line for line in data["payback"] if line["role"] == role)


def invested(data: dict[str, Any]) -> dict[str, tuple[float | None, bool]]:
    return {line["name"]: (line["usd"], line["counted"]) for line in entry(data)["investment"]}


def test_the_whole_investment_by_hand() -> None:
    """1.13 job, 3.13 − 1.13 search, 0.40 lost, 2 h × $50, 240 labels × $0.05; 5.00 − 2.63 − 0.50 asked."""
    run = {"choices": (CHOICE,), "ledger": LEDGER, "data": {"rows_out": {"train": 240}}}
    made, arms = facts(run=run, setup_hours=2, hour_usd=50, label_usd=0.05)
    arms[0] = replace(arms[0], failed_training_usd=0.40)
    data = build(made, arms)
    lines = invested(data)
    assert lines == {
        "training": (1.13, True),
        "search": (pytest.approx(2.0), True),
        "failed jobs": (0.40, True),
        "setup": (100.0, True),
        "labelling": (pytest.approx(12.0), True),
        "evaluation": (pytest.approx(1.87), False),
    }
    assert entry(data)["fixed"] == pytest.approx(115.53)
    counted = rejudge(data, replace(assumptions(data), count_evaluation=True))
    assert entry(counted)["fixed"] == pytest.approx(117.40)
    together = rejudge(data, replace(assumptions(data), labelling_usd=7.0))
    assert invested(together)["labelling"] == (7.0, True)
    assert data["decision"]["totals"][0]["fixed"] == pytest.approx(115.53)
    assert data["decision"]["totals"][1]["fixed"] == 0.0
    assert "$115.53 of investment paid back" in data["verdict"]["sentence"]


def test_a_training_alone_is_one_line() -> None:
    data = results()
    assert invested(data) == {"training": (1.13, True)}
    assert "its $1.13 of training paid back" in data["verdict"]["sentence"]
    with_search = results(run={"choices": (CHOICE,)})
    assert "of training and search paid back" in with_search["verdict"]["sentence"]


def test_a_search_of_which_a_part_is_unknown_counts_what_is_known() -> None:
    choice = {**CHOICE, "usd": None, "candidates": [{"cost_usd": None}, {"cost_usd": 0.3}, {}]}
    assert invested(results(run={"choices": (choice,)}))["search"] == (0.3, True)
    assert "search" not in invested(results(run={"choices": ({"arm": "8-shot", "usd": 9.0},)}))
    assert "search" not in invested(results(run={"choices": ({"arm": "tuned"},)}))


def test_seconds_of_the_machine_count_training_and_search() -> None:
    here = [replace(arm, price=None, local=True, training_usd=None) for arm in ARMS[:2]]
    data = results(*here, run={"choices": (CHOICE,)}, setup_hours=3, hour_usd=90, hosting_usd_per_month=50)
    found = entry(data)
    assert (found["unit"], found["fixed"]) == ("machine_s", 1000.0)
    lines = {line["name"]: line for line in found["investment"]}
    assert lines["search"] == {"name": "search", "usd": None, "machine_s": 160.0, "counted": True}
    assert lines["setup"] == {"name": "setup", "usd": 270.0, "machine_s": None, "counted": False}
    assert data["decision"]["monthly_upkeep"] == 0


def test_an_hour_of_the_machine_makes_dollars_of_its_seconds() -> None:
    here = [replace(arm, price=None, local=True, training_usd=None) for arm in ARMS[:2]]
    data = results(*here)
    priced = rejudge(data, Decision(), Repricing(hour_usd=3.60))
    found, before = entry(priced), entry(data)
    assert (found["unit"], found["fixed"]) == ("usd", pytest.approx(0.84))
    assert found["saving_per_1k"] == pytest.approx(before["saving_per_1k"] / 1000)
    assert found["requests"] == before["requests"]


def test_what_recurs() -> None:
    hosted = replace(ARMS[0], price=replace(SMALL, hosting_hour=2.0))
    recurring = {"retrainings_per_year": 6, "upkeep_hours_per_month": 1, "hour_usd": 60, "hosting_usd_per_month": 10}
    decision = results(hosted, ARMS[1], requests_per_month=1000, **recurring)["decision"]
    assert decision["recurring"] == [
        {"arm": "tuned", "name": "hosting", "usd": 1471.0, "machine_s": None},
        {"arm": "tuned", "name": "upkeep", "usd": 60.0, "machine_s": None},
        {"arm": "tuned", "name": "retraining", "usd": pytest.approx(0.565), "machine_s": None},
    ]
    assert decision["monthly_upkeep"] == pytest.approx(1531.565)
    assert decision["break_even_date"] is None
    assert decision["pays"] is False


def test_an_opponent_that_is_hosted_by_the_hour_can_pay_for_training_alone() -> None:
    hosted = replace(ARMS[1], price=replace(SMALL, input=0.0, cached_input=0.0, output=0.0, hosting_hour=1.0))
    decision = results(ARMS[0], hosted, requests_per_month=1000)["decision"]
    assert decision["monthly_upkeep"] == pytest.approx(-730.5)
    assert decision["pays"] is True
    (point,) = (point for point in decision["flip_points"] if point["quantity"] == "requests_per_month")
    assert (point["above"], point["below"]) == ("8-shot", "tuned")


# Errors


def test_errors_cost_what_they_cost_by_the_label_that_was_right() -> None:
    costs = {"negative": 3.0, "default": 0.5}
    made, arms = facts(error_usd=costs)
    data = build(made, arms)
    by_hand = {}
    for arm in arms:
        wrong = [row.expected for row in arm.predictions if row.predicted != row.expected]
        assert any(row.status is not Status.ANSWERED for row in arm.predictions) == (arm.name == "8-shot")
        by_hand[arm.name] = sum(costs.get(label, 0.5) for label in wrong) / len(EXAMPLES) * 1000
    totals = {line["arm"]: line for line in data["decision"]["totals"]}
    for name, usd in by_hand.items():
        assert totals[name]["errors_per_1k"] == pytest.approx(usd)
        low, high = totals[name]["errors_ci"]
        assert low < usd < high
    found = entry(data)
    assert found["error_saving_per_1k"] == pytest.approx(by_hand["8-shot"] - by_hand["tuned"])
    assert found["saving_per_1k"] == pytest.approx(found["price_saving_per_1k"] + found["error_saving_per_1k"])
    assert found["requests"] == pytest.approx(1130 / found["saving_per_1k"], abs=1)
    assert found["saving_ci"][0] < found["saving_per_1k"] < found["saving_ci"][1]
    assert "errors counted" in data["verdict"]["sentence"]


def test_one_cost_for_all_errors_is_that_of_accuracy() -> None:
    data = results(error_usd=2.0)
    for arm, line in zip(data["arms"], data["decision"]["totals"], strict=True):
        assert line["errors_per_1k"] == pytest.approx(2000 * (1 - arm["accuracy"]))
    assert entry(results(error_usd=0.0))["error_saving_per_1k"] == 0
    assert entry(results())["error_saving_per_1k"] is None


def test_errors_can_pay_for_a_dearer_model() -> None:
    dear = replace(ARMS[0], price=replace(SMALL, input=60.0, cached_input=15.0, output=240.0))
    plain = results(dear, ARMS[1])
    assert entry(plain)["requests"] is None
    (point,) = (point for point in plain["decision"]["flip_points"] if point["quantity"] == "error_usd")
    above = results(dear, ARMS[1], error_usd=point["value"] * 1.01)
    below = results(dear, ARMS[1], error_usd=point["value"] * 0.99)
    assert entry(above)["requests"] > 0
    assert entry(below)["requests"] is None
    assert entry(below)["reason"].endswith("what its errors cost included: nothing is saved.")


def test_errors_in_dollars_are_not_set_against_seconds() -> None:
    here = [replace(arm, price=None, local=True) for arm in ARMS[:2]]
    found, plain = entry(results(*here, error_usd=5.0)), entry(results(*here))
    assert (found["unit"], found["saving_per_1k"]) == ("machine_s", plain["saving_per_1k"])
    assert found["error_saving_per_1k"] > 0


# Intervals and the horizon


def test_intervals_hold_under_other_assumptions_and_with_groups() -> None:
    examples = make_examples(300, groups=True)
    arms = [make_arm(arm, examples) for arm in ARMS[:2]]
    data = build(make_run(examples), arms)
    columns = [row for arm in arms for row in arm.predictions]
    names = ("arm", "example_id", "expected", "predicted", "status", "cost_usd", "input_tokens", "output_tokens")
    names += ("cached_tokens", "reasoning_tokens")
    requests = requests_by_arm({name: [getattr(row, name) for row in reversed(columns)] for name in names})
    groups = {example.id: str(example.group) for example in examples}
    again = rejudge(data, assumptions(data), requests=requests, groups=groups)
    assert again == data
    assert entry(data)["ci"] != entry(rejudge(data, assumptions(data), requests=requests))["ci"]
    assert entry(rejudge(data, assumptions(data)))["ci"] is None
    for decision in (Decision(cache_hit=0.4), Decision(error_usd={"default": 1.0}), Decision(cache_hit=0.0)):
        found = entry(rejudge(data, decision, requests=requests, groups=groups))
        low, high = found["ci"]
        assert low <= found["requests"] <= high
        built = build(make_run(examples, decision=decision), arms)
        assert entry(built)["ci"] == found["ci"]
    dear = Repricing(models={"large": replace(SMALL, input=1.1)})
    found = entry(rejudge(data, Decision(), dear, requests, groups))
    assert found["ci"][0] <= found["requests"] <= found["ci"][1]


def test_the_chance_to_break_even_in_time() -> None:
    base = results(error_usd=0.01, requests_per_month=1000)
    point = next(p["value"] for p in base["decision"]["flip_points"] if p["quantity"] == "requests_per_month")
    chance = {
        factor: results(error_usd=0.01, requests_per_month=point * factor)["decision"]["break_even_chance"]
        for factor in (0.2, 1.0, 8.0)
    }
    assert chance[0.2] < 0.01
    assert 0.3 < chance[1.0] < 0.7
    assert chance[8.0] > 0.99
    assert base["decision"]["table"][-1]["break_even_chance"] == pytest.approx(1.0, abs=0.01)
    here = [replace(arm, price=None, local=True) for arm in ARMS[:2]]
    assert results(*here, requests_per_month=1000)["decision"]["break_even_chance"] is None


def test_each_arm_over_the_horizon() -> None:
    data = results(*ARMS[:4], requests_per_month=2000, horizon_months=6, hosting_usd_per_month=5, error_usd=0.1)
    cost = {arm["name"]: arm["cost_per_1k_usd"] for arm in data["arms"]}
    totals = {line["arm"]: line for line in data["decision"]["totals"]}
    tuned, shots = totals["tuned"], totals["8-shot"]
    assert tuned["total"] == pytest.approx(1.13 + (2 * (cost["tuned"] + tuned["errors_per_1k"]) + 5) * 6)
    assert shots["total"] == pytest.approx(12 * (cost["8-shot"] + shots["errors_per_1k"]))
    assert shots["total"] - tuned["total"] == pytest.approx(data["decision"]["total_saving"])
    assert (totals["tf-idf"]["unit"], totals["tf-idf"]["monthly"]) == ("machine_s", 0.0)


def test_a_shutdown_cuts_the_horizon() -> None:
    made, arms = facts(requests_per_month=100_000)
    arms[0] = replace(arms[0], shutdown_date="2027-02-20")
    cut = build(made, arms)["decision"]
    assert cut["months"] == pytest.approx(92 / 30.4375)
    assert cut["totals"][1]["months"] == cut["months"]
    arms[0] = replace(arms[0], shutdown_date="2025-01-01")
    past = build(made, arms)
    assert (past["decision"]["months"], past["decision"]["flip_points"]) == (0.0, [])
    assert past["decision"]["break_even_chance"] == 0.0
    assert past["decision"]["pays"] is False
    assert past["verdict"]["kind"] == "expires"


def test_the_rest_of_a_long_prompt_is_written_to_the_cache() -> None:
    priced = replace(ARMS[1], price=replace(ARMS[1].price, cache_write=5.0))  # type: ignore[type-var]
    data = results(ARMS[0], priced, cache_hit=0.25)
    arm = next(arm for arm in data["arms"] if arm["name"] == "8-shot")
    tokens, output = arm["input_tokens_mean"], arm["output_tokens_mean"]
    line = next(line for line in data["decision"]["totals"] if line["arm"] == "8-shot")
    assert line["per_1k"] == pytest.approx((0.25 * tokens * 0.6 + 0.75 * tokens * 5.0 + output * 10) / 1000)


def test_prompts_of_both_lengths_cache_their_long_ones_alone() -> None:
    mixed = replace(ARMS[1], input_tokens=1000)
    data = results(ARMS[0], mixed, cache_hit=1.0)
    arm = next(arm for arm in data["arms"] if arm["name"] == "8-shot")
    assert 0 < arm["cacheable_tokens_mean"] < arm["input_tokens_mean"]
    found = entry(data)
    assert found["cache_hit"] == pytest.approx(arm["cacheable_tokens_mean"] / arm["input_tokens_mean"])
    assert found["ci"][0] <= found["requests"] <= found["ci"][1]


def test_nothing_answered_leaves_nothing_to_decide() -> None:
    empty = replace(make_arm(ARMS[0], EXAMPLES), predictions=())
    data = build(make_run(EXAMPLES, decision=Decision(error_usd=1.0)), [empty, make_arm(ARMS[1], EXAMPLES)])
    json.dumps(data, allow_nan=False)
    assert [line["arm"] for line in data["decision"]["totals"]] == ["8-shot"]
    single = build(make_run(EXAMPLES[:1], decision=Decision(error_usd=1.0, requests_per_month=10)), [
        make_arm(arm, EXAMPLES[:1]) for arm in ARMS[:2]
    ])  # fmt: skip
    json.dumps(single, allow_nan=False)
    assert entry(single)["ci"] is None
