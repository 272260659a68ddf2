"""What belongs to one call of the engine's `send`: its loop, its lanes, where it commits, and the news of that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from harness.execution.lanes import Lane
from harness.journal import Committed, Record


class Committer(Protocol):
    """Where answers go: the journal."""

    def submit(self, records: list[Record], committed: Committed) -> None:
        """Queues records; `committed` is called once they are safe, or with what kept them from it."""

    def add(self, records: Iterable[Record]) -> None:
        """Returns when records are safe."""

    def answered(self, arm: str) -> bool:
        """Whether an arm has at least one answer."""
        ...


@dataclass(kw_only=True)
class Receipts:
    """Brings news of commits from the journal's thread to the loop, all that have come in one go.

    Args:
        loop: Where the futures live.
    """

    loop: asyncio.AbstractEventLoop
    _news: deque[tuple[asyncio.Future[None], BaseException | None]] = field(default_factory=deque)
    _told: bool = False

    def put(self, committed: asyncio.Future[None], error: BaseException | None) -> None:
        """Takes one piece of news, on any thread."""
        self._news.append((committed, error))
        if not self._told and not self.loop.is_closed():  # closed by an interruption: nobody waits any more
            self._told = True
            self.loop.call_soon_threadsafe(self._read)

    def _read(self) -> None:
        self._told = False
        while self._news:
            committed, error = self._news.popleft()
            if committed.done():
                continue
            if error is None:
                committed.set_result(None)
            else:
                committed.set_exception(error)


@dataclass(kw_only=True)
class Sending:
    """What belongs to one call of `send`."""

    loop: asyncio.AbstractEventLoop
    lanes: list[Lane] = field(default_factory=list)
    receipts: Receipts = field(init=False)

    def __post_init__(self) -> None:
        self.receipts = Receipts(loop=self.loop)

    def wake(self) -> None:
        """Lets all workers look again at what they may do."""
        for lane in self.lanes:
            lane.wake_all()
