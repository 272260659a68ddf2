"""The guard of a fair baseline: what makes a comparison less than fair is named, on the page and in the results.

A prompt that got no search, an opponent that is none, arms that answer in different ways or under different limits:
each is a check of the results, worked out from them anew whenever they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.numbers import count, percent
from harness.scoring.contenders import PROMPTS, TUNED
from harness.types import Check
from harness.words import noted, say

MODES = ("generate", "choose", "schema")
Line = Mapping[str, Any]
"""An arm of `results.json`."""


def unsearched(figures: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    """Says that the prompt contender got no search."""
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


def barred(figures: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    """Says of an arm that it is no fair opponent, and why."""
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


def modes_differ(figures: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    """Says that arms answer in different ways."""
    named = "; ".join(f"{mode}: {', '.join(names)}" for mode, names in figures["modes"].items())
    return say("Arms do not answer in the same way, and differences may be due to that. {modes}", modes=named)


def limits_differ(figures: Mapping[str, Any], _: Mapping[str, Any]) -> str:
    """Says that the contenders' answers have different token limits."""
    named = [
        say("{arm}: {n} tokens", arm=arm, n=count(limit)) if limit else say("{arm}: the default", arm=arm)
        for arm, limit in figures["limits"].items()
    ]
    return say(
        "Answers have different token limits ({limits}), and {cut} were cut: differences may be due to that",
        limits="; ".join(named), cut=count(figures["truncated"]),
    )  # fmt: skip


MESSAGES = {
    "prompt-without-search": unsearched,
    "barred-opponent": barred,
    "answer-modes-differ": modes_differ,
    "token-limits-differ": limits_differ,
}
"""Kind of check → what writes its sentence."""


def checks(arms: Sequence[Line], contenders: Mapping[str, Any], choices: Sequence[Line], labels: int) -> list[Check]:
    """Returns what is unfair about the comparison of a run.

    Args:
        arms: The arms of `results.json`.
        contenders: As `name_contenders` returned them.
        choices: What was chosen on validation.
        labels: How many labels there are.
    """
    named = {arm["name"]: arm for arm in arms}
    pair = [named[contenders[side]] for side in "ab" if contenders[side] in named]
    found = [*_search(pair, contenders, choices), *_opponents(arms, labels), *_modes(arms), *_limits(pair)]
    return [
        Check(kind=kind, level="warning", message=MESSAGES[kind](figures, {}), figures=figures, advice=advice)
        for kind, figures, advice in found
    ]


def _search(
    pair: Sequence[Line], contenders: Mapping[str, Any], choices: Sequence[Line]
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    if len(pair) < 2 or pair[0]["family"] not in TUNED or pair[1]["family"] not in PROMPTS:
        return
    tuned, prompt = pair
    tried = {choice["arm"]: len(choice.get("candidates") or ()) for choice in choices}
    # Several prompts of which validation has named the best are a search as well
    among = contenders["among"][1] if contenders["chosen_on"] == "validation" else 1
    if max(tried.get(prompt["name"], 1), among) < 2:
        yield (
            "prompt-without-search",
            {"prompt": prompt["name"], "tuned": tuned["name"], "settings": tried.get(tuned["name"], 1)},
            noted("Let it choose on validation: [arms.choose] with shots.k, shots.draw, or other instructions."),
        )


def _opponents(arms: Sequence[Line], labels: int) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    for arm in arms:
        if arm["barred"]:
            figures = {"arm": arm["name"], "reason": arm["barred"], "n": arm["n"], "accuracy": arm["accuracy"],
                       "lost": arm["unparsed"] + arm["failed"], "labels": labels}  # fmt: skip
            advice = noted("Nothing that is held against it counts; look at its answers, and mend its prompt.")
            yield "barred-opponent", figures, advice


def _modes(arms: Sequence[Line]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    modes: dict[str, list[str]] = {}
    for arm in arms:
        if arm["n"] and arm["mode"] in MODES and arm["family"] in (*TUNED, *PROMPTS):
            modes.setdefault(arm["mode"], []).append(arm["name"])
    if len(modes) > 1:
        yield "answer-modes-differ", {"modes": modes}, noted("Give all arms the same answer = …, where they can.")


def _limits(pair: Sequence[Line]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    limits = {arm["name"]: arm["max_tokens"] for arm in pair if arm["n"] and arm["mode"] in ("generate", "schema")}
    if len(set(limits.values())) > 1:
        figures = {"limits": limits, "truncated": sum(arm["truncated"] for arm in pair)}
        yield "token-limits-differ", figures, noted("Give both the same max_tokens.")
