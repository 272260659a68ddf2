"""What is said while a command works: plain lines where there is no terminal, bars where there is one."""

from __future__ import annotations

import pytest

from harness import console as module
from harness.console import Console


def test_quick_work_says_nothing_and_slow_work_says_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Console(terminal=False) as console:
        for done in range(0, 11, 5):
            console.track("comparing", done, 10)
        assert capsys.readouterr().err == ""
        for done in range(0, 31, 10):
            console.track("comparing", done, 30)
            now[0] += 6
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("] ")[1] for line in lines] == [
        "comparing: 10 of 30", "comparing: 20 of 30", "comparing: 30 of 30",
    ]  # fmt: skip


def test_work_without_a_known_end_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(terminal=False) as console, console.busy("reading"):
        pass
    assert capsys.readouterr().err.endswith("] reading\n")
    with Console(terminal=False, quiet=True) as console, console.busy("reading"):
        pass
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_bars_that_go_when_the_work_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(terminal=True) as console:
        assert console._progress is not None
        with console.busy("reading"):
            assert [task.description for task in console._progress.tasks] == ["reading"]
        console.track("comparing", 1, 2)
        assert [(task.description, task.completed) for task in console._progress.tasks] == [("comparing", 1)]
        console.track("comparing", 2, 2)
        assert console._progress.tasks == []
