"""Failed attempts: what follows from each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import httpx2
import openai
import pytest

from harness.execution.faults import judge
from harness.secrets import SHORTEST, Scrubber

NONE = Scrubber()
REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")


def status(code: int, error: Any = None, headers: Mapping[str, str] | None = None) -> openai.APIStatusError:
    response = httpx2.Response(code, json={"error": error or {}}, headers=headers, request=REQUEST)
    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1/v1")
    with client:
        return client._make_status_error_from_response(response)


@pytest.mark.parametrize(
    ("code", "error", "scope", "kind"),
    [
        (429, {"code": "rate_limit_exceeded", "message": "m"}, "retry", "rate-limit"),
        (429, {"code": "insufficient_quota", "message": "m"}, "endpoint", "quota"),
        (429, {"type": "insufficient_quota", "message": "m"}, "endpoint", "quota"),
        (429, None, "retry", "rate-limit"),
        (403, {"code": "billing_not_active"}, "endpoint", "quota"),
        (402, {"message": "Insufficient Balance"}, "endpoint", "quota"),
        (402, None, "endpoint", "quota"),
        (400, {"message": "Your credit balance is too low to access the API."}, "endpoint", "quota"),
        (400, {"message": "your prompt about a balance is too long"}, "item", "status-400"),
        (424, None, "retry", "status-424"),
        (498, {"message": "capacity exceeded"}, "retry", "status-498"),
        (451, None, "item", "status-451"),
        (500, None, "retry", "server-error"),
        (503, {"message": "m"}, "retry", "server-error"),
        (529, None, "retry", "server-error"),
        (408, None, "retry", "status-408"),
        (409, None, "retry", "status-409"),
        (401, {"code": "invalid_api_key"}, "setup", "authentication"),
        (403, None, "text", "permission"),
        (403, {"message": "Your input was flagged"}, "item", "flagged"),
        (403, {"message": "Your account was flagged"}, "text", "permission"),
        (403, {"message": "you exceeded current quota"}, "endpoint", "quota"),
        (412, {"message": "Account x is suspended"}, "account", "status-412"),
        (412, {"message": "possibly due to reaching the monthly spending limit"}, "endpoint", "quota"),
        (410, {"message": "gone"}, "account", "status-410"),
        (404, {"code": "model_not_found", "message": "The model x"}, "setup", "unknown-model"),
        (404, {"message": "no such path"}, "setup", "not-found"),
        (400, {"code": "unsupported_value", "message": "temperature"}, "setup", "unsupported"),
        (400, {"code": "content_filter"}, "item", "content_filter"),
        (413, None, "item", "status-413"),
        (422, {"message": "m"}, "item", "status-422"),
    ],
)
def test_statuses(code: int, error: Any, scope: str, kind: str) -> None:
    fate = judge(status(code, error), NONE)
    assert (fate.scope, fate.kind) == (scope, kind)
    assert str(code) in fate.message


def test_a_long_message_is_cut_and_one_line() -> None:
    message = judge(status(500, {"message": "a\nb " * 500}), NONE).message
    assert len(message) < 350
    assert "\n" not in message


@pytest.mark.parametrize("key", ["sk-" + "A1b2C3d4" * 8, "two  words\tand  a third"], ids=["long", "spaced"])
def test_no_part_of_a_key_is_left_at_the_cut(key: str) -> None:
    scrub = Scrubber((key,))
    pieces = {key[start : start + SHORTEST] for start in range(len(key) - SHORTEST + 1)}
    for before in range(1, 311):
        text = f"{'.' * before}{key}{'.' * 600}"[:600]
        refused = openai.InternalServerError(text, response=httpx2.Response(500, request=REQUEST), body=None)
        errors = (refused, openai.APIError(text, REQUEST, body=None), aiohttp.ClientError(text))
        for error in errors:
            message = judge(error, scrub).message
            assert not [piece for piece in pieces if piece in message], (before, message)


def test_anything_else_is_the_items_own() -> None:
    fate = judge(UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), NONE)
    assert fate.scope == "item"
    assert fate.kind == "UnicodeEncodeError"
