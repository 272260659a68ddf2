"""Sentences of checks on rows, splits, classes and texts, from their figures: see `findings`."""

from __future__ import annotations

from collections.abc import Mapping

from harness import terms
from harness.findings.checks import Check, Figures, Writer
from harness.numbers import count, number, percent, points
from harness.words import say


def _of_rows(figures: Figures) -> str:
    """Says of how many rows, where a part may stand for all."""
    looked, rows = figures["rows_looked_at"], figures["rows"]
    if looked == rows:
        return say("of {n} rows", n=count(rows))
    return say("of {n} rows looked at (of {all})", n=count(looked), all=count(rows))


def _missing_labels(figures: Figures, _: Check) -> str:
    return say("Rows removed because they have no label: {n}", n=count(figures["rows"]))


def _empty_texts(figures: Figures, _: Check) -> str:
    return say(
        "Rows removed because they have no text (punctuation and white space are none): {n}", n=count(figures["rows"])
    )


def _exact_duplicates(figures: Figures, _: Check) -> str:
    return say("Exact duplicates removed: {n}", n=count(figures["rows"]))


def _conflicting_duplicates(figures: Figures, _: Check) -> str:
    return say(
        "Exact duplicates removed whose label differs from that of rows with the same text: {n}",
        n=count(figures["rows"]),
    )


def _near_duplicates(figures: Figures, _: Check) -> str:
    return say(
        "Near-duplicates removed (80% of their 5-character pieces stand in a row that stays): {n}",
        n=count(figures["rows"]),
    )


def _conflicting_clusters(figures: Figures, _: Check) -> str:
    return say(
        "Near-duplicates removed because their labels differ, as [prepare].conflicts says: {n}",
        n=count(figures["rows"]),
    )


def _rows(figures: Figures, _: Check) -> str:
    rows_in, rows_out = figures["rows_in"], figures["rows_out"]
    removed = sum(n for name, n in figures.items() if name not in ("rows_in", "rows_out"))
    return say(
        "{rows_in} rows in, {kept} kept, {removed} removed",
        rows_in=count(rows_in), kept=count(rows_out), removed=count(removed),
    )  # fmt: skip


def _near_conflicts(figures: Figures, _: Check) -> str:
    return say(
        "Clusters of near-duplicates with more than one label: {n}, e.g. {id}",
        n=count(figures["clusters"]), id=figures["ids"][0][0],
    )  # fmt: skip


def _text_conflicts(figures: Figures, _: Check) -> str:
    return say("Texts with more than one label: {n}, e.g. {id}", n=count(figures["clusters"]), id=figures["ids"][0][0])


def _split(figures: Figures, _: Check) -> str:
    return say(
        "Train {train}, validation {validation}, test {test} rows",
        train=count(figures["train"]), validation=count(figures["validation"]), test=count(figures["test"]),
    )  # fmt: skip


def _few_training(figures: Figures, _: Check) -> str:
    if figures["train"] < figures["minimum"]:
        return say(
            "{n} training rows: providers ask for at least {least}",
            n=count(figures["train"]), least=count(figures["minimum"]),
        )  # fmt: skip
    return say(
        "{n} training rows: gains show from about {least} on",
        n=count(figures["train"]), least=count(figures["advised"]),
    )  # fmt: skip


def _few_test(figures: Figures, _: Check) -> str:
    return say("{n} test rows show large differences only", n=count(figures["test"]))


def _balance(figures: Figures, _: Check) -> str:
    classes: Mapping[str, int] = figures["classes"]
    largest, smallest = max(classes, key=classes.__getitem__), min(classes, key=classes.__getitem__)
    return say(
        "{n} classes, from {least} rows (“{smallest}”) to {most} (“{largest}”): ratio {ratio}",
        n=count(len(classes)), least=count(classes[smallest]), smallest=smallest,
        most=count(classes[largest]), largest=largest, ratio=number(figures["ratio"], 1),
    )  # fmt: skip


def _missing_class(figures: Figures, _: Check) -> str:
    return say(
        "No example in the split {split} of classes: {n}, e.g. “{label}”",
        split=terms.split(figures["split"]), n=count(len(figures["labels"])), label=figures["labels"][0],
    )  # fmt: skip


