"""The decision over the horizon and the money of each arm: by hand, with plain figures instead of a run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.scoring.costs import Bills
from harness.scoring.facts import Decision
from harness.scoring.flips import Stake
from harness.scoring.investment import Spent, fixed_cost, investment, monthly_cost, recurring
from harness.scoring.payback import paybacks
from harness.scoring.projection import Case, day_of, decide
from harness.scoring.savings import Savings
from harness.scoring.searches import at_training_price

TODAY = "2026-11-20T09:12:30+00:00"


def arm(name: str, family: str, usd: float | None, **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "name": name, "family": family, "n": 100, "local": False, "price": None, "cost_per_1k_usd": usd,
        "machine_s_per_1k": None, "accuracy": 0.9, "confusion": None, "training_cost_usd": None, "training_s": None,
        "failed_training_usd": None, "shutdown_date": None, "input_tokens_mean": 100.0, "cached_tokens_mean": None,
        "cacheable_tokens_mean": 0.0,
    }  # fmt: skip
    return {**known, **changes}


def trained(usd: float | None = 1.0, **changes: Any) -> dict[str, Any]:
    return arm("tuned", "fine-tuned", usd, **{"training_cost_usd": 40.0, "training_s": 600.0, **changes})


def lines(
    arms: list[dict[str, Any]], a: str = "tuned", b: str | None = "prompt", margin: float = 0.02, **assumed: Any
) -> dict[str, dict[str, Any]]:
    found = paybacks(arms, {"a": a, "b": b}, margin, Decision(**assumed))
    return {line["role"]: line for line in found}


def decided(arms: list[dict[str, Any]], spent: Spent | None = None, **assumed: Any) -> dict[str, Any]:
    decision = Decision(**assumed)
    table = paybacks(arms, {"a": "tuned", "b": "prompt"}, 0.02, decision, None, spent)
    return decide(arms, table, decision, TODAY, None, spent)


PROMPT = arm("prompt", "few-shot", 3.0)


def test_payback_by_hand() -> None:
    line = lines([trained(), PROMPT])["best-prompt"]
    assert {key: line[key] for key in ("arm", "against", "role", "unit", "fixed", "saving_per_1k", "requests")} == {
        "arm": "tuned", "against": "prompt", "role": "best-prompt", "unit": "usd", "fixed": 40.0,
        "saving_per_1k": 2.0, "requests": 20_000,
    }  # fmt: skip
    assert (line["training"], line["setup"], line["price_saving_per_1k"]) == (40.0, 0, 2.0)
    assert line["reason"] is line["ci"] is line["saving_ci"] is line["error_saving_per_1k"] is None


@pytest.mark.parametrize(
    ("tuned", "other", "reason"),
    [
        (trained(3.6), PROMPT, "A request of tuned costs 20% more than one of prompt."),
        (trained(30.0), PROMPT, "A request of tuned costs 10 times as much as one of prompt."),
        (trained(29.9), PROMPT, "A request of tuned costs 897% more than one of prompt."),
        (trained(1.0), {**PROMPT, "cost_per_1k_usd": 0.0}, "A request of tuned costs more than one of prompt."),
        (trained(3.0), PROMPT, "A request of tuned costs as much as one of prompt: nothing is saved."),
        (
            trained(None, machine_s_per_1k=40.0),
            {**PROMPT, "cost_per_1k_usd": None, "machine_s_per_1k": 20.0},
            "A request of tuned takes 100% more machine time than one of prompt.",
        ),
        (
            trained(None, machine_s_per_1k=500.0),
            {**PROMPT, "cost_per_1k_usd": None, "machine_s_per_1k": 20.0},
            "A request of tuned takes 25 times as much machine time as one of prompt.",
        ),
        (
            trained(None), PROMPT,
            "What a request costs is not known for tuned and prompt in the same unit.",
        ),
        (trained(training_cost_usd=None), PROMPT, "What the training of tuned cost is not known."),
    ],
)  # fmt: skip
def test_why_nothing_is_paid_back(tuned: dict[str, Any], other: dict[str, Any], reason: str) -> None:
    line = lines([tuned, other])["best-prompt"]
    assert (line["requests"], line["ci"], line["reason"]) == (None, None, reason)


def test_costs_of_errors_count_and_are_told() -> None:
    table = {"labels": ["a"], "counts": [[90]], "unparsed": [10], "failed": [0]}
    worse = {**table, "counts": [[80]], "unparsed": [20]}
    arms = [trained(confusion=table), arm("prompt", "few-shot", 3.0, confusion=worse)]
    line = lines(arms, error_usd=0.05)["best-prompt"]
    assert (line["saving_per_1k"], line["error_saving_per_1k"]) == (pytest.approx(7.0), pytest.approx(5.0))
    assert line["requests"] == 5715  # 40 / 7 thousand, rounded up
    dear = lines([trained(12.0, confusion=table), arms[1]], error_usd=0.05)["best-prompt"]
    assert dear["reason"] == "A request of tuned costs 31% more than one of prompt, what its errors cost included."
    level = lines([trained(8.0, confusion=table), arms[1]], error_usd=0.05)["best-prompt"]
    assert level["reason"] == (
        "A request of tuned costs as much as one of prompt, what its errors cost included: nothing is saved."
    )


def test_the_cheapest_acceptable_arm() -> None:
    cheap = arm("cheap", "zero-shot", 0.5, accuracy=0.87)
    other = arm("other", "classical", 0.7, accuracy=0.881)
    arms = [trained(0.1), PROMPT, cheap, other]
    found = lines(arms)
    assert list(found) == ["cheapest-acceptable", "best-prompt"]
    assert found["cheapest-acceptable"]["against"] == "other"
    assert lines(arms, margin=0.04)["cheapest-acceptable"]["against"] == "cheap"
    assert lines(arms, incumbent="cheap")["cheapest-acceptable"]["against"] == "cheap"
    assert lines(arms, incumbent="cheap")["incumbent"]["against"] == "cheap"
    # Names settle a tie; a trained arm and one without answers are not asked; nor one whose cost is not known
    equal = [{**cheap, "accuracy": 0.9, "name": name, "cost_per_1k_usd": 0.4} for name in ("q", "p")]
    unfit = [{**trained(0.01), "name": "t2"}, {**cheap, "name": "none", "n": 0, "accuracy": 0.9},
             {**cheap, "accuracy": 0.95, "cost_per_1k_usd": None}]  # fmt: skip
    assert lines([*arms, *unfit, *equal])["cheapest-acceptable"]["against"] == "p"
    assert lines([trained(0.1), {**PROMPT, "accuracy": None}])["best-prompt"]["requests"]
    assert "cheapest-acceptable" not in lines([trained(0.1), {**PROMPT, "accuracy": None}])


def test_the_cheapest_in_seconds_where_the_standard_has_no_price() -> None:
    timed = [{**PROMPT, "name": name, "cost_per_1k_usd": usd, "machine_s_per_1k": seconds}
             for name, usd, seconds in (("prompt", None, 30.0), ("fast", 9.0, 10.0), ("cheap", 0.1, 20.0))]  # fmt: skip
    found = lines([trained(None, machine_s_per_1k=1.0), *timed])
    assert found["cheapest-acceptable"]["against"] == "fast"


def test_who_is_held_against_the_trained_arm() -> None:
    assert lines([PROMPT, arm("q", "few-shot", 1.0)], a="q") == {}
    assert lines([trained(), PROMPT], a="nobody") == {}
    assert lines([trained(), arm("prompt", "classical", 3.0)]) == {}
    assert "incumbent" not in lines([trained(), PROMPT, arm("old", "few-shot", 1.0, n=0)], incumbent="old")
    assert "incumbent" not in lines([trained(), PROMPT], incumbent="tuned")


def test_the_horizon_by_hand() -> None:
    found = decided([trained(), PROMPT], requests_per_month=10_000, horizon_months=5)
    assert (found["monthly_saving"], found["total_saving"], found["pays"]) == (20.0, 60.0, True)
    assert (found["months_to_break_even"], found["break_even_date"]) == (2.0, "2027-01-20")
    assert (found["months"], found["months_until_shutdown"], found["shutdown_date"]) == (5, None, None)
    assert (found["arm"], found["against"], found["role"], found["unit"]) == ("tuned", "prompt", "best-prompt", "usd")
    assert [row["monthly_saving"] for row in found["table"]] == [2.0, 20.0, 200.0, 2000.0]
    assert (found["recurring"], found["monthly_upkeep"], found["break_even_chance"]) == ([], 0.0, None)
    assert decided([trained(), PROMPT], requests_per_month=4_000, horizon_months=5)["pays"] is False


def test_an_incumbent_comes_before_the_best_prompt() -> None:
    found = decided([trained(), PROMPT, arm("old", "classical", 2.0)], incumbent="old")
    assert (found["against"], found["role"]) == ("old", "incumbent")


def test_a_shutdown_cuts_the_horizon() -> None:
    found = decided([trained(shutdown_date="2026-12-20"), PROMPT], requests_per_month=10_000)
    left = 30 / (365.25 / 12)
    assert (found["months_until_shutdown"], found["months"]) == (pytest.approx(left), pytest.approx(left))
    assert found["total_saving"] == pytest.approx(20 * left - 40)
    assert found["horizon_months"] == 12.0
    past = decided([trained(shutdown_date="2026-10-20"), PROMPT], requests_per_month=10_000)
    assert (past["months"], past["total_saving"], past["pays"]) == (0.0, -40.0, False)
    assert past["months_until_shutdown"] < 0
    later = decided([trained(shutdown_date="2029-10-20"), PROMPT])
    assert later["months"] == 12.0


def test_what_is_not_known_is_not_projected() -> None:
    for arms in ([trained(training_cost_usd=None), PROMPT], [trained(None), PROMPT]):
        found = decided(arms, requests_per_month=10_000)
        assert found["monthly_saving"] is found["total_saving"] is found["pays"] is found["monthly_upkeep"] is None
        assert [row["requests_per_month"] for row in found["table"]] == [1e3, 1e4, 1e5, 1e6]
        assert all(value is None for row in found["table"] for key, value in row.items() if key != "requests_per_month")
        assert set(found["table"][0]) == set(decided([trained(), PROMPT])["table"][0])
        assert found["against"] == "prompt"
    nobody = decided([PROMPT], requests_per_month=10_000)
    assert (nobody["table"], nobody["recurring"], nobody["flip_points"], nobody["arm"]) == ([], [], [], None)


def test_no_date_is_given_beyond_a_hundred_years() -> None:
    far = decided([trained(training_cost_usd=2_400.0), PROMPT], requests_per_month=1_000)
    assert (far["months_to_break_even"], far["break_even_date"]) == (1200.0, "2126-11-21")
    farther = decided([trained(training_cost_usd=2_401.0), PROMPT], requests_per_month=1_000)
    assert (farther["months_to_break_even"], farther["break_even_date"]) == (1200.5, None)
    never = decided([trained(), PROMPT], requests_per_month=1_000, hosting_usd_per_month=2.0)
    assert (never["monthly_saving"], never["months_to_break_even"], never["break_even_date"]) == (0.0, None, None)


def test_what_each_arm_takes_over_the_horizon() -> None:
    table = {"labels": ["a"], "counts": [[90]], "unparsed": [10], "failed": [0]}
    hosted = {"input": None, "output": None, "hosting_hour": 0.01}
    arms = [trained(confusion=table, price=hosted), PROMPT, arm("here", "classical", None, machine_s_per_1k=5.0),
            arm("free", "classical", None), arm("none", "few-shot", 1.0, n=0)]  # fmt: skip
    found = decided(arms, requests_per_month=2_000, horizon_months=10, error_usd=0.1, retrainings_per_year=6)
    totals = {line["arm"]: line for line in found["totals"]}
    assert list(totals) == ["tuned", "prompt", "here", "free"]
    # $40, then each month $2 for requests, $20 for errors, $7.305 for the deployment, $20 for training again
    assert totals["tuned"] == {
        "arm": "tuned", "unit": "usd", "per_1k": 1.0, "errors_per_1k": pytest.approx(10.0), "errors_ci": None,
        "fixed": 40.0, "monthly": pytest.approx(27.305), "months": 10, "total": pytest.approx(40 + 10 * 49.305),
    }  # fmt: skip
    assert (totals["prompt"]["fixed"], totals["prompt"]["total"]) == (0.0, pytest.approx(60.0))
    # Dollars of errors are not added to seconds
    assert (totals["here"]["unit"], totals["here"]["total"]) == ("machine_s", pytest.approx(100.0))
    assert (totals["free"]["unit"], totals["free"]["per_1k"], totals["free"]["total"]) == (None, None, None)
    assert all(line["total"] is None for line in decided(arms)["totals"])
    unknown = decided([trained(training_cost_usd=None), PROMPT], requests_per_month=2_000)["totals"][0]
    assert (unknown["fixed"], unknown["total"]) == (None, None)
    assert found["recurring"] == [
        {"arm": "tuned", "name": "hosting", "usd": pytest.approx(7.305), "machine_s": None},
        {"arm": "tuned", "name": "retraining", "usd": 20.0, "machine_s": None},
    ]


def test_what_a_search_took_counts_once() -> None:
    choice = {"arm": "tuned", "usd": 55.0, "seconds": 700.0, "candidates": [{"cost_usd": 2.0}, {"cost_usd": None}, {}]}
    spent = Spent(
        choices=[{"arm": "x", "usd": 1.0}, choice], ledger={"spent_usd": 60.0, "training_usd": 50.0}, n_train=9
    )
    found = {line["name"]: line for line in investment(trained(), Decision(), spent, "usd")}
    assert (found["search"]["usd"], found["search"]["counted"]) == (15.0, True)
    assert (found["evaluation"]["usd"], found["evaluation"]["counted"]) == (8.0, False)
    assert set(found) == {"training", "search", "evaluation"}
    seconds = investment(trained(), Decision(), spent, "machine_s")
    assert [(line["name"], line["usd"], line["machine_s"], line["counted"]) for line in seconds] == [
        ("training", None, 600.0, True), ("search", None, 100.0, True),
    ]  # fmt: skip
    cheaper = Spent(choices=[{**choice, "usd": 30.0}])
    assert cheaper.search(trained(), 40.0, "usd") == 0.0
    assert cheaper.search(trained(), None, "usd") == 30.0
    assert Spent(choices=[{**choice, "usd": None}]).search(trained(), 40.0, "usd") == 2.0
    assert Spent().asking(trained()) is None
    assert Spent(ledger={"spent_usd": 3.0}).asking(trained()) == 3.0
    assert Spent(ledger={"spent_usd": 3.0, "training_usd": 5.0}).asking(trained()) == 0.0
    # Of its answers 0.5 are this run's; the rest was taken over, or is time of this machine at a price.
    billed = Spent(ledger={"spent_usd": 3.0}, choices=[{**choice, "billed_usd": 0.5}])
    assert billed.asking(trained()) == 2.5


def test_what_candidates_share_counts_once_at_another_price_of_training_too() -> None:
    job = {"n": 4, "model": "m", "cost_usd": 1.0, "trained": True, "training_usd": 5.0, "trained_tokens": 10**6}
    choice = {"candidates": [job, {**job, "cost_usd": 1.2}], "usd": 6.2, "shared_usd": 1.0}
    assert at_training_price(choice, 10.0, 5.0)["usd"] == pytest.approx(11.2)


def test_labels_cost_together_or_each() -> None:
    each = Decision(label_usd=0.5)
    assert {line["name"] for line in investment(trained(), each, Spent(), "usd")} == {"training"}
    found = investment(trained(), each, Spent(n_train=9), "usd")
    assert (found[1]["name"], found[1]["usd"], fixed_cost(found, "usd")) == ("labelling", 4.5, 44.5)
    together = investment(trained(), Decision(label_usd=0.5, labelling_usd=7.0), Spent(n_train=9), "usd")
    assert together[1]["usd"] == 7.0
    # People's time is dollars, also where the rest is seconds: it is told, and not counted
    seconds = investment(trained(), each, Spent(n_train=9), "machine_s")
    assert seconds[1] == {"name": "labelling", "usd": 4.5, "machine_s": None, "counted": False}
    assert fixed_cost(seconds, "machine_s") == 600.0
    assert investment(PROMPT, each, Spent(n_train=9), "usd") == []
    assert fixed_cost([], "usd") is None


def test_what_keeping_a_model_takes() -> None:
    decision = Decision(hosting_usd_per_month=9.0, upkeep_hours_per_month=2, hour_usd=50.0, retrainings_per_year=3)
    hosted = {"hosting_hour": 2.0}
    found = recurring(trained(price=hosted), decision, "usd")
    assert [(line["name"], line["usd"], line["machine_s"]) for line in found] == [
        ("hosting", 1470.0, None), ("upkeep", 100.0, None), ("retraining", 10.0, None),
    ]  # fmt: skip
    assert monthly_cost(found, "usd") == 1580.0
    prompt = recurring({**PROMPT, "price": hosted}, decision, "usd")
    assert [(line["name"], line["usd"]) for line in prompt] == [("hosting", 1461.0)]
    seconds = recurring(trained(price=hosted), decision, "machine_s")
    assert seconds == [{"name": "retraining", "usd": None, "machine_s": 150.0}]
    assert recurring(trained(training_cost_usd=None), Decision(retrainings_per_year=3), "usd") == []


class Sampled(Savings):
    """Savings whose resamples are given."""

    def samples(self, a: str, b: str) -> Any:
        return {("tuned", "prompt"): np.array([-1.0, 1.0, 3.0, 5.0]), ("tuned", "none"): np.zeros(0)}.get((a, b))


def chance(unit: str = "usd", against: str = "prompt", saving: float = 2.0, **changes: Any) -> float | None:
    """The chance to be paid back: $4 over 2 months, $1 each month beside requests, 1,000 requests a month."""
    stake = Stake(
        **{"tuned": {}, "other": {}, "decision": Decision(), "fixed": 4.0, "monthly": 1.0, "months": 2.0, **changes}
    )
    bills = Bills(unit=unit, prices=(10.0, 10.0 + saving), errors=None)
    savings = Sampled(arms={}, requests={}, decision=Decision(), seed=1)
    line = {"arm": "tuned", "against": against}
    case = Case(line=line, stake=stake, bills=bills, savings=savings, today=TODAY)
    found = case.project(1000.0)["break_even_chance"]
    return None if found is None else float(found)


def test_the_chance_is_the_share_of_resamples_that_pay() -> None:
    # Savings of 3 a month less 1 pay the 4 back exactly, which is not more: only 5 does
    assert chance() == 0.25
    assert chance(fixed=3.9) == 0.5
    assert chance(months=4.0) == 0.5
    assert chance(monthly=-1.5) == 0.75
    assert chance(saving=0.01, fixed=-1.0, monthly=0.0) == 1.0  # level: nothing is saved, nothing is to be paid
    assert chance(saving=0.01) == 0.0
    assert chance("machine_s") is None
    assert chance(against="unknown") is None
    assert chance(against="none") is None
    assert chance(against="none", months=0.0) == chance(months=0.0) == 0.0


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20T23:30:00-05:00", "2026-11-21"),
        ("2026-11-20T00:30:00+09:00", "2026-11-19"),
        ("2026-11-20T23:30:00", "2026-11-20"),
    ],
)
def test_days_are_those_of_utc(moment: str, day: str) -> None:
    assert day_of(moment).isoformat() == day
