"""What a reader must know of the data, each finding with its figures and what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.prepare import clean
from harness.prepare.options import Leak
from harness.types import Check, Example, Split

MIN_TRAIN = 10
"""Least examples that providers train on (OpenAI's guide on fine-tuning)."""

MIN_TEST = 100
"""Below it a 95% interval of an accuracy near 0.8 is wider than ±8 points (Wilson)."""

MAX_IMBALANCE = 10.0
"""Ratio of the largest to the smallest class from which accuracy alone misleads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the stage has found out."""

    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    removed: Mapping[str, int]
    rows_in: int
    leaks: tuple[Leak, ...]
    conflicting_near: int
    """Near-duplicates removed whose label was not that of the row they are like."""
    pii: Mapping[str, int]
    """Rows by kind of personal data."""
    pii_mode: str
    split_given: bool


def findings(facts: Facts) -> tuple[Check, ...]:
    """Returns all findings; those of level `ok` are figures for the record."""
    return (_rows(facts), *_removed(facts), *_sizes(facts), *_classes(facts), *_leaks(facts), *_pii(facts))


def _rows(facts: Facts) -> Check:
    removed = sum(facts.removed.values())
    return Check(
        kind="rows",
        level="ok",
        message=f"{facts.rows_in} rows in, {len(facts.examples)} kept, {removed} removed",
        figures={"rows_in": facts.rows_in, "rows_out": len(facts.examples), **facts.removed},
    )


_REMOVED = {
    clean.MISSING_LABELS: "rows without a label were removed: label them, or leave them out",
    clean.EMPTY_TEXTS: "rows without text were removed (nothing is left without punctuation and white space)",
    clean.EXACT_DUPLICATES: "exact duplicates were removed",
    clean.CONFLICTING_DUPLICATES: (
        "exact duplicates had another label than the row of the same text that was kept (its most frequent label): "
        "look at how they were labelled"
    ),
    clean.NEAR_DUPLICATES: "near-duplicates (Jaccard at least 0.8 on character 5-grams) were removed",
}

_WORTH_A_LOOK = (clean.MISSING_LABELS, clean.CONFLICTING_DUPLICATES)


def _removed(facts: Facts) -> Iterator[Check]:
    for rule, n in facts.removed.items():
        if not n:
            continue
        figures: dict[str, float] = {"rows": n, "share": n / facts.rows_in}
        message = f"{n} {_REMOVED[rule]}"
        if rule == clean.NEAR_DUPLICATES:
            figures["conflicting"] = facts.conflicting_near
            message += f"; {facts.conflicting_near} of them had another label than the row that was kept"
        warn = rule in _WORTH_A_LOOK or n / facts.rows_in > 0.1
        yield Check(kind=rule, level="warning" if warn else "ok", message=message, figures=figures)


def _sizes(facts: Facts) -> Iterator[Check]:
    sizes = Counter(str(example.split) for example in facts.examples)
    figures = {split.value: sizes[split] for split in Split}
    source = "as given" if facts.split_given else "by seed"
    yield Check(
        kind="split",
        level="ok",
        message=f"train {sizes['train']}, validation {sizes['validation']}, test {sizes['test']} ({source})",
        figures=figures,
    )
    if sizes["train"] < MIN_TRAIN:
        yield Check(
            kind="few-training-rows",
            level="warning",
            message=f"{sizes['train']} training rows: providers ask for at least {MIN_TRAIN}",
            figures={"train": sizes["train"], "minimum": MIN_TRAIN},
        )
    if 0 < sizes["test"] < MIN_TEST:
        yield Check(
            kind="few-test-rows",
            level="warning",
            message=f"{sizes['test']} test rows show large differences only: label at least {MIN_TEST} for a verdict",
            figures={"test": sizes["test"], "advised": MIN_TEST},
        )


def _classes(facts: Facts) -> Iterator[Check]:
    counts = Counter(example.label for example in facts.examples)
    largest, n_largest = max(counts.items(), key=lambda each: each[1])
    smallest, n_smallest = min(counts.items(), key=lambda each: each[1])
    ratio = n_largest / n_smallest
    yield Check(
        kind="class-balance",
        level="warning" if ratio > MAX_IMBALANCE else "ok",
        message=f'{len(counts)} classes, from {n_smallest} rows ("{smallest}") to {n_largest} ("{largest}"), '
        f"ratio {ratio:.1f}" + (": read macro-F1 beside accuracy" if ratio > MAX_IMBALANCE else ""),
        figures={"classes": {label: counts[label] for label in facts.labels}, "ratio": ratio},
    )
    for split in Split:
        inside = {example.label for example in facts.examples if example.split == split}
        missing = [label for label in facts.labels if label not in inside]
        if inside and missing:
            yield Check(
                kind="missing-class",
                level="warning",
                message=f'{split} has no example of {len(missing)} of {len(facts.labels)} classes, e.g. "{missing[0]}"',
                figures={"split": split.value, "labels": missing},
            )
    similar: dict[str, list[str]] = {}
    for label in facts.labels:
        similar.setdefault(" ".join(label.split()).casefold(), []).append(label)
    for spellings in similar.values():
        if len(spellings) > 1:
            yield Check(
                kind="similar-labels",
                level="warning",
                message=f"labels that differ in case or white space alone: {', '.join(map(repr, spellings))}: "
                "make them one in the data",
                figures={"labels": spellings},
            )


def _leaks(facts: Facts) -> Iterator[Check]:
    kinds = {
        "exact": "equal texts",
        "near": "nearly equal texts",
        "group": "members of one group",
    }
    for kind, what in kinds.items():
        found = [leak for leak in facts.leaks if leak.kind == kind]
        test = [leak for leak in found if leak.split_a == Split.TEST]
        if not found:
            continue
        n_test = len({leak.a for leak in test})
        shown = (test or found)[0]
        where = f"{n_test} test examples have {what} in train or validation" if test else f"{what} in two splits"
        yield Check(
            kind=f"{kind}-leak",
            level="error" if test else "warning",
            message=f"{where}, e.g. {shown.a} ({shown.split_a}) and {shown.b} ({shown.split_b}): "
            "correct the split column, or leave it out of [dataset] to have the rows split",
            figures={
                "test_examples": n_test,
                "validation_examples": len({leak.a for leak in found if leak.split_a == Split.VALIDATION}),
                "pairs": [[leak.a, leak.b] for leak in found[:20]],
            },
        )


def _pii(facts: Facts) -> Iterator[Check]:
    if not facts.pii:
        return
    found = ", ".join(f"{kind} in {n}" for kind, n in sorted(facts.pii.items()))
    level, what = {
        "mask": ("ok", "masked"),
        "stop": ("error", 'set [prepare].pii = "mask" or remove them'),
    }.get(facts.pii_mode, ("warning", 'they go wherever the texts go; [prepare].pii = "mask" replaces them'))
    yield Check(
        kind="personal-data",
        level=level,  # type: ignore[arg-type]
        message=f"texts that seem to hold personal data or keys: {found} rows; {what}",
        figures=dict(facts.pii),
    )
