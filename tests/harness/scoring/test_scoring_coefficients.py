"""What the page's calculator is given: by hand, and from results of other versions that lack parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from harness.scoring.coefficients import CONSTANTS, coefficients

PRICE = {"input": 2.0, "cached_input": 0.5, "output": 10.0, "training": 5.0, "cache_write": None, "reasoning": None,
         "hosting_hour": 1.0}  # fmt: skip
TABLE = {"labels": ["a", "b"], "counts": [[90, 4], [6, 80]], "unparsed": [3, 7], "failed": [2, 8]}


def results(assumed: dict[str, Any] | None = None, **arm: Any) -> dict[str, Any]:
    shared: dict[str, Any] = {
        "n": 200, "local": False, "simulated": False, "price": PRICE, "cost_per_1k_usd": 1.5, "confusion": TABLE,
        "accuracy": 0.85, "machine_s_per_1k": 7.0, "input_tokens_mean": 1500.0, "output_tokens_mean": 20.0,
        "cached_tokens_mean": 100.0, "reasoning_tokens_mean": 3.0, "cacheable_tokens_mean": 1200.0,
    }  # fmt: skip
    tuned = {"name": "t", "family": "fine-tuned", "model": "m-t", "training_cost_usd": 4.0, "training_s": 60.0,
             "failed_training_usd": 0.5}  # fmt: skip
    return {
        "run": {"finished": "2026-11-20T23:30:00-05:00"},
        "arms": [
            {**shared, **tuned, **arm},
            {**shared, "name": "p", "family": "few-shot", "model": "m-p"},
            {**shared, "name": "none", "n": 0},
        ],
        "choices": [{"arm": "t", "usd": 6.0, "seconds": 90.0, "candidates": [{"cost_usd": 0.25, "seconds": 5.0}]}],
        "decision": {
            "arm": "t", "against": "p", "months_until_shutdown": 5,
            "assumptions": {"requests_per_month": 1000, "horizon_months": 6, "cache_hit": 0.5, **(assumed or {})},
        },
    }  # fmt: skip


def found(data: dict[str, Any]) -> dict[str, Any]:
    told = coefficients(data)
    assert told is not None
    json.dumps(told, allow_nan=False)
    return told


def test_all_of_it_by_hand() -> None:
    assumed = {"upkeep_hours_per_month": 2.0, "hour_usd": 50.0, "hosting_usd_per_month": 30.0,
               "retrainings_per_year": 4.0, "setup_hours": 3.0, "error_usd": 0.2}  # fmt: skip
    told = found(results(assumed))
    assert (told["arm"], told["against"], set(told["arms"])) == ("t", "p", {"t", "p"})
    assert told["assumed"] == {
        "requests_per_month": 1000.0, "horizon_months": 6.0, "cache_hit": 0.5, "error_usd": 0.2, "by_label": False,
    }  # fmt: skip
    assert (told["months_until_shutdown"], told["today"]) == (5.0, "2026-11-21")  # the day in UTC
    assert told["constants"] == CONSTANTS
    tuned, prompt = told["arms"]["t"], told["arms"]["p"]
    assert prompt == {
        "accuracy": 0.85, "n": 200, "wrong": 30, "wrong_usd": None, "usd_per_1k": 1.5, "machine_s_per_1k": 7.0,
        "here": False, "model": "m-p", "price": PRICE, "price_shares": None, "trained": None,
        "tokens": {"input": 1500.0, "output": 20.0, "cached": 100.0, "reasoning": 3.0, "cacheable": 1200.0},
    }  # fmt: skip
    assert {**tuned, "trained": None, "model": "m-p"} == prompt
    assert tuned["trained"] == {
        "usd": 4.0, "machine_s": 60.0,
        "search": {"usd": {"total": 6.0, "known": 0.25}, "machine_s": {"total": 90.0, "known": 5.0}},
        "rest_usd": 0.5 + 3 * 50.0,  # the job that failed and the set-up; training and search depend on prices
        "by_hand_usd": 100.0, "hosting_usd": 30.0, "retrainings_per_year": 4.0,
    }  # fmt: skip


def test_what_was_bought_in_a_batch_keeps_its_shares() -> None:
    shares = {"input": 0.5, "output": 0.75}
    told = found(results(price_shares=shares))["arms"]
    assert (told["t"]["price_shares"], told["p"]["price_shares"]) == (shares, None)


def test_costs_of_errors_by_label_are_summed_over_what_was_wrong() -> None:
    told = found(results({"error_usd": {"a": 1.0, "default": 0.5}}))
    assert (told["assumed"]["error_usd"], told["assumed"]["by_label"]) == (None, True)
    assert told["arms"]["t"]["wrong"] == 30
    assert told["arms"]["t"]["wrong_usd"] == pytest.approx(9 * 1.0 + 21 * 0.5)


@pytest.mark.parametrize("table", [None, {}, {**TABLE, "failed": []}, {"labels": ["a"]}])
def test_a_table_that_is_not_there_makes_no_number(table: dict[str, Any] | None) -> None:
    told = found(results(confusion=table))["arms"]["t"]
    assert (told["wrong"], told["wrong_usd"]) == (None, None)


@pytest.mark.parametrize("changes", [{"local": True}, {"model": None}, {"price": None}])
def test_prices_of_models_can_be_changed_where_a_provider_bills_them(changes: dict[str, Any]) -> None:
    assert found(results(**changes))["arms"]["t"]["model"] is None
    assert found(results(local=True))["arms"]["t"]["here"] is True
    assert found(results(local=True, simulated=True))["arms"]["t"]["here"] is False
    assert found(results(price=None))["arms"]["t"]["price"] is None


def test_results_of_an_older_version_lack_parts() -> None:
    old = {
        "arms": [{"name": "t", "family": "fine-tuned", "n": 5}, {"name": "p", "n": 5}],
        "decision": {"arm": "t", "against": "p"},
    }
    told = found(old)
    assert (told["today"], told["months_until_shutdown"]) == (None, None)
    assert told["assumed"]["horizon_months"] == 12.0
    tuned = told["arms"]["t"]
    assert tuned["tokens"] == {"input": None, "output": None, "cached": 0.0, "reasoning": 0.0, "cacheable": 0.0}
    assert (tuned["usd_per_1k"], tuned["machine_s_per_1k"], tuned["price"], tuned["accuracy"]) == (None,) * 4
    assert (tuned["here"], tuned["model"], tuned["wrong"]) == (False, None, None)
    assert tuned["trained"]["usd"] is tuned["trained"]["machine_s"] is None
    assert tuned["trained"]["search"]["usd"] == {"total": None, "known": None}
    assert (tuned["trained"]["rest_usd"], tuned["trained"]["retrainings_per_year"]) == (0.0, 0.0)
    assert told["arms"]["p"]["trained"] is None
    assert found({**old, "run": {"finished": "soon"}})["today"] is None


@pytest.mark.parametrize("lacking", ["arm", "against"])
def test_without_two_arms_there_is_nothing_to_decide(lacking: str) -> None:
    data = results()
    data["decision"][lacking] = None
    assert coefficients(data) is None
    data["decision"][lacking] = "none"  # an arm without answers
    assert coefficients(data) is None
    assert coefficients({}) is None


def test_results_that_do_not_say_what_was_simulated_simulated_nothing() -> None:
    old = results(local=True)
    del old["arms"][0]["simulated"]
    assert found(old)["arms"]["t"]["here"] is True
