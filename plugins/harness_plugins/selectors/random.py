"""Shots drawn at random from the train split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.selectors import _order


@dataclass(frozen=True, kw_only=True)
class Random:
    """The same draw for every item, so that providers can cache the prompt's beginning, or one for each item."""

    name: ClassVar[str] = "random"
    per_item: bool = False
    """Whether each item gets a draw of its own."""
    order: int = 0
    """0 shows them as they are picked; 1, 2, 3, … are other orders of the same shots, the same for every item."""

    def __post_init__(self) -> None:
        _order.refuse_order(self.order)

    def fit(self, train: Sequence[harness.Example], seed: int) -> RandomPicker:
        """Takes the examples to draw from."""
        pool = _order.shuffled(_order.candidates(train), "random", seed)
        return RandomPicker(pool=pool, seed=seed, per_item=self.per_item, order=self.order)


@dataclass(frozen=True, kw_only=True)
class RandomPicker:
    """A seeded order of the train split."""

    pool: tuple[_order.Candidate, ...]
    seed: int
    per_item: bool
    order: int

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns `k` shots: neither `example` nor nearly the same text.

        Raises:
            harness.DataError: The train split has fewer.
        """
        pool = self.pool
        if self.per_item:
            pool = _order.shuffled(pool, "random", self.seed, example.id)
        return _order.arranged(_order.enough(_order.others(pool, example, k), k), self.order, self.seed)


@harness.hookimpl
def harness_selectors() -> list[type[Random]]:
    """Declares the selector."""
    return [Random]
