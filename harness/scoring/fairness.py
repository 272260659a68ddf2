"""The guard of a fair baseline: what makes a comparison less than fair is named, on the page and in the results.

A prompt that got no search, an opponent that is none, arms that answer in different ways or under different limits:
each is a check of the results, worked out from them anew whenever they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.findings.fairness import MESSAGES
from harness.types import PROMPTS, TUNED, Check
from harness.words import noted

MODES = ("generate", "choose", "schema")
"""How an arm that asks a language model can answer."""
Line = Mapping[str, Any]
"""An arm of `results.json`."""


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
    if prompt.get("imported"):  # nobody knows what was tried elsewhere
        return
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