def _downsampled(figures: Figures, _: Check) -> str:
    return say(
        "Training rows left out so that each class has {least}: {n}; test is as it was",
        least=count(figures["rows_per_class"]), n=count(figures["rows"]),
    )  # fmt: skip


def _weighted(figures: Figures, _: Check) -> str:
    weights: Mapping[str, float] = figures["weights"]
    largest = max(weights, key=weights.__getitem__)
    return say(
        "Training examples weigh inversely to the size of their class, at most {weight} (“{label}”)",
        weight=number(weights[largest], 2), label=largest,
    )  # fmt: skip


def _similar_labels(figures: Figures, _: Check) -> str:
    shown = ", ".join(f"“{old}” → “{new}”" for old, new in list(figures["labels"].items())[:20])
    return say(
        "Labels made one that differ in case or white space alone: {n} ({labels})",
        n=count(figures["rows"]), labels=shown,
    )  # fmt: skip


def _leak(figures: Figures, check: Check) -> str:
    first, other = figures["pairs"][0]
    said = {"n": count(figures["test_examples"]), "a": first, "b": other}
    kind = check["kind"]
    if not figures["test_examples"]:
        return say("Examples that stand in two splits, e.g. {a} and {b}", **said)
    if kind == "exact-leak":
        return say("Test examples whose text also stands in train or validation: {n}, e.g. {a} and {b}", **said)
    if kind == "near-leak":
        return say("Test examples nearly equal to one in train or validation: {n}, e.g. {a} and {b}", **said)
    return say("Test examples with members of their group in train or validation: {n}, e.g. {a} and {b}", **said)


def _personal_data(figures: Figures, check: Check) -> str:
    found = ", ".join(f"{kind} {count(n)}" for kind, n in sorted(figures.items()))
    if check.get("mended"):
        return say("Rows that seem to hold personal data or keys: {found}; masked", found=found)
    return say("Rows that seem to hold personal data or keys: {found}", found=found)


def _power(figures: Figures, _: Check) -> str:
    return say(
        "{n} test rows show {least} of difference with 80% power if the arms differ on {share} of them; "
        "the margin of {margin} takes {needed}",
        n=count(figures["test"]), least=points(figures["smallest_difference"], signed=False),
        share=percent(figures["assumed_discordance"], 0), margin=points(figures["margin"], signed=False),
        needed=count(figures["needed_for_margin"] or 0),
    )  # fmt: skip


def _prompt_leak(figures: Figures, _: Check) -> str:
    example, arm = figures["pairs"][0]
    return say(
        "Test examples in a prompt: {n}, e.g. {id} in that of {arm}", n=count(len(figures["ids"])), id=example, arm=arm
    )


def _separator_in_texts(figures: Figures, _: Check) -> str:
    return say(
        "Texts with the separator {separator}: {n}, e.g. {id}; in prompts a line break stands in its place",
        separator=repr(figures["separator"]), n=count(figures["texts"]), id=figures["ids"][0],
    )  # fmt: skip


def _distinct(figures: Figures, _: Check) -> str:
    return say(
        "Texts of their own without case, punctuation and white space: {share} {of_rows}; "
        "{bare} if numbers do not count either",
        share=percent(figures["share"]), of_rows=_of_rows(figures), bare=percent(figures["share_but_for_numbers"]),
    )  # fmt: skip


def _vocabulary(figures: Figures, _: Check) -> str:
    said = {"words": count(figures["words"]), "distinct": count(figures["distinct_words"])}
    if figures["heaps_exponent"] is None:
        return say("{words} words, {distinct} of them different", **said)
    return say(
        "{words} words, {distinct} of them different; 1,000 texts bring {first} new words at first and {last} at the "
        "end (Heaps exponent {exponent})",
        first=count(figures["new_words_per_1000_first"]), last=count(figures["new_words_per_1000_last"]),
        exponent=number(figures["heaps_exponent"], 2), **said,
    )  # fmt: skip


def _text_lengths(figures: Figures, _: Check) -> str:
    return "; ".join(
        say(
            "{what}: one text in 20 has {low} or fewer, half have {middle} or fewer, one in 20 {high} or more",
            what=say("characters") if what == "characters" else say("words"),
            low=count(figures[what]["p05_or_fewer"]), middle=count(figures[what]["median"]),
            high=count(figures[what]["p95_or_more"]),
        )
        for what in ("characters", "words")
    )  # fmt: skip


