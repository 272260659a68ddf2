"""Keys live in the environment only: what they are is taken out of whatever is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HIDDEN = "[hidden]"
SHORTEST = 6
"""Values shorter than this are no keys, and taking them out would garble text."""
SCHEME = re.compile(r"^(?:bearer|basic|token|apikey)\s+", re.IGNORECASE)
"""What stands before the key where a variable holds a whole `Authorization` header."""


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes the values of environment variables out of texts."""

    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Iterable[str]) -> Scrubber:
        """Makes a scrubber for the variables that an experiment names, longest values first."""
        values = {form for name in names for form in _forms(os.environ.get(name, ""))}
        return cls(tuple(sorted(values, key=len, reverse=True)))

    def finds(self, content: bytes) -> bool:
        """Whether a value stands in `content`."""
        return any(value.encode() in content for value in self.values)

    def line(self, text: str, most: int = 300) -> str:
        """Returns one line of at most so many characters. Values are taken out first: a cut would leave parts of them.

        Args:
            text: What another machine said.
            most: Characters.
        """
        return self(" ".join(self(text).split()))[:most]

    def __call__(self, text: str) -> str:
        """Returns `text` without the values."""
        for value in self.values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return text


def _forms(value: str) -> Iterator[str]:
    """Yields what a server may repeat of a value: all but the blanks around it, and that without the scheme."""
    sent = value.strip()
    yield from {form for form in (sent, SCHEME.sub("", sent)) if len(form) >= SHORTEST}
