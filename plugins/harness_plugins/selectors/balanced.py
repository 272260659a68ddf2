"""Shots with equal numbers of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.selectors import _order


@dataclass(frozen=True, kw_only=True)
class Balanced:
    """Equal numbers of each class, as far as `k` allows; which classes get one more, and the order, is drawn."""

    name: ClassVar[str] = "balanced"
    order: int = 0
    """0 shows them as they are picked; 1, 2, 3, … are other orders of the same shots, the same for every item."""

    def __post_init__(self) -> None:
        _order.refuse_order(self.order)

    def fit(self, train: Sequence[harness.Example], seed: int) -> BalancedPicker:
        """Orders each class and the classes themselves by `seed`."""
        by_label: dict[str, list[_order.Candidate]] = {}
        for candidate in _order.shuffled(_order.candidates(train), "balanced", seed):
            by_label.setdefault(candidate.example.label, []).append(candidate)
        labels = sorted(by_label, key=lambda label: _order.digest("classes", seed, label))
        return BalancedPicker(classes=tuple(tuple(by_label[label]) for label in labels), seed=seed, order=self.order)


@dataclass(frozen=True, kw_only=True)
class BalancedPicker:
    """The classes of the train split, each in a seeded order."""

    classes: tuple[tuple[_order.Candidate, ...], ...]
    seed: int
    order: int

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns `k` shots, the same for every item unless it is one of them: then the next of its class steps in.

        Raises:
            harness.DataError: The train split has fewer.
        """
        item = _order.candidate(example)
        queues = [_order.free(members, item) for members in self.classes]
        taken: list[tuple[bytes, harness.Example]] = []
        for turn in range(k):
            for number, queue in enumerate(queues):
                # A class may have to give what smaller ones lack; what nobody needs is not looked at.
                shot = next(queue, None) if len(taken) < k else None
                if shot is not None:
                    # A shot's place hangs on its class and turn, so that a substitute changes nothing else.
                    taken.append((_order.digest("order", self.seed, k, number, turn), shot))
        shots = [shot for _, shot in sorted(taken, key=lambda each: each[0])]
        return _order.arranged(_order.enough(shots, k), self.order, self.seed)


@harness.hookimpl
def harness_selectors() -> list[type[Balanced]]:
    """Declares the selector."""
    return [Balanced]
