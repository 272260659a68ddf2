"""Observers: told in order, and unable to harm a run."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from harness.plugins.asides import spared_stdout
from harness.running import watching
from harness.running.watching import Watching
from harness.types import Event


@dataclass(frozen=True)
class Keeps:
    name: ClassVar[str] = "keeps"
    seen: list[Event] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def on(self, event: Event) -> None:
        self.seen.append(event)
        self.threads.add(threading.current_thread().name)


@dataclass(frozen=True)
class Fails:
    name: ClassVar[str] = "fails"
    error: type[BaseException] = ValueError

    def on(self, event: Event) -> None:
        raise self.error("no")


@dataclass(frozen=True)
class Hangs:
    name: ClassVar[str] = "hangs"
    until: threading.Event = field(default_factory=threading.Event)

    def on(self, event: Event) -> None:
        self.until.wait(60)


def test_events_come_in_order_on_a_thread_of_their_own() -> None:
    keeps, said = Keeps(), list[str]()
    watch = Watching(Path("run-1"), [keeps], said.append)
    for number in range(200):
        watch.tell("answer", arm="a", figures={"n": number})
    watch.close()
    assert [event.figures["n"] for event in keeps.seen] == list(range(200))
    assert {event.run for event in keeps.seen} == {"run-1"}
    assert keeps.threads == {"observer keeps"}
    assert said == []


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_one_that_fails_is_named_and_the_others_are_told_all(error: type[BaseException]) -> None:
    keeps, said = Keeps(), list[str]()
    watch = Watching(Path("r"), [Fails(error=error), keeps], said.append)
    for _ in range(5):
        watch.tell("answer")
    watch.close()
    assert len(keeps.seen) == 5
    assert said == [f'the observer "fails" failed: {error.__name__}: no; the run is unharmed']


def test_one_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "CLOSE_S", 0.05)
    hangs, said = Hangs(), list[str]()
    watch = Watching(Path("r"), [hangs], said.append)
    watch.tell("answer")
    watch.close()
    hangs.until.set()
    assert said == ['the observer "hangs" hangs and was left behind; the run is unharmed']


def test_figures_are_a_copy() -> None:
    keeps, figures = Keeps(), {"n": 1}
    watch = Watching(Path("r"), [keeps], print)
    watch.tell("answer", figures=figures)
    figures["n"] = 2
    watch.close()
    assert keeps.seen[0].figures == {"n": 1}


@dataclass(frozen=True)
class Prints:
    name: ClassVar[str] = "prints"

    def on(self, event: Event) -> None:
        print(event.message)  # noqa: T201


def test_what_one_prints_goes_to_stderr_under_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with spared_stdout():
        watch = Watching(Path("run-1"), [Prints()], lambda _: None)
        watch.tell("note", message="half way\nthere")
        watch.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.partition(" printed: ")[2] for line in err.splitlines()] == ["half way", "there"]
    assert err.startswith('the plugin "prints" (')
