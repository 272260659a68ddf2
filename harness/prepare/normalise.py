"""Texts as the search for duplicates sees them, and digests of examples that no row order can change."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import unicodedata
from functools import cache

from harness.types import Example

_ASCII_GAP = re.compile(r"[\s!-#%-*,-/:;?@\[-\]_{}]+")
"""ASCII white space and the ASCII characters of the Unicode categories P*: `$+<=>^`|~` are symbols and stay."""

_ASCII_INVISIBLE = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")

_IGNORABLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
"""Default-ignorable characters that Unicode files under letters and marks: fillers, joiners, variation selectors."""


def fold(text: str) -> str:
    """Returns `text` without what does not tell two texts apart: two texts are exact duplicates if theirs are equal.

    NFKC and casefold; invisible characters out; punctuation (Unicode P*) and white space to one space; stripped.
    Symbols (currency, emoji, mathematics) stay. Folding a folded text changes nothing.
    """
    if text.isascii():
        return _ASCII_GAP.sub(" ", _ASCII_INVISIBLE.sub("", text)).strip().lower()
    invisible, gaps = _classes()
    visible = unicodedata.normalize("NFKC", text).translate(invisible)
    # Casefolding can leave a text denormalised, and what was invisible can have kept two marks apart.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", visible).casefold())
    return " ".join(folded.translate(gaps).split())


@cache
def _classes() -> tuple[dict[int, None], dict[int, str]]:
    """Returns for all of Unicode what is invisible, and what is punctuation, as `str.translate` takes it."""
    invisible: dict[int, None] = {}
    gaps: dict[int, str] = {}
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category = unicodedata.category(character)
        if category[0] == "P":
            gaps[code] = " "
        elif (category in {"Cc", "Cf"} or character in _IGNORABLE) and not character.isspace():
            invisible[code] = None
    return invisible, gaps


def content_key(example: Example) -> bytes:
    """Returns a SHA-256 over everything that an example says: an order of rows that no row order can change."""
    said = [
        example.id,
        list(example.fields.items()),
        example.label,
        example.group,
        example.split,
        sorted(example.slices.items()),
        example.time,
    ]
    return hashlib.sha256(json.dumps(said).encode("ascii")).digest()


def keyed_hash(seed: int, *parts: str) -> bytes:
    """Returns 16 bytes that look random and depend on nothing but `seed` and `parts`."""
    raw = json.dumps([seed, *parts]).encode("ascii")
    return hashlib.blake2b(raw, digest_size=16).digest()
