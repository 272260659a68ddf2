"""What selectors share: seeded orders that depend on content alone, and the guard against showing the item itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TypeVar

import harness

T = TypeVar("T")


@dataclass(frozen=True)
class Candidate:
    """A training example and its folded text."""

    example: harness.Example
    folded: str

    @cached_property
    def shingles(self) -> frozenset[str]:
        """Its character 5-grams, worked out where they are needed."""
        return harness.shingles(self.folded)

    def shows(self, item: Candidate) -> bool:
        """Whether it would show `item` itself, the same text in another spelling, or nearly the same text."""
        if self.example.id == item.example.id or self.folded == item.folded:
            return True
        return harness.nearly_same(self.shingles, item.shingles) is not None


def candidate(example: harness.Example) -> Candidate:
    """Folds an example's text."""
    return Candidate(example, harness.fold(example.text))


def candidates(train: Iterable[harness.Example]) -> list[Candidate]:
    """Folds each text once."""
    return [candidate(example) for example in train]


def shuffled(pool: Iterable[Candidate], *key: object) -> tuple[Candidate, ...]:
    """Returns the candidates in an order that depends on `key` and their ids, not on the order they come in."""
    return tuple(sorted(pool, key=lambda each: (digest(*key, each.example.id), each.example.id)))


def digest(*parts: object) -> bytes:
    """Returns 8 bytes that look random and depend on nothing but `parts`."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=8).digest()


def free(pool: Iterable[Candidate], item: Candidate) -> Iterator[harness.Example]:
    """Yields what may be shown beside `item`, one after the other: neither itself nor nearly the same text."""
    return (each.example for each in pool if not each.shows(item))


def others(pool: Iterable[Candidate], example: harness.Example, k: int) -> list[harness.Example]:
    """Returns the first `k` candidates that may be shown beside `example`; fewer if there are none."""
    return list(islice(free(pool, candidate(example)), k))


def arranged(shots: Sequence[harness.Example], order: int, seed: int) -> Sequence[harness.Example]:
    """Returns the shots in another order, the same places for every item; 0 leaves them as they are."""
    if not order:
        return shots
    places = sorted(range(len(shots)), key=lambda place: digest("arranged", seed, order, len(shots), place))
    return [shots[place] for place in places]


def refuse_order(order: int) -> None:
    """Refuses the number of an order that there is not.

    Raises:
        ValueError: It is below 0.
    """
    if order < 0:
        raise ValueError(f"order = {order}, expected 0 (as picked) or the number of another order")


def enough(shots: Sequence[T], k: int) -> Sequence[T]:
    """Returns `shots` if there are `k` of them.

    Raises:
        harness.DataError: There are fewer.
    """
    if len(shots) < k:
        raise harness.DataError(
            f"shots.k = {k}, but only {len(shots)} training examples can be shown",
            "lower shots.k, or give train more rows; an item and its near-duplicates are never shown",
        )
    return shots
