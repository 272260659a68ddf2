"""Answers as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from harness_local.api.errors import ApiError
from harness_local.api.running import Running, unless_gone

Event = Mapping[str, Any]


class EventStream(StreamingResponse):
    """A stream of events that ends the work behind it however it ends.

    Args:
        running: The work.
        events: What it says, as bytes.
    """

    media_type = "text/event-stream"

    def __init__(self, running: Running, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, headers={"Cache-Control": "no-store"})
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the events until the last one or until the client goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._running.close()


async def streamed(request: Request, running: Running, events: AsyncIterator[Event]) -> EventStream:
    """A response that tells events as they come.

    Args:
        request: Who asked.
        running: The work that events come from.
        events: Bodies of chunks.

    Raises:
        ApiError: What goes wrong before the first event is an answer like any other.
    """
    try:
        first = await unless_gone(request, _first(events))
    except BaseException:
        running.close()
        raise
    return EventStream(running, _lines(first, events))


async def _first(events: AsyncIterator[Event]) -> Event:
    return await anext(events)


async def _lines(first: Event, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    yield _line(first)
    try:
        async for event in events:
            yield _line(event)
    except ApiError as error:
        yield _line(error.body())
    except Exception as error:  # the status has been sent: the client must hear of it in the stream
        yield _line(bug(error).body())
        raise
    else:
        yield b"data: [DONE]\n\n"


def _line(event: Event) -> bytes:
    text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"


def bug(error: Exception) -> ApiError:
    """What a client hears of a mistake of ours."""
    return ApiError(500, f"Internal error: {type(error).__name__}.", kind="server_error")
