"""Sentences of checks on what the texts and their labels are like, from their figures: see `findings`."""

from __future__ import annotations

from collections.abc import Mapping

from harness.findings.checks import Check, Figures, Writer
from harness.numbers import count, number, percent
from harness.words import say, say_n


def _of_rows(figures: Figures) -> str:
    """Says of how many rows, where a part may stand for all."""
    looked, rows = figures["rows_looked_at"], figures["rows"]
    if looked == rows:
        return say("of {n} rows", n=count(rows))
    return say("of {n} rows looked at (of {all})", n=count(looked), all=count(rows))


def _distinct(figures: Figures, _: Check) -> str:
    return say(
        "{share} {of_rows} are texts of their own without case, punctuation and white space; {bare} if numbers do not "
        "count either",
        share=percent(figures["share"]), of_rows=_of_rows(figures), bare=percent(figures["share_but_for_numbers"]),
    )  # fmt: skip


def _vocabulary(figures: Figures, _: Check) -> str:
    message = say(
        "{distinct} different words among {words} words {of_rows}",
        distinct=count(figures["distinct_words"]), words=count(figures["words"]), of_rows=_of_rows(figures),
    )  # fmt: skip
    if figures["new_words_per_1000_first"] is None:
        return message
    message = say(
        "{message}; the last fifth of the texts brings {last} new words per 1,000 texts, the first fifth {first}",
        message=message, last=count(figures["new_words_per_1000_last"]),
        first=count(figures["new_words_per_1000_first"]),
    )  # fmt: skip
    if figures["heaps_exponent"] is None:
        return message
    return say(
        "{message} (Heaps exponent {exponent}; prose has 0.4 to 0.6, repeated templates less)",
        message=message, exponent=number(figures["heaps_exponent"], 2),
    )  # fmt: skip


def _lengths(figures: Figures, _: Check) -> str:
    message = "; ".join(
        say(
            "{what}: one text in 20 has {low} or fewer, half have {middle} or fewer, one in 20 {high} or more",
            what=say("characters") if what == "characters" else say("words"),
            low=count(figures[what]["p05_or_fewer"]), middle=count(figures[what]["median"]),
            high=count(figures[what]["p95_or_more"]),
        )
        for what in ("characters", "words")
    )  # fmt: skip
    looked, rows = figures["rows_looked_at"], figures["rows"]
    if looked == rows:
        return message
    return say("{message} ({n} of {all} rows looked at)", message=message, n=count(looked), all=count(rows))


def _class_variety(figures: Figures, _: Check) -> str:
    first, poorest = figures["classes"][0], figures["poorest"]
    message = say(
        'the texts of "{label}" are the most alike (mean cosine of two of them {likeness}, 1 is the same words); the '
        'poorest vocabulary is that of "{poorest}": {words} different words in {rows} rows',
        label=first["label"], likeness=number(first["likeness"], 2), poorest=poorest["label"],
        words=count(poorest["distinct_words"]), rows=count(poorest["rows"]),
    )  # fmt: skip
    if not figures["alike"]:
        return message
    return say_n(
        figures["alike"],
        "{n} of {all} classes has texts that are nearly all alike: {message}",
        "{n} of {all} classes have texts that are nearly all alike: {message}",
        n=count(figures["alike"]), all=count(figures["classes_measured"]), message=message,
    )  # fmt: skip


def _label_errors(figures: Figures, _: Check) -> str:
    if figures.get("unjudged") == "classes":
        return say(
            "labels were not held against their texts: fewer than two classes have {n} rows (or groups)",
            n=count(figures["folds"]),
        )
    if figures.get("unjudged") == "words":
        return say("labels were not held against their texts: no two texts share a word")
    message = say_n(
        figures["likely_errors"],
        "{n} {of_rows} has a label that its words contradict (another is at least 9 times as probable); of labels "
        "changed on purpose ({planted}), {found} stand among as many first rows of such a list",
        "{n} {of_rows} have a label that their words contradict (another is at least 9 times as probable); of labels "
        "changed on purpose ({planted}), {found} stand among as many first rows of such a list",
        n=count(figures["likely_errors"]), of_rows=_of_rows(figures), planted=count(figures["planted"]),
        found=percent(figures["planted_found"], 0),
    )  # fmt: skip
    left = figures["classes_left_out"]
    if not left:
        return message
    return say_n(
        left,
        "{message}; {n} class was not judged: fewer than {least} rows (or groups), or not among the {most} largest",
        "{message}; {n} classes were not judged: fewer than {least} rows (or groups), or not among the {most} largest",
        message=message, n=count(left), least=count(figures["folds"]), most=count(figures["most_classes"]),
    )  # fmt: skip


