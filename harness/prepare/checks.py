"""What a reader must know of the data as a whole, each finding with its figures and the next step.

A rule is a function from the facts to findings; `RULES` lists them. What another language says of a kind stands in
`harness.findings.data`: `results.json` holds English and figures. Signals of single rows are in `signals`, rules for
training files in `format`, those of tokens in `token_rules`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from harness.numbers import counted
from harness.prepare import clean
from harness.prepare.clean import Cluster
from harness.prepare.options import Leak, PrepareOptions
from harness.prepare.profiles import ADVISED_EXAMPLES, LEAST_EXAMPLES
from harness.types import Check, Example, Split
from harness.words import noted

ADVISED_TEST = 100
"""Below it a 95% interval of an accuracy near 0.8 is wider than ±8 points (Wilson)."""

MAX_IMBALANCE = 10.0
"""Ratio of the largest to the smallest class from which accuracy alone misleads."""

SHOWN = 20
"""Pairs, labels or clusters that a finding lists; `quality.json` lists more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the stage has found out."""

    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    removed: Mapping[str, int]
    rows_in: int
    clusters: tuple[Cluster, ...]
    leaks: tuple[Leak, ...]
    respelt: Mapping[str, str]
    """Spellings of labels that were changed, with what they became."""
    respelt_rows: int
    pii: Mapping[str, int]
    """Rows by kind of personal data."""
    split_given: bool
    options: PrepareOptions
    weights: Mapping[str, float] | None = None


Rule = Callable[[Facts], Iterator[Check]]


def findings(facts: Facts) -> tuple[Check, ...]:
    """Returns all findings; those of level `ok` are figures for the record."""
    return tuple(check for rule in RULES for check in rule(facts))


def _rows(facts: Facts) -> Iterator[Check]:
    removed = sum(facts.removed.values())
    yield Check(
        kind="rows",
        level="ok",
        heading="quantity",
        message=f"{facts.rows_in:,} rows in, {len(facts.examples):,} kept, {removed:,} removed",
        figures={"rows_in": facts.rows_in, "rows_out": len(facts.examples), **facts.removed},
    )


_REMOVED = {
    clean.MISSING_LABELS: ("rows without a label were removed", noted("Label them, or leave them out of the file.")),
    clean.EMPTY_TEXTS: ("rows without text were removed (punctuation and white space are no text)", ""),
    clean.EXACT_DUPLICATES: ("exact duplicates were removed", ""),
    clean.CONFLICTING_DUPLICATES: (
        "exact duplicates had another label than other rows of the same text, and were removed",
        noted("Look at how they were labelled (quality.json lists them); [prepare].conflicts says which row stays."),
    ),
    clean.NEAR_DUPLICATES: (
        "near-duplicates were removed (they share 80% of their 5-character pieces with a row that stays)",
        "",
    ),
    clean.CONFLICTING_CLUSTERS: (
        "near-duplicates whose labels differ were removed, as [prepare].conflicts says",
        noted("Look at how they were labelled (quality.json lists them)."),
    ),
}

MANY = noted(
    "Find out where so many of them come from: they may be no accident of the data, but of how it was put together."
)
_WORTH_A_LOOK = (clean.MISSING_LABELS, clean.CONFLICTING_DUPLICATES, clean.CONFLICTING_CLUSTERS)


def _removed(facts: Facts) -> Iterator[Check]:
    for rule, (what, advice) in _REMOVED.items():
        n = facts.removed[rule]
        if not n:
            continue
        figures: dict[str, float] = {"rows": n, "share": n / facts.rows_in}
        if rule == clean.NEAR_DUPLICATES:
            figures["clusters"] = sum(cluster.kind == "near" for cluster in facts.clusters)
        warn = rule in _WORTH_A_LOOK or n / facts.rows_in > 0.1
        yield Check(
            kind=rule,
            level="warning" if warn else "ok",
            heading="quality" if rule in _WORTH_A_LOOK else "diversity",
            message=f"{n:,} {what}",
            advice=advice or (MANY if warn else ""),
            figures=figures,
            mended=n,
        )


def _conflicts(facts: Facts) -> Iterator[Check]:
    for kind, rule, what in (
        ("near", "conflicting-near-duplicates", "clusters of near-duplicates"),
        ("exact", "conflicting-texts", "texts"),
    ):
        found = [cluster for cluster in facts.clusters if cluster.kind == kind and cluster.conflicting]
        if not found:
            continue
        first = found[0]
        yield Check(
            kind=rule,
            level="warning",
            heading="quality",
            message=f"{len(found):,} {what} have more than one label, e.g. {(first.kept + first.removed)[0]}: "
            f"{_counts(first.labels)}",
            advice=noted("Look at how they were labelled: such pairs show how far two labellers agree at best."),
            figures={
                "clusters": len(found),
                "rows": sum(sum(cluster.labels.values()) for cluster in found),
                "ids": [[*cluster.kept, *cluster.removed][:SHOWN] for cluster in found[:SHOWN]],
            },
        )


def _counts(labels: Mapping[str, int]) -> str:
    return ", ".join(f'{n} "{label}"' for label, n in labels.items())


def _sizes(facts: Facts) -> Iterator[Check]:
    sizes = Counter(str(example.split) for example in facts.examples)
    figures: dict[str, object] = {split.value: sizes[split] for split in Split}
    source = "as given" if facts.split_given else "by seed"
    if facts.options.split.by == "time" and not facts.split_given:
        begins = {
            split: min((e.time for e in facts.examples if e.split == split and e.time), default=None)
            for split in (Split.VALIDATION, Split.TEST)
        }
        source = f"by time: the test rows begin {begins[Split.TEST]}"
        figures |= {f"{split}_from": begin for split, begin in begins.items()}
    yield Check(
        kind="split",
        level="ok",
        heading="quantity",
        message=f"train {sizes['train']:,}, validation {sizes['validation']:,}, test {sizes['test']:,} ({source})",
        figures=figures,
    )
    if sizes["train"] < ADVISED_EXAMPLES:
        refused = f"providers ask for at least {LEAST_EXAMPLES}"
        helped = f"gains show from about {ADVISED_EXAMPLES} on"
        yield Check(
            kind="few-training-rows",
            level="warning",
            heading="quantity",
            message=f"{sizes['train']} training rows: {refused if sizes['train'] < LEAST_EXAMPLES else helped}",
            advice=noted(
                "Label more rows; each doubling of the training set adds about as much accuracy as the one before."
            ),
            figures={"train": sizes["train"], "minimum": LEAST_EXAMPLES, "advised": ADVISED_EXAMPLES},
        )
    if 0 < sizes["test"] < ADVISED_TEST:
        yield Check(
            kind="few-test-rows",
            level="warning",
            heading="quantity",
            message=f"{sizes['test']} test rows show large differences only",
            advice=f"Label at least {ADVISED_TEST} test rows for a verdict, or give test a larger share.",
            figures={"test": sizes["test"], "advised": ADVISED_TEST},
        )


def _classes(facts: Facts) -> Iterator[Check]:
    counts = Counter(example.label for example in facts.examples)
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    ratio = counts[largest] / counts[smallest]
    shares = [n / counts.total() for n in counts.values()]
    entropy = -sum(share * math.log2(share) for share in shares)
    uneven = ratio > MAX_IMBALANCE
    yield Check(
        kind="class-balance",
        level="warning" if uneven else "ok",
        heading="balance",
        message=f'{len(counts)} classes, from {counts[smallest]:,} rows ("{smallest}") to {counts[largest]:,} '
        f'("{largest}"): ratio {ratio:.1f}, entropy {entropy:.2f} of {math.log2(len(counts)):.2f} bits',
        advice=noted('Read macro-F1 beside accuracy; label more of the small classes, or set balance = "downsample".')
        if uneven
        else "",
        figures={
            "classes": {label: counts[label] for label in facts.labels},
            "ratio": ratio,
            "entropy_bits": entropy,
            "largest_share": counts[largest] / counts.total(),
        },
    )
    for split in Split:
        inside = {example.label for example in facts.examples if example.split == split}
        missing = [label for label in facts.labels if label not in inside]
        if inside and missing:
            yield Check(
                kind="missing-class",
                level="warning",
                heading="balance",
                message=f'{split} has no example of {len(missing)} of {len(facts.labels)} classes, e.g. "{missing[0]}"',
                advice=noted("Label examples of it, take the class out, or let the harness split with strata."),
                figures={"split": split.value, "labels": missing},
            )


def _balanced(facts: Facts) -> Iterator[Check]:
    n = facts.removed[clean.DOWNSAMPLED]
    if facts.options.balance == "downsample":
        least = min(Counter(e.label for e in facts.examples if e.split == Split.TRAIN).values(), default=0)
        yield Check(
            kind="downsampled",
            level="ok",
            heading="balance",
            message=f"{n:,} training rows were left out so that each class has {least:,}; test is as it was",
            figures={"rows": n, "rows_per_class": least},
            mended=n,
        )
    if facts.weights is not None:
        largest = max(facts.weights, key=facts.weights.__getitem__)
        yield Check(
            kind="weighted",
            level="ok",
            heading="balance",
            message="training examples weigh inversely to the size of their class, "
            f'at most {facts.weights[largest]:.2f} ("{largest}")',
            figures={"weights": dict(facts.weights)},
        )


def _spellings(facts: Facts) -> Iterator[Check]:
    if facts.respelt:
        shown = ", ".join(f"{old!r} → {new!r}" for old, new in list(facts.respelt.items())[:SHOWN])
        yield Check(
            kind="similar-labels",
            level="ok",
            heading="quality",
            message=f"{facts.respelt_rows:,} labels that differ in case or white space alone were made one: {shown}",
            advice=noted("If they are different classes, list both in dataset.labels."),
            figures={"rows": facts.respelt_rows, "labels": dict(facts.respelt)},
            mended=facts.respelt_rows,
        )


_LEAKS = {"exact": "equal texts", "near": "nearly equal texts", "group": "members of one group"}


def _leaks(facts: Facts) -> Iterator[Check]:
    for kind, what in _LEAKS.items():
        found = [leak for leak in facts.leaks if leak.kind == kind]
        test = [leak for leak in found if leak.split_a == Split.TEST]
        if not found:
            continue
        n_test = len({leak.a for leak in test})
        shown = (test or found)[0]
        where = (
            f"{counted(n_test, 'test example')} with {what} in train or validation" if test else f"{what} in two splits"
        )
        yield Check(
            kind=f"{kind}-leak",
            level="error" if test else "warning",
            heading="quality",
            message=f"{where}, e.g. {shown.a} ({shown.split_a}) and {shown.b} ({shown.split_b})",
            advice=noted("Correct the split column, or leave it out of [dataset] to have the rows split."),
            figures={
                "test_examples": n_test,
                "validation_examples": len({leak.a for leak in found if leak.split_a == Split.VALIDATION}),
                "pairs": [[leak.a, leak.b] for leak in found[:SHOWN]],
            },
        )


def _pii(facts: Facts) -> Iterator[Check]:
    if not facts.pii:
        return
    found = ", ".join(f"{kind} in {n:,}" for kind, n in sorted(facts.pii.items()))
    mode = facts.options.pii
    advice = {
        "mask": "",
        "stop": noted('Set [prepare].pii = "mask", or remove them.'),
        "warn": noted('They go wherever the texts go; [prepare].pii = "mask" replaces them.'),
    }[mode]
    yield Check(
        kind="personal-data",
        level={"mask": "ok", "stop": "error", "warn": "warning"}[mode],  # type: ignore[arg-type]
        heading="quality",
        message=f"texts that seem to hold personal data or keys: {found} rows" + ("; masked" if mode == "mask" else ""),
        advice=advice,
        figures=dict(facts.pii),
        mended=sum(facts.pii.values()) if mode == "mask" else 0,
    )


RULES: tuple[Rule, ...] = (
    _rows, _removed, _conflicts, _spellings, _sizes, _classes, _balanced, _leaks, _pii,
)  # fmt: skip
