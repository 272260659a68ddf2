"""Texts that are nearly the same: an exact join, every pair verified.

A pair is a candidate if enough of its shingles are shared in the prefixes (see `shingles`); each candidate that matters
is compared exactly. Texts are taken in blocks, so that memory grows with the texts and not with their pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from harness.prepare.shingles import LEAST, PARTS, Prefixes, nearly_same, prefixes, shingles
from harness.prepare.threads import in_threads, workers

Tick = Callable[[int, int], None]
"""Is told how much is done, of how much."""

_ROWS = 16384
"""Texts joined at once."""

_WORK = 40_000_000
"""Most multiplications of one block; each takes up to eight bytes."""


_PAIRS = 2**17
"""Pairs whose profiles are compared at once."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Positions of two near-duplicates, `first` < `second`."""

    first: int
    second: int
    similarity: float
    """Jaccard similarity of their shingle sets, at least 0.8."""


def near_earlier(folded: Sequence[str], own: Prefixes, standing: int = 0, tick: Tick | None = None) -> list[int | None]:
    """Returns for each text the position of the first text before it, of its scope, that stays and is nearly the same.

    A text for which there is none (`None`) stays. Only those that stay are compared with, so many variants of one text
    cost little more than one comparison each.

    Args:
        folded: The texts.
        own: Their prefixes; texts are compared with those of their own scope alone.
        standing: The first so many are known not to be nearly the same as one another.
        tick: Is told how far it has come.
    """
    result: list[int | None] = [None] * len(folded)
    join = _Join(folded=folded, own=own)
    sets: dict[int, frozenset[str]] = {}
    join.add(range(standing))
    for start, stop in join.blocks(standing):
        for second, candidates in join.candidates(start, stop):
            result[second] = _first_near(second, candidates, result, folded, sets)
        sets.clear()
        join.add([place for place in range(start, stop) if result[place] is None])
        if tick:
            tick(stop, len(folded))
    return result


def near_pairs(folded: Sequence[str], tick: Tick | None = None) -> tuple[Pair, ...]:
    """Returns all pairs of texts with a Jaccard similarity of at least 0.8, in order."""
    join = _Join(folded=folded, own=prefixes(folded))
    pairs = []
    for start, stop in join.blocks(0):
        for second, candidates in join.candidates(start, stop):
            own = shingles(folded[second])
            for first in candidates.tolist():
                similarity = nearly_same(own, shingles(folded[first]))
                if similarity is not None:
                    pairs.append(Pair(first, second, similarity))
        join.add(range(start, stop))
        if tick:
            tick(stop, len(folded))
    return tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second)))


def _first_near(
    second: int,
    candidates: Any,
    result: Sequence[int | None],
    folded: Sequence[str],
    sets: dict[int, frozenset[str]],
) -> int | None:
    own = None
    for first in candidates.tolist():
        if result[first] is None:
            own = own or shingles(folded[second])
            other = sets.get(first)
            if other is None:
                other = sets[first] = shingles(folded[first])
            if nearly_same(own, other) is not None:
                return int(first)
    return None


