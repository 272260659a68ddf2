"""Sentences of checks on rows, splits, classes and leaks, from their figures: see `findings`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from harness import terms
from harness.findings.checks import Check, Figures, Writer
from harness.numbers import count, number, percent
from harness.words import say, say_n


def _rows(figures: Figures, _: Check) -> str:
    rows_in, rows_out = figures["rows_in"], figures["rows_out"]
    removed = sum(n for name, n in figures.items() if name not in ("rows_in", "rows_out"))
    return say(
        "{rows_in} rows in, {kept} kept, {removed} removed",
        rows_in=count(rows_in), kept=count(rows_out), removed=count(removed),
    )  # fmt: skip


def _missing_labels(figures: Figures, _: Check) -> str:
    n = figures["rows"]
    return say_n(n, "{n} row without a label was removed", "{n} rows without a label were removed", n=count(n))


def _empty_texts(figures: Figures, _: Check) -> str:
    return say_n(
        figures["rows"],
        "{n} row without text was removed (punctuation and white space are no text)",
        "{n} rows without text were removed (punctuation and white space are no text)",
        n=count(figures["rows"]),
    )


def _exact_duplicates(figures: Figures, _: Check) -> str:
    n = figures["rows"]
    return say_n(n, "{n} exact duplicate was removed", "{n} exact duplicates were removed", n=count(n))


def _conflicting_duplicates(figures: Figures, _: Check) -> str:
    return say_n(
        figures["rows"],
        "{n} exact duplicate had another label than other rows of the same text, and was removed",
        "{n} exact duplicates had another label than other rows of the same text, and were removed",
        n=count(figures["rows"]),
    )


def _near_duplicates(figures: Figures, _: Check) -> str:
    return say_n(
        figures["rows"],
        "{n} near-duplicate was removed (it shares 80% of its 5-character pieces with a row that stays)",
        "{n} near-duplicates were removed (they share 80% of their 5-character pieces with a row that stays)",
        n=count(figures["rows"]),
    )


def _conflicting_clusters(figures: Figures, _: Check) -> str:
    return say_n(
        figures["rows"],
        "{n} near-duplicate whose label differs was removed, as [prepare].conflicts says",
        "{n} near-duplicates whose labels differ were removed, as [prepare].conflicts says",
        n=count(figures["rows"]),
    )


def _first_cluster(figures: Figures) -> dict[str, str]:
    """Returns an id of the first cluster that is told, and how often it has which label."""
    labels: Mapping[str, int] = figures["labels"][0]
    return {"id": figures["ids"][0][0], "labels": ", ".join(f'{count(n)} "{label}"' for label, n in labels.items())}


def _near_conflicts(figures: Figures, _: Check) -> str:
    return say_n(
        figures["clusters"],
        "{n} cluster of near-duplicates has more than one label, e.g. {id}: {labels}",
        "{n} clusters of near-duplicates have more than one label, e.g. {id}: {labels}",
        n=count(figures["clusters"]), **_first_cluster(figures),
    )  # fmt: skip


def _text_conflicts(figures: Figures, _: Check) -> str:
    return say_n(
        figures["clusters"],
        "{n} text has more than one label, e.g. {id}: {labels}",
        "{n} texts have more than one label, e.g. {id}: {labels}",
        n=count(figures["clusters"]), **_first_cluster(figures),
    )  # fmt: skip


def _split(figures: Figures, _: Check) -> str:
    sizes = {split: count(figures[split]) for split in ("train", "validation", "test")}
    if figures["by"] == "given":
        return say("train {train}, validation {validation}, test {test} (as given)", **sizes)
    if figures["by"] == "time":
        return say(
            "train {train}, validation {validation}, test {test} (by time: the test rows begin {begin})",
            begin=figures["test_from"], **sizes,
        )  # fmt: skip
    return say("train {train}, validation {validation}, test {test} (by seed)", **sizes)


def _few_training(figures: Figures, _: Check) -> str:
    n = count(figures["train"])
    if figures["train"] < figures["minimum"]:
        return say("{n} training rows: providers ask for at least {least}", n=n, least=count(figures["minimum"]))
    return say("{n} training rows: gains show from about {least} on", n=n, least=count(figures["advised"]))


def _few_test(figures: Figures, _: Check) -> str:
    return say("{n} test rows show large differences only", n=count(figures["test"]))


def _power(figures: Figures, _: Check) -> str:
    return say(
        "{n} test rows show {least} points of difference with 80% power if the arms differ on {share} of them; the "
        "margin of {margin} points takes {needed}",
        n=count(figures["test"]), least=number(100 * figures["smallest_difference"], 1),
        share=percent(figures["assumed_discordance"], 0), margin=f"{100 * figures['margin']:g}",
        needed=count(figures["needed_for_margin"] or 0),
    )  # fmt: skip


def _balance(figures: Figures, _: Check) -> str:
    classes: Mapping[str, int] = {label: n for label, n in figures["classes"].items() if n}
    largest, smallest = max(classes, key=classes.__getitem__), min(classes, key=classes.__getitem__)
    return say(
        '{n} classes, from {least} rows ("{smallest}") to {most} ("{largest}"): ratio {ratio}, entropy {bits} of '
        "{most_bits} bits",
        n=count(len(classes)), least=count(classes[smallest]), smallest=smallest,
        most=count(classes[largest]), largest=largest, ratio=number(figures["ratio"], 1),
        bits=number(figures["entropy_bits"], 2), most_bits=number(math.log2(len(classes)), 2),
    )  # fmt: skip


def _missing_class(figures: Figures, _: Check) -> str:
    return say(
        '{split} has no example of {n} of {all} classes, e.g. "{label}"',
        split=terms.split(figures["split"]), n=count(len(figures["labels"])), all=count(figures["classes"]),
        label=figures["labels"][0],
    )  # fmt: skip


def _downsampled(figures: Figures, _: Check) -> str:
    return say_n(
        figures["rows"],
        "{n} training row was left out so that each class has {least}; test is as it was",
        "{n} training rows were left out so that each class has {least}; test is as it was",
        n=count(figures["rows"]), least=count(figures["rows_per_class"]),
    )  # fmt: skip


def _weighted(figures: Figures, _: Check) -> str:
    weights: Mapping[str, float] = figures["weights"]
    largest = max(weights, key=weights.__getitem__)
    return say(
        'training examples weigh inversely to the size of their class, at most {weight} ("{label}")',
        weight=number(weights[largest], 2), label=largest,
    )  # fmt: skip


def _similar_labels(figures: Figures, _: Check) -> str:
    shown = ", ".join(f"{old!r} → {new!r}" for old, new in list(figures["labels"].items())[:20])
    return say_n(
        figures["rows"],
        "{n} label that differs in case or white space alone was made one: {labels}",
        "{n} labels that differ in case or white space alone were made one: {labels}",
        n=count(figures["rows"]), labels=shown,
    )  # fmt: skip


def _leak(figures: Figures, check: Check) -> str:
    (a, b), (split_a, split_b) = figures["pairs"][0], figures["splits"][0]
    kind, n = check["kind"], figures["test_examples"]
    what = (
        say("equal texts") if kind == "exact-leak"
        else say("nearly equal texts") if kind == "near-leak"
        else say("members of one group")
    )  # fmt: skip
    told = {"what": what, "a": a, "b": b, "split_a": terms.split(split_a), "split_b": terms.split(split_b)}
    if not n:
        return say("{what} in two splits, e.g. {a} ({split_a}) and {b} ({split_b})", **told)
    return say_n(
        n,
        "{n} test example with {what} in train or validation, e.g. {a} ({split_a}) and {b} ({split_b})",
        "{n} test examples with {what} in train or validation, e.g. {a} ({split_a}) and {b} ({split_b})",
        n=count(n), **told,
    )  # fmt: skip


def _personal_data(figures: Figures, check: Check) -> str:
    found = ", ".join(
        say_n(n, "{kind} in {n} row", "{kind} in {n} rows", kind=kind, n=count(n))
        for kind, n in sorted(figures.items())
    )
    if check["mended"]:
        return say("texts that seem to hold personal data or keys: {found}; masked", found=found)
    return say("texts that seem to hold personal data or keys: {found}", found=found)


def _prompt_leak(figures: Figures, _: Check) -> str:
    example, arm = figures["pairs"][0]
    return say_n(
        len(figures["ids"]),
        "{n} test example in a prompt, e.g. {id} in that of {arm}",
        "{n} test examples in a prompt, e.g. {id} in that of {arm}",
        n=count(len(figures["ids"])), id=example, arm=arm,
    )  # fmt: skip


def _separator_in_texts(figures: Figures, _: Check) -> str:
    return say_n(
        figures["texts"],
        "{n} text holds the separator {separator}, e.g. {id}: in prompts white space stands in its place",
        "{n} texts hold the separator {separator}, e.g. {id}: in prompts white space stands in its place",
        n=count(figures["texts"]), separator=json.dumps(figures["separator"]), id=figures["ids"][0],
    )  # fmt: skip


MESSAGES: Mapping[str, Writer] = {
    "rows": _rows,
    "missing-labels": _missing_labels,
    "empty-texts": _empty_texts,
    "exact-duplicates": _exact_duplicates,
    "conflicting-duplicates": _conflicting_duplicates,
    "near-duplicates": _near_duplicates,
    "conflicting-clusters": _conflicting_clusters,
    "conflicting-near-duplicates": _near_conflicts,
    "conflicting-texts": _text_conflicts,
    "split": _split,
    "few-training-rows": _few_training,
    "few-test-rows": _few_test,
    "power": _power,
    "class-balance": _balance,
    "missing-class": _missing_class,
    "downsampled": _downsampled,
    "weighted": _weighted,
    "similar-labels": _similar_labels,
    "exact-leak": _leak,
    "near-leak": _leak,
    "group-leak": _leak,
    "personal-data": _personal_data,
    "prompt-leak": _prompt_leak,
    "separator-in-texts": _separator_in_texts,
}
ADVICE: Mapping[str, Writer] = {
    "few-test-rows": lambda figures, _: say(
        "Label at least {n} test rows for a verdict, or give test a larger share.", n=count(figures["advised"])
    ),
}
"""Next steps that hold a figure."""
