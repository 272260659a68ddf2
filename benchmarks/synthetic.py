"""Made-up short reviews for benchmarks: Zipf vocabulary, planted near-duplicates. No real text stands in them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

VOCABULARY, EXPONENT = 60_000, 1.05
LETTERS = "etaoinshrdlcumwfgypbvkjxqz"
SHARES = (12, 9, 8, 7.5, 7, 6.7, 6.3, 6, 6, 4.2, 4, 2.8, 2.8, 2.4, 2.3, 2.2, 2, 2, 1.9, 1.5, 1, 0.8, 0.2, 0.2, 0.1, 0.1)
STARS = ("1", "2", "3", "4", "5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviews:
    """Texts with labels, and which are variants of which."""

    texts: Sequence[str]
    labels: Sequence[str]
    planted: Sequence[tuple[int, int]]
    """Positions (original, variant); their 5-gram sets have a Jaccard similarity of at least 0.8, and below 1."""


def grams(text: str) -> set[str]:
    """Returns the character 5-grams of a text."""
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def jaccard(a: str, b: str) -> float:
    """Returns the similarity of the character 5-grams of two texts."""
    first, second = grams(a), grams(b)
    return len(first & second) / len(first | second)


def reviews(n: int, planted: float = 0.05, seed: int = 1) -> Reviews:
    """Makes `n` texts of 6 to 23 words, of which the share `planted` are variants of others by one small edit."""
    import numpy as np

    rng, draw = np.random.default_rng(seed), random.Random(seed)
    shares = np.array(SHARES) / sum(SHARES)
    lengths = np.clip(np.round(rng.normal(np.linspace(3.2, 7.5, VOCABULARY), 1.6)), 1, 14).astype(int)
    spelt = rng.choice(list(LETTERS), lengths.sum(), p=shares)
    ends = np.cumsum(lengths)
    words = ["".join(spelt[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
    frequency = 1 / np.arange(1, VOCABULARY + 1) ** EXPONENT
    base = round(n * (1 - planted))
    sizes = rng.integers(6, 24, base)
    chosen = rng.choice(VOCABULARY, sizes.sum(), p=frequency / frequency.sum()).tolist()
    texts, place = [], 0
    for size in sizes.tolist():
        texts.append(" ".join([words[word] for word in chosen[place : place + size]]))
        place += size
    pairs = []
    while len(texts) < n:
        original = draw.randrange(base)
        variant = _edited(texts[original], words, draw)
        if 0.8 <= jaccard(texts[original], variant) < 1:
            pairs.append((original, len(texts)))
            texts.append(variant)
    return Reviews(texts=texts, labels=[draw.choice(STARS) for _ in texts], planted=pairs)


def _edited(text: str, words: Sequence[str], draw: random.Random) -> str:
    parts = text.split()
    place = draw.randrange(len(parts))
    edit = draw.randrange(3)
    if edit == 0:
        parts[place] += draw.choice("sdy")
    elif edit == 1:
        parts[place] = words[draw.randrange(2000)]
    else:
        parts.insert(place, words[draw.randrange(300)])
    return " ".join(parts)
