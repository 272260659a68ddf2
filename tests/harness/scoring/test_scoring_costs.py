"""What a request costs under an assumption: worked by hand, and never made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.scoring.costs import (
    Bills,
    as_bought,
    cache_hits,
    cacheable,
    economy,
    error_usd,
    errors_usd_per_1k,
    price_of,
    priced,
    relation,
    same,
    tokens_usd,
    usd_per_1k,
)
from harness.scoring.facts import Decision, Price

PRICE = {"input": 2.0, "cached_input": 0.5, "output": 10.0, "cache_write": 2.5, "reasoning": 8.0}
TABLE = {"labels": ["a", "b"], "counts": [[90, 4], [6, 80]], "unparsed": [3, 7], "failed": [2, 8]}


def arm(**changes: Any) -> dict[str, Any]:
    """1,000 prompt tokens of which 200 were cached, 20 generated ones of which 5 were thought."""
    known: dict[str, Any] = {
        "name": "x", "family": "few-shot", "local": False, "n": 200, "price": {**PRICE, "of_a_later_version": 1},
        "input_tokens_mean": 1000.0, "output_tokens_mean": 20.0, "cached_tokens_mean": 200.0,
        "reasoning_tokens_mean": 5.0, "cacheable_tokens_mean": 600.0, "cost_per_1k_usd": 1.9,
        "machine_s_per_1k": None, "confusion": TABLE, "latency_s": {"p95": 2.0},
    }  # fmt: skip
    return {**known, **changes}


def test_the_run_s_own_tokens_at_a_price() -> None:
    # 800 × 2 + 200 × 0.5 + 15 × 10 + 5 × 8 = 1,890 dollars a million of these requests
    assert priced(arm(), Price(**PRICE)) == pytest.approx(1.89)
    # Without prices of their own, cached tokens cost what prompts do, and thoughts what answers do
    assert priced(arm(), Price(input=2.0, output=10.0)) == pytest.approx(2.2)
    plain = arm(cached_tokens_mean=None, reasoning_tokens_mean=None)
    assert priced(plain, Price(**PRICE)) == pytest.approx(2.2)


def test_an_assumed_share_of_the_cache() -> None:
    # Of 600 tokens that can be cached a quarter is read, the rest written: 400 × 2 + 150 × 0.5 + 450 × 2.5 + 190
    assert priced(arm(), Price(**PRICE), 0.25) == pytest.approx(2.19)
    assert usd_per_1k(arm(), Decision(cache_hit=0.25)) == pytest.approx(2.19)
    assert priced(arm(), replace(Price(**PRICE), cache_write=None), 0.25) == pytest.approx(1.965)
    assert usd_per_1k(arm(), Decision()) == 1.9
    for unchanged in (arm(cacheable_tokens_mean=0.0), arm(price=None), arm(price={**PRICE, "cached_input": None})):
        assert usd_per_1k(unchanged, Decision(cache_hit=0.25)) == 1.9


@pytest.mark.parametrize("lacking", ["input_tokens_mean", "output_tokens_mean"])
def test_tokens_that_are_not_known_have_no_price(lacking: str) -> None:
    assert priced(arm(**{lacking: None}), Price(**PRICE)) is None


@pytest.mark.parametrize("lacking", ["input", "output"])
def test_a_price_that_is_not_known_makes_no_cost(lacking: str) -> None:
    assert priced(arm(), replace(Price(**PRICE), **{lacking: None})) is None
    assert price_of(arm(price={})) == Price()
    assert price_of(arm(price=None)) is None
    assert price_of(arm()) == Price(**PRICE)


def test_each_kind_of_token_at_its_price() -> None:
    spent = {"fresh": 1e6, "cached": 0.0, "written": 0.0, "output": 0.0, "reasoning": 0.0}
    price = Price(**PRICE)
    assert tokens_usd(price, **spent) == 2.0
    assert tokens_usd(price, **{**spent, "cached": 1e6}) == 0.5
    assert tokens_usd(price, **{**spent, "written": 1e6}) == 2.5
    assert tokens_usd(price, **{**spent, "fresh": 0.0, "output": 1e6}) == 10.0
    assert tokens_usd(price, **{**spent, "fresh": 0.0, "output": 1e6, "reasoning": 1e6}) == 8.0
    assert tokens_usd(Price(), **{**spent, "cached": 1e5, "written": 1e5, "output": 1e6}) == 0.0


@pytest.mark.parametrize(("known", "tokens", "able"), [(None, 1023.0, 0.0), (None, 1024.0, 1024.0), (None, None, 0.0),
                                                       (7.0, 2000.0, 7.0), (0.0, 2000.0, 0.0)])  # fmt: skip
def test_short_prompts_are_never_cached(known: float | None, tokens: float | None, able: float) -> None:
    assert cacheable(arm(cacheable_tokens_mean=known, input_tokens_mean=tokens)) == able
    older = {key: value for key, value in arm(input_tokens_mean=1500.0).items() if key != "cacheable_tokens_mean"}
    assert cacheable(older) == 1500.0


def test_errors_cost_by_the_label_that_was_right() -> None:
    # a: 4 wrong, 3 unparsed, 2 failed; b: 6 + 7 + 8
    assert errors_usd_per_1k(arm(), Decision(error_usd=0.1)) == pytest.approx(30 * 0.1 / 200 * 1000)
    by_label = Decision(error_usd={"a": 1.0, "default": 0.5})
    assert errors_usd_per_1k(arm(), by_label) == pytest.approx((9 * 1.0 + 21 * 0.5) / 200 * 1000)
    assert errors_usd_per_1k(arm(), Decision(error_usd={"b": 2.0})) == pytest.approx(42 / 200 * 1000)
    assert errors_usd_per_1k(arm(), Decision()) is None
    assert errors_usd_per_1k(arm(confusion=None), Decision(error_usd=0.1)) is None
    assert errors_usd_per_1k(arm(n=0), Decision(error_usd=0.1)) is None
    assert error_usd(Decision(), "a") == 0.0


@pytest.mark.parametrize(
    ("x", "y", "unit", "alike"),
    [
        (1.0, 1.004, "usd", True),
        (1.0, 1.006, "usd", False),
        (100.0, 104.9, "machine_s", True),
        (100.0, 106.0, "machine_s", False),
        (0.1, 0.9, "machine_s", True),  # a millisecond a request decides nothing
        (0.1, 1.0, "machine_s", False),
        (0.0, 0.0, "usd", True),
        (0.0, 1e-9, "usd", False),
    ],
)
def test_when_two_costs_are_the_same(x: float, y: float, unit: str, alike: bool) -> None:
    assert same(x, y, unit) is same(y, x, unit) is alike


def test_costs_are_compared_in_dollars_first_then_in_seconds() -> None:
    timed = arm(machine_s_per_1k=50.0), arm(machine_s_per_1k=100.0)
    dear = [{**one, "cost_per_1k_usd": cost} for one, cost in zip(timed, (3.0, 2.0), strict=True)]
    assert relation(*dear, Decision()) == {
        "unit": "usd",
        "a": 3.0,
        "b": 2.0,
        "change": pytest.approx(0.5),
        "cheaper": "b",
    }
    assert relation(*dear[::-1], Decision())["cheaper"] == "a"
    free = [{**one, "cost_per_1k_usd": None} for one in timed]
    seconds = {"unit": "machine_s", "a": 50.0, "b": 100.0, "change": pytest.approx(-0.5), "cheaper": "a"}
    assert relation(*free, Decision()) == relation(dear[0], free[1], Decision()) | {"cheaper": "a"} == seconds
    nothing = relation(arm(cost_per_1k_usd=1.0), arm(cost_per_1k_usd=0.0), Decision())
    assert (nothing["change"], nothing["cheaper"]) == (None, "b")
    assert relation(arm(), arm(), Decision())["cheaper"] == "same"


def test_a_classical_arm_on_this_machine_sends_no_bill() -> None:
    free = arm(family="classical", local=True, cost_per_1k_usd=None, machine_s_per_1k=3.0)
    billed = arm(cost_per_1k_usd=2.0)
    unknown = {"unit": None, "a": None, "b": None, "change": None}
    assert relation(free, billed, Decision()) == {**unknown, "cheaper": "a"}
    assert relation(billed, free, Decision()) == {**unknown, "cheaper": "b"}
    for other in (arm(cost_per_1k_usd=None), arm(cost_per_1k_usd=0.0)):
        assert relation(free, other, Decision())["cheaper"] is None
    for no_longer in ({"family": "other"}, {"local": False}):
        assert relation({**free, **no_longer}, billed, Decision())["cheaper"] is None


def test_the_price_of_an_extra_correct_answer() -> None:
    a, b = arm(cost_per_1k_usd=3.0, latency_s={"p95": 1.0}), arm(cost_per_1k_usd=2.0, latency_s={"p95": 4.0})
    found = economy(a, b, 0.04, Decision())
    assert found["cost_per_extra_correct"] == pytest.approx(0.001 / 0.04)
    assert found["p95_change"] == pytest.approx(-0.75)
    assert economy(b, a, -0.04, Decision())["cost_per_extra_correct"] == pytest.approx(0.025)
    # Where the better one is the cheaper one, or none is better, there is no such price
    assert economy(a, b, -0.04, Decision())["cost_per_extra_correct"] is None
    assert economy(a, b, 0.0, Decision())["cost_per_extra_correct"] is None
    assert economy(a, arm(cost_per_1k_usd=None), 0.04, Decision())["cost_per_extra_correct"] is None
    for p95 in ((None, 1.0), (1.0, None), (1.0, 0.0)):
        sides = [arm(latency_s={"p95": value}) for value in p95]
        assert economy(*sides, 0.0, Decision())["p95_change"] is None
    assert economy(arm(latency_s={"p95": 0.0}), b, 0.0, Decision())["p95_change"] == -1.0


def test_the_share_of_the_prompt_that_comes_out_of_the_cache() -> None:
    assert cache_hits(arm(), Decision()) == (0.2, 0.2)
    assert cache_hits(arm(), Decision(cache_hit=0.5)) == (pytest.approx(0.3), 0.2)
    assert cache_hits(arm(price=None), Decision(cache_hit=0.5)) == (0.0, 0.2)
    assert cache_hits(arm(cached_tokens_mean=None), Decision()) == (None, None)
    for nothing in (None, 0.0):
        assert cache_hits(arm(input_tokens_mean=nothing), Decision(cache_hit=0.5)) == (None, None)


def test_two_bills() -> None:
    tuned, other = arm(cost_per_1k_usd=1.0), arm(cost_per_1k_usd=2.0, n=400)
    bills = Bills.of(tuned, other, Decision(error_usd=0.1))
    assert (bills.unit, bills.prices, bills.errors) == ("usd", (1.0, 2.0), (pytest.approx(15.0), pytest.approx(7.5)))
    assert bills.with_errors
    assert bills.totals == (pytest.approx(16.0), pytest.approx(9.5))
    assert bills.saving == bills.counted == pytest.approx(-6.5)
    assert not bills.level
    plain = Bills.of(tuned, other, Decision())
    assert (plain.errors, plain.with_errors, plain.totals, plain.saving) == (None, False, (1.0, 2.0), 1.0)
    half = Bills.of(tuned, arm(confusion=None), Decision(error_usd=0.1))
    assert half.errors is None


def test_bills_that_cannot_be_compared_or_are_level_save_nothing() -> None:
    apart = Bills.of(arm(cost_per_1k_usd=None), arm(), Decision(error_usd=0.1))
    assert (apart.unit, apart.prices, apart.saving, apart.level, apart.counted) == (None, (0.0, 0.0), None, False, 0.0)
    level = Bills(unit="usd", prices=(1.0, 1.004), errors=None)
    assert (level.level, level.counted) == (True, 0.0)
    assert level.saving == pytest.approx(0.004)
    # Dollars of errors are not set against seconds
    seconds = Bills(unit="machine_s", prices=(10.0, 20.0), errors=(5.0, 1.0))
    assert (seconds.with_errors, seconds.totals) == (False, (10.0, 20.0))


def test_tokens_bought_in_a_batch_cost_their_share_of_a_price() -> None:
    price = Price(input=2.0, output=4.0)
    assert as_bought(arm(), price) == as_bought(arm(price_shares=None), price) == price
    # Of a kind that cost nothing before no share is known: all of it
    halved = as_bought(arm(price_shares={"output": 0.5}), price)
    assert halved.by_kind == {
        "input": 2.0, "cached_input": 2.0, "cache_write": 2.0, "output": 2.0, "reasoning": 4.0,
    }  # fmt: skip
    assert as_bought(arm(price_shares={"input": 0.5}), Price(input=2.0)).output is None
