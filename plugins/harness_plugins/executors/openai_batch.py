"""Hands requests in by the batch: answers within a day, at about half the price."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

import harness

MOST_REQUESTS, MOST_MEGABYTES = 50_000, 200


@dataclass(frozen=True, kw_only=True)
class OpenAIBatch:
    """Sends requests as files through an endpoint's `/files` and `/batches`.

    A batch that was handed in is written down before anything else is done: whatever happens to this process, the
    same command collects its answers and hands nothing in twice. It is never cancelled: what is not wanted now, with
    `--only` for instance, is wanted by the next command, and what was answered is billed either way.
    """

    name: ClassVar[str] = "openai-batch"
    tier: ClassVar[str] = "batch"
    """What requests are bought as, for estimates."""

    requests: int = MOST_REQUESTS
    """Most requests in one batch."""
    megabytes: float = MOST_MEGABYTES
    """Largest file of one batch, in millions of bytes."""
    at_least: int = 50
    """Fewer requests of one model are sent at once, at the full price: a choice on 20 items need not take hours."""
    try_first: bool = True
    """ask one request of each arm at once before a batch is handed in, to find out what cannot work."""
    poll_s: float = 5.0
    """Seconds between two looks at the batches; they grow to a minute."""
    prefix: str = "/v1"
    """What stands before a request's path in the lines of a file; Azure has nothing there."""

    def __post_init__(self) -> None:
        if not 1 <= self.requests <= MOST_REQUESTS:
            raise ValueError(f"requests: a number from 1 to {MOST_REQUESTS:,} is expected")
        if not 0 < self.megabytes <= MOST_MEGABYTES:
            raise ValueError(f"megabytes: a number above 0 and up to {MOST_MEGABYTES} is expected")
        if self.at_least < 0:
            raise ValueError("at_least: 0 or more is expected")
        if self.poll_s <= 0:
            raise ValueError("poll_s: more than 0 seconds are expected")

    def run(
        self,
        calls: Sequence[harness.Call],
        send: harness.Send,
        done: Callable[[harness.Call, harness.Reply], None],
    ) -> None:
        """Hands in what no batch holds, waits, and collects.

        Raises:
            UsageError: The endpoint has no batches, or refuses one as a whole.
        """
        from harness_plugins.executors._batch_work import Work

        with ExitStack() as stack:
            Work(options=self, send=send, done=done, stack=stack).run(calls)


@harness.hookimpl
def harness_executors() -> list[type[OpenAIBatch]]:
    """Declares the executor."""
    return [OpenAIBatch]
