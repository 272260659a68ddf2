"""The data stage as a whole: examples in, clean and split examples with their findings out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from harness.prepare import clean, pii
from harness.prepare.checks import Facts, findings
from harness.prepare.duplicates import Tick
from harness.prepare.labels import label_set, one_spelling
from harness.prepare.leaks import alike, find_leaks
from harness.prepare.normalise import content_key, keyed_hash
from harness.prepare.options import Leak, Prepared, PrepareOptions
from harness.prepare.signals import signals
from harness.prepare.split import assign, unit_name
from harness.types import Example, Split

Progress = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and of how much."""


def prepare(examples: Iterable[Example], options: PrepareOptions, progress: Progress | None = None) -> Prepared:
    """Cleans, splits and checks; the order of `examples` changes nothing.

    Without a given split, duplicates are looked for in the whole set and removed before the split; those that
    `options` leaves in stay together on one side. Given splits are kept as they are: duplicates are removed within
    each, and what stands in two of them is a leak.

    Raises:
        DataError: No rows, a label outside the label set, a single class, or a split that is not possible.
    """
    loaded = clean.items(examples)
    n_loaded, mark = len(loaded), _fingerprint([item.key for item in loaded])
    loaded, flags = _personal(loaded, options)
    rows, removed = clean.usable(loaded)
    del loaded
    rows, respelt, n_respelt = one_spelling(rows, options.labels)
    labels = label_set(rows, options, removed)
    rows, more, clusters = _without_duplicates(rows, options, _ticks(progress, "looking for near-duplicates"))
    removed |= more
    given = any(row.example.split is not None for row in rows)
    near: dict[tuple[str, str], float] = {}
    if given or options.duplicates != "near" or options.conflicts == "keep":  # else none are left
        near = alike([row.folded for row in rows], _ticks(progress, "comparing the splits"))
        clusters += _disputed(rows, near)
    done, leaks, more = _split(rows, near, options)
    del rows
    facts = Facts(
        examples=tuple(done),
        labels=labels,
        removed=dict.fromkeys(clean.RULES, 0) | removed | more,
        rows_in=n_loaded,
        clusters=clusters,
        leaks=leaks,
        respelt=respelt,
        respelt_rows=n_respelt,
        pii=flags,
        split_given=given,
        options=options,
        weights=_weights(done) if options.balance == "weights" else None,
    )
    return _judged(facts, mark, progress)


def _split(
    rows: list[clean.Item], near: Mapping[tuple[str, str], float], options: PrepareOptions
) -> tuple[list[Example], tuple[Leak, ...], dict[str, int]]:
    """Returns the examples in their splits, by id; what stands in two of them; rows removed to balance train."""
    splits = assign([row.example for row in rows], options.split, options.seed, _units(rows, near, options))
    rows.sort(key=attrgetter("example.id"))
    done = [_with_split(row.example, splits) for row in rows]
    leaks = find_leaks(done, near, [row.folded for row in rows])
    removed: dict[str, int] = {}
    if options.balance == "downsample":
        done, removed = clean.downsampled(done, lambda example: keyed_hash(options.seed, "downsample", example.id))
    return done, leaks, removed


def _judged(facts: Facts, mark: str, progress: Progress | None) -> Prepared:
    """Adds what the rules and signals find."""
    if progress:
        progress("looking at quality", 0, 1)
    signs = signals(_unpersonal(facts), facts.labels, facts.options.seed)
    if progress:
        progress("looking at quality", 1, 1)
    return Prepared(
        examples=facts.examples,
        labels=facts.labels,
        removed=facts.removed,
        rows_in=facts.rows_in,
        leaks=facts.leaks,
        checks=(*findings(facts), *signs.checks),
        fingerprint=mark,
        clusters=facts.clusters,
        ranked=signs.ranked,
        weights=facts.weights,
    )


