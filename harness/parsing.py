"""From an answer's text to a label: one strict and one lenient reading, the same for every formatter."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

RULES = ("exact", "case", "spelling", "markup", "line", "in-a-sentence", "number-word")
"""How an answer can be read, the plainest first; the rules' names, as they are counted for each arm.

`exact`: it is a label. `case`: but for capitals. `spelling`: but for hyphens, underscores, spaces, full-width forms or
`.0` as well. `markup`: but for quotes, markup or punctuation around it. `line`: one of those on a line of its own,
among other lines. `in-a-sentence`: beside other words. `number-word`: a number that is spelt out.
"""
UNREAD = ("denied", "several", "none")
"""Why an answer names no label: it denies the one it names, names several, or names none."""

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MARKUP = " \t\"'`*_#()[]{}<>“”‘’«»"
_PUNCTUATION = ".,:;!?"
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_NUMBER_WORD = re.compile(rf"\b(?:{'|'.join(_WORDS)})\b")
_WHOLE = re.compile(r"(\d)\.0+(?![\d])")
_OUT_OF = re.compile(r"(?<=\d)\s*(?:/|out of)\s*\d+(?:\.\d+)?")
_JOINED = re.compile(r"(?<=[^\W\d_])[-_‐‑]+(?=[^\W_])|_")
_DENIED = re.compile(r"""(?:\b(?:not|never|neither|nor|non)|n['’]t)\s+(?:(?:an?|the|very|really)\s+)?["'*]*$""")


def strict(text: str, labels: Sequence[str]) -> str | None:
    """Returns the label that `text` is, white space around it apart, or `None`."""
    stripped = text.strip()
    return next((label for label in labels if label.strip() == stripped), None)


class Reading(NamedTuple):
    """What the lenient reading made of an answer."""

    label: str | None
    rule: str
    """One of `RULES`; of `UNREAD` where there is no label."""


def lenient(text: str, labels: Sequence[str]) -> str | None:
    """Returns the one label that `text` names, or `None` where it names none or several different ones.

    Read is the first line that names a label. Case, quotes, markup, punctuation around the label and words beside it
    (`Label: positive.`, `"Positive"`, `4 stars`, `4/5`) do not matter; for labels that are numbers, neither does the
    spelling (`four`, `4.0`). A longer label hides a shorter one within it (`very positive`). A label that is denied
    (`not positive`) is none. A single letter in a sentence counts in its own case only, for `a` is a word.
    """
    return read(text, labels).label


def read(text: str, labels: Sequence[str]) -> Reading:
    """Reads as `lenient` does, and says by which rule."""
    exact = strict(text, labels)
    if exact is not None:
        return Reading(exact, "exact")
    reader = _reader(tuple(labels))
    for line in text.splitlines():
        whole = reader.whole(_key(line))
        if whole is not None:
            return Reading(whole, _how(line, whole) if line.strip() == text.strip() else "line")
        found = reader.read(line)
        if found is not None:
            return found
    return Reading(None, "none")


def _how(line: str, label: str) -> str:
    """Returns the rule by which a whole line is a label."""
    if line.strip().casefold() == label.strip().casefold():
        return "case"
    return "spelling" if _key(line) == _key(label) else "markup"


@dataclass(frozen=True, slots=True)
class _Reader:
    """What is worked out once for a set of labels."""

    keys: Mapping[str, str]
    """Key → label, for labels whose key is theirs alone."""
    pattern: re.Pattern[str] | None
    numeric: bool
    longest: int
    """Characters of the longest key."""

    def whole(self, key: str) -> str | None:
        """Returns the label that a line's key is, from the outside in: `**c#**` is "C#", where that is a label."""
        start, end = 0, len(key)
        while start < end:
            if end - start <= self.longest and key[start:end] in self.keys:
                return self.keys[key[start:end]]
            if key[end - 1] in _PUNCTUATION:
                end -= 1
            elif key[start] in _MARKUP or key[end - 1] in _MARKUP:
                start, end = start + (key[start] in _MARKUP), end - (key[end - 1] in _MARKUP)
            else:
                return None
        return None

    def read(self, line: str) -> Reading | None:
        """Reads a line that is no label as a whole; `None` where it mentions no label."""
        if self.pattern is None:
            return None
        text, spelt = _key(line), False
        if self.numeric:
            digits = _NUMBER_WORD.sub(lambda word: str(_WORDS.index(word.group())), text)
            spelt = digits != text
            text = _OUT_OF.sub("", digits)
        named: set[str] = set()
        denied = False
        for found in self.pattern.finditer(text):
            label = self.keys[found.group()]
            if len(label) == 1 and label.isalpha() and label not in line:
                continue
            if _DENIED.search(text[: found.start()]):
                denied = True
            else:
                named.add(label)
        if len(named) > 1 or not named:
            return Reading(None, "several") if named else Reading(None, "denied") if denied else None
        if denied:
            return Reading(None, "denied")
        label = named.pop()
        return Reading(label, "number-word" if spelt and not self._mentions(label, line) else "in-a-sentence")

    def _mentions(self, label: str, line: str) -> bool:
        """Whether a line has a numeric label in digits."""
        return re.search(rf"(?<!\w){re.escape(_key(label))}(?!\w)", _key(line)) is not None


@lru_cache(maxsize=64)
def _reader(labels: tuple[str, ...]) -> _Reader:
    counts = Counter(map(_key, labels))
    keys = {key: label for label in labels if counts[key := _key(label)] == 1 and key}
    if not keys:
        return _Reader(keys, None, numeric=False, longest=0)
    longest_first = sorted(keys, key=lambda key: (-len(key), key))
    # Digits after a point or comma belong to another number, as do those after a sign; a range has two numbers.
    guard = r"(?<![.,])(?<!^[+-])(?<![^\d][+-])"
    alternatives = "|".join(f"{guard if _NUMBER.fullmatch(key) else ''}{re.escape(key)}" for key in longest_first)
    pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)(?![.,]\d)")
    numeric = all(_NUMBER.fullmatch(key) for key in keys)
    return _Reader(keys, pattern, numeric, longest=len(longest_first[0]))


def rules(labels: Sequence[str]) -> dict[str, Any]:
    """Returns what `lenient` goes by, as data for a program that is not this one.

    Returns:
        `replace` (pairs of pattern and replacement, for a line after NFKC and casefold, white space joined after each),
        `pattern` (what names a label then) and `keys` (what was found → label). A label that is denied, and single
        letters of the other case, are for `lenient` alone.
    """
    reader = _reader(tuple(labels))
    replace = [[_JOINED.pattern, " "], [_WHOLE.pattern, r"\1"]]
    if reader.numeric:
        replace += [[rf"\b{word}\b", str(number)] for number, word in enumerate(_WORDS)]
        replace.append([_OUT_OF.pattern, ""])
    return {
        "replace": replace,
        "pattern": reader.pattern.pattern if reader.pattern else r"(?!)",
        "keys": dict(reader.keys),
    }


def _key(text: str) -> str:
    """Returns `text` without what does not matter: case, width, hyphens and underscores in words, spaces, `.0`."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_WHOLE.sub(r"\1", _JOINED.sub(" ", folded)).split())
