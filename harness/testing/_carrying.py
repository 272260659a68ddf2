"""Trials of executors and observers."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from harness.testing._run import tiny_run
from harness.testing._samples import good_reply
from harness.testing._trial import Trial, shown
from harness.types import Call, Event, Reply


class Elsewhere(Exception):  # noqa: N818 - how a trial learns that an executor wants another machine
    """An executor asks for what only a real run has: a client, other processes."""


@dataclass(kw_only=True)
class FakeSend:
    """The engine as an executor sees it, in memory; see `harness.contract.Send`."""

    here_only: bool
    """Whether every call can be sent from this process alone."""
    label: str = "good"
    stopped: bool = False
    command: str = "checked"
    sent: list[Call] = field(default_factory=list)
    given_up: list[Call] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    elsewhere: bool = False
    _notes: dict[str, str] = field(default_factory=dict)

    def __call__(self, calls: Iterable[Call], done: Callable[[Call, Reply], None]) -> None:
        for call in calls:
            self.sent.append(call)
            done(call, Reply(good_reply(call.body, self.label), call))

    def key(self, call: Call) -> str:
        return f"{call.body['number']:064x}"

    def arm(self, call: Call) -> str:
        return f"arm {call.body['number'] % 2}"

    def here(self, call: Call) -> bool:
        return self.here_only

    def admit(self, call: Call, tier: str = "", *, patient: bool = False) -> bool | None:
        return True

    def give_up(self, call: Call, message: str, *, final: bool) -> None:
        self.given_up.append(call)

    def client(self, endpoint: str) -> Any:
        self.elsewhere = True
        raise Elsewhere

    def carrier(self, *, parts: int, concurrency: int | None = None) -> Any:
        self.elsewhere = True
        raise Elsewhere

    def note(self, key: str) -> str | None:
        return self._notes.get(key)

    def notes(self) -> Sequence[str]:
        return list(self._notes)

    def notes_elsewhere(self, prefix: str) -> Sequence[tuple[str, str]]:
        return []

    def take_note(self, key: str, value: str | None) -> None:
        self._notes.pop(key, None)
        self._notes |= {} if value is None else {key: value}

    def take(self, records: Sequence[Any]) -> Collection[str]:
        return {self.key(record.call) for record in records if isinstance(record, Reply)}

    def scrub(self, text: str) -> str:
        return text

    def say(self, message: str) -> None:
        self.said.append(message)


def calls(n: int = 12) -> tuple[Call, ...]:
    """Returns n different calls."""
    return tuple(
        Call(
            endpoint="sample",
            path="/chat/completions",
            body={"model": "sample-model", "messages": [{"role": "user", "content": f"item {n}"}], "number": number},
        )
        for number in range(n)
    )


def executor(trial: Trial) -> None:
    """Lets an executor carry calls out: such as only this process can send, then such as others could."""
    for n, here_only in ((12, True), (1, True), (0, True), (0, False), (12, False)):
        with trial.part():
            _carried(trial, calls(n), here_only=here_only)
    with trial.part():
        if hasattr(trial.plugin, "close"):
            for _ in range(2):
                trial.watched("close()", trial.plugin.close, promise="close")


def _carried(trial: Trial, given: tuple[Call, ...], *, here_only: bool) -> None:
    send = FakeSend(here_only=here_only)
    answered: list[tuple[Call, Reply]] = []

    def act() -> None:
        with contextlib.suppress(Elsewhere):
            trial.plugin.run(given, send, lambda call, reply: answered.append((call, reply)))

    trial.watched("run()", act, [given])
    if send.elsewhere:  # it needs a real run from here on
        return
    mine = {id(call) for call in given}
    strange = [call for call in [*send.sent, *(call for call, _ in answered)] if id(call) not in mine]
    trial.expect("given", not strange, f"it sent a call that it was not given: {shown(strange[:1])}")
    times = Counter(id(call) for call, _ in answered)
    twice = [n for n in times.values() if n > 1]
    trial.expect("once", not twice, f"it called done() {max(twice, default=0)} times for one call")
    crossed = [call for call, reply in answered if getattr(reply, "call", None) is not call]
    trial.expect("once", not crossed, "it called done() with the reply of another call")
    left = [call for call in given if id(call) not in times and all(call is not one for one in send.given_up)]
    trial.expect("all", not left, f"run() returned with {len(left)} of {len(given)} calls unanswered")


EVENTS: Mapping[str, Mapping[str, Any]] = {
    "run-started": {},
    "stage": {"few-shot": 12, "tuned": 12},
    "arm-progress": {"done": 1, "usd": 0.0, "input": 34},
    "answer": {"done": 1},
    "job": {"status": "running", "loss": 0.7},
    "warning": {},
    "a-kind-of-tomorrow": {"nested": {"list": [1, None, {"deep": True}]}, "none": None, "text": "ü\ud800"},
    "run-finished": {},
}
"""Kind of an event → its figures."""


def observer(trial: Trial) -> None:
    """Hands an observer every kind of event, on a thread of its own as a run does."""
    run = tiny_run(trial.scratch / "sample")
    assert run.code == 0, run.err  # noqa: S101 - our own run
    folder = run.folder
    events = [
        Event(kind=kind, run=folder.name, time=1_700_000_000.0 + place, figures=figures, folder=folder, **said)
        for place, (kind, figures) in enumerate(EVENTS.items())
        for said in ({}, {"arm": "tuned", "message": "A message with \x00, <b> and {braces}"})
    ]

    def work() -> None:
        for event in events:
            with trial.part():
                on = partial(trial.plugin.on, event)
                trial.watched(f"on() of {event.kind}", on, [event], promise="any-event")

    trial.expect("any-event", True, "")
    thread = threading.Thread(target=work, name="observer on trial")
    thread.start()
    thread.join()
    with trial.part():
        if hasattr(trial.plugin, "close"):
            trial.watched("close()", trial.plugin.close)
