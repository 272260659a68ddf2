"""What was found of a single row, in the language of the moment: `quality.json` holds it in English, figures within."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from harness.findings.checks import Said
from harness.words import ENGLISH, language, say

Found: TypeAlias = re.Match[str]


def _unlikely_label(found: Found) -> str:
    given, other, likely, unlikely, apart = found.groups()
    told = {"given": given, "other": other, "likely": likely,
            "unlikely": say("below 0.1%") if unlikely == "below 0.1%" else unlikely}  # fmt: skip
    if apart:
        return say("“{given}” → rather “{other}” ({likely} against {unlikely}, {apart} apart)", apart=apart, **told)
    return say("“{given}” → rather “{other}” ({likely} against {unlikely})", **told)


FORMS: tuple[tuple[str, Callable[[Found], str]], ...] = (
    (r'"(.*)" → more likely "(.*)" \(([\d.]+%) against (below 0\.1%|[\d.]+%)(?:, (\S+) apart)?\)', _unlikely_label),
    (r'holds "(.*)"', lambda found: say("holds “{label}”", label=found[1])),
    (r"([\d,]+) words?", lambda found: say("words: {n}", n=found[1])),
    (r"([\d,]+) characters?", lambda found: say("characters: {n}", n=found[1])),
    (r"([\d.]+%) digits and punctuation", lambda found: say("digits and punctuation: {share}", share=found[1])),
    (
        r"([\d,]+) of ([\d,]+) words stand in no other text",
        lambda found: say("words that stand in no other text: {n} of {all}", n=found[1], all=found[2]),
    ),
    (r"mostly (.+) letters", lambda found: say("mostly letters of this script: {script}", script=found[1])),
)
"""Form of an English note → how it is written anew."""


def said(note: str) -> Said:
    """Returns a note on a row, written anew where it has one of the known forms."""
    if language() == ENGLISH:
        return Said(message=note)
    for form, write in FORMS:
        found = re.fullmatch(form, note, re.DOTALL)
        if found:
            return Said(message=write(found))
    return Said(message=note, lang=ENGLISH)
