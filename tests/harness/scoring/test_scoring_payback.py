"""Money and time: worked examples by hand, and what is not known stays unknown."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.results import ARMS, LARGE, SMALL, Made, make_arm, make_examples, make_run

from harness.scoring.facts import Decision, Price
from harness.scoring.judging import Repricing, rejudge
from harness.scoring.results import build

EXAMPLES = make_examples(300)


def results(*arms: Made, **decision: Any) -> dict[str, Any]:
    facts = [make_arm(arm, EXAMPLES) for arm in arms]
    return build(make_run(EXAMPLES, decision=Decision(**decision)), facts)


def line(data: dict[str, Any], role: str) -> dict[str, Any]:
    return next(entry for entry in data["payback"] if entry["role"] == role)


def test_payback_is_the_fixed_cost_over_the_saving() -> None:
    data = results(*ARMS[:3])
    cost = {arm["name"]: arm["cost_per_1k_usd"] for arm in data["arms"]}
    entry = line(data, "best-prompt")
    assert (entry["arm"], entry["against"], entry["unit"], entry["fixed"]) == ("tuned", "8-shot", "usd", 1.13)
    assert entry["saving_per_1k"] == pytest.approx(cost["8-shot"] - cost["tuned"])
    assert entry["requests"] == pytest.approx(1130 / (cost["8-shot"] - cost["tuned"]), abs=1)
    assert entry["ci"][0] <= entry["requests"] <= entry["ci"][1]
    assert entry["reason"] is None


def test_a_worked_example_by_hand() -> None:
    """1,000 in + 10 out at 2.00/10.00 is $2.10 a thousand; tuned 100 + 10 at 1.00/4.00 is $0.14; $98 pays at 50,000."""
    data = results(*ARMS[:2])
    for arm, tokens in zip(data["arms"], (100, 1000), strict=True):
        arm |= {
            "input_tokens_mean": tokens,
            "output_tokens_mean": 10,
            "cached_tokens_mean": 0,
            "training_cost_usd": 98.0,
        }
    prices = {"ft:small:1": Price(input=1.0, output=4.0), "large": Price(input=2.0, cached_input=0.5, output=10.0)}
    entry = line(rejudge(data, Decision(), Repricing(models=prices)), "best-prompt")
    assert entry["saving_per_1k"] == pytest.approx(1.96)
    assert (entry["requests"], entry["ci"]) == (50_000, None)


def test_a_cache_assumption_changes_long_prompts_only() -> None:
    data = results(*ARMS[:3])
    plain, cached = line(data, "best-prompt"), line(rejudge(data, Decision(cache_hit=1.0)), "best-prompt")
    tokens = next(arm for arm in data["arms"] if arm["name"] == "8-shot")["input_tokens_mean"]
    assert cached["requests"] > plain["requests"]
    assert cached["cache_hit"] == 1.0
    assert plain["cache_hit"] == pytest.approx(0.48, abs=0.05)
    own = next(arm for arm in data["arms"] if arm["name"] == "tuned")["cost_per_1k_usd"]
    assert cached["saving_per_1k"] == pytest.approx(tokens * 0.6 / 1000 + 2 * 10 / 1000 - own)
    short = line(rejudge(data, Decision(cache_hit=1.0, incumbent="zero-shot")), "incumbent")
    assert short["cache_hit"] == 0.0


def test_three_opponents_stand_beside_each_other() -> None:
    cheap = replace(ARMS[1], name="4-shot", price=SMALL, accuracy=0.85)
    data = results(*ARMS[:3], cheap, incumbent="zero-shot")
    assert [entry["role"] for entry in data["payback"]] == ["incumbent", "cheapest-acceptable", "best-prompt"]
    assert line(data, "incumbent")["against"] == "zero-shot"
    # No untrained arm within the margin of zero-shot is cheaper than zero-shot itself
    assert line(data, "cheapest-acceptable")["against"] == "zero-shot"
    assert line(results(*ARMS[:3], cheap), "cheapest-acceptable")["against"] == "4-shot"


def test_a_dearer_model_never_pays_and_says_why() -> None:
    data = results(replace(ARMS[0], price=Price(input=60.0, cached_input=15.0, output=240.0)), ARMS[1])
    entry = line(data, "best-prompt")
    assert entry["requests"] is None
    assert entry["ci"] is None
    assert entry["reason"].startswith("A request of tuned costs ")
    assert data["decision"]["break_even_date"] is None
    assert "requests_per_month" not in [point["quantity"] for point in data["decision"]["flip_points"]]


def test_what_is_not_known_stays_unknown() -> None:
    no_price = line(results(replace(ARMS[0], price=None), ARMS[1]), "best-prompt")
    assert (no_price["requests"], no_price["saving_per_1k"]) == (None, None)
    assert "not known" in no_price["reason"]
    no_training = line(results(replace(ARMS[0], training_usd=None), ARMS[1]), "best-prompt")
    assert (no_training["fixed"], no_training["requests"]) == (None, None)
    assert no_training["saving_per_1k"] > 0
    assert "training of tuned" in no_training["reason"]
    assert results(*ARMS[1:4])["payback"] == []


def test_local_arms_pay_back_in_seconds_of_the_machine() -> None:
    here = [replace(arm, price=None, local=True) for arm in ARMS[:2]]
    data = results(*here, setup_hours=3, hour_usd=90)
    entry = line(data, "best-prompt")
    seconds = {arm["name"]: arm["machine_s_per_1k"] for arm in data["arms"]}
    assert (entry["unit"], entry["fixed"], entry["ci"]) == ("machine_s", 840.0, None)
    assert entry["requests"] == pytest.approx(840_000 / (seconds["8-shot"] - seconds["tuned"]), abs=1)


def test_the_decision_projects_the_horizon() -> None:
    data = results(*ARMS[:2], requests_per_month=1000, horizon_months=6, setup_hours=2, hour_usd=50)
    decision, entry = data["decision"], line(data, "best-prompt")
    assert entry["fixed"] == pytest.approx(101.13)
    assert decision["monthly_saving"] == pytest.approx(entry["saving_per_1k"])
    assert decision["total_saving"] == pytest.approx(6 * entry["saving_per_1k"] - 101.13)
    assert decision["months_to_break_even"] == pytest.approx(entry["requests"] / 1000, abs=1e-3)
    assert decision["break_even_date"] > "2030"
    assert [row["requests_per_month"] for row in decision["table"]] == [1_000, 10_000, 100_000, 1_000_000]
    assert decision["table"][0]["total_saving"] == pytest.approx(decision["total_saving"])
    flip = decision["flip_points"][0]["value"]
    at_flip = rejudge(data, Decision(requests_per_month=flip, horizon_months=6, setup_hours=2, hour_usd=50))
    assert at_flip["decision"]["total_saving"] == pytest.approx(0, abs=1e-6)


def test_what_recurs_is_taken_off_each_month() -> None:
    recurring = Decision(requests_per_month=100_000, upkeep_hours_per_month=1, hour_usd=60, retrainings_per_year=12)
    data = rejudge(results(*ARMS[:2]), recurring)
    assert data["decision"]["monthly_upkeep"] == pytest.approx(60 + 1.13)
    saving = line(data, "best-prompt")["saving_per_1k"]
    assert data["decision"]["monthly_saving"] == pytest.approx(100 * saving - 61.13)


def test_without_a_volume_there_is_a_table_alone() -> None:
    decision = results(*ARMS[:2])["decision"]
    assert decision["requests_per_month"] is decision["monthly_saving"] is decision["break_even_date"] is None
    assert all(row["monthly_saving"] > 0 for row in decision["table"])


def test_the_price_of_a_cache_hit_needs_a_price() -> None:
    uncached = replace(ARMS[1], price=replace(LARGE, cached_input=None))
    data = results(ARMS[0], uncached, cache_hit=0.9)
    assert line(data, "best-prompt")["cache_hit"] == 0.0
