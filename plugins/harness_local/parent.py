"""Ending with whoever started this process, however that ends: its end of the pipe to our stdin closes then."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable


def when_stdin_ends(act: Callable[[], None]) -> None:
    """Has `act` called when stdin ends, in a thread of its own."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):  # not through sys.stdin, whose lock a thread may not hold at the interpreter's end
                pass
        act()

    threading.Thread(target=watch, daemon=True).start()
