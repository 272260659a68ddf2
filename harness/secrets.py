"""Keys live in the environment only: what they are is taken out of whatever is written."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

HIDDEN = "[hidden]"
SHORTEST = 6
"""Values shorter than this are no keys, and taking them out would garble text."""


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Takes the values of environment variables out of texts."""

    values: tuple[str, ...] = ()

    @classmethod
    def of(cls, names: Iterable[str]) -> Scrubber:
        """Makes a scrubber for the variables that an experiment names, longest values first."""
        values = {os.environ.get(name, "") for name in names}
        return cls(tuple(sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)))

    def finds(self, content: bytes) -> bool:
        """Whether a value stands in `content`."""
        return any(value.encode() in content for value in self.values)

    def __call__(self, text: str) -> str:
        """Returns `text` without the values."""
        for value in self.values:
            if value in text:
                text = text.replace(value, HIDDEN)
        return text
