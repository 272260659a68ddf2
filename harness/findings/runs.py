"""Sentences of checks on tokens, files that were read, and the run itself, from their figures: see `findings`."""

from __future__ import annotations

from collections.abc import Mapping

from harness.findings.checks import Check, Figures, Writer
from harness.findings.files import quoted
from harness.numbers import count, percent, percent_interval, usd
from harness.words import say, say_n


def _counted(figures: Figures, message: str) -> str:
    """Adds why the counts are estimates, where they are."""
    if figures["estimated"] == "vocabulary":
        return say(
            "{message}; estimated in {vocabulary}, for the vocabulary of {model} is not known",
            message=message, vocabulary=figures["vocabulary"], model=figures["model"],
        )  # fmt: skip
    if figures["estimated"] == "chat":
        return say("{message}; estimated, for providers do not say what a chat message adds", message=message)
    return message


def _token_lengths(figures: Figures, _: Check) -> str:
    message = say(
        "training examples have {least} to {most} tokens for {model}: half have at most {median}, 95% at most {p95}",
        least=count(figures["min"]), most=count(figures["max"]), model=figures["model"],
        median=count(figures["p50"]), p95=count(figures["p95"]),
    )  # fmt: skip
    return _counted(figures, message)


def _over_long(figures: Figures, _: Check) -> str:
    longest, tokens = figures["longest"][0]
    told = {
        "n": count(figures["examples"]), "all": count(figures["of"]), "limit": count(figures["limit"]),
        "model": figures["model"], "id": longest, "tokens": count(tokens),
        "share": percent(figures["share_of_tokens_lost"]),
    }  # fmt: skip
    if figures["cut"] == "end":
        message = say_n(
            figures["examples"],
            "{n} of {all} training examples has more than the {limit} tokens that {model} is trained on, e.g. {id} "
            "with {tokens}: {share} of all tokens are cut from the end, where the label stands",
            "{n} of {all} training examples have more than the {limit} tokens that {model} is trained on, e.g. {id} "
            "with {tokens}: {share} of all tokens are cut from the end, where the label stands",
            **told,
        )
    else:
        message = say_n(
            figures["examples"],
            "{n} of {all} training examples has more than the {limit} tokens that {model} is trained on, e.g. {id} "
            "with {tokens}: {share} of all tokens are cut from the start of the texts; the labels stay",
            "{n} of {all} training examples have more than the {limit} tokens that {model} is trained on, e.g. {id} "
            "with {tokens}: {share} of all tokens are cut from the start of the texts; the labels stay",
            **told,
        )
    return _counted(figures, message)


def _training_tokens(figures: Figures, _: Check) -> str:
    epochs = say_n(figures["epochs"], "{n} epoch", "{n} epochs", n=count(figures["epochs"]))
    if not figures["epochs_given"]:
        epochs = say("{epochs} (the usual number for {n} examples)", epochs=epochs, n=count(figures["examples"]))
    cost = usd(figures["usd"][-1]) if figures["usd"] else say("no cost, for no training price is known")
    message = say(
        "training {model} takes {epoch} tokens an epoch: {epochs} {all} tokens, {cost}",
        model=figures["model"], epoch=count(figures["tokens_per_epoch"]), epochs=epochs,
        all=count(figures["billed_tokens"][-1]), cost=cost,
    )  # fmt: skip
    return _counted(figures, message)


def _special_tokens(figures: Figures, check: Check) -> str:
    n, named = figures["texts"], list(figures["tokens"])
    tokens = ", ".join(named[:5])
    if len(named) > 5:
        tokens = say("{listed} and {n} more", listed=tokens, n=count(len(named) - 5))
    told = {"n": count(n), "tokens": tokens, "id": figures["ids"][0]}
    if check["level"] == "error":
        return say_n(
            n,
            "{n} text holds control tokens of a model in use ({tokens}), e.g. {id}: a training job may fail on them "
            "hours after it has accepted the file",
            "{n} texts hold control tokens of a model in use ({tokens}), e.g. {id}: a training job may fail on them "
            "hours after it has accepted the file",
            **told,
        )
    return say_n(
        n,
        "{n} text holds what some models read as control tokens ({tokens}), e.g. {id}",
        "{n} texts hold what some models read as control tokens ({tokens}), e.g. {id}",
        **told,
    )


def _vocabulary(figures: Figures, name: str) -> str:
    """Names a vocabulary, and says where it stands for another one."""
    return name if figures["exact"][name] else say("{vocabulary} (an estimate)", vocabulary=name)


def _collisions(figures: Figures, _: Check) -> str:
    name, most = max(figures["groups"].items(), key=lambda each: sum(map(len, each[1])))
    labels = ", ".join(map(quoted, most[0][:3])) + (", …" if len(most[0]) > 3 else "")
    return say(
        "{n} of {all} labels begin with the same token as another one in {vocabulary}, e.g. {labels}: the probability "
        "of the first token cannot tell them apart",
        n=count(sum(map(len, most))), all=count(figures["labels"]), vocabulary=_vocabulary(figures, name),
        labels=labels,
    )  # fmt: skip


def _several_tokens(figures: Figures, _: Check) -> str:
    several = {name: sum(n > 1 for n in each.values()) for name, each in figures["tokens"].items()}
    name = max(several, key=lambda each: several[each])
    label, most = max(figures["tokens"][name].items(), key=lambda each: each[1])
    return say_n(
        several[name],
        "{n} of {all} labels has more than one token in {vocabulary}, at most {most} ({label})",
        "{n} of {all} labels have more than one token in {vocabulary}, at most {most} ({label})",
        n=count(several[name]), all=count(len(figures["tokens"][name])), vocabulary=_vocabulary(figures, name),
        most=count(most), label=quoted(label),
    )  # fmt: skip


