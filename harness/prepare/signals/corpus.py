"""The examples as the signals see them: in an order of their own, their texts as words."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.types import Example

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHARACTERS = 150_000_000
"""Characters that are read at most: some 15 s. Beyond it the rows that come first in the corpus stand for all."""

SAMPLE_ROWS = 100_000
SAMPLE_WORDS = 2_000_000
"""Rows and words that are kept as words: what bounds the memory (about 300 MB)."""

LONGEST = 2_000
"""Words of one text that are looked at; its length is taken from the whole text."""

_SPLIT_AROUND = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
"""Kana and Han: written without spaces, so that each character counts as a word."""

_SPLIT_BEFORE = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF))
"""Thai, Lao, Burmese and Khmer: the same, but marks stay with their letter."""

_ASCII_INVISIBLE = bytes([*range(0x09), *range(0x0E, 0x1C), 0x7F])
"""ASCII control characters that are not white space."""

_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """The examples that are looked at, in an order that only their content and the seed decide."""

    total: int
    """Rows that were given."""
    rows: tuple[Example, ...]
    """Rows that are looked at: all of them up to 150 million characters."""
    words: tuple[tuple[str, ...], ...]
    """The words of the first rows (100,000 rows or 2 million words); a text's first 2,000 words."""
    n_words: NDArray[np.int64]
    """Words of each of `rows`."""
    n_characters: NDArray[np.int64]
    """Characters of each of `rows`, white space at both ends left out."""
    distinct: int
    """Different texts among `rows`, without case, punctuation and white space."""
    distinct_but_for_numbers: int
    """The same without their digits."""

    @property
    def sample(self) -> tuple[Example, ...]:
        """The rows that `words` belongs to."""
        return self.rows[: len(self.words)]


class Words:
    """Cuts texts into folded words.

    They are those of `harness.prepare.normalise.fold`, in less than half of its time: compatibility forms (NFKC) and
    case are folded, punctuation parts words, symbols and emoji stay, and what is invisible is dropped. But scripts
    without spaces give one word for each character, and an invisible letter (a Hangul filler) is kept.
    """

    __slots__ = ("_ascii", "_table")

    def __init__(self) -> None:
        self._table = _Table()
        self._ascii = bytes(ord((self._table[code] or " ").lower()) for code in range(128)) + bytes(128)

    def __call__(self, text: str) -> list[str]:
        """Returns the words of `text`."""
        if text.isascii():
            # A table of bytes needs a third of the time that `str.translate` does.
            return text.encode("ascii").translate(self._ascii, _ASCII_INVISIBLE).decode("ascii").split()
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        return folded.translate(self._table).split()


class _Table(dict[int, str]):
    """What becomes of a character, looked up when it first turns up: `str.translate` then runs at C speed."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character.isspace() or category[0] == "P":
            result = " "
        elif category in {"Cc", "Cf"} or 0xFE00 <= code < 0xFE10:
            result = ""
        elif any(low <= code <= high for low, high in _SPLIT_AROUND):
            result = f" {character} "
        elif category == "Lo" and any(low <= code <= high for low, high in _SPLIT_BEFORE):
            result = f" {character}"
        else:
            result = character
        self[code] = result
        return result


def read_corpus(examples: Sequence[Example], seed: int) -> Corpus:
    """Orders the examples by a hash of their content and the seed, and reads their texts."""
    import numpy as np

    texts = [example.text for example in examples]
    keys = [_key(seed, example, text) for example, text in zip(examples, texts, strict=True)]
    order = sorted(range(len(examples)), key=keys.__getitem__)
    del keys
    cut = Words()
    known: dict[str, str] = {}
    sample: list[tuple[str, ...]] = []
    whole: set[int] = set()
    but_for_numbers: set[int] = set()
    n_words: list[int] = []
    n_characters: list[int] = []
    characters = kept = 0
    for place in order:
        text = texts[place].strip()
        characters += len(text)
        if characters > MAX_CHARACTERS and n_words:
            break
        words = cut(text)
        joined = " ".join(words)
        whole.add(hash(joined))
        but_for_numbers.add(hash(_without_digits(joined)))
        n_words.append(len(words))
        n_characters.append(len(text))
        if len(sample) == len(n_words) - 1 and len(sample) < SAMPLE_ROWS and kept < SAMPLE_WORDS:
            # One object for each word, however often it stands there.
            sample.append(tuple(map(known.setdefault, words[:LONGEST], words[:LONGEST])))
            kept += len(sample[-1])
    return Corpus(
        total=len(examples),
        rows=tuple(examples[place] for place in order[: len(n_words)]),
        words=tuple(sample),
        n_words=np.array(n_words, dtype=np.int64),
        n_characters=np.array(n_characters, dtype=np.int64),
        distinct=len(whole),
        distinct_but_for_numbers=len(but_for_numbers),
    )


def _key(seed: int, example: Example, text: str) -> bytes:
    said = f"{seed}\0{example.id}\0{example.label}\0{example.group}\0{text}"
    return hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _without_digits(text: str) -> str:
    if text.isascii():
        return text.encode("ascii").translate(None, b"0123456789").decode("ascii")
    return _DIGITS.sub("", text)


def leading(corpus: Corpus, rows: int, words: int) -> int:
    """Returns how many of the first rows have at most so many words together; at least one, where there is any."""
    n = total = 0
    for text in corpus.words[:rows]:
        total += len(text)
        if total > words and n:
            break
        n += 1
    return n
