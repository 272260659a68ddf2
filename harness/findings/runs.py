"""Sentences of checks on tokens, files that were read, and the run itself, from their figures: see `findings`."""

from __future__ import annotations

from collections.abc import Mapping

from harness.findings.checks import Check, Figures, Writer
from harness.numbers import count, percent, percent_interval, usd
from harness.words import say


def _estimated(figures: Figures, sentence: str) -> str:
    """Adds that the counts are estimates, where they are."""
    return sentence if figures["exact"] else say("{message}; estimated", message=sentence)


def _token_lengths(figures: Figures, _: Check) -> str:
    sentence = say(
        "Training examples have {least} to {most} tokens for {model}: half have at most {median}, 95% at most {p95}",
        least=count(figures["min"]), most=count(figures["max"]), model=figures["model"],
        median=count(figures["p50"]), p95=count(figures["p95"]),
    )  # fmt: skip
    return _estimated(figures, sentence)


def _over_long(figures: Figures, _: Check) -> str:
    said = {
        "n": count(figures["examples"]), "limit": count(figures["limit"]), "model": figures["model"],
        "share": percent(figures["share_of_tokens_lost"]),
    }  # fmt: skip
    if figures["cut"] == "end":
        sentence = say(
            "Training examples with more than the {limit} tokens that {model} is trained on: {n}; "
            "{share} of all tokens are cut from the end, where the label stands",
            **said,
        )
    else:
        sentence = say(
            "Training examples with more than the {limit} tokens that {model} is trained on: {n}; "
            "{share} of all tokens are cut from the start of the texts; the labels stay",
            **said,
        )
    return _estimated(figures, sentence)


def _training_tokens(figures: Figures, _: Check) -> str:
    said = {
        "model": figures["model"], "epoch": count(figures["tokens_per_epoch"]), "epochs": count(figures["epochs"]),
        "all": count(figures["billed_tokens"][-1]),
    }  # fmt: skip
    if figures["usd"]:
        sentence = say(
            "Training {model} takes {epoch} tokens an epoch; epochs: {epochs}, tokens: {all}, cost: {cost}",
            cost=usd(figures["usd"][-1]), **said,
        )  # fmt: skip
    else:
        sentence = say(
            "Training {model} takes {epoch} tokens an epoch; epochs: {epochs}, tokens: {all}, no price known", **said
        )
    return _estimated(figures, sentence)


def _special_tokens(figures: Figures, check: Check) -> str:
    named = list(figures["tokens"])
    said = {"n": count(figures["texts"]), "tokens": ", ".join(named[:5]), "id": figures["ids"][0]}
    if check["level"] == "error":
        return say(
            "Texts with control tokens of a model in use ({tokens}): {n}, e.g. {id}; a training job may fail on them "
            "hours after it has accepted the file",
            **said,
        )
    return say("Texts with what some models read as control tokens ({tokens}): {n}, e.g. {id}", **said)


def _collisions(figures: Figures, _: Check) -> str:
    name, most = max(figures["groups"].items(), key=lambda each: sum(map(len, each[1])))
    return say(
        "Labels that begin with the same token as another one in {vocabulary}: {n} (e.g. {labels}); "
        "the probability of the first token cannot tell them apart",
        vocabulary=name, n=count(sum(map(len, most))), labels=", ".join(f"“{label}”" for label in most[0][:3]),
    )  # fmt: skip


def _several_tokens(figures: Figures, _: Check) -> str:
    several = {name: sum(n > 1 for n in each.values()) for name, each in figures["tokens"].items()}
    name = max(several, key=lambda each: several[each])
    label, most = max(figures["tokens"][name].items(), key=lambda each: each[1])
    return say(
        "Labels of more than one token in {vocabulary}: {n} of {all}, at most {most} (“{label}”)",
        vocabulary=name, n=count(several[name]), all=count(len(figures["tokens"][name])), most=count(most), label=label,
    )  # fmt: skip


def _first(figures: Figures) -> dict[str, object]:
    """Returns how many rows a dataset found something in, and which is the first."""
    return {"n": count(figures["count"]), "first": figures["first"]}


