"""Sentences of checks on training files that were written, from their figures: see `findings`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.findings.checks import Check, Figures, Writer
from harness.numbers import count
from harness.words import say

LONGEST = 40
"""Characters of a text that a sentence shows."""


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= LONGEST else f"{text[:LONGEST]}…", ensure_ascii=False)


def _examples(figures: Figures, _: Check) -> str:
    told = {"file": figures["file"], "n": count(figures["examples"])}
    if figures["examples"] < figures["least"]:
        least = count(figures["least"])
        return say("Examples in {file}: {n}, where the provider asks for at least {least}", least=least, **told)
    if figures["examples"] < figures["advised"]:
        return say("Examples in {file}: {n}, where {least} are advised", least=count(figures["advised"]), **told)
    return say("Examples in {file}: {n}", **told)


def _task(figures: Figures, _: Check) -> str:
    told = {
        "file": figures["file"],
        "rows": count(figures["rows"]),
        "n": count(figures["completions"]),
    }
    if figures["task"] == "classification":
        return say("{file} looks like classification: {n} different completions in {rows} rows", **told)
    if figures["task"].startswith("conditional"):
        return say("{file} looks like conditional generation: {n} different completions in {rows} rows", **told)
    return say("{file} looks like open-ended generation: {n} different completions in {rows} rows", **told)


def _separator(figures: Figures, _: Check) -> str:
    return say("All prompts of {file} end with {text}", file=figures["file"], text=_quoted(figures["separator"]))


def _stop(figures: Figures, _: Check) -> str:
    return say("All completions of {file} end with {text}", file=figures["file"], text=_quoted(figures["stop"]))


def _no_separator(figures: Figures, _: Check) -> str:
    return say("No ending in common that shows where the completion begins: prompts of {file}", file=figures["file"])


def _no_stop(figures: Figures, _: Check) -> str:
    return say("No ending in common that could be a stop sequence: completions of {file}", file=figures["file"])


def _prompt_prefix(figures: Figures, _: Check) -> str:
    return say(
        "All prompts of {file} begin with the same {n} characters: {text}",
        file=figures["file"], n=count(figures["characters"]), text=_quoted(figures["prefix"]),
    )  # fmt: skip


MESSAGES: Mapping[str, Writer] = {
    "training-examples": _examples,
    "task-type": _task,
    "separator": _separator,
    "stop-sequence": _stop,
    "missing-separator": _no_separator,
    "missing-stop": _no_stop,
    "prompt-prefix": _prompt_prefix,
}
ADVICE: Mapping[str, Writer] = {
    "stop-sequence": lambda figures, _: say("Ask with stop = [{text}].", text=_quoted(figures["stop"])),
    "missing-separator": lambda figures, _: say(
        "End every prompt with {text}, in training and when asking.", text=_quoted(figures["suggestion"])
    ),
    "missing-stop": lambda figures, _: say(
        "End every completion with {text} and ask with it as stop sequence.", text=_quoted(figures["suggestion"])
    ),
}
"""Next steps that hold a figure."""