def _class_variety(figures: Figures, _: Check) -> str:
    first = figures["classes"][0]
    return say(
        "Classes whose texts are nearly one text: {n} of {all}; the least varied is “{label}”",
        n=count(figures["alike"]), all=count(len(figures["classes"])), label=first["label"],
    )  # fmt: skip


def _label_errors(figures: Figures, _: Check) -> str:
    said = say(
        "Labels that their words contradict (another is at least 9 times as probable): {n} {of_rows}; "
        "of {planted} labels changed on purpose, {found} stand among as many first rows of such a list",
        n=count(figures["likely_errors"]), of_rows=_of_rows(figures), planted=count(figures["planted"]),
        found=percent(figures["planted_found"], 0),
    )  # fmt: skip
    left = figures["classes_left_out"]
    return said if not left else say("{message}; classes not judged: {n}", message=said, n=count(left))


def _label_words(figures: Figures, _: Check) -> str:
    if not figures["found"]:
        return say("No class is named in its own texts far more often than in others")
    label, shares = next(iter(figures["classes"].items()))
    return say(
        "Texts with the name of their own label: {n} {of_rows}; most of all “{label}”: {inside} of its texts, "
        "{outside} of the others",
        n=count(figures["found"]), of_rows=_of_rows(figures), label=label,
        inside=percent(shares["inside"], 0), outside=percent(shares["outside"]),
    )  # fmt: skip


def _boilerplate(figures: Figures, _: Check) -> str:
    if not figures["found"]:
        return say("No long beginning or end is shared by many texts")
    first = figures["found"][0]
    return say(
        "Texts with a beginning or end that many share: {n} {of_rows}, most often “{text}” ({share})",
        n=count(figures["rows_covered"]), of_rows=_of_rows(figures), text=first["text"],
        share=percent(first["share"], 0),
    )  # fmt: skip


def _near_empty(figures: Figures, _: Check) -> str:
    n = count(figures["found"])
    return say("Texts with hardly any words, or mostly digits and punctuation: {n} {rows}", n=n, rows=_of_rows(figures))


def _unusual_length(figures: Figures, _: Check) -> str:
    return say(
        "Texts far longer or shorter than the others (median {median} characters): {n} {of_rows}",
        median=count(figures["median_characters"]), n=count(figures["found"]), of_rows=_of_rows(figures),
    )  # fmt: skip


def _unusual_words(figures: Figures, _: Check) -> str:
    n = count(figures["found"])
    return say("Texts mostly of words that no other text has: {n} {of_rows}", n=n, of_rows=_of_rows(figures))


def _unusual_script(figures: Figures, _: Check) -> str:
    n = count(figures["found"])
    return say("Texts in a script that is foreign to these data: {n} {of_rows}", n=n, of_rows=_of_rows(figures))


def advise(kind: str, figures: Figures, stored: str) -> str:
    """Says a stored piece of advice; those with a figure are written anew."""
    if stored and kind == "few-test-rows":
        n = count(figures["advised"])
        return say("Label at least {n} test rows for a verdict, or give test a larger share.", n=n)
    return say(stored) if stored else ""


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
    "class-balance": _balance,
    "missing-class": _missing_class,
    "downsampled": _downsampled,
    "weighted": _weighted,
    "similar-labels": _similar_labels,
    "exact-leak": _leak,
    "near-leak": _leak,
    "group-leak": _leak,
    "personal-data": _personal_data,
    "power": _power,
    "prompt-leak": _prompt_leak,
    "separator-in-texts": _separator_in_texts,
    "distinct-texts": _distinct,
    "vocabulary": _vocabulary,
    "class-variety": _class_variety,
    "label-errors": _label_errors,
    "label-in-text": _label_words,
    "text-lengths": _text_lengths,
    "boilerplate": _boilerplate,
    "near-empty-texts": _near_empty,
    "unusual-length": _unusual_length,
    "unusual-words": _unusual_words,
    "unusual-script": _unusual_script,
}
