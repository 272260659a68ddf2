"""What was found of a single row, in a few words: written from the row's figures, as sentences are from a check's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from harness.findings.checks import Figures, Said
from harness.numbers import count, percent
from harness.words import ENGLISH, language, say, say_n, speaking

Item: TypeAlias = Mapping[str, Any]
"""One of a list's `items` in `quality.json`."""


def _unlikely_label(figures: Figures) -> str:
    likely, unlikely = figures["p_other"], figures["p_given"]
    told = {
        "given": figures["given"],
        "other": figures["other"],
        # Nothing is written as certain that is not
        "likely": say("above 99.9%") if likely > 0.999 else percent(likely, 0 if likely < 0.995 else 1),
        "unlikely": say("below 0.1%") if unlikely < 0.001 else percent(unlikely),
    }
    if figures["apart"] is None:
        return say('"{given}" → more likely "{other}" ({likely} against {unlikely})', **told)
    told["apart"] = f"{figures['apart']:g}"
    return say('"{given}" → more likely "{other}" ({likely} against {unlikely}, {apart} apart)', **told)


def _near_empty(figures: Figures) -> str:
    if "words" in figures:
        return say_n(figures["words"], "{n} word", "{n} words", n=count(figures["words"]))
    return say("{share} digits and punctuation", share=percent(figures["share"], 0))


def _length(figures: Figures) -> str:
    return say_n(figures["characters"], "{n} character", "{n} characters", n=count(figures["characters"]))


NOTES: Mapping[str, Callable[[Figures], str]] = {
    "label-errors": _unlikely_label,
    "label-in-text": lambda figures: say('holds "{label}"', label=figures["label"]),
    "near-empty-texts": _near_empty,
    "unusual-length": _length,
    "unusual-words": lambda figures: say(
        "{n} of {all} words stand in no other text", n=count(figures["own"]), all=count(figures["words"])
    ),
    "unusual-script": lambda figures: say("mostly {script} letters", script=figures["script"]),
}
"""Kind of check → what writes the note on a row that it lists."""


def note(kind: str, figures: Figures) -> str:
    """Returns the note on a row in English, as it is stored."""
    with speaking(ENGLISH):
        return NOTES[kind](figures)


def said(kind: str, item: Item) -> Said:
    """Returns the note on a row, in the language of the moment where its figures are there."""
    stored = str(item.get("note") or "")
    if language() == ENGLISH or not stored:
        return Said(message=stored)
    try:
        return Said(message=NOTES[kind](item["figures"]))
    except (AttributeError, LookupError, TypeError, ValueError):  # of another version
        return Said(message=stored, lang=ENGLISH)
