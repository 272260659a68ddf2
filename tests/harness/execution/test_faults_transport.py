"""Connections that failed, as the client and its transports tell of them; and what to tell of an endpoint's no."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx2
import openai
import pytest

from harness.execution.faults import BACKOFF_MAX_S, BACKOFF_S, BadBody, backoff_s, judge, setup_error
from harness.execution.targets import Target
from harness.secrets import Scrubber

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
KEY: Any = SimpleNamespace(host="127.0.0.1", port=9, ssl=False)


def client(*causes: BaseException) -> Exception:
    """The client's error, with what brought it about."""
    error = openai.APIConnectionError(request=REQUEST)
    last: BaseException = error
    for cause in causes:
        last.__cause__ = cause
        last = cause
    return error


REFUSED = aiohttp.ClientConnectorError(KEY, OSError(errno.ECONNREFUSED, "raw words"))
UNNAMED = aiohttp.ClientConnectorError(KEY, OSError(-2, "Name or service not known"))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (REFUSED, "connection", f"nobody answers at 127.0.0.1:9: {os.strerror(errno.ECONNREFUSED)}"),
        (client(httpx2.ConnectTimeout("late"), REFUSED), "connection",
         f"nobody answers at 127.0.0.1:9: {os.strerror(errno.ECONNREFUSED)}"),
        (UNNAMED, "connection", "nobody answers at 127.0.0.1:9: Name or service not known"),
        (client(httpx2.ConnectError("all attempts\n failed")), "connection",
         "nobody answers there: all attempts failed"),
        (aiohttp.ConnectionTimeoutError("slow"), "connection", "nobody answers there: slow"),
        (client(httpx2.ConnectTimeout("late")), "connection", "nobody answers there"),
        (client(httpx2.ReadTimeout("late")), "timeout", "no answer within the attempt's time limit"),
        (client(httpx2.PoolTimeout("late")), "timeout", "no answer within the attempt's time limit"),
        (aiohttp.SocketTimeoutError("late"), "timeout", "no answer within the attempt's time limit"),
        (TimeoutError(), "timeout", "no answer within the attempt's time limit"),
        (aiohttp.ServerDisconnectedError("gone"), "reset", "the connection broke: gone"),
        (client(httpx2.ConnectTimeout("late"), aiohttp.ServerDisconnectedError("gone")), "reset",
         "the connection broke: late"),
        (client(), "reset", "the connection broke: Connection error."),
    ],
)  # fmt: skip
def test_a_connection_that_failed_is_tried_again(error: Exception, kind: str, said: str) -> None:
    fate = judge(error, Scrubber())
    assert (fate.scope, fate.kind, fate.message, fate.retry_after_s) == ("retry", kind, said, None)


def test_a_reply_that_is_none_is_asked_for_again() -> None:
    fate = judge(BadBody("the reply is no JSON"), Scrubber())
    assert (fate.scope, fate.kind, fate.message) == ("retry", "bad-body", "the reply is no JSON")
    stream = judge(openai.APIError("it\n broke " * 100, request=REQUEST, body=None), Scrubber())
    assert (stream.scope, stream.kind, len(stream.message)) == ("retry", "stream-error", 300)
    assert stream.message.startswith("it broke it broke")


def test_waits_grow_up_to_a_limit() -> None:
    assert all(0 <= backoff_s(tries) <= BACKOFF_S * 2 ** max(tries, 1) for tries in range(5) for _ in range(20))
    assert max(backoff_s(50) for _ in range(200)) <= BACKOFF_MAX_S
    assert max(backoff_s(50) for _ in range(200)) > BACKOFF_S * 4


CURES: Mapping[str, str] = {
    "authentication": "put a valid key into the environment variable MY_KEY",
    "permission": "the key may not do this; ask its owner, or use another one",
    "unknown-model": "correct `model` in the experiment",
    "not-found": "is base_url right, up to and including /v1?",
    "unsupported": "change this setting of the arm a, e.g. its `answer`, or in `extra_body`",
    "refused": "change the arm a, or leave it out with --only",
    "of a later version": "",
}


@pytest.mark.parametrize("kind", CURES)
def test_what_to_do_where_an_endpoint_answers_nothing(kind: str) -> None:
    target = Target(
        name="api", base_url="http://127.0.0.1/v1", key_name="MY_KEY", api_key="k", headers={}, query={},
        concurrency=1, timeout_s=1.0,
    )  # fmt: skip
    error = setup_error(target, "a", kind, "said no")
    assert (error.message, error.hint) == ("the endpoint api (http://127.0.0.1/v1) said no", CURES[kind])
