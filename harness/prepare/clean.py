"""What is taken out before the split, each row counted under the rule that took it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from harness.prepare.duplicates import near_earlier
from harness.prepare.normalise import content_key, fold
from harness.types import Example

MISSING_LABELS = "missing-labels"
EMPTY_TEXTS = "empty-texts"
EXACT_DUPLICATES = "exact-duplicates"
CONFLICTING_DUPLICATES = "conflicting-duplicates"
"""Exact duplicates whose label is not that of the row which stays."""
NEAR_DUPLICATES = "near-duplicates"
RULES = (MISSING_LABELS, EMPTY_TEXTS, EXACT_DUPLICATES, CONFLICTING_DUPLICATES, NEAR_DUPLICATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An example on its way through the stage, with what is worked out once."""

    example: Example
    folded: str
    key: str
    """Orders the rows by content; see `content_key`."""
    flags: frozenset[str] = field(default_factory=frozenset)
    """Kinds of personal data in its text."""


def items(examples: Iterable[Example]) -> list[Item]:
    """Returns the examples in an order that depends on their content alone."""
    made = [Item(example=example, folded=fold(example.text), key=content_key(example)) for example in examples]
    return sorted(made, key=lambda item: item.key)


def usable(rows: Sequence[Item]) -> tuple[list[Item], dict[str, int]]:
    """Takes out rows without a label and rows whose text folds to nothing; a row that lacks both lacks a label."""
    labelled = [row for row in rows if row.example.label]
    kept = [row for row in labelled if row.folded]
    return kept, {MISSING_LABELS: len(rows) - len(labelled), EMPTY_TEXTS: len(labelled) - len(kept)}


def without_exact(rows: Sequence[Item]) -> tuple[list[Item], dict[str, int]]:
    """Keeps one row of each folded text, within each given split.

    The row that stays has the most frequent label of its text; between equals content decides.
    """
    labels: dict[Hashable, Counter[str]] = {}
    for row in rows:
        labels.setdefault(_text_and_split(row), Counter())[row.example.label] += 1
    stays: dict[Hashable, Item] = {}
    for row in rows:
        here = _text_and_split(row)
        held = stays.get(here)
        if held is None or labels[here][row.example.label] > labels[here][held.example.label]:
            stays[here] = row
    removed = {EXACT_DUPLICATES: 0, CONFLICTING_DUPLICATES: 0}
    for here, held in stays.items():
        same = labels[here][held.example.label]
        removed[EXACT_DUPLICATES] += same - 1
        removed[CONFLICTING_DUPLICATES] += labels[here].total() - same
    kept = set(map(id, stays.values()))
    return [row for row in rows if id(row) in kept], removed


def _text_and_split(row: Item) -> Hashable:
    return row.folded, row.example.split


def without_near(rows: Sequence[Item]) -> tuple[list[Item], int, int]:
    """Keeps a row if no row before it that is kept is nearly the same, within each given split.

    So each row that goes is nearly the same as a row that stays.

    Args:
        rows: In order of content.

    Returns:
        The rows that stay; how many went; how many of these had another label than the row they are like.
    """
    earlier = near_earlier([row.folded for row in rows], [row.example.split for row in rows])
    kept = [row for row, like in zip(rows, earlier, strict=True) if like is None]
    conflicting = sum(
        row.example.label != rows[like].example.label
        for row, like in zip(rows, earlier, strict=True)
        if like is not None
    )
    return kept, len(rows) - len(kept), conflicting


def with_distinct_ids(rows: Sequence[Item]) -> list[Item]:
    """Gives a repeated id the suffix `-2`, `-3`, … in order of content."""
    taken = {row.example.id for row in rows}
    seen: set[str] = set()
    result = []
    for row in rows:
        name = row.example.id
        if name in seen:
            number = 2
            while f"{name}-{number}" in taken:
                number += 1
            name = f"{name}-{number}"
            taken.add(name)
        seen.add(name)
        result.append(row if name == row.example.id else replace(row, example=replace(row.example, id=name)))
    return result
