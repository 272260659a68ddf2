"""An endpoint that asks for more patience than there is counts as down: the command ends, and goes on later."""

from __future__ import annotations

import time

import pytest
from support.canned import GOOD, Said, canned

from harness.errors import UnfinishedError
from harness.execution.engine import Engine
from harness.execution.targets import Target
from harness.execution.work import Request
from harness.journal import Journal


def left(number: int, reset: str, limit: int = 3) -> Said:
    """Returns an answer that leaves so many of a limit."""
    named = {"limit": str(limit), "remaining": str(number), "reset": reset}
    return Said(200, GOOD, {f"x-ratelimit-{name}-requests": value for name, value in named.items()})


def requests(number: int, model: str = "m") -> list[Request]:
    return [
        Request(
            endpoint="e", path="/chat/completions", body={"model": model, "messages": []}, key=f"{model}{n}", arm=model
        )
        for n in range(number)
    ]


def engine(journal: Journal, url: str) -> Engine:
    target = Target(
        name="e", base_url=url, api_key="none", headers={}, query={}, concurrency=4, timeout_s=5.0, key_name="KEY"
    )
    return Engine(journal=journal, connect=lambda _: target)


def told(made: Engine) -> str:
    error = made.unfinished()
    assert isinstance(error, UnfinishedError)
    return str(error)


def test_a_limit_by_the_day_ends_the_command_in_place_of_a_day_of_waiting(journal: Journal) -> None:
    with canned(left(2, "8h0m0s"), left(1, "16h0m0s"), left(0, "24h0m0s")) as (url, asked):
        made = engine(journal, url)
        began = time.monotonic()
        made.send(requests(9), made.done)
    assert time.monotonic() - began < 60
    assert 3 <= len(asked) <= 4  # nothing is sent to find out what the endpoint has said; two answers may cross
    assert len(made.failed) == 9 - len(asked)
    assert made.endpoint_down
    assert f"requests have no answer; the endpoint e ({url}) lets nothing through for" in told(made)
    assert "24 h" in told(made)
    assert "the same command goes on where this one stopped" in told(made)


def test_models_that_are_not_limited_finish_first(journal: Journal) -> None:
    def answers(model: str) -> set[str]:
        return journal.known([request.key for request in requests(9, model)])

    with canned(lambda body: left(0, "24h0m0s") if b'"limited"' in body else Said(200, GOOD)) as (url, _):
        made = engine(journal, url)
        made.send([*requests(3, "limited"), *requests(9, "free")], made.done)
    assert len(answers("limited")) == 1
    assert len(answers("free")) == 9
    assert len(made.failed) == 2


@pytest.mark.parametrize(("seconds", "written"), [("3600", "1 h"), ("86400", "24 h"), ("172800", "48 h")])
def test_a_refusal_that_asks_for_too_much_is_believed(journal: Journal, seconds: str, written: str) -> None:
    wait = {"retry-after": seconds}
    with canned(Said(200, GOOD), Said(429, b'{"error": {"message": "slow down"}}', wait)) as (url, asked):
        made = engine(journal, url)
        made.send(requests(9), made.done)
    assert len(asked) <= 5
    assert len(made.failed) == 8
    assert f"lets nothing through for {written}," in told(made)


@pytest.mark.parametrize("reset", ["1764280000", "1764280000000", "9" * 40])
def test_a_reset_that_is_a_moment_says_nothing_of_how_long(journal: Journal, reset: str) -> None:
    with canned(left(0, reset), left(3, "1s")) as (url, asked):
        made = engine(journal, url)
        made.send(requests(3), made.done)
    assert made.failed == {}
    assert len(asked) == 3
