"""What endpoints say in more than one way."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.replies import LONGEST_WAIT_S, is_unpaid, moment, retry_after, speaks_of_credit


@pytest.mark.parametrize(
    ("status", "message", "codes", "unpaid"),
    [
        (402, "Payment Required", (None, None), True),
        (429, "m", ("insufficient_quota", None), True),
        (429, "m", (None, "insufficient_quota"), True),
        (None, "m", ("billing_not_active", None), True),
        (400, "Your credit balance is too low to access the API.", (None, "invalid_request_error"), True),
        (403, "Insufficient Funds", (), True),
        (429, "Insufficient balance or no resource package. Please recharge.", (None, "1113"), True),
        (429, "You exceeded your current quota, please check your plan", (None, "RESOURCE_EXHAUSTED"), False),
        (429, "m", (None, "exceeded_current_quota_error"), True),
        (500, "insufficient funds", (), False),
        (None, "insufficient funds", (), False),
        (400, "your prompt about a balance is too long", ("invalid", None), False),
        (429, "insufficient_quota is a code", ("rate_limit_exceeded", None), False),
    ],
)
def test_no_credit(status: int | None, message: str, codes: tuple[Any, ...], unpaid: bool) -> None:
    assert is_unpaid(status, message, *codes) is unpaid


@pytest.mark.parametrize(
    ("told", "speaks"),
    [
        ("429 insufficient_quota: You exceeded your quota", True),
        ("the endpoint hosted (http://127.0.0.1:402/v1): 402: no reason", True),
        ("402 Payment: pay", True),
        ("400 invalid_request_error: Your credit balance is too low", True),
        ("the endpoint hosted (http://127.0.0.1:402/v1): 500: 402 of your requests failed", False),
        ("429 rate_limit_exceeded: slower", False),
    ],
)
def test_what_a_user_is_told_speaks_of_credit(told: str, speaks: bool) -> None:
    assert speaks_of_credit(told) is speaks


def test_a_moment_is_a_number_or_a_date() -> None:
    assert moment(1_767_225_600) == 1_767_225_600.0
    assert moment("2026-01-01T00:00:00Z") == 1_767_225_600.0
    assert moment("2026-01-01T01:00:00+01:00") == 1_767_225_600.0
    assert moment(None) is None
    assert moment("soon") is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "2"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_may_be_a_date() -> None:
    date = email.utils.formatdate(time.time() + 90, usegmt=True)  # whole seconds
    seconds = retry_after({"retry-after": date})
    assert seconds is not None
    assert 80 < seconds <= 90
    assert retry_after({"retry-after-ms": "250", "retry-after": date}) == 0.25


@given(st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms"]), st.text(max_size=10)))
def test_retry_after_is_always_bearable(headers: dict[str, str]) -> None:
    seconds = retry_after(headers)
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT_S
