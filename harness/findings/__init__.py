"""What checks found, in the language of the moment.

`results.json` and `quality.json` hold the sentences in English. Another language writes them anew from a check's kind
and figures (`data`, `files`, `runs`); where that cannot be done, the English
sentence stands, and is marked as English.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from harness.words import ENGLISH, language

Check: TypeAlias = Mapping[str, Any]
"""One of `checks` in `results.json`."""
Figures: TypeAlias = Mapping[str, Any]
Writer: TypeAlias = Callable[[Figures, Check], str]
"""Writes a sentence from a check's figures and the check itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A check in words."""

    message: str
    advice: str = ""
    lang: str = ""
    """The language of both, where it is not the page's."""


def said(check: Check) -> Said:
    """Returns a check's sentence and its next step, in the language of the moment where that can be written."""
    from harness.findings.data import MESSAGES as ON_DATA
    from harness.findings.data import advise
    from harness.findings.fairness import MESSAGES as ON_FAIRNESS
    from harness.findings.files import ADVICE
    from harness.findings.files import MESSAGES as ON_FILES
    from harness.findings.runs import MESSAGES as ON_RUNS

    stored = Said(message=str(check.get("message")), advice=str(check.get("advice") or ""))
    if language() == ENGLISH:
        return stored
    english = Said(message=stored.message, advice=stored.advice, lang=ENGLISH)
    kind, figures = str(check.get("kind")), check.get("figures") or {}
    write = ON_DATA.get(kind) or ON_RUNS.get(kind) or ON_FILES.get(kind) or ON_FAIRNESS.get(kind)
    if write is None:
        return english
    try:
        message = write(figures, check)
        told = ADVICE.get(kind) if stored.advice else None
        advice = told(figures, check) if told else advise(kind, figures, stored.advice)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):  # figures of another version
        return english
    # An advice that no catalogue has is of another version as well
    return english if stored.advice and advice == stored.advice else Said(message=message, advice=advice)


def message(check: Check) -> str:
    """Returns a check's sentence alone."""
    return said(check).message
