"""Texts as the search for duplicates sees them, and digests of examples that no row order can change."""

from __future__ import annotations

import hashlib
import sys
import unicodedata
from collections.abc import Mapping
from functools import cache
from json.encoder import encode_basestring_ascii as _json
from types import MappingProxyType

from harness.types import Example

_ASCII: Mapping[int, str | None] = MappingProxyType(
    {code: chr(code).lower() for code in range(128)}
    | dict.fromkeys(b"!\"#%&'()*,-./:;?@[\\]_{}", " ")
    | dict.fromkeys([*range(9), *range(14, 28), 127])
)
"""What becomes of ASCII: lower case; punctuation (Unicode P*: `$+<=>^`|~` are symbols and stay) to a space; what is
invisible goes."""

_IGNORABLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
"""Default-ignorable characters that Unicode files under letters and marks: fillers, joiners, variation selectors."""


def fold(text: str) -> str:
    """Returns `text` without what does not tell two texts apart: two texts are exact duplicates if theirs are equal.

    NFKC and casefold; invisible characters out; punctuation (Unicode P*) and white space to one space; stripped.
    Symbols (currency, emoji, mathematics) stay. Folding a folded text changes nothing.
    """
    if text.isascii():
        return " ".join(text.translate(_ASCII).split())
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
    """Returns a SHA-256 over everything that an example says: an order of rows that no row order can change.

    What is hashed is the JSON of a list: id, fields as pairs, label, group, split, slices as pairs, time. It is spelt
    out here, which is three times as fast as the encoder.
    """
    fields = ", ".join([f"[{_json(name)}, {_json(text)}]" for name, text in example.fields.items()])
    slices = ", ".join([f"[{_json(name)}, {_json(text)}]" for name, text in sorted(example.slices.items())])
    said = (
        f"[{_json(example.id)}, [{fields}], {_json(example.label)}, {_or_null(example.group)}, "
        f"{_or_null(example.split)}, [{slices}], {_or_null(example.time)}]"
    )
    return hashlib.sha256(said.encode("ascii")).digest()


def _or_null(text: str | None) -> str:
    return "null" if text is None else _json(text)


def keyed_hash(seed: int, *parts: str) -> bytes:
    """Returns 16 bytes that look random and depend on nothing but `seed` and `parts`."""
    raw = f"[{', '.join([str(seed), *map(_json, parts)])}]".encode("ascii")
    return hashlib.blake2b(raw, digest_size=16).digest()
