"""Pairs of texts that are nearly the same: an exact join, every pair verified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

WIDTH = 5
"""Characters in a shingle."""

THRESHOLD = Fraction(8, 10)
"""Least Jaccard similarity of near-duplicates."""

_BLOCK = 4096
"""Rows joined at once: bounds the memory of the candidate matrix."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Positions of two near-duplicates, `first` < `second`."""

    first: int
    second: int
    similarity: float
    """Jaccard similarity of their shingle sets, at least 0.8."""


def shingles(folded: str) -> frozenset[str]:
    """Returns the character 5-grams of a folded text; a shorter text is one shingle."""
    return frozenset(folded[i : i + WIDTH] for i in range(max(1, len(folded) - WIDTH + 1)))


def nearly_same(a: frozenset[str], b: frozenset[str]) -> float | None:
    """Returns the Jaccard similarity of two shingle sets if it is at least 0.8."""
    small, large = sorted((len(a), len(b)))
    if small < THRESHOLD * large:
        return None
    common = len(a & b)
    union = small + large - common
    return common / union if common >= THRESHOLD * union else None


def near_earlier(folded: Sequence[str], scopes: Sequence[Hashable]) -> list[int | None]:
    """Returns for each text the position of an earlier one of its scope that stays and is nearly the same.

    A text for which there is none (`None`) stays. Only those that stay are compared with, so many variants of one text
    cost no more than one comparison each.
    """
    sets = [shingles(text) for text in folded]
    frequency = Counter(shingle for each in sets for shingle in each)
    standing: dict[tuple[Hashable, str], list[int]] = {}
    result: list[int | None] = []
    for position, (own, scope) in enumerate(zip(sets, scopes, strict=True)):
        places = [standing.setdefault((scope, shingle), []) for shingle in _prefix(own, frequency)]
        candidates = dict.fromkeys(other for place in places for other in place)
        like = next((other for other in candidates if nearly_same(own, sets[other]) is not None), None)
        result.append(like)
        if like is None:
            for place in places:
                place.append(position)
    return result


def _prefix(own: frozenset[str], frequency: Mapping[str, int]) -> list[str]:
    """Returns the shared shingles of the prefix (see `near_pairs`); those of one set only take up places in it."""
    shared = [shingle for shingle in own if frequency[shingle] > 1]
    length = _prefix_length(len(own)) - (len(own) - len(shared))
    return sorted(shared, key=lambda shingle: (frequency[shingle], shingle))[:length] if length > 0 else []


def _prefix_length(size: int) -> int:
    return size - -(-size * THRESHOLD.numerator // THRESHOLD.denominator) + 1


def near_pairs(folded: Sequence[str]) -> tuple[Pair, ...]:
    """Returns all pairs of texts with a Jaccard similarity of at least 0.8, in order.

    Prefix filtering (Chaudhuri et al. 2006, Bayardo et al. 2007): with all shingles in one order, rarest first, two
    sets of which each covers 80% of the other share a shingle among the first |x| − ⌈0.8·|x|⌉ + 1 of each. Nothing
    is missed: only those who share one are compared, and each comparison is exact.
    """
    sets = [shingles(text) for text in folded]
    found = ((a, b, nearly_same(sets[a], sets[b])) for a, b in _candidates(sets))
    pairs = [Pair(a, b, similarity) for a, b, similarity in found if similarity is not None]
    return tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second)))


def _candidates(sets: list[frozenset[str]]) -> Iterator[tuple[int, int]]:
    """Yields pairs (a < b) that share a shingle in their prefixes."""
    import numpy as np

    prefix = _prefixes(sets)
    columns = prefix.T.tocsr()
    for start in range(0, len(sets), _BLOCK):
        shared = (prefix[start : start + _BLOCK] @ columns).tocoo()
        first, second = shared.row.astype(np.int64) + start, shared.col
        later = second > first
        yield from zip(first[later].tolist(), second[later].tolist(), strict=True)


def _prefixes(sets: list[frozenset[str]]) -> Any:
    """Returns a sparse matrix (sets × shingles) of each set's prefix; shingles that stand in one set only are left out.

    A shingle that nobody shares makes no pair, but it does count as a place in the prefix.
    """
    import numpy as np
    from scipy import sparse

    codes: dict[str, int] = {}
    # Sorted, so that the codes (and with them the order of the work) do not depend on the hash seed of the process.
    members = [np.array([codes.setdefault(s, len(codes)) for s in sorted(each)], dtype=np.int64) for each in sets]
    if not members:
        return sparse.csr_matrix((0, 0), dtype=np.int8)
    frequency = np.bincount(np.concatenate(members), minlength=len(codes))
    rank = np.empty(len(codes), dtype=np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(codes))
    rows, columns = [], []
    for row, own in enumerate(members):
        chosen = own[np.argsort(rank[own])[: _prefix_length(len(own))]]
        chosen = chosen[frequency[chosen] > 1]
        rows.append(np.full(len(chosen), row))
        columns.append(chosen)
    where = (np.concatenate(rows), np.concatenate(columns))
    # 32 bits: a narrower count could wrap around to 0 and lose a pair.
    return sparse.csr_matrix((np.ones(len(where[0]), dtype=np.int32), where), shape=(len(sets), len(codes)))
