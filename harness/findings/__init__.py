"""What checks found, in words: a sentence for each kind of check, written from its figures.

`results.json` and `quality.json` hold the sentences in English, as `finding` writes them. Another language writes them
anew from a check's kind and figures; where that cannot be done, the English sentence stands, and is marked as English.
Notes on single rows (`rows`) are written likewise. Sentences of rules that are read in English alone, such as those on
what is wrong with a training file, stand with their rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from harness import types
from harness.findings import data, fairness, files, runs, texts
from harness.findings.checks import Check, Figures, Said, Writer
from harness.words import ENGLISH, language, say, speaking

_PARTS = (data, texts, files, runs, fairness)
MESSAGES: Mapping[str, Writer] = {kind: write for part in _PARTS for kind, write in part.MESSAGES.items()}
"""Kind of check → what writes its sentence."""
ADVICE: Mapping[str, Writer] = {**data.ADVICE, **files.ADVICE}
"""Kind of check → what writes its next step, where that holds a figure."""
QUOTING: Mapping[str, str] = {
    "boilerplate": "text",
    "prompt-prefix": "prefix",
    "separator": "separator",
    "long-separator": "",
    "separator-inside": "",
    "identical-prompts": "",
}
"""Kind of check whose sentence quotes the texts → the figure that holds the quotation, if one does.

Others may quote labels, names of columns and arms, and ids."""
WITHHELD = "…"
_QUOTATION = re.compile(r'"(?:[^"\\]|\\.)*"')
"""What `files.quoted` writes."""
_ESCAPE = re.compile(r"\\u[0-9a-f]{4}|\\.")


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
    return Said(message=_of_file(figures, message), advice=advice)


def _of_file(figures: Figures, message: str) -> str:
    file = figures.get("file")
    return f"{file}: {message}" if file else message


def message(check: Check) -> str:
    """Returns a check's sentence alone."""
    return said(check).message


def withheld(check: Check) -> Check:
    """Returns a check without the words of texts that it quotes: an ellipsis stands in figure and sentence.

    Marks without a letter or digit, such as a separator of line breaks and `#`, are no words, and stay.
    """
    kind = str(check.get("kind"))
    if kind not in QUOTING:
        return check
    if kind not in MESSAGES:
        return {**check, "message": _QUOTATION.sub(_bare_quotation, str(check.get("message")))}
    figures = _without(check.get("figures"), QUOTING[kind])
    if figures == check.get("figures") and '"' not in str(check.get("message")):
        return check
    try:
        with speaking(ENGLISH):
            return {**check, "figures": figures, "message": _of_file(figures, MESSAGES[kind](figures, check))}
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # figures of another version
        return {**check, "figures": {}, "message": WITHHELD}


def _without(value: Any, name: str) -> Any:
    """Returns figures in which no value of that name holds a word."""
    if isinstance(value, Mapping):
        return {key: _bare(each) if key == name else _without(each, name) for key, each in value.items()}
    return [_without(each, name) for each in value] if isinstance(value, list | tuple) else value


def _bare(text: Any) -> str:
    return WITHHELD if any(char.isalnum() for char in str(text)) else str(text)


def _bare_quotation(found: re.Match[str]) -> str:
    return f'"{WITHHELD}"' if _bare(_ESCAPE.sub("", found[0])) == WITHHELD else found[0]
