"""Texts as sets of character 5-grams, and of each set the few that any near-duplicate must share.

Prefix filtering (Chaudhuri et al. 2006, Bayardo et al. 2007): with all shingles in one order, rarest first, two sets
of which each covers 80% of the other share a shingle among the first |x| − ⌈0.8·|x|⌉ + 1 of each. Nothing is missed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.prepare.threads import in_threads

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
        last: Where the prefix ends in the order of all shingles; shape (n,).
        profile: How many shingles fall into each of 64 bins by their hash, at most 255; shape (n, 64). What two texts
            differ by here is the least that they differ by.
    """

    matrix: Any
    sizes: Any
    rest: Any
    last: Any
    profile: Any

    def take(self, places: Sequence[int]) -> Prefixes:
        """Returns the prefixes of the texts at `places`, in that order."""
        import numpy as np

        at = np.asarray(places, dtype=np.int64)
        return Prefixes(
            matrix=self.matrix[at],
            sizes=self.sizes[at],
            rest=self.rest[at],
            last=self.last[at],
            profile=self.profile[at],
        )


def prefixes(folded: Sequence[str], scopes: Sequence[Hashable] | None = None) -> Prefixes:
    """Works the prefixes out.

    Args:
        folded: The texts.
        scopes: For each text; texts of different scopes share nothing.
    """
    import numpy as np
    from scipy import sparse

    numbers: dict[Hashable, int] = {}
    marks = [numbers.setdefault(scope, len(numbers)) for scope in scopes] if scopes is not None else [0] * len(folded)
    blocks = list(_blocks(folded))
    counts = _counts(folded, marks, blocks)
    parts = list(in_threads(lambda block: _prefixes(folded[slice(*block)], marks[slice(*block)], counts), blocks))
    sizes, lengths, shared = (_joined([part[place] for part in parts], np.int32) for place in range(3))
    ends = _joined([part[3] for part in parts], np.int64)
    kept = _joined([part[4] for part in parts], np.int64)
    profile = _joined([part[5] for part in parts], np.uint8).reshape(-1, BINS)
    tokens, names = np.unique(kept, return_inverse=True)
    indptr = np.concatenate([[0], np.cumsum(shared, dtype=np.int64)])
    last = np.unique(ends, return_inverse=True)[1].astype(np.int32)
    ones = np.ones(len(names), dtype=np.int32)
    matrix = sparse.csr_matrix((ones, names.astype(np.int32), indptr), shape=(len(folded), len(tokens)))
    return Prefixes(matrix=matrix, sizes=sizes, rest=sizes - lengths, last=last, profile=profile)


def _counts(folded: Sequence[str], marks: Sequence[int], blocks: Sequence[tuple[int, int]]) -> Any:
    """Returns how often shingles occur, by the first bits of their hash."""
    import numpy as np

    bits = min(_COUNTERS, sum(map(len, folded)).bit_length() + 1)

    def drawn(block: tuple[int, int]) -> Any:
        return _windows(folded[slice(*block)], marks[slice(*block)])[0] >> np.uint64(64 - bits)

    counts = np.zeros(2**bits, dtype=np.int64)
    for places in in_threads(drawn, blocks):
        counts += np.bincount(places.astype(np.int64), minlength=2**bits)
    return np.minimum(counts, 2**_RARITY - 1, out=counts)


def _prefixes(folded: Sequence[str], marks: Sequence[int], counts: Any) -> tuple[Any, Any, Any, Any, Any, Any]:
    """Returns of each text of a block: size, length of the prefix, how many of it are shared, its last key.

    And for the block as a whole: the keys that are shared, text after text, and the profiles.
    """
    import numpy as np

    keys, sizes = _ordered(*_windows(folded, marks), counts)
    lengths = prefix_lengths(sizes)
    taken = keys[_first(sizes, lengths)]
    ends = np.cumsum(lengths)
    known = taken >> _NAME > 1
    return sizes, lengths, np.add.reduceat(known, ends - lengths), taken[ends - 1], taken[known], _profile(keys, sizes)


def _joined(parts: Sequence[Any], kind: Any) -> Any:
    import numpy as np

    return np.concatenate(parts).astype(kind, copy=False) if parts else np.zeros(0, dtype=kind)


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
    return np.minimum(np.bincount(bins, minlength=len(sizes) * BINS), 255).reshape(-1, BINS).astype(np.uint8)


def _first(sizes: Any, lengths: Any) -> Any:
    """Returns the places of the first `lengths` of each row, where rows of `sizes` stand one after the other."""
    import numpy as np

    starts = np.cumsum(sizes) - sizes
    ahead = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - ahead, lengths)
