"""What the sections of a report say, asked once, for the page, the terminal, Markdown and JSON alike.

A section is a plugin: it may be anybody's. Each gets a copy of the results of its own, and whatever it yields that is
no block, or raises, becomes a remark that names it. The others stand as they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.blocks import Block, Callout, Results
from harness.plugins.asides import speaker
from harness.plugins.origins import origin
from harness.report.conform import conform
from harness.words import clipped, one_line, say

if TYPE_CHECKING:
    from harness.contract import Section

LAST = 10_000
"""The place of a section that names none."""
SAID = 300
"""Most characters of what a plugin raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What one section says."""

    name: str
    title: str
    blocks: tuple[Block, ...]
    plugin: Any
    """The section's instance, for remarks of those who write its blocks."""


def ordered(sections: Sequence[Section]) -> list[Section]:
    """Returns sections as they follow one another."""
    return sorted(sections, key=lambda section: (_order(section), name_of(section)))


def _order(section: Section) -> float:
    order = getattr(section, "order", LAST)
    return order if isinstance(order, int | float) else LAST


def name_of(section: Section) -> str:
    """Returns a section's name."""
    return str(section.name)


def title_of(section: Section) -> str:
    """Returns a section's heading: its title, else its name."""
    return say(str(getattr(section, "title", "") or section.name))


def speak(results: Results, sections: Sequence[Section]) -> list[Spoken]:
    """Asks each section for its blocks; those that have nothing to say are left out.

    Args:
        results: What may be shown, completed (`complete.completed`).
        sections: Instances of section plugins, in any order.
    """
    text = json.dumps(results.data)
    found = []
    for section in ordered(sections):
        with speaker(section):
            blocks = tuple(_blocks(section, replace(results, data=json.loads(text))))
        if blocks:
            found.append(Spoken(name=name_of(section), title=title_of(section), blocks=blocks, plugin=section))
    return found


def _blocks(section: Section, results: Results) -> Iterator[Block]:
    """Yields a section's blocks, and a remark in place of what could not be had."""
    try:
        for block in section.blocks(results):
            try:
                clean = conform(block)
            except (TypeError, ValueError, ArithmeticError) as error:
                clean = remark(section, error)
            yield clean
    except (Exception, SystemExit) as error:  # a report must be made whatever a plugin does
        yield remark(section, error)


def remark(section: Section, error: BaseException) -> Callout:
    """Returns what stands in place of what a section could not show, naming the plugin and where it comes from."""
    said = one_line(f"{type(error).__name__}: {error}")
    return Callout(
        level="error",
        text=say(
            'The section "{name}" could not be shown in full. Its plugin (from {origin}) raised {error}',
            name=name_of(section),
            origin=origin(section),
            error=clipped(said, SAID),
        ),
    )
