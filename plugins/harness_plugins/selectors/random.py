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

    def fit(self, train: Sequence[harness.Example], seed: int) -> RandomPicker:
        """Takes the examples to draw from."""
        return RandomPicker(
            order=_order.shuffled(_order.candidates(train), "random", seed), seed=seed, per_item=self.per_item
        )


@dataclass(frozen=True, kw_only=True)
class RandomPicker:
    """A seeded order of the train split."""

    order: tuple[_order.Candidate, ...]
    seed: int
    per_item: bool

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns `k` shots: neither `example` nor a text that equals its own when folded.

        Raises:
            harness.DataError: The train split has fewer.
        """
        order = self.order
        if self.per_item:
            order = _order.shuffled(self.order, "random", self.seed, example.id)
        return _order.enough(_order.others(order, example, k), k)


@harness.hookimpl
def harness_selectors() -> list[type[Random]]:
    """Declares the selector."""
    return [Random]
