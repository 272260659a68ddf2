"""Texts that are nearly the same: an exact join, every pair verified.

A pair is a candidate if enough of its shingles are shared in the prefixes (see `shingles`); each candidate that matters
is compared exactly. Texts are taken in blocks, so that memory grows with the texts and not with their pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.prepare.shingles import LEAST, PARTS, Prefixes, nearly_same, prefixes, shingles

Tick = Callable[[int, int], None]
"""Is told how much is done, of how much."""

_ROWS = 4096
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


def near_earlier(
    folded: Sequence[str], scopes: Sequence[Hashable], standing: int = 0, tick: Tick | None = None
) -> list[int | None]:
    """Returns for each text the position of the first text before it, of its scope, that stays and is nearly the same.

    A text for which there is none (`None`) stays. Only those that stay are compared with, so many variants of one text
    cost little more than one comparison each.

    Args:
        folded: The texts.
        scopes: For each text; it is compared with those of its own scope alone.
        standing: The first so many are known not to be nearly the same as one another.
        tick: Is told how far it has come.
    """
    result: list[int | None] = [None] * len(folded)
    join = _Join(folded=folded, own=prefixes(folded, scopes, _counter(tick, 3 * len(folded))))
    sets: dict[int, frozenset[str]] = {}
    for start, stop in join.blocks():
        if stop > standing:
            for second, candidates in join.candidates(start, stop):
                if second >= standing:
                    result[second] = _first_near(second, candidates, result, folded, sets)
            sets.clear()
        join.add([place for place in range(start, stop) if result[place] is None])
        if tick:
            tick(2 * len(folded) + stop, 3 * len(folded))
    return result


def near_pairs(folded: Sequence[str], tick: Tick | None = None) -> tuple[Pair, ...]:
    """Returns all pairs of texts with a Jaccard similarity of at least 0.8, in order."""
    join = _Join(folded=folded, own=prefixes(folded, None, _counter(tick, 3 * len(folded))))
    pairs = []
    for start, stop in join.blocks():
        for second, candidates in join.candidates(start, stop):
            own = shingles(folded[second])
            for first in candidates.tolist():
                similarity = nearly_same(own, shingles(folded[first]))
                if similarity is not None:
                    pairs.append(Pair(first, second, similarity))
        join.add(range(start, stop))
        if tick:
            tick(2 * len(folded) + stop, 3 * len(folded))
    return tuple(sorted(pairs, key=lambda pair: (pair.first, pair.second)))


def _counter(tick: Tick | None, total: int) -> Callable[[int], None] | None:
    return None if tick is None else lambda done: tick(done, total)


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

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Yields ranges of texts, none of which makes too much work."""
        start, n = 0, len(self.folded)
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

        block = self.own.matrix[start:stop]
        here = _Part(places=np.arange(start, stop), matrix=block)
        firsts, seconds = [], []
        for part in [*self._parts, here]:
            shared = (block @ part.columns).tocoo()
            first, second, n = part.places[shared.col], shared.row.astype(np.int64) + start, shared.data
            can = self._share_enough(first, second, n) & (first < second)
            firsts.append(first[can])
            seconds.append(second[can])
        first, second = self._alike(np.concatenate(firsts), np.concatenate(seconds))
        order = np.lexsort((first, second))
        first, second = first[order], second[order]
        own, n = np.unique(second, return_counts=True)
        for place, end, length in zip(own.tolist(), np.cumsum(n).tolist(), n.tolist(), strict=True):
            yield place, first[end - length : end]

    def _share_enough(self, first: Any, second: Any, n: Any) -> Any:
        """Whether two texts that share `n` shingles of their prefixes can reach the threshold.

        Of the one whose prefix ends earlier all that is shared in the prefix is known, so what stands behind it is the
        most that can be added. A Jaccard similarity of 4/5 takes 4/9 of both sizes.
        """
        import numpy as np

        a, b = self.own.sizes[first], self.own.sizes[second]
        rest = np.where(self.own.last[first] <= self.own.last[second], self.own.rest[first], self.own.rest[second])
        common = np.minimum(n + rest, np.minimum(a, b))
        return (LEAST + PARTS) * common >= LEAST * (a + b)

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
        taken = np.array(places)
        while self._parts and len(self._parts[-1].places) <= len(taken):
            taken = np.concatenate([self._parts.pop().places, taken])
        self._parts.append(_Part(places=taken, matrix=self.own.matrix[taken]))


class _Part:
    """Some texts, ready to be multiplied with."""

    def __init__(self, *, places: Any, matrix: Any) -> None:
        import numpy as np

        self.places = places
        self.columns = matrix.T.tocsr()
        self.frequency = np.diff(self.columns.indptr)
