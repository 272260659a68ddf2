"""Tasks that wait for others, done side by side in threads; one error, or Ctrl-C, ends them all."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.errors import GateError

T = TypeVar("T")
LEAVE_S = 2.0
"""Seconds that threads get to come to an end once nobody waits for them any more."""

SLICE_S = 0.25
"""After so many seconds of a pause it is looked whether it is to end."""


class Stopped(BaseException):
    """Raised in a task's pause: nobody waits for it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[T]):
    """Something to do."""

    do: Callable[[], T]
    group: str | None
    """Tasks of one group share threads; without a group it is done in the caller's own thread."""


class Pause:
    """A pause that ends when all is to end.

    Args:
        sleep: Waits some seconds.
    """

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ends all pauses, those that are made later too."""
        self._stop.set()

    def __call__(self, seconds: float) -> None:
        """Waits.

        Raises:
            Stopped: All is to end.
        """
        left = seconds
        while not self._stop.is_set():
            if left <= 0:
                return
            self._sleep(min(left, SLICE_S))
            left -= SLICE_S
        raise Stopped


def side_by_side(tasks: Sequence[Task[T]], most: int, pause: Pause) -> list[T]:
    """Does tasks and returns what came of each.

    An error lets nothing more begin, ends the pauses of the others and is raised. A gate's word lets finish what has
    begun: that is being paid for.

    Args:
        tasks: What to do.
        most: At most so many of a group at once.
        pause: With what they wait.
    """
    came: dict[int, T] = {}
    errors: list[BaseException] = []
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    waiting = _by_group(tasks)

    def work(group: str | None) -> None:
        with suppress(IndexError):  # of a group of which nothing is left
            while not errors:
                number = waiting[group].popleft()
                try:
                    came[number] = tasks[number].do()
                except BaseException as error:  # raised below, in the caller's thread
                    errors.append(error)

    def run(group: str) -> None:
        work(group)
        ended.put(None)

    threads = [
        threading.Thread(target=run, args=(group,), name=f"jobs at {group}", daemon=True)
        for group in filter(None, waiting)
        for _ in range(min(most, len(waiting[group])))
    ]
    try:
        for thread in threads:
            thread.start()
        if None in waiting:
            work(None)
        for _ in threads:
            if not all(isinstance(error, GateError) for error in errors):
                break
            ended.get()
    finally:  # Ctrl-C comes by here too
        pause.stop()
        for thread in threads:
            thread.join(LEAVE_S)
    if errors:
        raise next((error for error in errors if not isinstance(error, Stopped)), errors[0])
    return [came[number] for number in range(len(tasks))]


def _by_group(tasks: Sequence[Task[T]]) -> dict[str | None, deque[int]]:
    waiting: dict[str | None, deque[int]] = {}
    for number, task in enumerate(tasks):
        waiting.setdefault(task.group, deque()).append(number)
    return waiting
