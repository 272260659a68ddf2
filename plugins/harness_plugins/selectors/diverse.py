"""Training examples that are like the item and unlike one another: maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import harness
from harness_plugins.selectors import _embeddings, _order, _vectors

_RESERVE = 16
"""Shots beyond `k` that are worked out first, for items that are shots themselves."""


@dataclass(frozen=True, kw_only=True)
class Diverse:
    """Each shot is as relevant as possible and as unlike those before it as possible (Carbonell and Goldstein 1998)."""

    name: ClassVar[str] = "diverse"
    relevance: float = 0.5
    """How much likeness to the item counts, from 0 to 1; the rest is for difference. At 0 all items get one set."""
    per_item: bool = True
    """Whether each item gets shots of its own. Without, one set serves all items, so that providers can cache the
    prompt's beginning: its first shot is drawn, and relevance is likeness to the middle of the train split."""
    pool: int = 64
    """How many of the most similar training examples an item's shots are taken from."""
    features: _vectors.Features = "characters"
    """What TF-IDF counts: character 2- to 4-grams within words, or words and pairs of them."""
    embeddings: _embeddings.Embeddings | None = None
    """An endpoint's model whose vectors are compared instead: `endpoint`, `model`, `dimensions`."""

    def __post_init__(self) -> None:
        if not 0 <= self.relevance <= 1:
            raise ValueError(f"relevance = {self.relevance:g}, expected a number between 0 and 1")
        if self.pool < 1:
            raise ValueError(f"pool = {self.pool}, expected 1 or more")

    def embedding_calls(self, texts: Sequence[str]) -> tuple[harness.Call, ...]:
        """Describes the requests that bring the vectors of texts; the engine sends them."""
        return self.embeddings.calls(texts) if self.embeddings else ()

    def read_embeddings(self, bodies: Sequence[harness.Reply]) -> Mapping[str, Sequence[float]]:
        """Returns text → vector."""
        return _embeddings.read(bodies)

    def fit(
        self, train: Sequence[harness.Example], seed: int, vectors: Mapping[str, Sequence[float]] | None = None
    ) -> OnePicker | _vectors.Picker:
        """Turns the train split into points.

        Raises:
            harness.DataError: There is nothing to compare.
        """
        space = _vectors.space(train, self.features, vectors)
        if self.per_item and self.relevance > 0:
            return _vectors.Picker(space=space, shots=partial(self._shots, space))
        return OnePicker(space=space, relevance=self.relevance, seed=seed)

    def _shots(self, space: _vectors.Space, item: _order.Candidate, alike: Any, k: int) -> Sequence[harness.Example]:
        """Returns an item's own shots, the most similar one last."""
        places = space.neighbours(item, alike, max(self.pool, k))
        _order.enough(places, k)
        likeness = space.likeness(places)
        taken = _vectors.spread(alike[places], likeness.__getitem__, self.relevance, k)
        return [space.pool[places[place]].example for place in sorted(taken, reverse=True)]


@dataclass(frozen=True, kw_only=True)
class OnePicker:
    """One set of shots for all items."""

    space: _vectors.Space
    relevance: float
    seed: int
    _ranked: list[_order.Candidate] = field(default_factory=list, repr=False)
    """As far as it was needed."""

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns `k` shots, the same for every item unless it is one of them: then the next ones step up.

        Raises:
            harness.DataError: The train split has fewer.
        """
        wanted, most = k + _RESERVE, len(self.space.pool)
        while True:
            if len(self._ranked) < min(wanted, most):
                self._rank(wanted)
            shots = _order.others(self._ranked, example, k)
            if len(shots) == k or len(self._ranked) == most:
                return _order.enough(shots, k)
            wanted = 4 * len(self._ranked)

    def _rank(self, n: int) -> None:
        pool, points = self.space.pool, self.space.points
        first = min(range(len(pool)), key=lambda place: _order.digest("diverse", self.seed, pool[place].example.id))
        ranked = _vectors.spread(
            self.space.middle,
            lambda place: next(self.space.alike(points[place : place + 1])),
            self.relevance,
            n,
            first=first,
        )
        self._ranked[:] = [pool[place] for place in ranked]


@harness.hookimpl
def harness_selectors() -> list[type[Diverse]]:
    """Declares the selector."""
    return [Diverse]