def _label_words(figures: Figures, _: Check) -> str:
    if not figures["found"]:
        return say(
            "no class is named in {share} of its own texts and far less often in others",
            share=percent(figures["least_share"], 0),
        )
    label, shares = next(iter(figures["classes"].items()))
    return say(
        "{n} {of_rows} hold the name of their own label, in {some} of {all} classes; most of all "
        '"{label}": {inside} of its texts, {outside} of the others',
        n=count(figures["found"]), of_rows=_of_rows(figures), some=count(figures["classes_named"]),
        all=count(figures["labels"]), label=label, inside=percent(shares["inside"], 0),
        outside=percent(shares["outside"]),
    )  # fmt: skip


def _boilerplate(figures: Figures, _: Check) -> str:
    if not figures["found"]:
        return say(
            "no beginning or end of {words} words or more is shared by {share} {of_rows}",
            words=count(figures["least_words"]), share=percent(figures["least_share"], 0), of_rows=_of_rows(figures),
        )  # fmt: skip
    first = figures["found"][0]
    told = {"n": count(figures["rows_covered"]), "of_rows": _of_rows(figures), "text": first["text"],
            "share": percent(first["share"], 0)}  # fmt: skip
    if first["where"] == "start":
        message = say(
            "{n} {of_rows} begin or end with words that many of them share, most often "
            '"{text}" at the start of {share}',
            **told,
        )
    else:
        message = say(
            '{n} {of_rows} begin or end with words that many of them share, most often "{text}" at the end of {share}',
            **told,
        )
    if not figures["one_class"]:
        return message
    return say('{message}, nearly always with the label "{label}"', message=message, label=first["label"])


def _near_empty(figures: Figures, _: Check) -> str:
    return say_n(
        figures["found"],
        "{n} {of_rows} has at most {words} words or is mostly digits and punctuation",
        "{n} {of_rows} have at most {words} words or are mostly digits and punctuation",
        n=count(figures["found"]), of_rows=_of_rows(figures), words=count(figures["few_words"]),
    )  # fmt: skip


def _unusual_length(figures: Figures, _: Check) -> str:
    return say_n(
        figures["found"],
        "{n} {of_rows} is far longer or shorter than the others (median {median} characters)",
        "{n} {of_rows} are far longer or shorter than the others (median {median} characters)",
        n=count(figures["found"]), of_rows=_of_rows(figures), median=count(figures["median_characters"]),
    )  # fmt: skip


def _unusual_words(figures: Figures, _: Check) -> str:
    return say_n(
        figures["found"],
        "{n} {of_rows} consists mostly of words that no other text has",
        "{n} {of_rows} consist mostly of words that no other text has",
        n=count(figures["found"]), of_rows=_of_rows(figures),
    )  # fmt: skip


def _unusual_script(figures: Figures, _: Check) -> str:
    return say_n(
        figures["found"],
        "{n} {of_rows} is in a script that is foreign to these data (usual: {usual})",
        "{n} {of_rows} are in a script that is foreign to these data (usual: {usual})",
        n=count(figures["found"]), of_rows=_of_rows(figures), usual=", ".join(figures["usual"]) or say("none"),
    )  # fmt: skip


MESSAGES: Mapping[str, Writer] = {
    "distinct-texts": _distinct,
    "vocabulary": _vocabulary,
    "text-lengths": _lengths,
    "class-variety": _class_variety,
    "label-errors": _label_errors,
    "label-in-text": _label_words,
    "boilerplate": _boilerplate,
    "near-empty-texts": _near_empty,
    "unusual-length": _unusual_length,
    "unusual-words": _unusual_words,
    "unusual-script": _unusual_script,
}
