"""What endpoints say in more than one way: that a refusal passes, that there is no credit, when to come back, a time.

The engine and executors of plugins read it alike. Pure, but for the clock that a date is held against.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

RETRIED = frozenset({408, 409, 424, 425, 429, 498, 499})
"""Client errors that pass, after the `openai` package's own list; 5xx pass as well.

424, 498 and 499 are of gateways: what is behind them failed, has no capacity (Groq), or took too long.
"""
OF_THE_REQUEST = frozenset({400, 413, 414, 415, 422, 451})
"""Client errors that speak of the one request; others, if any request was answered, of the account or the endpoint."""
LONGEST_WAIT_S = 31 * 86_400.0
"""What is longer is no duration: some gateways tell a moment, in seconds or more since the epoch."""
_NO_CREDIT = 402
_SPENT = frozenset(
    {
        *("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "access_terminated"),
        "exceeded_current_quota_error",  # Moonshot
    }
)
"""Codes, or types, that no waiting cures and no change of the experiment either."""
_BROKE = (
    *("balance is too low", "insufficient balance", "insufficient credit", "insufficient funds"),
    *("exceeded current quota", "monthly spending limit"),  # Moonshot, Fireworks
)
"""What a client error says where there is no credit and no code for that, in lower case."""


def is_unpaid(status: int | None, message: str, *codes: object) -> bool:
    """Whether an error says that there is no credit, which is the fault of no request and passes by no waiting.

    Args:
        status: The reply's, where there is one.
        message: What it says.
        codes: Its code and its type, as they stand there.
    """
    broke = status is not None and 400 <= status < 500 and any(words in message.lower() for words in _BROKE)
    return broke or status == _NO_CREDIT or any(str(code) in _SPENT for code in codes)


def speaks_of_credit(told: str) -> bool:
    """Whether what was made of such an error for a user, `STATUS CODE: message` after what went before, says so."""
    named = any(words in told.lower() for words in (*_SPENT, *_BROKE))
    return named or re.search(rf"(?:^|\): ){_NO_CREDIT}\b", told) is not None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Returns the seconds that a server asks to wait: `retry-after-ms` wins over `retry-after`.

    The latter may be a date, too (RFC 9110, section 10.2.3). They may be more than anybody waits, up to
    `LONGEST_WAIT_S`.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        said = headers.get(name, "")
        try:
            value = float(said) / unit
        except ValueError:
            value = _until(said)
        if 0 <= value <= LONGEST_WAIT_S:
            return value
    return None


def _until(date: str) -> float:
    """Returns the seconds from now until a date as HTTP writes it; NaN where it is none."""
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan


def moment(at: Any) -> float | None:
    """Returns a time in seconds since 1970, `None` where it is none; some endpoints write it as ISO 8601."""
    if isinstance(at, int | float):
        return float(at)
    try:
        return datetime.fromisoformat(str(at)).timestamp()
    except ValueError:
        return None
