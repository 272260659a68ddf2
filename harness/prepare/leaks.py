"""What must not stand in two splits: equal texts, nearly equal texts, members of one group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Literal

from harness.prepare.duplicates import Tick, near_pairs
from harness.prepare.normalise import fold
from harness.prepare.options import Leak
from harness.types import Example, Split

_HELD_BACK = (Split.TEST, Split.VALIDATION, Split.TRAIN)
"""Of two splits the earlier one is the one that must not be seen."""


def find_leaks(
    examples: Iterable[Example],
    near: Mapping[tuple[str, str], float] | None = None,
    folded: Sequence[str] | None = None,
) -> tuple[Leak, ...]:
    """Returns what stands in two splits: test against validation and train, validation against train.

    One leak for each held-back example and split that its text leaks into, with the most similar text there, or in
    which its group has members. An exact leak is not a near one as well.

    Args:
        examples: Each with its split; in the order of their ids where `folded` is given.
        near: Similarity of the pairs of folded texts that are nearly the same, if that is known; worked out otherwise.
        folded: The folded texts, in the order of `examples`, where they are known.
    """
    ordered = list(examples) if folded is not None else sorted(examples, key=attrgetter("id"))
    said = folded if folded is not None else [fold(example.text) for example in ordered]
    if near is None:
        near = alike(said)
    shared = {text for text, n in Counter(said).items() if n > 1}.union(*near)
    texts: dict[str, list[Example]] = {}
    groups: dict[str, list[Example]] = {}
    for example, text in zip(ordered, said, strict=True):
        if text in shared:
            texts.setdefault(text, []).append(example)
        if example.group is not None:
            groups.setdefault(example.group, []).append(example)
    leaks = [leak for same in texts.values() if len(same) > 1 for leak in _between("exact", same, same, 1.0)]
    found = {(leak.a, leak.split_b) for leak in leaks}
    for (first, second), similarity in sorted(near.items(), key=lambda each: (-each[1], each[0])):
        here, there = texts.get(first, []), texts.get(second, [])
        for leak in _between("near", here, there, similarity) + _between("near", there, here, similarity):
            if (leak.a, leak.split_b) not in found:
                found.add((leak.a, leak.split_b))
                leaks.append(leak)
    leaks += [leak for members in groups.values() for leak in _between("group", members, members)]
    return tuple(sorted(leaks, key=lambda leak: (leak.kind, leak.a, leak.split_b, leak.b)))


def alike(texts: Sequence[str], tick: Tick | None = None) -> dict[tuple[str, str], float]:
    """Returns the similarity of each two of some folded texts that are nearly the same."""
    distinct = list(dict.fromkeys(texts))
    return {(distinct[pair.first], distinct[pair.second]): pair.similarity for pair in near_pairs(distinct, tick)}


def _between(
    kind: Literal["exact", "near", "group"],
    here: Sequence[Example],
    there: Sequence[Example],
    similarity: float | None = None,
) -> list[Leak]:
    """Returns for each example of `here` its first partner in each split that comes after its own."""
    partners: dict[Split, Example] = {}
    for example in there:
        if example.split is not None:
            partners.setdefault(example.split, example)
    return [
        Leak(kind=kind, a=example.id, b=partners[split].id, split_a=own, split_b=split, similarity=similarity)
        for example in here
        if (own := example.split) is not None
        for split in _HELD_BACK[_HELD_BACK.index(own) + 1 :]
        if split in partners
    ]
