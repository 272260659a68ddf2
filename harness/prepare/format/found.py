"""Shared by the rules: how findings show texts and rows, and the findings that both kinds of file can have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.errors import nearest
from harness.findings import finding
from harness.numbers import counted
from harness.prepare.profiles import ADVISED_EXAMPLES, LARGEST_WEIGHT, Profile
from harness.types import Check
from harness.words import noted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SHOWN_ROWS = 10


def advised(what: str, name: str, names: Iterable[str]) -> str:
    """Returns `what` as a sentence that ends with the nearest of `names`, or with the list of them."""
    near = nearest(name, names)
    return f"{what}{near}{'' if near.endswith('?') else '.'}"


def where(numbers: Sequence[int] | NDArray[np.int64]) -> dict[str, Any]:
    """Returns the figures `rows` (how many) and `first` (the first ten), of row numbers in ascending order."""
    return {"rows": len(numbers), "first": [int(number) for number in numbers[:_SHOWN_ROWS]]}


def first(figures: Mapping[str, Any], what: str = "row") -> str:
    """Returns `row 3` or `rows 3, 4, 5, …` for the end of a message."""
    numbers = figures["first"][:3]
    more = ", …" if figures["rows"] > len(numbers) else ""
    return f"{what}{'s' * (figures['rows'] > 1)} {', '.join(map(str, numbers))}{more}"


def at(numbers: Sequence[int] | NDArray[np.int64], check: Check, what: str = "row") -> Iterator[Check]:
    """Yields a finding about single rows with their places: in its figures, and the first at the end of its message.

    Args:
        numbers: The rows in ascending order; where there are none there is no finding.
        check: The finding without the places.
        what: What the numbers count.
    """
    if len(numbers):
        figures = where(numbers)
        message = f"{check.message} ({first(figures, what)})"
        yield replace(check, message=message, figures={**figures, **check.figures})


def are(count: int, what: str, of: int) -> str:
    """Returns `1 row of 20 is`, `2 rows of 20 are`."""
    return f"{counted(count, what)} of {of:,} {'is' if count == 1 else 'are'}"


def weights(numbers: Sequence[int] | NDArray[np.int64], what: str) -> Iterator[Check]:
    """`example-weight`: rows (or lines) whose weight is missing where others have one, not above 0 or too large."""
    check = Check(
        kind="example-weight",
        level="error",
        message=f"{counted(len(numbers), what)} with no weight above 0 and up to {LARGEST_WEIGHT:g}",
        heading="balance",
        advice=f"Give every {what} a weight, or none.",
    )
    yield from at(numbers, check, what)


def repeats(numbers: Sequence[int] | NDArray[np.int64], rows: int, what: str, *, mended: int = 0) -> Iterator[Check]:
    """`duplicate-rows`: rows (or lines) that stand in an earlier place already, of `rows`."""
    n = len(numbers)
    check = Check(
        kind="duplicate-rows",
        level="warning",
        message=f"{counted(n, what)} of {rows:,} repeat{'s' if n == 1 else ''} an earlier one",
        heading="diversity",
        advice="Keep one of each: a repeat is learned twice, and makes a test of the model too easy.",
        mended=mended,
    )
    yield from at(numbers, check, what)


def conflicts(numbers: Sequence[int] | NDArray[np.int64], prompts: int, what: str) -> Iterator[Check]:
    """`conflicting-completions`: rows (or lines) of so many prompts that have several answers."""
    check = Check(
        kind="conflicting-completions",
        level="warning",
        message=f"{counted(prompts, 'prompt')} with more than one answer, in {counted(len(numbers), what)}",
        figures={"prompts": prompts},
        heading="quality",
        advice="Decide on one answer for each prompt: the model cannot learn two.",
    )
    yield from at(numbers, check, what)


def examples(rows: int, profile: Profile) -> Iterator[Check]:
    """`training-examples`: fewer than the provider takes, fewer than are advised, or enough."""
    least = profile.least_examples
    yield finding(
        "training-examples",
        "error" if rows < least else "warning" if rows < ADVISED_EXAMPLES else "ok",
        {"examples": rows, "provider": profile.name, "least": least, "advised": ADVISED_EXAMPLES},
        heading="quantity",
        advice=noted("Label more examples: each doubling of their number gains about as much again.")
        if rows < ADVISED_EXAMPLES
        else "",
    )
