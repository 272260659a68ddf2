"""What stands before the application: who may ask, and how much."""

from __future__ import annotations

import hmac
import ipaddress

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness_local.api.errors import ApiError

FILE_BYTES = 512 * 2**20
BODY_BYTES = 32 * 2**20


class Guard:
    """Refuses foreign Host headers, any Origin, wrong keys and bodies over the limit.

    A page in the user's browser can send requests to loopback; what gives it away is its Origin, or the Host of a
    name that was made to point here.

    Args:
        app: What is guarded.
        host: The address the server is bound to.
        key: The bearer key that is asked for; None for none.
    """

    def __init__(self, app: ASGIApp, host: str, key: str | None) -> None:
        self._app, self._key = app, key
        self._any_host = not is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        limit = FILE_BYTES + 2**20 if scope["path"].rstrip("/") == "/v1/files" else BODY_BYTES
        try:
            self._check(scope["path"], headers, limit)
        except ApiError as error:
            await respond(error)(scope, receive, send)
            return
        await self._app(scope, _limited(receive, limit), send)

    def _check(self, path: str, headers: dict[str, str], limit: int) -> None:
        if "origin" in headers:
            raise ApiError(403, "Requests from web pages (with an Origin header) are refused.", code="origin_refused")
        if not self._any_host and not is_loopback(_hostname(headers.get("host", ""))):
            raise ApiError(403, "This Host header is not one of this server's names.", code="host_refused")
        if self._key is not None and path != "/health":
            given = headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(given.encode(), self._key.encode()):
                raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            raise too_large(limit)


def _limited(receive: Receive, limit: int) -> Receive:
    """Stops a body that turns out longer than it may be."""
    got = 0

    async def limited() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > limit:
            raise too_large(limit)
        return message

    return limited


def too_large(limit: int) -> ApiError:
    """The error for a body over the limit."""
    return ApiError(413, f"The request body is over {limit // 2**20} MB.", code="request_too_large")


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host[1:].split("]", 1)[0]
    return host.rsplit(":", 1)[0] if host.count(":") == 1 else host


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine alone."""
    if host.rstrip(".").casefold() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def respond(error: ApiError) -> JSONResponse:
    """An error as a response."""
    return JSONResponse(error.body(), error.status, error.headers)
