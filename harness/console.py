"""What a user sees while a command works: bars on a terminal, plain lines elsewhere; all of it on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY_S = 5.0
"""Seconds between two plain lines of one arm."""


class Console:
    """Tells what is going on.

    Args:
        quiet: Say nothing but errors.
        terminal: Draw bars; by default where stderr is a terminal.
    """

    def __init__(self, *, quiet: bool = False, terminal: bool | None = None) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr.isatty() if terminal is None else terminal
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._counts: dict[str, dict[str, float]] = {}
        self._told: dict[str, float] = {}
        self._began_at: dict[str, float] = {}
        self._began = time.monotonic()

    def __enter__(self) -> Console:
        if self.terminal and not self.quiet:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description:<28}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeRemainingColumn(),
                console=RichConsole(stderr=True),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, message: str) -> None:
        """Writes one line."""
        if self.quiet:
            return
        line = f"[{time.monotonic() - self._began:5.0f} s] {message}"
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)  # noqa: T201

    def expect(self, name: str, total: int) -> None:
        """Opens a line for something countable."""
        self._counts[name] = {"done": 0, "failed": 0, "input_tokens": 0, "output_tokens": 0, "total": total}
        self._told[name] = self._began_at[name] = time.monotonic()
        if self._progress is not None:
            if name in self._tasks:
                self._progress.remove_task(self._tasks[name])
            self._tasks[name] = self._progress.add_task(name, total=total, note="")

    def advance(self, name: str, figures: Mapping[str, Any]) -> None:
        """Adds to a line: `done`, `failed`, `input_tokens`, `output_tokens`."""
        counts = self._counts.get(name)
        if counts is None:
            return
        for key, value in figures.items():
            counts[key] = counts.get(key, 0) + value
        finished = counts["done"] + counts["failed"]
        if self._progress is not None and name in self._tasks:
            self._progress.update(self._tasks[name], completed=finished, note=_note(counts).removeprefix(", "))
        elif finished >= counts["total"] or time.monotonic() - self._told[name] > PLAIN_EVERY_S:
            self._told[name] = time.monotonic()
            self.say(f"{name}: {finished:,.0f} of {counts['total']:,.0f}{_note(counts)}")

    def steps(self, arm: str, step: int, steps: int) -> None:
        """Moves the line of an arm's training."""
        self.track(f"{arm}: training step", step, steps)

    def track(self, name: str, done: int, total: int) -> None:
        """Moves a line that opens with the first call and closes with the last; what is quickly done says nothing."""
        if name not in self._counts:
            self.expect(name, total)
        if done < total or time.monotonic() - self._began_at[name] > PLAIN_EVERY_S:
            self.advance(name, {"done": done - self._counts[name]["done"]})
        if done >= total:
            self.close(name)

    @contextmanager
    def busy(self, doing: str) -> Iterator[None]:
        """Says what is being done, with a bar that moves for as long as it takes: for work without a known end."""
        self.say(doing)
        if self._progress is None:
            yield
            return
        task = self._progress.add_task(doing, total=None, note="")
        try:
            yield
        finally:
            self._progress.remove_task(task)

    def close(self, name: str) -> None:
        """Closes a line."""
        if self._progress is not None and name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))
        self._counts.pop(name, None)


def _note(counts: Mapping[str, float]) -> str:
    failed = f", {counts['failed']:,.0f} failed" if counts["failed"] else ""
    tokens = counts["input_tokens"] + counts["output_tokens"]
    return failed + (f", {tokens:,.0f} tokens" if tokens else "")
