"""Keys, values and scores of prompt beginnings that have come up more than once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness_local.inference.work import Token

SHORTEST = 24
"""Beginnings of fewer tokens are not worth a computation of their own."""

_KEY = 16  # two prompts are compared when they share this many tokens


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What was computed for a beginning.

    Attributes:
        ids: Its tokens.
        keys: For each layer, a tensor of shape (1, heads, tokens, size).
        values: Likewise.
        hidden: Final hidden states, (tokens, size).
        tokens: Its tokens with their log-probabilities; the first has none.
    """

    ids: tuple[int, ...]
    keys: tuple[Any, ...]
    values: tuple[Any, ...]
    hidden: Any
    tokens: tuple[Token, ...]

    @property
    def size(self) -> int:
        """Bytes of its keys and values."""
        return sum(t.numel() * t.element_size() for t in (*self.keys, *self.values))


def common(a: Sequence[int], b: Sequence[int]) -> int:
    """Number of leading tokens that are the same; both must be of one sequence type."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:  # a[:low] == b[:low] and a[:high] != b[:high]
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


class PrefixCache:
    """Beginnings of one model, the least recently used dropped first.

    Args:
        limit: Largest total size in bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()
        self._seen: OrderedDict[tuple[int, ...], tuple[int, ...]] = OrderedDict()

    def match(self, ids: tuple[int, ...]) -> tuple[Prefix | None, int]:
        """The prefix that shares most leading tokens with `ids`, and how many; at least one token is left over."""
        best, length = None, 0
        for prefix in self._held.values():
            shared = min(common(prefix.ids, ids), len(ids) - 1)
            if shared > length:
                best, length = prefix, shared
        if best is None or length < SHORTEST:
            return None, 0
        self._held.move_to_end(best.ids)
        return best, length

    def worth(self, ids: tuple[int, ...], matched: int) -> int:
        """How many leading tokens of `ids` came up before and are worth computing once; 0 if none are."""
        if len(ids) <= SHORTEST:
            return 0
        key = ids[:_KEY]
        before = self._seen.get(key)
        self._seen[key] = ids
        self._seen.move_to_end(key)
        if len(self._seen) > 512:
            self._seen.popitem(last=False)
        shared = min(common(before, ids), len(ids) - 1) if before else 0
        return shared if shared >= max(SHORTEST, matched + SHORTEST) else 0

    def keep(self, prefix: Prefix) -> None:
        """Holds a prefix, and drops the oldest where there is no more room."""
        self._held[prefix.ids] = prefix
        while len(self._held) > 1 and sum(p.size for p in self._held.values()) > self._limit:
            self._held.popitem(last=False)

    def clear(self) -> None:
        """Drops everything."""
        self._held.clear()
        self._seen.clear()
