"""What several tables write the same way: columns of figures, an arm, a share with its interval, how many items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness import numbers
from harness.blocks import Cell, Column
from harness.report.arms import Arm
from harness.report.facts import Data, arm_named, tags


def heads(first: str, *others: str) -> tuple[Column, ...]:
    """Returns the columns of a table of figures: what a row is about, then numbers."""
    return (Column(title=first, head=True), *(Column(title=title, numeric=True) for title in others))


def arm(entry: Arm) -> Cell:
    """Writes an arm of `results.json`, with the remarks without which its numbers must not be shown."""
    return Cell(text=str(entry["name"]), arm=str(entry["name"]), tags=tags(entry))


def named(data: Data, name: str, text: str = "") -> Cell:
    """Writes an arm that is known by its name, or `text` about it."""
    return Cell(text=text or name, arm=name, tags=tags(arm_named(data, name) or {}))


def share(value: float | None, ci: Sequence[float] | None) -> Cell:
    """Writes a share of 1 with its interval, where it has one, beside it."""
    return Cell(text=numbers.percent(value), note=numbers.percent_interval(ci[0], ci[1]) if ci else "")


def span(sizes: Iterable[int | None]) -> str:
    """Writes how many items several arms or curves have: one number, or the least and the most."""
    known = sorted({size for size in sizes if size is not None})
    if len(known) < 2:
        return numbers.count(known[0]) if known else numbers.MISSING
    return numbers.span(numbers.count(known[0]), numbers.count(known[-1]))
