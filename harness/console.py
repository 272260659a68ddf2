"""What a user sees while a command works: bars on a terminal, plain lines elsewhere; all of it on stderr.

Whoever works only counts. A thread of the console's own draws a few times a second, so that thousands of answers a
second cost no more than thousands of additions, and a server that hangs shows as a rate that falls.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from harness import numbers

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY_S = 5.0
"""Seconds between two plain lines of one arm; what is done sooner is told once, when it is done."""
STALLED_EVERY_S = 30.0
"""Seconds between two plain lines of an arm with which nothing happens."""
RATE_OVER_S = 10.0
"""Seconds over which a rate is measured."""
FEW = 10
"""Fewer answers than these say nothing of the time that is left: those of all the time do, if they are as many."""
DRAW_EVERY_S = 0.2
"""Seconds between two pictures on a terminal."""


@dataclass(slots=True, kw_only=True)
class _Line:
    """What is counted of one arm, or of the steps of some other work."""

    name: str
    total: int
    """How many there are; 0 for work without a known end."""
    began: float
    told: float
    """When it was last told, in plain lines."""
    told_at: int = 0
    """What was finished then."""
    work: bool = False
    """Whether these are steps of work that is told only where it takes long."""
    done: int = 0
    failed: int = 0
    tokens: int = 0
    usd: float = 0.0
    ended: float | None = None
    """When its sum was told."""
    task: TaskID | None = None
    marks: deque[tuple[float, int]] = field(default_factory=deque)
    """Moments of the last seconds with what was finished then."""

    @property
    def finished(self) -> int:
        return self.done + self.failed

    def mark(self, now: float) -> None:
        """Notes how far it is; one mark that is older than the rate's seconds stays, and none from before its turn."""
        if not (self.finished or self.work):
            self.marks.clear()
        self.marks.append((now, self.finished))
        while len(self.marks) > 1 and self.marks[1][0] <= now - RATE_OVER_S:
            self.marks.popleft()

    def note(self, now: float) -> str:
        """Returns done, failed, rate, time left, dollars and tokens, as far as there are any."""
        if self.ended is not None:
            return self.sum()
        if not self.total:
            return f"{numbers.duration(now - self.began)} so far"
        then, before = self.marks[0] if self.marks else (self.began, 0)
        rate = (self.finished - before) / (now - then) if now > then else 0.0
        pace = rate
        if not self.work and (self.finished - before < FEW or now - then < 1):  # arms of one endpoint take turns
            pace = self.finished / (now - self.began) if rate and self.finished >= FEW else 0.0
        left = (self.total - self.finished) / pace if pace else 0.0
        # A narrow terminal cuts the end off: what matters least stands there
        return self._joined(_rate(rate), f"{numbers.duration(left)} left" if left else "")

    def sum(self) -> str:
        """Returns what became of it: done, failed, the average rate, dollars, tokens."""
        seconds = (self.ended or self.began) - self.began
        known = seconds > 0 and self.total > 1  # of one step, the rate says nothing
        return self._joined(f"{_rate(self.finished / seconds)} on average" if known else "")

    def _joined(self, *speed: str) -> str:
        parts = (
            f"{self.finished:,} of {self.total:,}",
            f"{self.failed:,} failed" if self.failed else "",
            *speed,
            numbers.usd(self.usd) if self.usd else "",
            f"{self.tokens:,} tokens" if self.tokens else "",
        )
        return ", ".join(part for part in parts if part)


def _rate(rate: float) -> str:
    return f"{numbers.number(rate, 0 if rate >= 9.95 or not rate else 1 if rate >= 0.95 else 2)}/s"


def is_terminal(stream: TextIO | None) -> bool:
    """Returns whether a standard stream is a terminal; one that was closed (``<&-``) is None."""
    return stream is not None and stream.isatty()


