"""Texts as sets of character 5-grams, and of each set the few that any near-duplicate must share.

Prefix filtering (Chaudhuri et al. 2006, Bayardo et al. 2007): with all shingles in one order, rarest first, two sets
of which each covers 80% of the other share a shingle among the first |x| − ⌈0.8·|x|⌉ + 1 of each. Nothing is missed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 5
"""Characters in a shingle."""

LEAST, PARTS = 4, 5
"""Near-duplicates have a Jaccard similarity of at least 4/5: whole numbers, so that the bound itself counts."""

_BLOCK = 2**22
"""Characters worked on at once: bounds the memory beside the prefixes."""

_COUNTERS = 24
"""Bits, at most: shingles are counted in so many places by their hash, two for each character. A count that is too high
changes the order alone."""

BINS = 64
"""Of a text's profile."""

_RARITY, _NAME = 20, 43
"""Bits of a shingle's key: how often it occurs (the rarest first), then its name."""


def shingles(folded: str) -> frozenset[str]:
    """Returns the character 5-grams of a folded text; a shorter text is one shingle."""
    return frozenset([folded[i : i + WIDTH] for i in range(max(1, len(folded) - WIDTH + 1))])


def nearly_same(a: frozenset[str], b: frozenset[str]) -> float | None:
    """Returns the Jaccard similarity of two shingle sets if it is at least 0.8."""
    if PARTS * len(a) < LEAST * len(b) or PARTS * len(b) < LEAST * len(a):
        return None
    common = len(a & b)
    union = len(a) + len(b) - common
    return common / union if PARTS * common >= LEAST * union else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixes:
    """The prefixes of n texts.

    Attributes:
        matrix: n × tokens, a sparse matrix of ones (int32); shingles that nobody shares are left out.
        sizes: How many shingles each text has; shape (n,).
        rest: How many of them stand behind the prefix; shape (n,).
        last: The key at which the prefix ends; shape (n,).
        profile: How many shingles fall into each of 64 bins by their hash, at most 255; shape (n, 64). What two texts
            differ by here is the least that they differ by.
    """

    matrix: Any
    sizes: Any
    rest: Any
    last: Any
    profile: Any


def prefixes(
    folded: Sequence[str], scopes: Sequence[Hashable] | None = None, tick: Callable[[int], None] | None = None
) -> Prefixes:
    """Works the prefixes out.

    Args:
        folded: The texts.
        scopes: For each text; texts of different scopes share nothing.
        tick: Is told how many texts are done, counted twice.
    """
    import numpy as np
    from scipy import sparse

    numbers: dict[Hashable, int] = {}
    marks = [numbers.setdefault(scope, len(numbers)) for scope in scopes] if scopes is not None else [0] * len(folded)
    bits = min(_COUNTERS, sum(map(len, folded)).bit_length() + 1)
    counts = np.zeros(2**bits, dtype=np.int64)
    for start, stop in _blocks(folded):
        hashes, _ = _windows(folded[start:stop], marks[start:stop])
        counts += np.bincount(hashes >> np.uint64(64 - bits), minlength=2**bits)
        if tick:
            tick(stop)
    np.minimum(counts, 2**_RARITY - 1, out=counts)
    sizes, lengths, shared, last = np.zeros((4, len(folded)), dtype=np.int64)
    kept, profile = [], np.zeros((len(folded), BINS), dtype=np.uint8)
    for start, stop in _blocks(folded):
        keys, sizes[start:stop] = _ordered(*_windows(folded[start:stop], marks[start:stop]), counts)
        lengths[start:stop] = prefix_lengths(sizes[start:stop])
        profile[start:stop] = _profile(keys, sizes[start:stop])
        taken = keys[_first(sizes[start:stop], lengths[start:stop])]
        last[start:stop] = taken[np.cumsum(lengths[start:stop]) - 1]
        known = taken >> _NAME > 1
        shared[start:stop] = np.add.reduceat(known, np.cumsum(lengths[start:stop]) - lengths[start:stop])
        kept.append(taken[known])
        if tick:
            tick(len(folded) + stop)
    tokens, names = np.unique(np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64), return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(shared)])
    ones = np.ones(len(names), dtype=np.int32)
    matrix = sparse.csr_matrix((ones, names.astype(np.int32), indptr), shape=(len(folded), len(tokens)))
    return Prefixes(matrix=matrix, sizes=sizes, rest=sizes - lengths, last=last, profile=profile)


def prefix_lengths(sizes: Any) -> Any:
    """Returns the length of the prefix of sets of these sizes."""
    return sizes + (-sizes * LEAST // PARTS) + 1


def _blocks(folded: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields ranges of texts of about equal length in characters, at least one text each."""
    start = characters = 0
    for place, text in enumerate(folded):
        characters += max(WIDTH, len(text))
        if characters >= _BLOCK:
            yield start, place + 1
            start, characters = place + 1, 0
    if start < len(folded):
        yield start, len(folded)


def _windows(folded: Sequence[str], marks: Sequence[int]) -> tuple[Any, Any]:
    """Returns 64-bit hashes of all 5-grams, text after text, and how many each text has."""
    import numpy as np

    padded = [text if len(text) >= WIDTH else text.ljust(WIDTH, "\0") for text in folded]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
    hashes = np.zeros(len(codes) - WIDTH + 1, dtype=np.uint64)
    for offset in range(WIDTH):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += codes[offset : offset + len(hashes)]
    windows = lengths - WIDTH + 1
    inside = np.ones(len(codes), dtype=bool)  # the last four places of a text begin no 5-gram
    ends = np.cumsum(lengths)
    for back in range(1, WIDTH):
        inside[ends - back] = False
    hashes = hashes[inside[: len(hashes)]]
    if any(marks):
        hashes += np.repeat(np.array(marks, dtype=np.uint64), windows) * np.uint64(0xC2B2AE3D27D4EB4F)
    # The finaliser of splitmix64: without it the upper bits, by which shingles are counted, would hardly differ.
    hashes ^= hashes >> np.uint64(30)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(27)
    hashes *= np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(31)
    return hashes, windows


def _ordered(hashes: Any, windows: Any, counts: Any) -> tuple[Any, Any]:
    """Returns the keys of each text's distinct shingles, rarest first, and how many each text has."""
    import numpy as np
    from scipy import sparse

    rarity = counts[(hashes >> np.uint64(65 - len(counts).bit_length())).astype(np.int64)]
    keys = (rarity << _NAME) | (hashes & np.uint64(2**_NAME - 1)).astype(np.int64)
    indptr = np.concatenate([[0], np.cumsum(windows)])
    rows = sparse.csr_matrix((np.ones(len(keys), dtype=np.int8), keys, indptr), shape=(len(windows), 2**63 - 1))
    rows.has_sorted_indices = rows.has_canonical_format = False
    rows.sum_duplicates()  # sorts the keys of each row and makes equal ones one
    return rows.indices, np.diff(rows.indptr).astype(np.int64)


def _profile(keys: Any, sizes: Any) -> Any:
    import numpy as np

    bins = np.repeat(np.arange(len(sizes)) * BINS, sizes) + keys % BINS
    return np.minimum(np.bincount(bins, minlength=len(sizes) * BINS), 255).reshape(-1, BINS)


def _first(sizes: Any, lengths: Any) -> Any:
    """Returns the places of the first `lengths` of each row, where rows of `sizes` stand one after the other."""
    import numpy as np

    starts = np.cumsum(sizes) - sizes
    ahead = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - ahead, lengths)
