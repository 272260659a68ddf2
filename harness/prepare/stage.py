"""The data stage as a whole: examples in, clean and split examples with their findings out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.errors import DataError, nearest
from harness.prepare import clean, pii
from harness.prepare.checks import Facts, findings
from harness.prepare.duplicates import near_pairs
from harness.prepare.leaks import find_leaks
from harness.prepare.options import Prepared, PrepareOptions
from harness.prepare.split import assign, unit_name
from harness.types import Example


def prepare(examples: Iterable[Example], options: PrepareOptions) -> Prepared:
    """Cleans, splits and checks; the order of `examples` changes nothing.

    Without a given split, duplicates are looked for in the whole set and removed before the split; those that
    `options.duplicates` leaves in stay together on one side. Given splits are kept as they are: duplicates are removed
    within each, and what stands in two of them is a leak.

    Raises:
        DataError: No rows, a label outside the label set, a single class, or a split that is not possible.
    """
    loaded = clean.items(examples)
    fingerprint = hashlib.sha256("\n".join(item.key for item in loaded).encode("ascii")).hexdigest()
    flags = [pii.kinds(item.example.text) for item in loaded]
    if options.pii == "mask":
        masked = [pii.mask(item.example) if kinds else item.example for item, kinds in zip(loaded, flags, strict=True)]
        source = clean.items(masked)
    else:
        source = loaded
    rows, removed = clean.usable(source)
    labels = _labels(rows, options, removed)
    if options.duplicates != "off":
        rows, counts = clean.without_exact(rows)
        removed |= counts
    rows = clean.with_distinct_ids(rows)
    conflicting = 0
    if options.duplicates == "near":
        rows, removed[clean.NEAR_DUPLICATES], conflicting = clean.without_near(rows)
    split_given = any(row.example.split is not None for row in rows)
    near = _near(rows) if split_given or options.duplicates != "near" else {}  # else none are left
    splits = assign([row.example for row in rows], options.split, options.seed, _units(rows, near))
    done = sorted((replace(row.example, split=splits[row.example.id]) for row in rows), key=lambda example: example.id)
    leaks = find_leaks(done, near)
    facts = Facts(
        examples=tuple(done),
        labels=labels,
        removed={rule: removed.get(rule, 0) for rule in clean.RULES},
        rows_in=len(loaded),
        leaks=leaks,
        conflicting_near=conflicting,
        pii=Counter(kind for kinds in flags for kind in sorted(kinds)),
        pii_mode=options.pii,
        split_given=split_given,
    )
    return Prepared(
        examples=facts.examples,
        labels=labels,
        removed=facts.removed,
        rows_in=facts.rows_in,
        leaks=leaks,
        checks=findings(facts),
        fingerprint=fingerprint,
    )


def _near(rows: Sequence[clean.Item]) -> dict[tuple[str, str], float]:
    """Returns the similarity of each two folded texts that are nearly the same."""
    texts = list(dict.fromkeys(row.folded for row in rows))
    return {(texts[pair.first], texts[pair.second]): pair.similarity for pair in near_pairs(texts)}


def _labels(rows: Sequence[clean.Item], options: PrepareOptions, removed: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the label set, and refuses labels outside of it."""
    found = Counter(row.example.label for row in rows)
    if not found:
        reasons = ", ".join(f"{n} for {rule}" for rule, n in removed.items() if n)
        raise DataError(
            f"no usable rows{f': {reasons} were removed' if reasons else ''}",
            "Check the path and the text and label columns of [dataset].",
        )
    labels = options.labels if options.labels is not None else _sorted(found, options.ordered)
    if stray := sorted(set(found) - set(labels)):
        example = next(row.example for row in rows if row.example.label == stray[0])
        raise DataError(
            f'label "{stray[0]}" ({found[stray[0]]} rows, e.g. id {example.id}) is not in dataset.labels',
            f"Correct the data or the list; {nearest(stray[0], labels)}",
        )
    if len(found) < 2:
        raise DataError(
            f'all {found.total()} usable rows have the label "{next(iter(found))}": there is nothing to compare',
            "Check the label column; at least two classes are needed.",
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
                "List dataset.labels in their order, lowest first.",
            ) from None
        return tuple(names)


def _units(rows: Sequence[clean.Item], near: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns for each example the name of what it must stay together with: its group, and duplicates left in."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    def join(first: str, second: str) -> None:
        a, b = sorted((root(first), root(second)))
        parent[b] = a  # the smaller name stands for all, whatever the order of the joins

    units: dict[str, str] = {}
    for row in rows:
        name = unit_name(row.example)
        join(units.setdefault(row.folded, name), name)
    for first, second in near:
        join(units[first], units[second])
    return {row.example.id: root(unit_name(row.example)) for row in rows}
