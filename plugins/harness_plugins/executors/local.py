"""The default executor: this process sends every request itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import harness


@dataclass(frozen=True, kw_only=True)
class Local:
    """Sends all requests from this process, concurrently."""

    name: ClassVar[str] = "local"

    def run(
        self,
        calls: Sequence[harness.Call],
        send: harness.Send,
        done: Callable[[harness.Call, harness.Reply], None],
    ) -> None:
        """Hands all calls to the engine's connections."""
        send(calls, done)


@harness.hookimpl
def harness_executors() -> list[type[Local]]:
    """Declares the executor."""
    return [Local]