@dataclass(kw_only=True)
class _Join:
    """Candidates among the texts so far: sparse matrix products of prefixes count what two texts share."""

    folded: Sequence[str]
    own: Prefixes
    _parts: list[_Part] = field(default_factory=list)

    def blocks(self, start: int) -> Iterator[tuple[int, int]]:
        """Yields ranges of texts from `start` on, none of which makes too much work."""
        n = len(self.folded)
        while start < n:
            stop = min(start + _ROWS, n)
            work = self._work(start, stop)
            stop = start + max(1, int((work <= _WORK).sum()))
            yield start, stop
            start = stop

    def _work(self, start: int, stop: int) -> Any:
        """Returns the multiplications for the texts from `start` on, added up."""
        import numpy as np

        block = self.own.matrix[start:stop]
        common = np.bincount(block.indices, minlength=block.shape[1])
        for part in self._parts:
            common = common + part.frequency
        each = np.add.reduceat(np.append(common[block.indices], 0), block.indptr[:-1]) if block.nnz else np.zeros(1)
        return np.cumsum(np.where(np.diff(block.indptr) > 0, each, 0))

    def candidates(self, start: int, stop: int) -> Iterator[tuple[int, Any]]:
        """Yields texts of the block with the positions of those before them that may be nearly the same, in order."""
        import numpy as np

        here = _Part(np.arange(start, stop, dtype=np.int32), self.own)
        cuts = np.linspace(start, stop, workers() + 1).astype(np.int64).tolist()
        slices = [(a, b) for a, b in pairwise(cuts) if a < b]
        found = list(in_threads(lambda rows: self._pairs(*rows, here), slices))
        first, second = (np.concatenate([pairs[side] for pairs in found]) for side in (0, 1))
        order = np.lexsort((first, second))
        first, second = first[order], second[order]
        own, n = np.unique(second, return_counts=True)
        for place, end, length in zip(own.tolist(), np.cumsum(n).tolist(), n.tolist(), strict=True):
            yield place, first[end - length : end]

    def _pairs(self, start: int, stop: int, here: _Part) -> tuple[Any, Any]:
        """Returns pairs of a text in the range and one before it that may be nearly the same."""
        import numpy as np

        rows = self.own.matrix[start:stop]
        found = [self._enough(rows @ part.columns, part, start, stop) for part in [*self._parts, here]]
        return self._alike(*(np.concatenate([pairs[side] for pairs in found]) for side in (0, 1)))

    def _enough(self, shared: Any, part: _Part, start: int, stop: int) -> tuple[Any, Any]:
        """Leaves out pairs that cannot reach the threshold with the shingles that they share in their prefixes.

        Of the one whose prefix ends earlier all that is shared in the prefix is known, so what stands behind it is the
        most that can be added. A Jaccard similarity of 4/5 takes 4/9 of both sizes.

        Args:
            shared: Texts of the range × texts of the part: how many shingles their prefixes share.
            part: Those that the range was multiplied with.
            start: Where the range begins.
            stop: Where it ends.
        """
        import numpy as np

        own, each = self.own, np.diff(shared.indptr)
        a, b = part.sizes[shared.indices], np.repeat(own.sizes[start:stop], each)
        near = np.flatnonzero((LEAST * a <= PARTS * b) & (LEAST * b <= PARTS * a))
        first = part.places[shared.indices[near]]
        second = np.repeat(np.arange(start, stop, dtype=np.int32), each)[near]
        rest = np.where(own.last[first] <= own.last[second], own.rest[first], own.rest[second])
        enough = (LEAST + PARTS) * (shared.data[near] + rest) >= LEAST * (a[near] + b[near])
        enough &= first < second
        return first[enough], second[enough]

    def _alike(self, first: Any, second: Any) -> tuple[Any, Any]:
        """Leaves out pairs whose profiles differ by more than a Jaccard similarity of 4/5 allows: 1/9 of both sizes."""
        import numpy as np

        profile, sizes = self.own.profile, self.own.sizes
        alike = np.zeros(len(first), dtype=bool)
        for start in range(0, len(first), _PAIRS):
            a, b = first[start : start + _PAIRS], second[start : start + _PAIRS]
            apart = np.abs(profile[a].astype(np.int16) - profile[b]).sum(axis=1)
            alike[start : start + _PAIRS] = (LEAST + PARTS) * apart <= (PARTS - LEAST) * (sizes[a] + sizes[b])
        return first[alike], second[alike]

    def add(self, places: Sequence[int]) -> None:
        """Lets later texts be compared with those at `places`.

        Parts double in size, so that there are few of them and each text is moved seldom.
        """
        import numpy as np

        if not len(places):
            return
        taken = np.array(places, dtype=np.int32)
        while self._parts and len(self._parts[-1].places) <= len(taken):
            taken = np.concatenate([self._parts.pop().places, taken])
        self._parts.append(_Part(taken, self.own))


class _Part:
    """Some texts, ready to be multiplied with."""

    def __init__(self, places: Any, own: Prefixes) -> None:
        import numpy as np

        self.places = places
        self.sizes = own.sizes[places]
        self.columns = own.matrix[places].T.tocsr()
        self.frequency = np.diff(self.columns.indptr)
