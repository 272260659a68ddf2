"""What selectors share: seeded orders that depend on content alone, and the guard against showing the item itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import harness


@dataclass(frozen=True, slots=True)
class Candidate:
    """A training example and its folded text."""

    example: harness.Example
    folded: str


def candidates(train: Iterable[harness.Example]) -> list[Candidate]:
    """Folds each text once."""
    return [Candidate(example, harness.fold(example.text)) for example in train]


def shuffled(pool: Iterable[Candidate], *key: object) -> tuple[Candidate, ...]:
    """Returns the candidates in an order that depends on `key` and their ids, not on the order they come in."""
    return tuple(sorted(pool, key=lambda each: (digest(*key, each.example.id), each.example.id)))


def digest(*parts: object) -> bytes:
    """Returns 8 bytes that look random and depend on nothing but `parts`."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "backslashreplace"), digest_size=8).digest()


def others(pool: Iterable[Candidate], example: harness.Example, k: int) -> list[harness.Example]:
    """Returns the first `k` candidates that are neither `example` nor have its folded text; fewer if there are none."""
    own = harness.fold(example.text)
    free = (each.example for each in pool if each.example.id != example.id and each.folded != own)
    return list(islice(free, k))


def enough(shots: Sequence[harness.Example], k: int) -> Sequence[harness.Example]:
    """Returns `shots` if there are `k` of them.

    Raises:
        harness.DataError: There are fewer.
    """
    if len(shots) < k:
        raise harness.DataError(
            f"shots.k = {k}, but only {len(shots)} training examples can be shown",
            "Lower shots.k, or give train more rows.",
        )
    return shots
