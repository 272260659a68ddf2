"""What a failed attempt means: ask again and when, give this item up, stop this endpoint, or stop the command."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.errors import UsageError
from harness.execution.targets import Target
from harness.replies import OF_THE_REQUEST, RETRIED, is_unpaid, retry_after
from harness.secrets import Scrubber

if TYPE_CHECKING:
    import openai

FLAGGED = ("moderation", "flagged")
"""What a 403 says where it is the one text that is not let through, in lower case."""
MORE_QUOTA = "add credit, or raise the limit there; then the same command goes on where this one stopped"
BACKOFF_S, BACKOFF_MAX_S = 0.5, 20.0
UNSUPPORTED = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
"""Codes of a 400 that every request of the arm would meet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What follows from a failed attempt."""

    scope: Literal["retry", "item", "text", "account", "endpoint", "setup"]
    """What cannot go on. `text` and `account` hang on what came before: of an arm that has answered, one text is not
    let through, or nothing more of the account is answered; else its setup is wrong, or its items are refused."""
    kind: str
    """Short and constant, e.g. `rate-limit`, `server-error`, `unknown-model`."""
    message: str
    retry_after_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class BadBody(Exception):  # noqa: N818 - it never leaves the engine
    """A reply whose body is no JSON object, was cut off, or is no answer.

    Args:
        message: What is wrong with it.
        body: The object that came instead of an answer: what it counts for usage is billed all the same.
    """

    def __init__(self, message: str, body: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body = body


def judge(error: Exception, scrub: Scrubber) -> Fate:
    """Classifies one failed attempt. 429s are told apart: a rate passes, a quota that has ended does not.

    Args:
        error: What the attempt has raised.
        scrub: Takes keys out of what it says.
    """
    import aiohttp
    import openai

    if isinstance(error, BadBody):
        return Fate(scope="retry", kind="bad-body", message=scrub(str(error)))
    if isinstance(error, aiohttp.ClientError | openai.APIConnectionError):
        return _transport(error, scrub)
    if isinstance(error, TimeoutError):
        return Fate(scope="retry", kind="timeout", message="no answer within the attempt's time limit")
    if isinstance(error, openai.APIStatusError):
        return _status(error, scrub)
    if isinstance(error, openai.APIError):  # told within a stream that began well
        return Fate(scope="retry", kind="stream-error", message=scrub.line(error.message))
    return Fate(scope="item", kind=type(error).__name__, message=scrub(str(error)))


def _transport(error: Exception, scrub: Scrubber) -> Fate:
    """Tells apart what the client does not: its aiohttp transport calls refused and broken connections timeouts too."""
    import aiohttp
    import httpx2

    causes: list[BaseException] = []
    cause = error if isinstance(error, aiohttp.ClientError) else error.__cause__
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__
    said = scrub.line(str(causes[0] if causes else error))
    foreign = [one for one in causes if isinstance(one, aiohttp.ClientError)]
    nobody = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, httpx2.ConnectError)
    if any(isinstance(one, nobody) for one in causes):
        where = _refused(causes)
        told = scrub(f"nobody answers at {where}") if where else f"nobody answers there: {said}"
        return Fate(scope="retry", kind="connection", message=told)
    if any(isinstance(one, httpx2.ConnectTimeout) for one in causes) and not foreign:
        return Fate(scope="retry", kind="connection", message="nobody answers there")
    late = (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.PoolTimeout)
    if any(isinstance(one, late) for one in causes):
        return Fate(scope="retry", kind="timeout", message="no answer within the attempt's time limit")
    return Fate(scope="retry", kind="reset", message=f"the connection broke: {said}")


def _refused(causes: Sequence[BaseException]) -> str:
    """Returns in the system's words why no connection came about, with the address; empty where it does not say."""
    import aiohttp

    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorError):
            number, said = cause.os_error.errno or 0, str(cause.os_error.strerror or "")
            return f"{cause.host}:{cause.port}: {os.strerror(number) if number > 0 else said}"
    return ""


def _status(error: openai.APIStatusError, scrub: Scrubber) -> Fate:
    code, status, said = scrub(str(error.code or "")), error.status_code, scrub.line(_said(error))
    message = f"{status} {code}: {said}" if code else f"{status}: {said}"
    if is_unpaid(status, said, code, error.type):
        return Fate(scope="endpoint", kind="quota", message=message)
    if status in RETRIED or status >= 500:
        kind = "rate-limit" if status == 429 else "server-error" if status >= 500 else f"status-{status}"
        headers = error.response.headers
        return Fate(scope="retry", kind=kind, message=message, retry_after_s=retry_after(headers), headers=headers)
    if status == 401:
        return Fate(scope="setup", kind="authentication", message=message)
    if status == 403 and any(word in said.lower() for word in FLAGGED) and "account" not in said.lower():
        return Fate(scope="item", kind="flagged", message=message)
    if status == 403:
        return Fate(scope="text", kind="permission", message=message)
    if status == 404:
        return Fate(scope="setup", kind="unknown-model" if "model" in message else "not-found", message=message)
    if code in UNSUPPORTED:
        return Fate(scope="setup", kind="unsupported", message=message)
    scope: Literal["item", "account"] = "item" if status in OF_THE_REQUEST else "account"
    return Fate(scope=scope, kind=code or f"status-{status}", message=message)


def _said(error: openai.APIStatusError) -> str:
    body = error.body
    said = body.get("message") if isinstance(body, dict) else None
    return str(said or error.message)


def backoff_s(tries: int) -> float:
    """Returns the seconds to wait after so many attempts.

    Full jitter (Brooker 2015): waits spread out, so that a server that comes back is not hit by all at once.
    """
    return random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2 ** max(tries, 1)))


def setup_error(target: Target, arm: str, kind: str, said: str) -> UsageError:
    """Returns what to tell where an endpoint would answer no request of an arm.

    Args:
        target: The endpoint.
        arm: The arm's name.
        kind: `Fate.kind`, or `refused`.
        said: What the endpoint said or did.
    """
    cures = {
        "authentication": f"put a valid key into the environment variable {target.key_name or 'of its api_key_env'}",
        "permission": "the key may not do this; ask its owner, or use another one",
        "unknown-model": "correct `model` in the experiment",
        "not-found": "is base_url right, up to and including /v1?",
        "unsupported": f"change this setting of the arm {arm}, e.g. its `answer`, or in `extra_body`",
        "refused": f"change the arm {arm}, or leave it out with --only",
    }
    return UsageError(f"the endpoint {target.name} ({target.base_url}) {said}", cures.get(kind, ""))
