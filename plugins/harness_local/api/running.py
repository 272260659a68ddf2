"""Work of one request on its way through the engine, and what becomes of it when the client goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from starlette.requests import Request

from harness_local.api.errors import ApiError, schema_refused
from harness_local.inference.adapters import AdapterError
from harness_local.inference.constraints import ConstraintError
from harness_local.inference.engine import BusyError, Engine
from harness_local.inference.work import Outcome, Progress, Work

_T = TypeVar("_T")
_TOLD = (AdapterError, BusyError, ConstraintError, KeyError)
"""What the engine says of work that it cannot do; anything else is a mistake of ours."""


class Running:
    """Work that the engine has been given.

    Args:
        engine: Who computes.
        works: What.
        grows: Whether `steps` is to tell of answers as they grow, and not of outcomes alone.

    Raises:
        ApiError: 429, too much is waiting already.
    """

    def __init__(self, engine: Engine, works: Sequence[Work], *, grows: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[tuple[int, Progress | None]] = asyncio.Queue()
        self._futures: list[Future[Outcome]] = []
        try:
            for index, work in enumerate(works):
                self._futures.append(self._submit(engine, index, work, grows))
        except BusyError:
            self.close()
            raise _explained(BusyError()) from None

    def _submit(self, engine: Engine, index: int, work: Work, grows: bool) -> Future[Outcome]:
        def tell(progress: Progress | None) -> None:  # in the engine's thread
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._arrived.put_nowait, (index, progress))

        future = engine.submit(work, tell if grows else None)
        future.add_done_callback(lambda _: tell(None))
        return future

    async def outcomes(self) -> list[Outcome]:
        """All results, when the last one is there.

        Raises:
            ApiError: It could not be computed.
        """
        try:
            return list(await asyncio.gather(*map(asyncio.wrap_future, self._futures)))
        except _TOLD as error:
            raise _explained(error) from None

    async def steps(self) -> AsyncIterator[tuple[int, Progress | Outcome]]:
        """What each piece of work gained as it comes, and its outcome last.

        Raises:
            ApiError: It could not be computed.
        """
        left = len(self._futures)
        while left:
            index, progress = await self._arrived.get()
            if progress is not None:
                yield index, progress
                continue
            left -= 1
            try:
                yield index, self._futures[index].result()
            except _TOLD as error:
                raise _explained(error) from None

    def close(self) -> None:
        """Gives up what is not done."""
        for future in self._futures:
            future.cancel()


async def computed(request: Request, engine: Engine, works: Sequence[Work]) -> list[Outcome]:
    """What becomes of work, which is given up when the client goes away.

    Raises:
        ApiError: It could not be computed, or nobody waits for it any more.
    """
    running = Running(engine, works)
    try:
        return await unless_gone(request, running.outcomes())
    finally:
        running.close()


async def unless_gone(request: Request, doing: Coroutine[Any, Any, _T]) -> _T:
    """Waits for something for as long as the client does.

    Raises:
        ApiError: The client went away.
    """
    task, gone = asyncio.ensure_future(doing), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ApiError(499, "The client went away.", code="client_closed_request")
        return await task
    finally:
        task.cancel()
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _explained(error: Exception) -> ApiError:
    if isinstance(error, KeyError):
        return ApiError(404, "The model was deleted meanwhile.", code="model_not_found", param="model")
    if isinstance(error, AdapterError):
        return ApiError(400, f"The model cannot be asked: {error}.", code="model_not_usable", param="model")
    if isinstance(error, ConstraintError):
        return schema_refused(error)
    return ApiError(
        429,
        str(error) or "Too many requests are waiting already.",
        code="rate_limit_exceeded",
        kind="rate_limit_error",
        headers={"Retry-After": "1"},
    )
