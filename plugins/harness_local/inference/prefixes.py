"""Keys, values and scores of prompt beginnings that have come up more than once."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness_local.inference.work import Token

SHORTEST = 24
"""Beginnings of fewer tokens are not worth a computation of their own."""

_SEEN_TOKENS = 200_000  # of earlier prompts that are remembered: about 8 MB


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
        """Bytes of its tensors."""
        return sum(t.numel() * t.element_size() for t in (*self.keys, *self.values, self.hidden))


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


class _Sorted:
    """Token sequences in order. Those that begin like another stand next to where that one belongs."""

    def __init__(self) -> None:
        self._items: list[tuple[int, ...]] = []

    def nearest(self, ids: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """The sequence that shares most leading tokens with `ids`, and how many; the empty one where there is none."""
        place = bisect_left(self._items, ids)
        around = self._items[max(0, place - 1) : place + 1]
        return max(((each, common(each, ids)) for each in around), key=lambda found: found[1], default=((), 0))

    def add(self, ids: tuple[int, ...]) -> None:
        insort(self._items, ids)

    def remove(self, ids: tuple[int, ...]) -> None:
        del self._items[bisect_left(self._items, ids)]


class Room:
    """Memory that the prefixes of all sets of weights share, the least recently used leaving first.

    Args:
        limit: Bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._held: OrderedDict[Prefix, PrefixCache] = OrderedDict()

    def add(self, prefix: Prefix, cache: PrefixCache) -> None:
        """Counts a prefix in; others leave where there is no room, this one never."""
        self._held[prefix] = cache
        self._used += prefix.size
        while self._used > self._limit and len(self._held) > 1:
            oldest = next(iter(self._held))
            self._held[oldest].drop(oldest)

    def touch(self, prefix: Prefix) -> None:
        """Marks a prefix as used just now."""
        self._held.move_to_end(prefix)

    def remove(self, prefix: Prefix) -> None:
        """Counts a prefix out."""
        del self._held[prefix]
        self._used -= prefix.size

    def clear(self) -> None:
        """Drops all prefixes."""
        for prefix, cache in list(self._held.items()):
            cache.drop(prefix)


class PrefixCache:
    """Beginnings of one set of weights.

    Args:
        room: Memory for them.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._held: dict[tuple[int, ...], Prefix] = {}
        self._order = _Sorted()
        self._seen: OrderedDict[tuple[int, ...], None] = OrderedDict()
        self._seen_order = _Sorted()
        self._seen_tokens = 0

    def match(self, ids: tuple[int, ...]) -> tuple[Prefix | None, int]:
        """The prefix that shares most leading tokens with `ids`, and how many; at least one token is left over."""
        nearest, shared = self._order.nearest(ids)
        shared = min(shared, len(ids) - 1)
        if shared < SHORTEST:
            return None, 0
        prefix = self._held[nearest]
        self._room.touch(prefix)
        return prefix, shared

    def worth(self, ids: tuple[int, ...], matched: int) -> int:
        """How many leading tokens of `ids` came up before and are worth computing once; 0 if none are."""
        if len(ids) <= SHORTEST:
            return 0
        _, shared = self._seen_order.nearest(ids)
        self._remember(ids)
        shared = min(shared, len(ids) - 1)
        return shared if shared >= matched + SHORTEST else 0

    def keep(self, prefix: Prefix) -> None:
        """Holds a prefix."""
        if prefix.ids in self._held:
            self.drop(self._held[prefix.ids])
        self._held[prefix.ids] = prefix
        self._order.add(prefix.ids)
        self._room.add(prefix, self)

    def drop(self, prefix: Prefix) -> None:
        """Forgets a prefix."""
        del self._held[prefix.ids]
        self._order.remove(prefix.ids)
        self._room.remove(prefix)

    def clear(self) -> None:
        """Drops everything."""
        for prefix in list(self._held.values()):
            self.drop(prefix)
        self._seen.clear()
        self._seen_order = _Sorted()
        self._seen_tokens = 0

    def _remember(self, ids: tuple[int, ...]) -> None:
        if ids in self._seen:
            self._seen.move_to_end(ids)
            return
        self._seen[ids] = None
        self._seen_order.add(ids)
        self._seen_tokens += len(ids)
        while self._seen_tokens > _SEEN_TOKENS and len(self._seen) > 1:
            oldest, _ = self._seen.popitem(last=False)
            self._seen_order.remove(oldest)
            self._seen_tokens -= len(oldest)
