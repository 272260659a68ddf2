"""Items without an answer: that have failed, or are refused and held until it is known what was meant by that."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from harness.execution.faults import Fate
from harness.execution.work import Request
from harness.journal import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request that has no answer now."""

    message: str
    endpoint_down: bool


def refusal(request: Request, fate: Fate, tries: int) -> Entry:
    """Returns what is written down of an item that was refused for good."""
    return Entry(
        key=request.key, arm=request.arm, endpoint=request.endpoint, body={}, error=fate.message, attempts=tries
    )


@dataclass(slots=True)
class Refusals:
    """Refused items that are held: they may be meant, or their arm, or the account."""

    _held: dict[str, list[Entry]] = field(default_factory=dict)

    def add(self, entry: Entry) -> int:
        """Holds an item; returns how many of its arm are held."""
        held = self._held.setdefault(entry.arm, [])
        held.append(entry)
        return len(held)

    def pop(self, arm: str) -> list[Entry]:
        """Returns an arm's items, which are held no longer."""
        return self._held.pop(arm, [])

    def pop_all(self) -> Iterator[list[Entry]]:
        """Yields each arm's items, which are held no longer."""
        for arm in list(self._held):
            yield self.pop(arm)

    def pop_of(self, endpoint: str, arms: Collection[str]) -> list[Entry]:
        """Returns an endpoint's items of these arms, which are held no longer."""
        return [entry for arm in list(self._held) if arm in arms for entry in self._split(arm, endpoint)]

    def _split(self, arm: str, endpoint: str) -> list[Entry]:
        held = self.pop(arm)
        if others := [entry for entry in held if entry.endpoint != endpoint]:
            self._held[arm] = others
        return [entry for entry in held if entry.endpoint == endpoint]
