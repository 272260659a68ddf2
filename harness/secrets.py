"""Keys live in the environment only: what they are is taken out of whatever is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

HIDDEN = "[hidden]"
SHORTEST = 6
"""Values shorter than this are no keys, and taking them out would garble text."""
ESCAPES = ("\\u00", "\\/")
"""How characters of a key may be written within JSON."""
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
        """Whether a value stands in `content`, or may stand there with characters written as JSON's escapes."""
        return bool(self.values) and (
            any(value.encode() in content for value in self.values) or any(mark.encode() in content for mark in ESCAPES)
        )

    def line(self, text: str, most: int = 300) -> str:
        """Returns one line of at most so many characters. Values are taken out first: a cut would leave parts of them.

        Args:
            text: What another machine said.
            most: Characters.
        """
        return self(" ".join(self(text).split()))[:most]

    def __call__(self, text: str) -> str:
        """Returns `text` without the values, be it JSON that has not been read yet."""
        for value in self.values:
            if value in text:
                text = text.replace(value, HIDDEN)
        if self.values and any(mark in text for mark in ESCAPES):
            for value in self.values:
                text = _escaped(value).sub(HIDDEN, text)
        return text


def key_in(variable: str) -> str:
    """Returns the key that a variable holds, without the blanks around it; empty where there is none."""
    return os.environ.get(variable, "").strip()


def unsendable(variable: str) -> str | None:
    """Returns why no request can carry what a variable holds: it is not there, or no HTTP header may hold it."""
    if variable not in os.environ:
        return "is not set"
    key = key_in(variable)
    if not key:
        return "is empty"
    wrong = next((place for place, sign in enumerate(key, 1) if not (sign.isascii() and sign.isprintable())), None)
    return None if wrong is None else f"holds a character that no key has, at place {wrong} of {len(key)}"


@cache
def _escaped(value: str) -> re.Pattern[str]:
    """Returns a pattern for a value any of whose characters may be written as JSON's escapes."""
    forms = ((re.escape(sign), rf"\\u(?i:{ord(sign):04x})", *(["\\\\/"] if sign == "/" else [])) for sign in value)
    return re.compile("".join(f"(?:{'|'.join(of)})" for of in forms))


def _forms(value: str) -> Iterator[str]:
    """Yields what a server may repeat of a value: all but the blanks around it, and that without the scheme."""
    sent = value.strip()
    yield from {form for form in (sent, SCHEME.sub("", sent)) if len(form) >= SHORTEST}
