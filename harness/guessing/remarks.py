"""What is to be said about a table beside the guesses: labels made one, columns left out and why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from harness.guessing.columns import Column, is_date, is_epoch
from harness.guessing.rules import quoted
from harness.numbers import counted
from harness.prepare.labels import respelt

LEAST_DAYS = 10
"""Different days below which a split by time has few places to cut at."""

_NULLS = frozenset({"#n/a", "<na>", "n/a", "na", "nan", "nil", "none", "null"})
_MAIN_SPLITS = {"train": "train", "training": "train", "test": "test"}


def one_spelling(labels: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Gives spellings of one label the most frequent one, as the data stage does.

    Returns:
        The labels; each spelling that was changed with what it became.
    """
    changed = respelt(Counter(label for label in labels if label))
    return [changed.get(label, label) for label in labels], changed


def about_labels(changed: Mapping[str, str], labels: Mapping[str, int]) -> Iterator[str]:
    """Yields notes on labels.

    Args:
        changed: Spelling → what it became.
        labels: Label → rows.
    """
    if changed:
        first, kept = next(iter(sorted(changed.items())))
        yield (
            f"{counted(len(changed), 'spelling')} of labels that differ in case or white space alone count as the most "
            f"frequent one, e.g. {quoted([first])} as {quoted([kept])}: list both under labels to keep them apart"
        )
    nulls = [label for label in labels if label.casefold() in _NULLS]
    if nulls and len(nulls) < len(labels):
        rows = sum(labels[label] for label in nulls)
        yield (
            f"labels that read like missing ones count as classes: {quoted(nulls)} ({counted(rows, 'row')}); empty "
            "these cells if they are none"
        )


def astride(group: Column, split: Column) -> str:
    """Returns what keeps a column from being the group beside a given split: groups with rows in several splits."""
    parts: dict[str, set[str]] = {}
    for name, part in zip(group.values, split.values, strict=True):
        if name.strip() and part.strip():
            said = part.strip().casefold()
            parts.setdefault(name.strip(), set()).add(_MAIN_SPLITS.get(said, "validation"))
    torn = [name for name, found in parts.items() if len(found) > 1]
    if not torn:
        return ""
    return (
        f"rows of one {quoted([group.name])} stand in several splits of {quoted([split.name])} "
        f"({counted(len(torn), 'value')}, e.g. {quoted(torn[:1])}), which is a group leak"
    )


def why_not_by_time(column: Column) -> str:
    """Returns what keeps rows from being split by a column's dates, in words; "" where nothing does."""
    empty = len(column.values) - column.filled
    return f"{quoted([column.name])} is empty in {counted(empty, 'row')}" if empty else ""


def days(column: Column) -> int:
    """Returns how many different days a column's dates fall on; what is no date counts by itself."""
    return len({_day(value) for value in column.counts})


def _day(value: str) -> str:
    if is_epoch(value):
        digits = value.partition(".")[0]
        return datetime.fromtimestamp(int(digits) / (1000 if len(digits) >= 12 else 1), UTC).date().isoformat()
    return datetime.fromisoformat(value).date().isoformat() if is_date(value) else value
