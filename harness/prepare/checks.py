"""What a reader must know of the data as a whole, each finding with its figures and the next step.

A rule is a function from the facts to findings; `RULES` lists them. The sentence of each kind is written from its
figures in `harness.findings.data`. Signals of single rows are in `signals`, rules for training files in `format`, those
of tokens in `token_rules`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from harness.findings import finding
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
    figures = {"rows_in": facts.rows_in, "rows_out": len(facts.examples), **facts.removed}
    yield finding("rows", "ok", figures, heading="quantity")


_REMOVED = {
    clean.MISSING_LABELS: noted("Label them, or leave them out of the file."),
    clean.EMPTY_TEXTS: "",
    clean.EXACT_DUPLICATES: "",
    clean.CONFLICTING_DUPLICATES: noted(
        "Look at how they were labelled (quality.json lists them); [prepare].conflicts says which row stays."
    ),
    clean.NEAR_DUPLICATES: "",
    clean.CONFLICTING_CLUSTERS: noted("Look at how they were labelled (quality.json lists them)."),
}
"""Rules that remove rows, with what to do about their rows."""

MANY = noted(
    "Find out where so many of them come from: they may be no accident of the data, but of how it was put together."
)
_WORTH_A_LOOK = (clean.MISSING_LABELS, clean.CONFLICTING_DUPLICATES, clean.CONFLICTING_CLUSTERS)


def _removed(facts: Facts) -> Iterator[Check]:
    for rule, advice in _REMOVED.items():
        n = facts.removed[rule]
        if not n:
            continue
        figures: dict[str, float] = {"rows": n, "share": n / facts.rows_in}
        if rule == clean.NEAR_DUPLICATES:
            figures["clusters"] = sum(cluster.kind == "near" for cluster in facts.clusters)
        warn = rule in _WORTH_A_LOOK or n / facts.rows_in > 0.1
        yield finding(
            rule,
            "warning" if warn else "ok",
            figures,
            heading="quality" if rule in _WORTH_A_LOOK else "diversity",
            advice=advice or (MANY if warn else ""),
            mended=n,
        )


def _conflicts(facts: Facts) -> Iterator[Check]:
    for kind, rule in (("near", "conflicting-near-duplicates"), ("exact", "conflicting-texts")):
        found = [cluster for cluster in facts.clusters if cluster.kind == kind and cluster.conflicting]
        if not found:
            continue
        yield finding(
            rule,
            "warning",
            {
                "clusters": len(found),
                "rows": sum(sum(cluster.labels.values()) for cluster in found),
                "ids": [[*cluster.kept, *cluster.removed][:SHOWN] for cluster in found[:SHOWN]],
                "labels": [dict(cluster.labels) for cluster in found[:SHOWN]],
            },
            heading="quality",
            advice=noted("Look at how they were labelled: such pairs show how far two labellers agree at best."),
        )


def _sizes(facts: Facts) -> Iterator[Check]:
    sizes = Counter(str(example.split) for example in facts.examples)
    figures: dict[str, object] = {split.value: sizes[split] for split in Split}
    figures["by"] = "given" if facts.split_given else "time" if facts.options.split.by == "time" else "seed"
    if figures["by"] == "time":
        for split in (Split.VALIDATION, Split.TEST):
            times = (e.time for e in facts.examples if e.split == split and e.time)
            figures[f"{split}_from"] = min(times, default=None)
    yield finding("split", "ok", figures, heading="quantity")
    if sizes["train"] < ADVISED_EXAMPLES:
        yield finding(
            "few-training-rows",
            "warning",
            {"train": sizes["train"], "minimum": LEAST_EXAMPLES, "advised": ADVISED_EXAMPLES},
            heading="quantity",
            advice=noted(
                "Label more rows; each doubling of the training set adds about as much accuracy as the one before."
            ),
        )
    if 0 < sizes["test"] < ADVISED_TEST:
        yield finding("few-test-rows", "warning", {"test": sizes["test"], "advised": ADVISED_TEST}, heading="quantity")


def _classes(facts: Facts) -> Iterator[Check]:
    counts = Counter(example.label for example in facts.examples)
    ratio = max(counts.values()) / min(counts.values())
    shares = [n / counts.total() for n in counts.values()]
    entropy = -sum(share * math.log2(share) for share in shares)
    uneven = ratio > MAX_IMBALANCE
    yield finding(
        "class-balance",
        "warning" if uneven else "ok",
        {
            "classes": {label: counts[label] for label in facts.labels},
            "ratio": ratio,
            "entropy_bits": entropy,
            "largest_share": max(counts.values()) / counts.total(),
        },
        heading="balance",
        advice=noted('Read macro-F1 beside accuracy; label more of the small classes, or set balance = "downsample".')
        if uneven
        else "",
    )
    for split in Split:
        inside = {example.label for example in facts.examples if example.split == split}
        missing = [label for label in facts.labels if label not in inside]
        if inside and missing:
            yield finding(
                "missing-class",
                "warning",
                {"split": split.value, "labels": missing, "classes": len(facts.labels)},
                heading="balance",
                advice=noted("Label examples of it, take the class out, or let the harness split with strata."),
            )


def _balanced(facts: Facts) -> Iterator[Check]:
    n = facts.removed[clean.DOWNSAMPLED]
    if facts.options.balance == "downsample":
        least = min(Counter(e.label for e in facts.examples if e.split == Split.TRAIN).values(), default=0)
        yield finding("downsampled", "ok", {"rows": n, "rows_per_class": least}, heading="balance", mended=n)
    if facts.weights is not None:
        yield finding("weighted", "ok", {"weights": dict(facts.weights)}, heading="balance")


def _spellings(facts: Facts) -> Iterator[Check]:
    if facts.respelt:
        yield finding(
            "similar-labels",
            "ok",
            {"rows": facts.respelt_rows, "labels": dict(facts.respelt)},
            heading="quality",
            advice=noted("If they are different classes, list both in dataset.labels."),
            mended=facts.respelt_rows,
        )


def _leaks(facts: Facts) -> Iterator[Check]:
    for kind in ("exact", "near", "group"):
        # Those of test first, as they are told
        found = sorted((leak for leak in facts.leaks if leak.kind == kind), key=lambda leak: leak.split_a != Split.TEST)
        if not found:
            continue
        held = {split: {leak.a for leak in found if leak.split_a == split} for split in Split}
        yield finding(
            f"{kind}-leak",
            "error" if held[Split.TEST] else "warning",
            {
                "test_examples": len(held[Split.TEST]),
                "validation_examples": len(held[Split.VALIDATION]),
                "pairs": [[leak.a, leak.b] for leak in found[:SHOWN]],
                "splits": [[leak.split_a.value, leak.split_b.value] for leak in found[:SHOWN]],
            },
            heading="quality",
            advice=noted("Correct the split column, or leave it out of [dataset] to have the rows split."),
        )


def _pii(facts: Facts) -> Iterator[Check]:
    if not facts.pii:
        return
    mode = facts.options.pii
    advice = {
        "mask": "",
        "stop": noted('Set [prepare].pii = "mask", or remove them.'),
        "warn": noted('They go wherever the texts go; [prepare].pii = "mask" replaces them.'),
    }[mode]
    yield finding(
        "personal-data",
        {"mask": "ok", "stop": "error", "warn": "warning"}[mode],  # type: ignore[arg-type]
        dict(facts.pii),
        heading="quality",
        advice=advice,
        mended=sum(facts.pii.values()) if mode == "mask" else 0,
    )


RULES: tuple[Rule, ...] = (
    _rows, _removed, _conflicts, _spellings, _sizes, _classes, _balanced, _leaks, _pii,
)  # fmt: skip
