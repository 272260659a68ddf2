"""What plugins print goes to stderr, each line under the plugin's name: stdout belongs to results."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import TextIO

from harness.plugins.origins import origin

_SPEAKER: ContextVar[object] = ContextVar("speaker", default=None)
"""The plugin that is at work in this thread, or the name of one that is being loaded."""


class Aside(io.TextIOBase):
    """Stands in for stdout; writes to another stream and names who speaks at the beginning of each line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._fresh = True

    def write(self, text: str) -> int:
        """Writes text, its lines under the name of the plugin that is at work."""
        who = _SPEAKER.get()
        for line in text.splitlines(keepends=True) if who is not None else (text,):
            self._stream.write(f"{_named(who)} printed: {line}" if self._fresh and who is not None else line)
            self._fresh = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Flushes the stream behind it."""
        self._stream.flush()


def _named(who: object) -> str:
    return who if isinstance(who, str) else f'the plugin "{getattr(who, "name", "?")}" ({origin(who)})'


@contextmanager
def spared_stdout() -> Iterator[None]:
    """Keeps stdout free of what plugins print, in all threads that begin and end within the `with` block."""
    if isinstance(sys.stdout, Aside):
        yield
        return
    with redirect_stdout(Aside(sys.stderr)):
        yield


@contextmanager
def speaker(who: object) -> Iterator[None]:
    """Names who prints from here on, in this thread.

    Args:
        who: The plugin's instance or class, or what to call it.
    """
    token = _SPEAKER.set(who)
    try:
        if isinstance(sys.stdout, Aside):  # asked first: this is done for every answer that is parsed
            yield
        else:
            with spared_stdout():
                yield
    finally:
        _SPEAKER.reset(token)


def thread_of(who: object) -> None:
    """Names who prints in this thread, to its end; stdout itself is left to whoever spares it.

    Args:
        who: The plugin whose own thread this is.
    """
    _SPEAKER.set(who)
