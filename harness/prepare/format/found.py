"""Shared by the rules: how findings show texts and rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from harness.prepare.profiles import Profile
from harness.types import Check

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ADVISED = 100
"""Below it, more examples help most: gains are seen from 50 to 100 on (OpenAI's guide on fine-tuning)."""

_SHOWN_ROWS = 10
_SHOWN_CHARACTERS = 40


def quoted(text: str) -> str:
    """Shows a text in a message: as JSON writes it, at most 40 characters of it."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return json.dumps(shown, ensure_ascii=False)


def counted(count: int, what: str) -> str:
    """Returns `1 row`, `2 rows`."""
    return f"{count:,} {what if count == 1 else what + 's'}"


def where(numbers: Sequence[int] | NDArray[np.int64]) -> dict[str, Any]:
    """Returns the figures `rows` (how many) and `first` (the first ten), of row numbers in ascending order."""
    return {"rows": len(numbers), "first": [int(number) for number in numbers[:_SHOWN_ROWS]]}


def first(figures: dict[str, Any]) -> str:
    """Returns `row 3` or `rows 3, 4, 5, …` for the end of a message."""
    numbers = figures["first"][:3]
    more = ", …" if figures["rows"] > len(numbers) else ""
    return f"row{'s' * (figures['rows'] > 1)} {', '.join(map(str, numbers))}{more}"


def examples(rows: int, profile: Profile) -> Iterator[Check]:
    """`training-examples`: fewer than the provider takes, fewer than are advised, or enough."""
    figures = {"examples": rows, "least": profile.least_examples, "advised": ADVISED}
    few = rows < profile.least_examples
    message = f"{counted(rows, 'example')}"
    if few:
        message += f", {profile.name} takes files of at least {profile.least_examples}"
    elif rows < ADVISED:
        message += f", at least {ADVISED} are advised"
    yield Check(
        kind="training-examples",
        level="error" if few else "warning" if rows < ADVISED else "ok",
        message=message,
        figures=figures,
        heading="quantity",
        advice="Label more examples: each doubling of their number gains about as much again."
        if rows < ADVISED
        else "",
    )
