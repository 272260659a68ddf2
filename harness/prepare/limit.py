"""`--limit N`: a small, stratified part of each split, for a preview."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from harness.prepare.options import Prepared
from harness.types import Example, Split

TRAIN_FACTOR, TRAIN_LEAST = 4, 40
"""A preview of N test items trains on 4 N rows, at least 40: providers refuse fewer than 10, shots want every class."""


def limited(data: Prepared, limit: int, seed: int, named: Collection[str] = ()) -> Prepared:
    """Returns at most `limit` validation and test examples, and the train examples that go with them.

    Args:
        data: The whole.
        limit: So many validation and test examples.
        seed: Of the experiment.
        named: Ids of train examples that stay in any case.
    """
    sizes = {Split.TRAIN: max(TRAIN_FACTOR * limit, TRAIN_LEAST), Split.VALIDATION: limit, Split.TEST: limit}
    kept = [example for split, size in sizes.items() for example in _some(data.of(split), size, seed)]
    kept += [example for example in data.of(Split.TRAIN) if example.id in named]
    return replace(data, examples=tuple(sorted({one.id: one for one in kept}.values(), key=lambda one: one.id)))


def _some(examples: Sequence[Example], size: int, seed: int) -> list[Example]:
    """Takes one example of each class, then from each class its share, in an order fixed by content and seed."""
    classes: dict[str, list[Example]] = defaultdict(list)
    for example in sorted(examples, key=lambda example: hashlib.sha256(f"{seed} {example.id}".encode()).digest()):
        classes[example.label].append(example)
    ranked = [
        ((rank + 0.5) / len(of) if rank else 0.0, label, example)
        for label, of in classes.items()
        for rank, example in enumerate(of)
    ]
    return [example for _, _, example in sorted(ranked, key=lambda item: item[:2])[:size]]
