"""The cap, for any order of admissions and replies."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.execution.budget import MOST_OUTPUT, Budget, output_limit
from harness.execution.work import Request
from harness.experiment.file import PriceTable
from harness.prices import Prices
from harness.types import Reply, Usage


def request(number: int, text: str = "x", **body: object) -> Request:
    return Request(endpoint="e", path="/p", body={"prompt": text, **body}, arm="a", key=f"k{number}")


def price(_: Request, usage: Usage, tier: str = "") -> float:
    usd = (usage.input - usage.cached) * 2e-6 + usage.cached * 1e-6 + usage.output * 8e-6
    return usd / 2 if tier == "batch" else usd


def reply(to: Request, given: int, output: int, cached: int = 0) -> Reply:
    usage = {"prompt_tokens": given, "completion_tokens": output, "prompt_tokens_details": {"cached_tokens": cached}}
    return Reply({"usage": usage}, to)


STEPS = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 50), st.floats(0, 1), st.booleans()), max_size=60)


@given(STEPS, st.floats(0, 0.01))
def test_what_was_counted_never_passes_the_cap(steps: list[tuple[int, int, float, bool]], cap: float) -> None:
    """Whatever is in flight at once, as long as no reply has more tokens than bytes asked or than its limit."""
    budget, flying, spent = Budget(max_usd=cap, price=price), list[tuple[Request, int, int]](), 0.0
    for number, (size, limit, share, end) in enumerate(steps):
        asked = request(number, "é" * size, max_tokens=limit)
        if budget.admit(asked):
            flying.append((asked, int(2 * size * share), int(limit * share)))
        if end and flying:
            done, given, output = flying.pop(0)
            spent += budget.charge(done, reply(done, given, output)) or 0.0
            budget.release(done)
    for done, given, output in flying:
        spent += budget.charge(done, reply(done, given, output)) or 0.0
        budget.release(done)
    assert spent <= cap + 1e-12
    assert budget.spent == pytest.approx(spent)
    assert budget.reserved == 0


def test_worst_case_by_hand() -> None:
    asked = request(1, "abcd", max_tokens=3)
    worst = price(asked, Usage(input=len(json.dumps(asked.body)), output=3))
    assert Budget(max_usd=worst, price=price).admit(asked)
    assert not Budget(max_usd=worst * 0.999, price=price).admit(asked)
    unlimited = request(1, "abcd")
    assert not Budget(max_usd=price(unlimited, Usage(output=MOST_OUTPUT)), price=price).admit(unlimited)


def test_a_reservation_is_given_back() -> None:
    first, second = request(1, max_tokens=1), request(2, max_tokens=1)
    budget = Budget(max_usd=price(first, Usage(input=len(json.dumps(first.body)), output=1)), price=price)
    assert budget.admit(first)
    assert not budget.admit(second)
    budget.release(first)
    assert budget.admit(second)
    budget.release(request(3))


def test_a_request_that_is_weighed_anew_is_reserved_once() -> None:
    first = request(1, max_tokens=1)
    worst = price(first, Usage(input=len(json.dumps(first.body)), output=1))
    budget = Budget(max_usd=1.5 * worst, price=price)
    assert budget.admit(first)
    assert budget.admit(first)
    assert budget.reserved == pytest.approx(worst)


def test_without_a_cap_all_is_admitted_and_counted_where_a_price_is_known() -> None:
    budget = Budget()
    assert budget.admit(request(1))
    assert budget.charge(request(1), reply(request(1), 5, 1)) is None
    assert budget.spent == 0
    priced = Budget(price=price)
    assert priced.charge(request(1), reply(request(1), 5, 1, cached=5)) == pytest.approx(5e-6 + 8e-6)


def test_a_cap_needs_a_price_and_zero_is_one() -> None:
    with pytest.raises(UsageError, match="no price is known for the model m"):
        Budget(max_usd=1).admit(request(1, model="m"))
    assert Budget(max_usd=0, price=lambda *_: 0.0).admit(request(1))


def test_the_message_says_cap_and_spent() -> None:
    error = Budget(max_usd=2.5, price=price, spent=1.25).error()
    assert error.exit_code == 3
    assert "$2.50" in error.message
    assert "$1.25" in error.message


def test_an_endpoint_that_does_not_count_is_counted_here_and_under_a_cap_taken_at_its_worst() -> None:
    text = "one two three four five"
    asked, said = request(1, text, max_tokens=100), Reply({"choices": [{"text": " six seven"}]}, request(1, text))
    free = Budget(price=price)
    assert free.charge(asked, said) == pytest.approx(5 * 2e-6 + 2 * 8e-6)
    capped = Budget(max_usd=1.0, price=price)
    assert capped.admit(asked)
    worst = capped.reserved
    assert worst > 100 * 8e-6
    assert capped.charge(asked, said) == pytest.approx(worst)
    assert capped.spent == pytest.approx(worst)


def test_a_batch_is_reserved_and_charged_at_its_own_price() -> None:
    asked = request(1, "abcd", max_tokens=3)
    budget, batch = Budget(max_usd=1.0, price=price), Budget(max_usd=1.0, price=price)
    assert budget.admit(asked)
    assert batch.admit(asked, "batch")
    assert batch.reserved == pytest.approx(budget.reserved / 2)
    assert batch.charge(asked, reply(asked, 5, 1), "batch") == pytest.approx((5 * 2e-6 + 8e-6) / 2)


@given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1), st.floats(0, 1), *(st.floats(0, 9),) * 5)
def test_the_worst_case_is_the_worst(
    size: int,
    limit: int,
    written: float,
    thought: float,
    fresh: float,
    read: float,
    write: float,
    out: float,
    think: float,
) -> None:
    """Whatever the kinds of tokens cost beside each other."""
    table = PriceTable(input=fresh, cached_input=min(read, fresh), cache_write=write, output=out, reasoning=think)
    prices = Prices(own={"m": table}, urls={})
    budget = Budget(max_usd=1e9, price=lambda _, usage, tier: prices.request_usd("e", "m", usage, tier))
    asked = request(1, "x" * size, model="m", max_tokens=limit)
    assert budget.admit(asked)
    usage = Usage(input=size, cache_write=int(size * written), output=limit, reasoning=int(limit * thought))
    usd = prices.request_usd("e", "m", usage)
    assert usd is not None
    assert usd <= budget.reserved + 1e-12


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 5, "max_tokens": 7}, 5),
        ({"max_tokens": 0, "prompt": ["a", "b"]}, 0),
        ({"max_tokens": 7, "prompt": ["a", "b"]}, 14),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "n": 2, "best_of": 4}, 28),
        ({}, MOST_OUTPUT),
        ({"max_tokens": "many"}, MOST_OUTPUT),
        ({"max_tokens": 7, "input": ["a"]}, 0),  # vectors have no tokens
    ],
)
def test_how_much_an_answer_may_hold(body: dict[str, object], tokens: int) -> None:
    assert output_limit(body) == tokens


def test_whether_the_cap_covers_what_is_in_flight() -> None:
    budget = Budget(max_usd=0.01, price=price)
    asked = request(1, max_tokens=10)
    assert budget.admit(asked)
    assert budget.holds
    budget.charge(asked, reply(asked, 2000, 1000))  # more than it may have been: $0.012
    assert not budget.holds
    assert Budget(spent=9.0).holds
