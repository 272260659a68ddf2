"""The label set, and spellings of one label that differ in case or white space alone."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.errors import DataError, nearest
from harness.prepare.clean import Item
from harness.prepare.options import PrepareOptions


def one_spelling(rows: Sequence[Item], wanted: Sequence[str] | None) -> tuple[list[Item], dict[str, str], int]:
    """Gives labels that differ in case or white space alone one spelling.

    That is the spelling of the label set where it is given; else the most frequent one, between equals the first in
    order. Spellings that the label set lists side by side stay apart.

    Returns:
        The rows; each spelling that was changed with what it became; how many rows had it.
    """
    counts = Counter(row.example.label for row in rows)
    changed = respelt(counts, wanted)
    if not changed:
        return list(rows), changed, 0
    mended = [_with_label(row, changed.get(row.example.label)) for row in rows]
    n = sum(counts[label] for label in changed)
    return mended, changed, n


def respelt(counts: Mapping[str, int], wanted: Sequence[str] | None = None) -> dict[str, str]:
    """Returns each spelling that is to be changed with what it becomes; see `one_spelling`.

    Args:
        counts: How many rows have each label.
        wanted: The label set, where it is given.
    """
    alike: dict[str, list[str]] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        alike.setdefault(same_label(label), []).append(label)
    given: dict[str, list[str]] = {}
    for label in wanted or ():
        given.setdefault(same_label(label), []).append(label)
    changed: dict[str, str] = {}
    for folded, spellings in alike.items():
        chosen = given.get(folded, spellings[:1] if wanted is None else [])
        if len(chosen) == 1:
            changed |= {label: chosen[0] for label in spellings if label != chosen[0]}
    return changed


def same_label(label: str) -> str:
    """Returns what all spellings of a label have in common: without case, and white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", label).split()).casefold()


def _with_label(row: Item, label: str | None) -> Item:
    return row if label is None else replace(row, example=replace(row.example, label=label))


def label_set(rows: Sequence[Item], options: PrepareOptions, removed: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the label set: as given, else the labels that occur.

    Raises:
        DataError: There is no row, a label outside the set, a single class, or an order that is not known.
    """
    found = Counter(row.example.label for row in rows)
    if not found:
        reasons = ", ".join(f"{n} for {rule}" for rule, n in removed.items() if n)
        raise DataError(
            f"no usable rows{f': {reasons} were removed' if reasons else ''}",
            "check the path and the text and label columns of [dataset]",
        )
    labels = options.labels if options.labels is not None else _sorted(found, options.ordered)
    if stray := sorted(set(found) - set(labels)):
        example = next(row.example for row in rows if row.example.label == stray[0])
        raise DataError(
            f'label "{stray[0]}" ({found[stray[0]]} rows, e.g. id {example.id}) is not in dataset.labels',
            f"correct the data or the list; {nearest(stray[0], labels)}",
        )
    if len(found) < 2:
        raise DataError(
            f'all {found.total()} usable rows have the label "{next(iter(found))}": there is nothing to compare',
            "check the label column; at least two classes are needed",
        )
    return labels


def _sorted(found: Iterable[str], ordered: bool) -> tuple[str, ...]:
    names = sorted(found)
    try:
        return tuple(sorted(names, key=float))
    except ValueError:
        if ordered and len(names) > 2:
            raise DataError(
                f"dataset.ordered = true, but the labels are not numbers: {', '.join(names[:6])}",
                "list dataset.labels in their order, lowest first",
            ) from None
        return tuple(names)