def _limited(figures: Figures, _: Check) -> str:
    return say("dataset.limit_rows: only {n} rows were read", n=count(figures["rows"]))


def _missing_price(figures: Figures, _: Check) -> str:
    return say(
        "No price is known for {model}, its costs are unknown: [prices.“{model}”] gives input, cached_input and output "
        "in USD for a million tokens.",
        model=figures["model"],
    )


def _choose_tokens(figures: Figures, _: Check) -> str:
    return say(
        "answer = “choose” on a local endpoint scores each label as a continuation, so the input tokens of a request "
        "count the prompt {n} times; what was read once is counted as cached.",
        n=count(figures["labels"]),
    )


def _shots_dropped(figures: Figures, _: Check) -> str:
    return say(
        "{arm}: the model's context is too short for all shots of {items} of {n} test items; {shots} shots, those "
        "farthest from the item, were left out.",
        arm=figures["arm"], items=count(figures["items"]), n=count(figures["n"]), shots=count(figures["shots"]),
    )  # fmt: skip


def _curve_size(figures: Figures, _: Check) -> str:
    return say(
        "Train has {n} examples; a learning curve leaves out {sizes}.",
        n=count(figures["n"]), sizes=", ".join(count(size) for size in figures["sizes"]),
    )  # fmt: skip


def _relabelled(figures: Figures, _: Check) -> str:
    if figures["rate"] is None:
        return say(
            "Test labels were corrected after the run. No control was judged, so nothing is known of the labels that "
            "nobody disputed."
        )
    return say(
        "Test labels were corrected after the run. Of {n} random controls {share} (95% CI {interval}) were wrong. "
        "Labels were judged where arms agree against them: corrections favour arms that err alike.",
        n=count(figures["judged"]), share=percent(figures["rate"]), interval=percent_interval(*figures["ci"]),
    )  # fmt: skip


READING: Mapping[str, Writer] = {
    "label-format": lambda figures, _: say(
        "Labels with white space around, or as 5.0 for 5, made one with the rest: {n} (first: {first})",
        **_first(figures),
    ),
    "null-like-labels": lambda figures, _: say(
        "Labels that read like a missing one, kept as a class: {n} (first: {first})", **_first(figures)
    ),
    "rows-without-separator": lambda figures, _: say(
        "Texts that do not end with dataset.separator, kept all the same: {n} (first: {first})", **_first(figures)
    ),
    "rows-without-stop": lambda figures, _: say(
        "Labels that do not end with dataset.stop, kept all the same: {n} (first: {first})", **_first(figures)
    ),
    "duplicate-keys": lambda figures, _: say(
        "JSON objects that name a key more than once, of which the last value counts: {n} (first: {first})",
        **_first(figures),
    ),
    "broken-characters": lambda figures, _: say(
        "Rows with halves of characters (lone surrogates), replaced by U+FFFD: {n} (first: {first})", **_first(figures)
    ),
    "formula-cells": lambda figures, _: say(
        "Cells with a formula, read as the value that was stored with it: {n} (first: {first})", **_first(figures)
    ),
    "cell-errors": lambda figures, _: say(
        "Cells with an error like #N/A, counted as empty: {n} (first: {first})", **_first(figures)
    ),
    "zero-weight": lambda figures, _: say(
        "Chat lines whose last answer has the weight 0, kept all the same: {n} (first: {first})", **_first(figures)
    ),
    "instructions-differ": lambda figures, _: say(
        "Chat lines with another instruction than the first: {n} (first: {first})", **_first(figures)
    ),
}
"""What a dataset found while reading."""

MESSAGES: Mapping[str, Writer] = {
    "token-lengths": _token_lengths,
    "over-long-texts": _over_long,
    "training-tokens": _training_tokens,
    "special-token-strings": _special_tokens,
    "label-first-token-collisions": _collisions,
    "labels-of-several-tokens": _several_tokens,
    **READING,
    "limited-rows": _limited,
    "missing-price": _missing_price,
    "choose-tokens": _choose_tokens,
    "shots-dropped": _shots_dropped,
    "curve-size": _curve_size,
    "metric-failed": lambda figures, _: say("A metric is left out: {reason}", reason=figures["reason"]),
    "relabelled": _relabelled,
}
