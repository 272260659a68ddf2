"""The verdict's sentence on a page: as it is stored, or said anew by the same rules in another language."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.facts import Data
from harness.words import ENGLISH, language, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What the `h1` says."""

    text: str
    lang: str = ""
    """Its language, where that is not the page's."""

    def __str__(self) -> str:
        return self.text


def sentence(data: Data) -> Sentence:
    """Returns the verdict's sentence in the language of the moment; in English it is the stored one, letter for letter.

    Where the rules come to another verdict than the stored one, or lack a figure that they need, the results are of
    another version, and the stored sentence stands.
    """
    stored = data.get("verdict") or {}
    text = str(stored.get("sentence") or "")
    if not text:
        return Sentence(text=say("No verdict"))
    if language() == ENGLISH:
        return Sentence(text=text)
    from harness.scoring.verdict import judge

    try:
        said = judge(data)
    except (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError):
        return Sentence(text=text, lang=ENGLISH)
    if any(said[key] != stored.get(key) for key in ("kind", "arm", "against")):
        return Sentence(text=text, lang=ENGLISH)
    return Sentence(text=str(said["sentence"]))
