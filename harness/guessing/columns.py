"""What a column of a table looks like: measured once, for every rule that asks what the column is. Pure."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

Kind = Literal["empty", "nested", "whole", "number", "date", "text"]

SAMPLE = 2000
"""Values of a column that are looked at character by character."""

_NAME_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")
_WHOLE = re.compile(r"[+-]?\d+(\.0+)?")
_POINT_ZERO = re.compile(r"([+-]?\d+)\.0+")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u2e80-\uffdc]")
"""Thai, Lao, Chinese, Japanese and the like: written without spaces, two characters count as a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column with its measures."""

    name: str
    words: tuple[str, ...]
    """The name's words in lower case, numbers left out: `ProductId2` is product, id."""
    values: tuple[str, ...]
    """One text for each row, as it stands; "" where there is none."""
    counts: Mapping[str, int]
    """Value without white space around it → rows; empty ones left out."""
    kind: Kind
    """What all values are: whole numbers, numbers, ISO 8601 dates; else text."""
    length: float
    """Mean characters of a value."""
    word_count: float
    """Mean words of a value."""
    letters: float
    """Share of letters among the characters that are not white space."""

    @property
    def filled(self) -> int:
        """Rows that have a value."""
        return sum(self.counts.values())

    @property
    def distinct(self) -> int:
        """Different values."""
        return len(self.counts)


def measure(rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Returns the columns by name, in the order in which the rows bring them up."""
    names = dict.fromkeys(str(name) for row in rows for name in row)
    return {name: _measured(name, [row.get(name) for row in rows]) for name in names}


def name_words(name: str) -> tuple[str, ...]:
    """Returns a column name's words in lower case: `userID` is user, id."""
    return tuple(word.lower() for word in _NAME_WORD.findall(name))


def as_text(value: Any) -> str:
    """Returns a cell as text: null and NaN as "", truth values as true and false; lists and tables are not asked."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def as_labels(values: Iterable[str]) -> list[str]:
    """Returns values as labels are read: stripped, and without `.0` where all are whole numbers."""
    labels = [value.strip() for value in values]
    numbers = {label for label in labels if label and label.casefold() != "nan"}
    if numbers and all(map(_WHOLE.fullmatch, numbers)):
        return ["" if label not in numbers else _POINT_ZERO.sub(r"\1", label) for label in labels]
    return labels


def is_date(value: str) -> bool:
    """Whether `value` is an ISO 8601 date or date and time."""
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def is_epoch(value: str) -> bool:
    """Whether `value` is a whole number of seconds or milliseconds since 1970 that falls into 1990 to 2099."""
    digits = _POINT_ZERO.sub(r"\1", value)
    if not digits.isdecimal() or not 9 <= len(digits) <= 13:
        return False
    seconds = int(digits) / (1000 if len(digits) >= 12 else 1)
    return 1990 <= datetime.fromtimestamp(seconds, UTC).year < 2100


def is_number(value: str) -> bool:
    """Whether `value` is a finite decimal number."""
    try:
        return math.isfinite(float(value)) and "_" not in value
    except ValueError:
        return False


def _measured(name: str, raw: Sequence[Any]) -> Column:
    nested = any(isinstance(value, list | tuple | dict | set | bytes) for value in raw)
    values = tuple("" if nested else as_text(value) for value in raw)
    counts = Counter(stripped for value in values if (stripped := value.strip()))
    sample = [value for value in values if value.strip()][:SAMPLE]
    characters = sum(len("".join(value.split())) for value in sample)
    letters = sum(character.isalpha() for value in sample for character in value)
    spaced = sum(len(value.split()) + len(_UNSPACED.findall(value)) / 2 for value in sample)
    return Column(
        name=name,
        words=name_words(name),
        values=values,
        counts=counts,
        kind="nested" if nested else _kind(list(counts)[:SAMPLE]),
        length=sum(map(len, sample)) / len(sample) if sample else 0.0,
        word_count=spaced / len(sample) if sample else 0.0,
        letters=letters / characters if characters else 0.0,
    )


def _kind(values: Sequence[str]) -> Kind:
    if not values:
        return "empty"
    if all(map(_WHOLE.fullmatch, values)):
        return "whole"
    if all(map(is_number, values)):
        return "number"
    return "date" if all(map(is_date, values)) else "text"
