"""From an answer's text to a label: one strict and one lenient reading, the same for every formatter."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MARKUP = " \t\"'`*_#()[]{}<>“”‘’«»"
_ENDS = _MARKUP + ".,:;!?"
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


def lenient(text: str, labels: Sequence[str]) -> str | None:
    """Returns the one label that `text` names, or `None` where it names none or several different ones.

    Read is the first line that names a label. Case, quotes, markup, punctuation around the label and words beside it
    (`Label: positive.`, `"Positive"`, `4 stars`, `4/5`) do not matter; for labels that are numbers, neither does the
    spelling (`four`, `4.0`). A longer label hides a shorter one within it (`very positive`). A label that is denied
    (`not positive`) is none. A single letter in a sentence counts in its own case only, for `a` is a word.
    """
    exact = strict(text, labels)
    if exact is not None:
        return exact
    reader = _reader(tuple(labels))
    for line in text.splitlines():
        whole = reader.keys.get(_key(line).strip(_MARKUP).rstrip(_ENDS))
        if whole is not None:
            return whole
        mentioned, label = reader.read(line)
        if mentioned:
            return label
    return None


@dataclass(frozen=True, slots=True)
class _Reader:
    """What is worked out once for a set of labels."""

    keys: Mapping[str, str]
    """Key → label, for labels whose key is theirs alone."""
    pattern: re.Pattern[str] | None
    numeric: bool

    def read(self, line: str) -> tuple[bool, str | None]:
        """Returns whether `line` mentions any label, and the label if it names just one."""
        if self.pattern is None:
            return False, None
        text = _key(line)
        if self.numeric:
            text = _OUT_OF.sub("", _NUMBER_WORD.sub(lambda word: str(_WORDS.index(word.group())), text))
        named: set[str | None] = set()
        for found in self.pattern.finditer(text):
            label = self.keys[found.group()]
            if len(label) == 1 and label.isalpha() and label not in line:
                continue
            named.add(None if _DENIED.search(text[: found.start()]) else label)
        return bool(named), named.pop() if len(named) == 1 else None


@lru_cache(maxsize=64)
def _reader(labels: tuple[str, ...]) -> _Reader:
    counts = Counter(map(_key, labels))
    keys = {key: label for label in labels if counts[key := _key(label)] == 1 and key}
    if not keys:
        return _Reader(keys, None, False)
    longest_first = sorted(keys, key=lambda key: (-len(key), key))
    # Digits after a point or comma belong to another number, as do those after a sign; a range has two numbers.
    guard = r"(?<![.,])(?<!^[+-])(?<![^\d][+-])"
    alternatives = "|".join(f"{guard if _NUMBER.fullmatch(key) else ''}{re.escape(key)}" for key in longest_first)
    pattern = re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)(?![.,]\d)")
    return _Reader(keys, pattern, all(_NUMBER.fullmatch(key) for key in keys))


def _key(text: str) -> str:
    """Returns `text` without what does not matter: case, width, hyphens and underscores in words, spaces, `.0`."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(_WHOLE.sub(r"\1", _JOINED.sub(" ", folded)).split())
