"""Shots that are named, or that stay the same for every item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.selectors import _order


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """The examples named by `ids`, in that order; without ids the first of a seeded order."""

    name: ClassVar[str] = "fixed"
    ids: tuple[str, ...] = ()
    """Ids of training examples."""
    order: int = 0
    """0 shows them as they are picked; 1, 2, 3, … are other orders of the same shots, the same for every item."""

    def __post_init__(self) -> None:
        _order.refuse_order(self.order)

    def fit(self, train: Sequence[harness.Example], seed: int) -> FixedPicker:
        """Finds the named examples.

        Raises:
            harness.DataError: An id is not one of the train split.
        """
        if not self.ids:
            pool = _order.shuffled(_order.candidates(train), "fixed", seed)
            return FixedPicker(pool=pool, seed=seed, order=self.order)
        known = {example.id: example for example in train}
        for name in self.ids:
            if name not in known:
                raise harness.DataError(
                    f'shots.ids names "{name}", which is no example of the train split',
                    f"shots come from train only; {harness.nearest(name, known)}",
                )
        named = tuple(_order.candidates(known[name] for name in dict.fromkeys(self.ids)))
        return FixedPicker(pool=named, seed=seed, order=self.order)


@dataclass(frozen=True, kw_only=True)
class FixedPicker:
    """The shots in their order, with those behind them as reserve."""

    pool: tuple[_order.Candidate, ...]
    seed: int
    order: int

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns the first `k` shots that are neither `example` nor nearly the same text.

        Raises:
            harness.DataError: There are fewer.
        """
        shots = _order.enough(_order.others(self.pool, example, k), k)
        return _order.arranged(shots, self.order, self.seed)


@harness.hookimpl
def harness_selectors() -> list[type[Fixed]]:
    """Declares the selector."""
    return [Fixed]
