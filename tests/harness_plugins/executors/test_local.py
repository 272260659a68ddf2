"""The default executor hands everything to the engine, once and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from harness import Call
from harness_plugins.executors.local import Local


def test_all_calls_go_to_the_engine_at_once() -> None:
    calls = [Call(endpoint="e", path="/p", body={"n": number}) for number in range(3)]
    sent: list[tuple[list[Call], Callable[..., Any]]] = []

    def send(given: Iterable[Call], done: Callable[..., Any]) -> None:
        sent.append((list(given), done))

    def done(call: Call, reply: Any) -> None:
        raise AssertionError("the engine calls this, not the executor")

    Local().run(calls, send, done)
    assert sent == [(calls, done)]
