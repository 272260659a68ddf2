"""Sentences of checks on training files, from their figures: see `findings`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.findings.checks import Check, Figures, Writer
from harness.numbers import count
from harness.words import say, say_n

LONGEST = 40
"""Characters of a text that a sentence shows."""


def quoted(text: str) -> str:
    """Shows a text in a sentence: as JSON writes it, at most 40 characters of it."""
    return json.dumps(text if len(text) <= LONGEST else f"{text[:LONGEST]}…", ensure_ascii=False)


def _examples(figures: Figures, _: Check) -> str:
    n = say_n(figures["examples"], "{n} example", "{n} examples", n=count(figures["examples"]))
    if figures["examples"] < figures["least"]:
        return say(
            "{examples}, {provider} takes files of at least {least}",
            examples=n, provider=figures["provider"], least=count(figures["least"]),
        )  # fmt: skip
    if figures["examples"] < figures["advised"]:
        return say("{examples}, at least {least} are advised", examples=n, least=count(figures["advised"]))
    return n


def _task(figures: Figures, _: Check) -> str:
    rows = say_n(figures["rows"], "{n} row", "{n} rows", n=count(figures["rows"]))
    told = {"n": count(figures["completions"]), "rows": rows}
    if figures["task"] == "classification":
        return say("looks like classification: {n} different completions in {rows}", **told)
    if figures["task"].startswith("conditional"):
        return say("looks like conditional generation: {n} different completions in {rows}", **told)
    return say("looks like open-ended generation: {n} different completions in {rows}", **told)


def _prompt_prefix(figures: Figures, _: Check) -> str:
    return say(
        "all prompts begin with the same {n} characters: {text}",
        n=count(figures["characters"]), text=quoted(figures["prefix"]),
    )  # fmt: skip


MESSAGES: Mapping[str, Writer] = {
    "training-examples": _examples,
    "task-type": _task,
    "separator": lambda figures, _: say("all prompts end with {text}", text=quoted(figures["separator"])),
    "stop-sequence": lambda figures, _: say("all completions end with {text}", text=quoted(figures["stop"])),
    "missing-separator": lambda *_: say("prompts have no ending in common that shows where the completion begins"),
    "missing-stop": lambda *_: say("completions have no ending in common that could be a stop sequence"),
    "prompt-prefix": _prompt_prefix,
}
ADVICE: Mapping[str, Writer] = {
    "stop-sequence": lambda figures, _: say("Ask with stop = [{text}].", text=quoted(figures["stop"])),
    "missing-separator": lambda figures, _: say(
        "End every prompt with {text}, in training and when asking.", text=quoted(figures["suggestion"])
    ),
    "missing-stop": lambda figures, _: say(
        "End every completion with {text} and ask with it as stop sequence.", text=quoted(figures["suggestion"])
    ),
}
"""Next steps that hold a figure."""