def _unpersonal(facts: Facts) -> Sequence[Example]:
    """Returns the examples without personal data: what the signals quote of texts may be shown."""
    if not facts.pii or facts.options.pii == "mask":
        return facts.examples
    return [
        replace(example, fields=pii.mask(example).fields) if pii.kinds(example.text) else example
        for example in facts.examples
    ]


def _ticks(progress: Progress | None, what: str) -> Tick | None:
    return None if progress is None else lambda done, total: progress(what, done, total)


def fingerprint(examples: Iterable[Example]) -> str:
    """Returns a SHA-256 (hex) over examples as they were loaded, whatever their order."""
    return _fingerprint(sorted(map(content_key, examples)))


def _fingerprint(keys: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for place, key in enumerate(keys):
        digest.update((("\n" if place else "") + key.hex()).encode("ascii"))
    return digest.hexdigest()


def _personal(rows: Sequence[clean.Item], options: PrepareOptions) -> tuple[list[clean.Item], Counter[str]]:
    """Looks for personal data and keys, and masks them where that is wanted."""
    flags: Counter[str] = Counter()
    flagged = []
    for place, row in enumerate(rows):
        kinds = pii.kinds(row.example.text)
        if kinds:
            flags.update(sorted(kinds))
            flagged.append(place)
    if options.pii != "mask" or not flagged:
        return list(rows), flags
    examples = [row.example for row in rows]
    for place in flagged:
        examples[place] = pii.mask(examples[place])
    return clean.items(examples), flags


def _without_duplicates(
    rows: list[clean.Item], options: PrepareOptions, tick: Tick | None
) -> tuple[list[clean.Item], dict[str, int], tuple[clean.Cluster, ...]]:
    removed: dict[str, int] = {}
    exact = clean.without_exact(rows, options.conflicts)
    clusters = exact.clusters
    if options.duplicates != "off":
        rows, removed = exact.rows, dict(exact.removed)
    else:
        clusters = tuple(
            clean.Cluster(kind="exact", kept=(*c.kept, *c.removed), removed=(), labels=c.labels) for c in clusters
        )
    rows = clean.with_distinct_ids(rows)
    if options.duplicates == "near":
        near = clean.without_near(rows, options.conflicts, tick)
        rows, removed, clusters = near.rows, {**removed, **near.removed}, (*clusters, *near.clusters)
    return rows, removed, clusters


def _disputed(rows: Sequence[clean.Item], near: Iterable[tuple[str, str]]) -> tuple[clean.Cluster, ...]:
    """Returns the pairs of rows that stay although they say nearly the same under different labels."""
    first: dict[str, Example] = {}
    for row in rows:
        first.setdefault(row.folded, row.example)
    pairs = ((first[a], first[b]) for a, b in near)
    return tuple(
        clean.Cluster(kind="near", kept=(a.id, b.id), removed=(), labels=dict(sorted({a.label: 1, b.label: 1}.items())))
        for a, b in pairs
        if a.label != b.label
    )


def _units(
    rows: Sequence[clean.Item], near: Iterable[tuple[str, str]], options: PrepareOptions
) -> dict[str, str] | None:
    """Returns for each example the name of what it must stay together with: its group, and duplicates left in.

    Where no duplicate is left in, a group is all there is to keep together (`None`).
    """
    if options.duplicates == "near" and options.conflicts != "keep" and not near:
        return None
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


def _with_split(example: Example, splits: Mapping[str, Split]) -> Example:
    """Returns the example in its split; spelt out, for `dataclasses.replace` takes three times as long."""
    split = splits[example.id]
    if example.split == split:
        return example
    return Example(
        id=example.id,
        fields=example.fields,
        label=example.label,
        group=example.group,
        split=split,
        slices=example.slices,
        time=example.time,
    )


def _weights(examples: Sequence[Example]) -> Mapping[str, float]:
    """Returns n / (classes · n of the class) for each label in train: the mean over the examples is 1."""
    counts = Counter(example.label for example in examples if example.split == Split.TRAIN)
    return {label: counts.total() / (len(counts) * n) for label, n in sorted(counts.items())}
