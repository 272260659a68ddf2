"""Sentences of the guard of a fair baseline, from their figures: see `findings`."""

from __future__ import annotations

from collections.abc import Mapping

from harness.findings.checks import Check, Figures, Writer
from harness.numbers import count, percent
from harness.words import say


def _unsearched(figures: Figures, _: Check) -> str:
    if figures["settings"] > 1:
        return say(
            "{prompt} was tried in one way only, {tuned} in {n} on validation: a lead over a prompt without search may "
            "be one over a poor prompt",
            prompt=figures["prompt"], tuned=figures["tuned"], n=count(figures["settings"]),
        )  # fmt: skip
    return say(
        "{prompt} was tried in one way only: a lead over a prompt without search may be one over a poor prompt",
        prompt=figures["prompt"],
    )


def _barred(figures: Figures, _: Check) -> str:
    if figures["reason"] == "unanswered":
        return say(
            "{arm} is no fair opponent: {lost} of its {n} answers cannot be read or never came",
            arm=figures["arm"], lost=count(figures["lost"]), n=count(figures["n"]),
        )  # fmt: skip
    return say(
        "{arm} is no fair opponent: it is right on {share} of the items, guessing among {labels} labels on {chance}",
        arm=figures["arm"], share=percent(figures["accuracy"]), labels=count(figures["labels"]),
        chance=percent(1 / figures["labels"]),
    )  # fmt: skip


def _modes_differ(figures: Figures, _: Check) -> str:
    named = "; ".join(f"{mode}: {', '.join(names)}" for mode, names in figures["modes"].items())
    return say("Arms do not answer in the same way, and differences may be due to that. {modes}", modes=named)


def _limits_differ(figures: Figures, _: Check) -> str:
    named = [
        say("{arm}: {n} tokens", arm=arm, n=count(limit)) if limit else say("{arm}: the default", arm=arm)
        for arm, limit in figures["limits"].items()
    ]
    return say(
        "Answers have different token limits ({limits}), and {cut} were cut: differences may be due to that",
        limits="; ".join(named), cut=count(figures["truncated"]),
    )  # fmt: skip


MESSAGES: Mapping[str, Writer] = {
    "prompt-without-search": _unsearched,
    "barred-opponent": _barred,
    "answer-modes-differ": _modes_differ,
    "token-limits-differ": _limits_differ,
}
