"""Tasks side by side: as many as a group may have, and an error or Ctrl-C ends them all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.errors import GateError, UsageError
from harness.running.abreast import Pause, Stopped, Task, side_by_side


def short(seconds: float) -> None:
    time.sleep(min(seconds, 0.005))


class Counting:
    """Tasks that know how many of them are under way."""

    def __init__(self) -> None:
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def task(self, number: int, group: str | None) -> Task[Any]:
        def do() -> tuple[int, str]:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.02)
            with self.lock:
                self.now -= 1
            return number, threading.current_thread().name

        return Task(do=do, group=group)


def test_so_many_of_a_group_at_once_and_each_groups_own() -> None:
    counting = Counting()
    assert [n for n, _ in side_by_side([counting.task(n, "a") for n in range(8)], 3, Pause(short))] == list(range(8))
    assert counting.most == 3
    tasks = [counting.task(n, group) for n, group in enumerate("aaabbb")]
    assert [n for n, _ in side_by_side(tasks, 2, Pause(short))] == list(range(6))
    assert counting.most == 4
    here = side_by_side([counting.task(n, None) for n in range(2)], 3, Pause(short))
    assert {name for _, name in here} == {threading.current_thread().name}
    assert side_by_side([], 3, Pause(short)) == []


def failing(error: BaseException, after: Callable[[], object]) -> Task[str]:
    def do() -> str:
        after()
        raise error

    return Task(do=do, group="a")


def test_an_error_ends_the_pauses_of_the_others_and_lets_nothing_begin() -> None:
    pause, begun = Pause(short), threading.Event()
    ended: list[str] = []

    def waits() -> str:
        begun.set()
        try:
            pause(3600)
        except Stopped:
            ended.append("stopped")
            raise
        return ""

    def begin() -> str:
        ended.append("begun")
        return ""

    never = Task(do=begin, group="a")
    tasks = [Task(do=waits, group="a"), failing(UsageError("wrong"), lambda: begun.wait(5)), never]
    with pytest.raises(UsageError, match="wrong"):
        side_by_side(tasks, 2, pause)
    assert ended == ["stopped"]


def test_a_gate_lets_finish_what_has_begun() -> None:
    begun, gate = threading.Event(), threading.Event()
    ended: list[str] = []

    def paid() -> str:
        begun.set()
        assert gate.wait(5)
        time.sleep(0.05)
        ended.append("paid")
        return ""

    def begin() -> str:
        ended.append("begun")
        return ""

    never = Task(do=begin, group="a")

    def shut() -> None:
        begun.wait(5)
        gate.set()

    with pytest.raises(GateError):
        side_by_side([Task(do=paid, group="a"), failing(GateError("shut"), shut), never], 2, Pause(short))
    assert ended == ["paid"]


def test_ctrl_c_in_the_callers_thread_ends_the_pauses() -> None:
    pause, begun, ended = Pause(short), threading.Event(), threading.Event()

    def waits() -> str:
        begun.set()
        try:
            pause(3600)
        finally:
            ended.set()
        return ""

    def interrupted() -> str:
        assert begun.wait(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        side_by_side([Task(do=waits, group="a"), Task(do=interrupted, group=None)], 2, pause)
    assert ended.is_set()
    with pytest.raises(Stopped):
        pause(0)
