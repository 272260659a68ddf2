"""Smaller train splits for a learning curve: nested, seeded, stratified, the same for any order of the rows.

All examples are put into one order, and a subset is a beginning of it: so the smaller one is always part of the
larger one. Within a class a hash of seed and id decides. Between classes it is the quota method (Balinski and Young
1975, Am. Math. Mon. 82:701–730): like the largest remainder it keeps every class within one row of its exact share,
but unlike it no class ever loses a row when the subset grows. Ahead of that stands one example of each label, the most
frequent first.

Groups stand in the order as a whole, as if all their rows had the group's most frequent label; the end of a subset can
cut through one of them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from harness.prepare.normalise import keyed_hash
from harness.prepare.split import unit_name
from harness.types import Example


def subset(examples: Sequence[Example], n: int, seed: int) -> tuple[Example, ...]:
    """Returns `n` of the examples, in the order in which they came; all of them where there are no more.

    Args:
        examples: With distinct ids.
        n: How many, at least 1.
        seed: Another one gives another subset.
    """
    if n >= len(examples):
        return tuple(examples)
    kept = set(_beginning(examples, n, seed))
    return tuple(example for example in examples if example.id in kept)


def _beginning(examples: Sequence[Example], n: int, seed: int) -> list[str]:
    """Returns the ids of the first `n` examples of the order."""
    units: dict[str, list[Example]] = defaultdict(list)
    for example in examples:
        units[unit_name(example)].append(example)
    ranked = sorted(units, key=lambda name: (keyed_hash(seed, "subset", name), name))
    order: list[str] = []
    for name in _units(ranked, {name: Counter(example.label for example in units[name]) for name in ranked}, n):
        rows = sorted(units[name], key=lambda example: (keyed_hash(seed, "row", example.id), example.id))
        order += [example.id for example in rows]
    return order[:n]


def _units(ranked: Sequence[str], labels: Mapping[str, Counter[str]], n: int) -> list[str]:
    """Returns units in their order until they hold `n` rows.

    Args:
        ranked: All units by their hash.
        labels: Unit → label → rows.
        n: At most as many as there are.
    """
    class_of = {name: _by_size(labels[name])[0] for name in ranked}
    waiting: dict[str, list[str]] = defaultdict(list)
    sizes: Counter[str] = Counter()
    for name in reversed(ranked):
        waiting[class_of[name]].append(name)
        sizes[class_of[name]] += labels[name].total()
    first = _firsts(ranked, labels)
    for name in first:
        waiting[class_of[name]].remove(name)
    order, total = _by_size(sizes), sizes.total()
    got: Counter[str] = Counter()
    found: list[str] = []
    while (given := got.total()) < n:
        if len(found) < len(first):
            name = first[len(found)]
        else:
            able = [label for label in order if waiting[label]]
            below = [label for label in able if got[label] * total < (given + 1) * sizes[label]]
            name = waiting[max(below or able, key=lambda label: sizes[label] / (got[label] + 1))].pop()
        found.append(name)
        got[class_of[name]] += labels[name].total()
    return found


def _firsts(ranked: Sequence[str], labels: Mapping[str, Counter[str]]) -> list[str]:
    """Returns for each label, the most frequent first, the first unit that has it."""
    sizes: Counter[str] = Counter()
    holder: dict[str, str] = {}
    for name in ranked:
        sizes.update(labels[name])
        for label in labels[name]:
            holder.setdefault(label, name)
    return list(dict.fromkeys(holder[label] for label in _by_size(sizes)))


def _by_size(sizes: Mapping[str, int]) -> list[str]:
    """Returns labels, the most frequent first."""
    return sorted(sizes, key=lambda label: (-sizes[label], label))
