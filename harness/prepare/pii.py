"""Strings that look like personal data or keys: few patterns, each with a low rate of false alarms."""

from __future__ import annotations

import re
from dataclasses import replace

from harness.keys import KEYS
from harness.types import Example, content_id

_PATTERNS = {
    "email": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,4}\.[A-Za-z]{2,24}\b"),
    "key": KEYS,
    "card": re.compile(r"(?<![\d.-])\d(?:[ -]?\d){12,18}(?![\d.-]*\d)"),
    "phone": re.compile(r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?)(?:\(?\d{1,4}\)?[ .-]?){2,4}\d{2,4}(?!\w)"),
}
"""Phone numbers only in their international form: without the plus sign every long number would be one."""


def kinds(text: str) -> frozenset[str]:
    """Returns the kinds of personal data that `text` seems to hold: `email`, `key`, `card`, `phone`."""
    return frozenset(
        kind
        for kind, pattern in _PATTERNS.items()
        if any(kind != "card" or _luhn(found.group()) for found in pattern.finditer(text))
    )


def mask(example: Example) -> Example:
    """Returns the example with `[EMAIL]`, `[KEY]`, `[CARD]`, `[PHONE]` in place of such strings.

    Where the id was that of the text, it becomes that of the masked text, so that it gives nothing away.
    """
    fields = {name: _masked(value) for name, value in example.fields.items()}
    if fields == dict(example.fields):
        return example
    own = example.id == content_id(example.fields)
    return replace(example, fields=fields, id=content_id(fields) if own else example.id)


def _masked(text: str) -> str:
    for kind, pattern in _PATTERNS.items():
        sign = f"[{kind.upper()}]"
        text = pattern.sub(
            lambda found, kind=kind, sign=sign: sign if kind != "card" or _luhn(found.group()) else found.group(),  # type: ignore[misc]
            text,
        )
    return text


def _luhn(number: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812-1)."""
    digits = [int(character) for character in reversed(number) if character.isdecimal()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1
