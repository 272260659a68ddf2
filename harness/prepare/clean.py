"""What is taken out before the split, each row counted under the rule that took it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Literal

from harness.prepare.duplicates import Tick, near_earlier
from harness.prepare.normalise import content_key, fold
from harness.prepare.shingles import prefixes
from harness.types import Example, Split

Conflicts = Literal["majority", "drop", "keep"]
"""What happens to duplicates with different labels: a row of the most frequent one stays, none, or one of each."""

MISSING_LABELS = "missing-labels"
EMPTY_TEXTS = "empty-texts"
EXACT_DUPLICATES = "exact-duplicates"
CONFLICTING_DUPLICATES = "conflicting-duplicates"
"""Exact duplicates whose label is not that of the row which stays; all of them where none stays."""
NEAR_DUPLICATES = "near-duplicates"
"""Near-duplicates, whatever their labels."""
CONFLICTING_CLUSTERS = "conflicting-clusters"
"""Near-duplicates with different labels of which none stays."""
DOWNSAMPLED = "downsampled"
"""Training rows that were left out to balance the classes."""
RULES = (
    MISSING_LABELS,
    EMPTY_TEXTS,
    EXACT_DUPLICATES,
    CONFLICTING_DUPLICATES,
    NEAR_DUPLICATES,
    CONFLICTING_CLUSTERS,
    DOWNSAMPLED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An example on its way through the stage, with what is worked out once."""

    example: Example
    folded: str
    key: bytes
    """Orders the rows by content; see `content_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Rows that say the same, or nearly the same."""

    kind: Literal["exact", "near"]
    kept: tuple[str, ...]
    """Ids of the rows that stay."""
    removed: tuple[str, ...]
    """Ids of the rows that go."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """How many of its rows have which label, the most frequent first."""

    @property
    def conflicting(self) -> bool:
        """Whether its rows have different labels."""
        return len(self.labels) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduplicated:
    """What is left of rows, and what went."""

    rows: list[Item]
    removed: Mapping[str, int]
    clusters: tuple[Cluster, ...]


def items(examples: Iterable[Example]) -> list[Item]:
    """Returns the examples in an order that depends on their content alone."""
    made = [Item(example=example, folded=fold(example.text), key=content_key(example)) for example in examples]
    return sorted(made, key=attrgetter("key"))


def usable(rows: Sequence[Item]) -> tuple[list[Item], dict[str, int]]:
    """Takes out rows without a label and rows whose text folds to nothing; a row that lacks both lacks a label."""
    labelled = [row for row in rows if row.example.label]
    kept = [row for row in labelled if row.folded]
    return kept, {MISSING_LABELS: len(rows) - len(labelled), EMPTY_TEXTS: len(labelled) - len(kept)}


def without_exact(rows: Sequence[Item], conflicts: Conflicts) -> Deduplicated:
    """Keeps one row of each folded text, within each given split; between equals content decides."""
    same: dict[Hashable, list[Item]] = {}
    for row in rows:
        same.setdefault((row.folded, row.example.split), []).append(row)
    gone: set[int] = set()
    removed = {EXACT_DUPLICATES: 0, CONFLICTING_DUPLICATES: 0}
    clusters = []
    for members in same.values():
        if len(members) == 1:
            continue
        stay = _staying(members, conflicts)
        known = {row.example.label for row in stay}
        leave = [row for row in members if all(row is not other for other in stay)]
        gone |= set(map(id, leave))
        clusters.append(_cluster("exact", members, stay))
        conflicting = sum(row.example.label not in known for row in leave)
        removed[CONFLICTING_DUPLICATES] += conflicting
        removed[EXACT_DUPLICATES] += len(leave) - conflicting
    return Deduplicated(rows=[row for row in rows if id(row) not in gone], removed=removed, clusters=tuple(clusters))


def without_near(rows: Sequence[Item], conflicts: Conflicts, tick: Tick | None = None) -> Deduplicated:
    """Keeps a row if no row before it that is kept is nearly the same, within each given split.

    So no two rows that stay are nearly the same. Where a row stays for others of which most have another label, one of
    these takes its place, unless it is nearly the same as yet another row that stays.

    Args:
        rows: In order of content.
        conflicts: With `keep`, only rows of one label are compared; with `drop`, none of a cluster with different
            labels stays.
        tick: Is told how far it has come.
    """
    scopes = [(row.example.split, row.example.label if conflicts == "keep" else "") for row in rows]
    texts = [row.folded for row in rows]
    own = prefixes(texts, scopes)
    clusters = _stars(rows, near_earlier(texts, own, tick=tick))
    found = [_staying(members, conflicts) if len(members) > 1 else members for members in clusters]
    first: list[Item] = []
    swapped: list[Item] = []
    for members, stay in zip(clusters, found, strict=True):
        (first if stay and stay[0] is members[0] else swapped).extend(stay)
    standing = [*first, *swapped]
    if swapped:
        places = {id(row): place for place, row in enumerate(rows)}
        mine = own.take([places[id(row)] for row in standing])
        like = near_earlier([row.folded for row in standing], mine, len(first))
        standing = [row for row, other in zip(standing, like, strict=True) if other is None]
    kept = set(map(id, standing))
    dropped = sum(len(members) for members, stay in zip(clusters, found, strict=True) if not stay)
    return Deduplicated(
        rows=[row for row in rows if id(row) in kept],
        removed={NEAR_DUPLICATES: len(rows) - len(kept) - dropped, CONFLICTING_CLUSTERS: dropped},
        clusters=tuple(
            _cluster("near", members, [row for row in members if id(row) in kept])
            for members in clusters
            if len(members) > 1
        ),
    )


def _stars(rows: Sequence[Item], like: Sequence[int | None]) -> list[list[Item]]:
    """Returns each row that stays, followed by those that it stands for."""
    stars = {place: [row] for place, (row, other) in enumerate(zip(rows, like, strict=True)) if other is None}
    for row, other in zip(rows, like, strict=True):
        if other is not None:
            stars[other].append(row)
    return list(stars.values())


def _staying(members: Sequence[Item], conflicts: Conflicts) -> list[Item]:
    """Returns which of the rows that say the same stay."""
    counts = Counter(row.example.label for row in members)
    firsts: dict[str, Item] = {}
    for row in members:
        firsts.setdefault(row.example.label, row)
    if len(counts) == 1 or conflicts == "majority":
        # max takes the first of equals: the label of the row that comes first in order of content
        return [firsts[max(firsts, key=counts.__getitem__)]]
    return list(firsts.values()) if conflicts == "keep" else []


def _cluster(kind: Literal["exact", "near"], members: Sequence[Item], stay: Sequence[Item]) -> Cluster:
    counts = Counter(row.example.label for row in members)
    staying = set(map(id, stay))
    return Cluster(
        kind=kind,
        kept=tuple(row.example.id for row in stay),
        removed=tuple(row.example.id for row in members if id(row) not in staying),
        labels=dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))),
    )


def with_distinct_ids(rows: Sequence[Item]) -> list[Item]:
    """Gives a repeated id the suffix `-2`, `-3`, … in order of content."""
    taken = {row.example.id for row in rows}
    if len(taken) == len(rows):
        return list(rows)
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


def downsampled(examples: Sequence[Example], order: Callable[[Example], bytes]) -> tuple[list[Example], dict[str, int]]:
    """Leaves each class as many training examples as the smallest has.

    Args:
        examples: Each with its split.
        order: Which go last; smaller values stay.

    Returns:
        The examples that stay, in the order given; how many went.
    """
    classes: dict[str, list[Example]] = {}
    for example in examples:
        if example.split == Split.TRAIN:
            classes.setdefault(example.label, []).append(example)
    least = min(map(len, classes.values()), default=0)
    gone = {example.id for members in classes.values() for example in sorted(members, key=order)[least:]}
    return [example for example in examples if example.id not in gone], {DOWNSAMPLED: len(gone)}