def tally(one: str, many: str) -> Writer:
    """Returns what writes how many of something a dataset found while reading, and which was the first.

    Args:
        one: The sentence of a single one; a literal, so that it can be collected.
        many: That of several, `{n}` of them.
    """

    def write(figures: Figures, _: Check) -> str:
        message = say_n(figures["count"], one, many, n=count(figures["count"]))
        listed = ", ".join(f'"{value}"' for value in figures.get("values", ()))
        if listed:
            return say(
                "{message} (first: {first}; they are {values})",
                message=message, first=figures["first"], values=listed,
            )  # fmt: skip
        return say("{message} (first: {first})", message=message, first=figures["first"])

    return write


def _limited(figures: Figures, _: Check) -> str:
    return say("dataset.limit_rows: nothing after {last} was read", last=figures["last"])


def _missing_price(figures: Figures, _: Check) -> str:
    return say(
        'No price is known for {model}, its costs are unknown: [prices."{model}"] gives input, cached_input and output '
        "in USD for a million tokens.",
        model=figures["model"],
    )


def _choose_tokens(figures: Figures, _: Check) -> str:
    return say(
        '{arms}: answer = "choose" scores each label as a continuation, so the input tokens of a request count the '
        "prompt {n} times; what was read once is counted as cached.",
        arms=", ".join(figures["arms"]), n=count(figures["labels"]),
    )  # fmt: skip


def _shots_dropped(figures: Figures, _: Check) -> str:
    return say(
        "{arm}: the model's context is too short for all shots of {items} of {n} test items; {shots} shots, those "
        "farthest from the item, were left out.",
        arm=figures["arm"], items=count(figures["items"]), n=count(figures["n"]), shots=count(figures["shots"]),
    )  # fmt: skip


def _curve_size(figures: Figures, _: Check) -> str:
    return say_n(
        figures["n"],
        "{arm}: train has {n} example; its learning curve leaves out {sizes}.",
        "{arm}: train has {n} examples; its learning curve leaves out {sizes}.",
        arm=figures["arm"], n=count(figures["n"]), sizes=", ".join(count(size) for size in figures["sizes"]),
    )  # fmt: skip


def _curve_validation(figures: Figures, _: Check) -> str:
    return say("{arm}: there are no validation examples to measure a curve on, so it has none.", arm=figures["arm"])


def _relabelled(figures: Figures, _: Check) -> str:
    message = say_n(
        figures["corrected"],
        "{n} test label of {of} judged was corrected after the run.",
        "{n} test labels of {of} judged were corrected after the run.",
        n=count(figures["corrected"]), of=count(figures["labels_judged"]),
    )  # fmt: skip
    if figures["rate"] is None:
        controls = say("No control was judged, so nothing is known of the labels that nobody disputed.")
    else:
        controls = say_n(
            figures["judged"],
            "Of {n} random control {share} (95% CI {interval}) were wrong.",
            "Of {n} random controls {share} (95% CI {interval}) were wrong.",
            n=count(figures["judged"]), share=percent(figures["rate"]), interval=percent_interval(*figures["ci"]),
        )  # fmt: skip
    return say(
        "{message} {controls} Labels were judged where arms agree against them: corrections favour arms that err "
        "alike. Curves and repeats are as they were.",
        message=message, controls=controls,
    )  # fmt: skip


READING: Mapping[str, Writer] = {
    "label-format": tally(
        "{n} label written with white space around or as 5.0 for 5, made one with the rest",
        "{n} labels written with white space around or as 5.0 for 5, made one with the rest",
    ),
    "null-like-labels": tally(
        "{n} label reading like a missing one, kept as a class",
        "{n} labels reading like a missing one, kept as a class",
    ),
    "rows-without-separator": tally(
        "{n} text not ending with dataset.separator, kept all the same",
        "{n} texts not ending with dataset.separator, kept all the same",
    ),
    "rows-without-stop": tally(
        "{n} label not ending with dataset.stop, kept all the same",
        "{n} labels not ending with dataset.stop, kept all the same",
    ),
    "duplicate-keys": tally(
        "{n} JSON object naming a key more than once, of which the last value counts",
        "{n} JSON objects naming a key more than once, of which the last value counts",
    ),
    "broken-characters": tally(
        "{n} row with halves of characters (lone surrogates), replaced by U+FFFD",
        "{n} rows with halves of characters (lone surrogates), replaced by U+FFFD",
    ),
    "formula-cells": tally(
        "{n} cell with a formula, read as the value that was stored with it",
        "{n} cells with a formula, read as the value that was stored with it",
    ),
    "cell-errors": tally(
        "{n} cell with an error like #N/A, counted as empty",
        "{n} cells with an error like #N/A, counted as empty",
    ),
    "zero-weight": tally(
        "{n} chat line whose last answer has the weight 0, which leaves it out of training, kept all the same",
        "{n} chat lines whose last answer has the weight 0, which leaves it out of training, kept all the same",
    ),
    "instructions-differ": tally(
        "{n} chat line with another instruction than the first, while the text is the user's message alone",
        "{n} chat lines with another instruction than the first, while the text is the user's message alone",
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
    "curve-validation": _curve_validation,
    "metric-failed": lambda figures, _: say("A metric is left out: {reason}", reason=figures["reason"]),
    "relabelled": _relabelled,
}
