"""Observers: each gets its events in order, on a thread of its own, and cannot harm the run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.contract import Observer
from harness.plugins.asides import thread_of
from harness.types import Event

CLOSE_S = 5.0
"""Seconds that an observer gets to finish when the run has ended, where its `patience_s` does not say otherwise."""


class _Watcher:
    """One observer on its thread."""

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self.events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.failure: str | None = None
        self.thread = threading.Thread(target=self._work, name=f"observer {observer.name}", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        thread_of(self.observer)
        while (event := self.events.get()) is not None:
            try:
                self.observer.on(event)
            except BaseException as error:
                self.failure = f"{type(error).__name__}: {error}"
                return


class Watching:
    """Hands events to observers while a run goes on.

    Args:
        folder: The run's folder; its name is the run's id.
        observers: Whom to tell.
        say: Told of observers that failed or hang.
    """

    def __init__(self, folder: Path, observers: Sequence[Observer], say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._watchers = [_Watcher(observer) for observer in observers]

    def tell(self, kind: str, arm: str = "", message: str = "", figures: Mapping[str, Any] | None = None) -> None:
        """Queues one event for every observer."""
        if self._watchers:
            event = Event(
                kind=kind,
                run=self._folder.name,
                time=time.time(),
                arm=arm,
                message=message,
                figures=dict(figures or {}),
                folder=self._folder,
            )
            for watcher in self._watchers:
                watcher.events.put(event)

    def close(self) -> None:
        """Lets every observer finish, for as long as it may take, and says which one failed."""
        for watcher in self._watchers:
            watcher.events.put(None)
        for watcher in self._watchers:
            watcher.thread.join(getattr(watcher.observer, "patience_s", CLOSE_S))
            if watcher.failure is not None:
                self._say(f'the observer "{watcher.observer.name}" failed: {watcher.failure}; the run is unharmed')
            elif watcher.thread.is_alive():
                self._say(f'the observer "{watcher.observer.name}" hangs and was left behind; the run is unharmed')
