"""What checks found, in words: a sentence for each kind of check, written from its figures.

`results.json` and `quality.json` hold the sentences in English, as `finding` writes them. Another language writes them
anew from a check's kind and figures; where that cannot be done, the English sentence stands, and is marked as English.
Notes on single rows (`rows`) are written likewise. Sentences of rules that are read in English alone, such as those on
what is wrong with a training file, stand with their rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from harness import types
from harness.findings import data, fairness, files, runs, texts
from harness.findings.checks import Check, Said, Writer
from harness.words import ENGLISH, language, say, speaking

_PARTS = (data, texts, files, runs, fairness)
MESSAGES: Mapping[str, Writer] = {kind: write for part in _PARTS for kind, write in part.MESSAGES.items()}
"""Kind of check → what writes its sentence."""
ADVICE: Mapping[str, Writer] = {**data.ADVICE, **files.ADVICE}
"""Kind of check → what writes its next step, where that holds a figure."""


def finding(
    kind: str,
    level: Literal["ok", "warning", "error"],
    figures: Mapping[str, Any],
    *,
    heading: Literal["quality", "diversity", "balance", "quantity", ""] = "",
    advice: str = "",
    mended: int = 0,
) -> types.Check:
    """Returns a check with its sentence, in English.

    Args:
        kind: One of `MESSAGES`.
        level: See `types.Check`, as for the rest.
        figures: What the sentence is written from, and more.
        heading: Which question about the data it belongs to.
        advice: The next step; of a kind that `ADVICE` has, it is written from the figures.
        mended: Rows or values that were changed or removed for it.
    """
    about = {"kind": kind, "level": level, "mended": mended}
    with speaking(ENGLISH):
        message = MESSAGES[kind](figures, about)
        if kind in ADVICE:
            advice = ADVICE[kind](figures, about)
    return types.Check(
        kind=kind, level=level, message=message, figures=figures, heading=heading, advice=advice, mended=mended
    )


def said(check: Check) -> Said:
    """Returns a check's sentence and its next step, in the language of the moment where that can be written."""
    stored = Said(message=str(check.get("message")), advice=str(check.get("advice") or ""))
    if language() == ENGLISH:
        return stored
    english = Said(message=stored.message, advice=stored.advice, lang=ENGLISH)
    kind, figures = str(check.get("kind")), check.get("figures") or {}
    write, told = MESSAGES.get(kind), ADVICE.get(kind)
    if write is None:
        return english
    try:
        message = write(figures, check)
        advice = "" if not stored.advice else told(figures, check) if told else say(stored.advice)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # figures of another version
        return english
    if stored.advice and advice == stored.advice:  # no catalogue has it: it is of another version as well
        return english
    file = figures.get("file")
    return Said(message=f"{file}: {message}" if file else message, advice=advice)


def message(check: Check) -> str:
    """Returns a check's sentence alone."""
    return said(check).message