class Console:
    """Tells what is going on.

    Args:
        quiet: Say nothing but errors.
        terminal: Draw bars; by default where stderr is a terminal.
    """

    def __init__(self, *, quiet: bool = False, terminal: bool | None = None) -> None:
        self.quiet = quiet
        self.terminal = is_terminal(sys.stderr) if terminal is None else terminal
        self._progress: Progress | None = None
        self._lines: dict[str, _Line] = {}
        self._began = time.monotonic()
        self._over = threading.Event()
        self._drawer: threading.Thread | None = None

    def __enter__(self) -> Console:
        if self.quiet:
            return self
        if self.terminal:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=20),
                TextColumn("{task.fields[note]}", markup=False),
                console=RichConsole(stderr=True),
                transient=True,
                auto_refresh=False,
            )
            self._progress.start()
        self._drawer = threading.Thread(target=self._keep_drawing, name="progress", daemon=True)
        self._drawer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._over.set()
        if self._drawer is not None:
            self._drawer.join()
        for line in list(self._lines.values()):
            if line.finished and not line.work:
                self._end(line)
        if self._progress is not None:
            self._progress.stop()

    def leave(self) -> None:
        """Gives the terminal its cursor back, for a process that ends at once; for signal handlers."""
        if self._progress is not None:
            os.write(sys.stderr.fileno(), b"\x1b[?25h\n")

    def say(self, message: str) -> None:
        """Writes one line; where nobody can read it, the run goes on all the same."""
        if self.quiet:
            return
        with suppress(OSError):
            self._write(message)

    def _write(self, message: str) -> None:
        line = f"[{time.monotonic() - self._began:5.0f} s] {message}"
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(f"{line}\n", end="", file=sys.stderr, flush=True)  # noqa: T201 - in one piece: two threads write

    def expect(self, name: str, total: int) -> None:
        """Opens a line for something countable."""
        self.close(name)
        self._open(name, total)

    def advance(self, name: str, figures: Mapping[str, Any]) -> None:
        """Adds to a line: `done`, `failed`, `input_tokens`, `output_tokens`, `usd`; called for every answer."""
        line = self._lines.get(name)
        if line is None:
            return
        get = figures.get
        line.done += get("done", 0)
        line.failed += get("failed", 0)
        line.tokens += get("input_tokens", 0) + get("output_tokens", 0)
        line.usd += get("usd") or 0.0
        if line.done + line.failed >= line.total:
            self._end(line)

    def steps(self, arm: str, step: int, steps: int) -> None:
        """Moves the line of an arm's training."""
        self.track(f"{arm}: training step", step, steps)

    def track(self, name: str, done: int, total: int) -> None:
        """Moves a line that opens with the first call and closes with the last; what is quickly done says nothing."""
        line = self._lines.get(name) or self._open(name, total, work=True)
        line.done = done
        if done >= total:
            if time.monotonic() - line.began > PLAIN_EVERY_S:
                self._end(line)
            self.close(name)

    @contextmanager
    def busy(self, doing: str, *, said: bool = True) -> Iterator[None]:
        """Shows a bar that moves for as long as something takes: for work without a known end.

        Args:
            doing: What is being done.
            said: Say so at once, in a line; else only where it takes long.
        """
        line = self._open(doing, 0, work=True)
        if said:
            line.told = math.inf
            self.say(doing)
        try:
            yield
        finally:
            self.close(doing)

    def close(self, name: str) -> None:
        """Closes a line."""
        line = self._lines.pop(name, None)
        if line is not None and line.task is not None and self._progress is not None:
            self._progress.remove_task(line.task)

    def draw(self) -> None:
        """Shows how far everything is: bars on a terminal, elsewhere a line for each arm that is due."""
        now = time.monotonic()
        for line in list(self._lines.values()):
            line.mark(now)
            if self._progress is None:
                self._tell(line, now)
            elif line.task is not None:
                with suppress(KeyError):  # it was closed just now
                    self._progress.update(line.task, completed=line.finished, note=line.note(now))
        if self._progress is not None:
            self._progress.refresh()

    def _open(self, name: str, total: int, *, work: bool = False) -> _Line:
        now = time.monotonic()
        line = _Line(name=name, total=total, began=now, told=now, work=work, told_at=0 if total else -1)
        line.mark(now)
        if self._progress is not None:
            line.task = self._progress.add_task(name, total=total or None, note="")
        self._lines[name] = line
        return line

    def _tell(self, line: _Line, now: float) -> None:
        every = PLAIN_EVERY_S if line.finished != line.told_at else STALLED_EVERY_S
        if line.ended is None and now - line.told >= every:
            line.told, line.told_at = now, line.finished
            self.say(f"{line.name}: {line.note(now)}")

    def _end(self, line: _Line) -> None:
        """Tells a line's sum, once."""
        if line.ended is None:
            line.ended = time.monotonic()
            self.say(f"{line.name}: {line.sum()}")

    def _keep_drawing(self) -> None:
        while not self._over.wait(DRAW_EVERY_S):
            try:
                self.draw()
            except OSError:  # nobody listens any more
                return
