"""Ctrl-C, or the signal by which systems end programs: once lets come in what is under way, twice stops at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

INTERRUPTED = 130
"""Exit code of a command that was interrupted."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Handles SIGINT and SIGTERM while a run goes on.

    The first of them asks `stop`; where nothing is under way that will come in, it raises `KeyboardInterrupt` in the
    main thread. The second ends the process there and then, whatever its threads are doing: all that is complete is
    on disk already.

    Args:
        say: Told what happens now.
        leave: Called before the process ends at once: puts the terminal in order.
    """

    def __init__(self, say: Callable[[str], None], leave: Callable[[], None] = lambda: None) -> None:
        self._say, self._leave = say, leave
        self.stop: Callable[[], bool] = lambda: False
        """Lets nothing more be sent; returns whether something is under way that will come in."""
        self._asked = False
        self._process = os.getpid()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._on) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _on(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # forked by a plugin: it is ended by whoever started it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if self._asked:
            with suppress(Exception):  # the interrupted thread may be in the middle of writing there
                self._leave()
            os._exit(INTERRUPTED)
        self._asked = True
        if not self.stop():
            raise KeyboardInterrupt
        with suppress(RuntimeError):  # as above
            self._say("stopping: what is under way still comes in and is kept; Ctrl-C again stops at once")
