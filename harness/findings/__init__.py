"""What checks found, in the language of the moment.

`results.json` and `quality.json` hold the sentences in English. Another language writes them anew from a check's kind
and figures (`data`, `fairness`, `files`, `runs`); where that cannot be done, the English sentence stands, and is marked
as English. Notes on single rows (`rows`) hold their figures in the text.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.findings import data, fairness, files, runs
from harness.findings.checks import Check, Said, Writer
from harness.words import ENGLISH, language

MESSAGES: Mapping[str, Writer] = {**data.MESSAGES, **runs.MESSAGES, **files.MESSAGES, **fairness.MESSAGES}
"""Kind of check → what writes its sentence."""


def said(check: Check) -> Said:
    """Returns a check's sentence and its next step, in the language of the moment where that can be written."""
    stored = Said(message=str(check.get("message")), advice=str(check.get("advice") or ""))
    if language() == ENGLISH:
        return stored
    english = Said(message=stored.message, advice=stored.advice, lang=ENGLISH)
    kind, figures = str(check.get("kind")), check.get("figures") or {}
    write = MESSAGES.get(kind)
    if write is None:
        return english
    try:
        message = write(figures, check)
        told = files.ADVICE.get(kind) if stored.advice else None
        advice = told(figures, check) if told else data.advise(kind, figures, stored.advice)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # figures of another version
        return english
    # An advice that no catalogue has is of another version as well
    return english if stored.advice and advice == stored.advice else Said(message=message, advice=advice)


def message(check: Check) -> str:
    """Returns a check's sentence alone."""
    return said(check).message
