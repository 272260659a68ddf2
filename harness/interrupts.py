"""Ctrl-C: once lets come in what is under way, twice stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Handles SIGINT while a run goes on.

    Args:
        stop: Lets nothing more be sent; returns whether something is under way that will come in.
        say: Told what happens now.
    """

    def __init__(self, stop: Callable[[], bool], say: Callable[[str], None]) -> None:
        self._stop, self._say = stop, say
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._on)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _on(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked or not self._stop():
            raise KeyboardInterrupt
        self._asked = True
        self._say("stopping: what is under way still comes in and is kept; Ctrl-C again stops at once")
