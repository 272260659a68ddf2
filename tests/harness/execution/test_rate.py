"""How many requests may be under way: pure, with a clock of the test's own."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.rate import COOLDOWN_S, START, Allowances, Rate, duration_s
from harness.types import Call


class Clock:
    """Seconds that the test moves on."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def a_round(rate: Rate, share: float = 1.0) -> None:
    """So much of the limit goes out and comes back clean, until a round is over."""
    left = rate.limit
    while left > 0:
        together = min(max(1, int(rate.limit * share)), left)
        for _ in range(together):
            rate.began()
        for _ in range(together):
            rate.ended()
            rate.clean()
        left -= together


def test_slow_start_doubles_up_to_the_most(clock: Clock) -> None:
    rate = Rate(most=200, clock=clock)
    seen = [rate.limit]
    for _ in range(5):
        a_round(rate)
        seen.append(rate.limit)
    assert seen == [START, 40, 80, 160, 200, 200]


def test_a_limit_that_holds_nobody_back_does_not_grow(clock: Clock) -> None:
    rate = Rate(most=200, clock=clock)
    for _ in range(5):
        a_round(rate, share=0.5)
    assert rate.limit == START


def test_one_episode_shrinks_once_and_growth_is_slow_afterwards(clock: Clock) -> None:
    rate = Rate(most=200, clock=clock, limit=100)
    for _ in range(30):
        rate.limited(None)
    assert rate.limit == 80
    a_round(rate)
    assert rate.limit == 80  # it cools down
    clock.now += COOLDOWN_S
    a_round(rate)
    assert rate.limit == 84
    rate.limited(None)
    assert rate.limit == 67


def test_everybody_waits_as_long_as_the_endpoint_asks(clock: Clock) -> None:
    rate = Rate(most=8, clock=clock)
    assert rate.delay() == 0
    rate.limited(30.0)
    rate.limited(2.0)
    assert rate.delay() == 30.0
    clock.now += 20
    rate.limited(None)
    assert rate.delay() == 10.0  # the episode lasts as long as the wait
    clock.now += 10
    assert rate.delay() == 0
    for _ in range(rate.limit):
        rate.began()
    assert rate.delay() == math.inf


@given(st.lists(st.sampled_from(["round", "limited", "wait"]), max_size=60), st.integers(1, 300))
def test_the_limit_stays_within_its_bounds(events: list[str], most: int) -> None:
    clock = Clock()
    rate = Rate(most=most, clock=clock)
    for event in events:
        before = rate.limit
        if event == "round":
            a_round(rate)
            assert before <= rate.limit <= 2 * before
        elif event == "limited":
            rate.limited(0.5)
            assert rate.limit >= max(1, int(before * 0.8))
        else:
            clock.now += 9
        assert 1 <= rate.limit <= most
        assert rate.active == 0


def call(text: str = "x" * 400, limit: int = 20, model: str = "m") -> Call:
    return Call(endpoint="e", path="/p", body={"model": model, "prompt": text, "max_tokens": limit})


def headers(kind: str, left: object, limit: object = 100, reset: str = "10s") -> dict[str, str]:
    return {
        f"x-ratelimit-remaining-{kind}": str(left),
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-reset-{kind}": reset,
    }


def test_what_is_left_is_used_and_no_more(clock: Clock) -> None:
    allowance = Allowances(clock=clock)
    allowance.learn(call(), headers("requests", 3))
    sent = []
    while allowance.delay(call()) == 0:
        sent.append(allowance.began(call()))
    assert len(sent) == 3
    assert allowance.delay(call()) == 10.0
    clock.now += 10
    assert allowance.delay(call()) == 0  # one finds out
    allowance.began(call())
    assert allowance.delay(call()) == 10.0
    allowance.learn(call(), headers("requests", 99))
    assert allowance.delay(call()) == 0


def test_tokens_are_an_allowance_of_their_own(clock: Clock) -> None:
    allowance = Allowances(clock=clock)
    allowance.learn(call(), headers("requests", 50) | headers("tokens", 250, 1000, "6m0s"))
    first = allowance.began(call())
    assert first["tokens", 1000.0] == 120.0  # 400 characters and 20 tokens of output
    allowance.began(call())
    assert allowance.delay(call()) == 360.0
    assert allowance.delay(call("x" * 4, 1)) == 0
    allowance.ended(first)
    assert allowance.delay(call()) == 360.0  # it has used them up
    allowance.learn(call(), headers("tokens", 250, 1000, "6m0s"))
    assert allowance.delay(call()) == 0


def test_a_call_that_is_larger_than_the_whole_limit_goes_when_all_is_left(clock: Clock) -> None:
    allowance = Allowances(clock=clock)
    allowance.learn(call(), headers("tokens", 90, 100))
    assert allowance.delay(call("x" * 4000)) == 10.0
    allowance.learn(call(), headers("tokens", 100, 100))
    assert allowance.delay(call("x" * 4000)) == 0


@pytest.mark.parametrize(
    "odd", [{}, {"x-ratelimit-remaining-requests": "many"}, headers("requests", -1), headers("requests", "nan")]
)
def test_headers_that_say_nothing_hold_nobody_back(clock: Clock, odd: dict[str, str]) -> None:
    allowance = Allowances(clock=clock)
    allowance.learn(call(), odd)
    assert allowance.delay(call()) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360), ("1s", 1), ("250ms", 0.25), ("1h2m3.5s", 3723.5), ("12", 12), ("0s", 0),
        ("", None), ("soon", None), (None, None), ("1s ", None), ("s1", None),
    ],
)  # fmt: skip
def test_durations(text: str | None, seconds: float | None) -> None:
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))
