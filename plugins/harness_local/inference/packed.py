"""One forward pass for many sequences at once, without padding.

The tokens of all sequences stand in one row; a mask lets each see only its own past. Sequences that begin alike
share the keys and values of that beginning, because the mask can point many sequences at the same columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness_local.inference.decoder import Decoder
from harness_local.inference.prefixes import Prefix


@dataclass(slots=True)
class Rows:
    """New tokens of a forward pass, column by column."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)
    root_limits: list[int] = field(default_factory=list)

    def add(self, ids: tuple[int, ...] | list[int], start: int, lineage: Lineage) -> range:
        """Appends tokens at positions from `start`; returns their places among the new tokens."""
        first = len(self.ids)
        count = len(ids)
        self.ids += ids
        self.positions += range(start, start + count)
        self.owners += [lineage.own] * count
        self.parents += [lineage.parent] * count
        self.roots += [lineage.root] * count
        self.root_limits += [lineage.root_limit] * count
        return range(first, first + count)


@dataclass(frozen=True, slots=True)
class Lineage:
    """Which columns a token may see: its own, its parent's, and the root's up to a position. -1 is nobody."""

    own: int
    parent: int = -1
    root: int = -1
    root_limit: int = 0


class PackedCache:
    """Keys and values of the sequences in progress under one set of weights.

    Args:
        decoder: Runs the layers, these weights active.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._names = 0
        self.clear()

    def __len__(self) -> int:
        """Number of columns."""
        return len(self._owners)

    def clear(self) -> None:
        """Forgets all sequences."""
        from transformers import DynamicCache

        self._cache = DynamicCache()  # without a configuration: all layers keep all columns
        self._owners: list[int] = []
        self._positions: list[int] = []
        self._roots: dict[tuple[int, ...], int] = {}

    def name(self) -> int:
        """A number for a new owner of columns."""
        self._names += 1
        return self._names

    def root(self, prefix: Prefix) -> int:
        """Brings a prefix's keys and values in, unless they are here; returns their owner."""
        if prefix.ids not in self._roots:
            for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
                self._cache.update(keys, values, layer)
            self._roots[prefix.ids] = self.name()
            self._owners += [self._roots[prefix.ids]] * len(prefix.ids)
            self._positions += range(len(prefix.ids))
        return self._roots[prefix.ids]

    def forward(self, rows: Rows) -> Any:
        """Computes the new tokens; returns their final hidden states, (tokens, size)."""
        import torch

        held = len(self._owners)
        self._owners += rows.owners
        self._positions += rows.positions
        owner, position = torch.tensor(self._owners), torch.tensor(self._positions)
        own, parent, root = (torch.tensor(x)[:, None] for x in (rows.owners, rows.parents, rows.roots))
        seen = (owner == own) | (owner == parent)
        seen |= (owner == root) & (position < torch.tensor(rows.root_limits)[:, None])
        column = torch.arange(len(owner))
        seen &= column <= (held + torch.arange(len(rows.ids)))[:, None]
        return self._decoder.run(rows.ids, rows.positions, seen, self._cache)

    def columns(self, owner: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Copies of one owner's keys and values, for each layer."""
        import torch

        layers = self._cache.layers
        places = [i for i, o in enumerate(self._owners) if o == owner]
        index = torch.tensor(places, device=layers[0].keys.device)
        return (
            tuple(layer.keys.index_select(2, index) for layer in layers),
            tuple(layer.values.index_select(2, index) for layer in layers),
        )

    def keep_only(self, owners: set[int]) -> None:
        """Drops the columns of everybody else, when they are more than half."""
        import torch

        places = [i for i, o in enumerate(self._owners) if o in owners]
        if not places:
            self.clear()
            return
        if 2 * len(places) > len(self._owners):
            return
        index = torch.tensor(places, device=self._cache.layers[0].keys.device)
        for layer in self._cache.layers:
            layer.keys = layer.keys.index_select(2, index)
            layer.values = layer.values.index_select(2, index)
        self._owners = [self._owners[i] for i in places]
        self._positions = [self._positions[i] for i in places]
        self._roots = {ids: name for ids, name in self._roots.items() if name in owners}
