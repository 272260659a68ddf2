"""A report before it is written: the same for the page, the terminal, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.blocks import Callout, Results
from harness.report.complete import completed
from harness.report.gaps import gaps, readable
from harness.report.sections import Spoken, speak

if TYPE_CHECKING:
    from harness.contract import Section


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a report says, in blocks."""

    data: dict[str, Any]
    """`results.json`, with every key that a report asks for."""
    gaps: tuple[Callout, ...]
    """What is missing, and how to get it."""
    sections: tuple[Spoken, ...]


def tell(results: Results, sections: Sequence[Section] = ()) -> Told:
    """Makes a report of results.

    Args:
        results: What may be shown, and nothing else.
        sections: Instances of section plugins, in any order.
    """
    whole = completed(results.data)
    shown = readable(replace(results, data=whole.data))
    return Told(
        data=whole.data,
        gaps=gaps(results, whole.data, dropped=whole.dropped),
        sections=tuple(speak(shown, sections)),
    )
