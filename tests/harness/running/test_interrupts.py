"""Signals: the first lets come in what is under way, the second ends the process, and forked children are left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.running.interrupts import SIGNALS, Interrupts


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_asks_and_the_second_leaves(
    said: list[str], monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    asked: list[bool] = []

    def stop() -> bool:
        asked.append(True)
        return True

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", leave)
    with Interrupts(said.append, lambda: said.append("terminal in order")) as interrupts:
        interrupts.stop = stop
        signal.raise_signal(number)
        assert asked == [True]
        assert len(said) == 1
        assert "again stops at once" in said[0]
        with pytest.raises(SystemExit, match="130"):
            signal.raise_signal(number)
    assert said[1:] == ["terminal in order"]


def test_where_nothing_is_under_way_it_ends_the_command(said: list[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Interrupts(said.append):
        signal.raise_signal(signal.SIGTERM)
    assert said == []


def test_a_terminal_that_cannot_be_written_to_changes_nothing() -> None:
    asked: list[bool] = []

    def say(_: str) -> None:
        raise RuntimeError("reentrant call")

    def stop() -> bool:
        asked.append(True)
        return True

    with Interrupts(say) as interrupts:
        interrupts.stop = stop
        signal.raise_signal(signal.SIGINT)
    assert asked == [True]


def test_afterwards_signals_are_what_they_were(said: list[str]) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupts(said.append):
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


FORKS = """
import os, signal, time
from harness.running.interrupts import Interrupts
with Interrupts(print) as interrupts:
    interrupts.stop = lambda: True
    child = os.fork()
    if not child:
        time.sleep(60)
    time.sleep(0.2)
    os.kill(child, signal.SIGTERM)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_ends_as_it_would_without(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=50, cwd=tmp_path)
    assert done.stdout.split() == [str(-signal.SIGTERM)], done
