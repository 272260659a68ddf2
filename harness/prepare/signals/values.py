"""What the signals hand back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.findings import rows
from harness.types import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedItem:
    """One row that is worth a look."""

    id: str
    """Id of the example."""
    score: float
    """How suspicious the row is; higher is more. Its unit is said in the list's explanation."""
    note: str
    """What was found there, in a few words."""
    figures: Mapping[str, Any]
    """What the note is written from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Rows to look at for one reason, the most suspicious first; at most `MAX_ITEMS` of them."""

    kind: str
    """Name of the check that it belongs to."""
    title: str
    explanation: str
    """How the rows were found and what the score means, one or two sentences."""
    items: tuple[RankedItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the texts and labels themselves say of their quality."""

    checks: tuple[Check, ...]
    ranked: tuple[Ranked, ...]


def ranked_item(kind: str, example_id: str, score: float, figures: Mapping[str, Any]) -> RankedItem:
    """Returns a row worth a look with its note, in English."""
    return RankedItem(id=example_id, score=score, note=rows.note(kind, figures), figures=figures)


MAX_ITEMS = 200
"""Most rows in a ranked list: more than a person looks at in one sitting."""

NOTABLE = 0.01
"""Share of the rows from which a rule that finds single rows warns."""


def joined(parts: Iterable[Signals]) -> Signals:
    """Puts findings one after the other."""
    every = tuple(parts)
    return Signals(
        checks=tuple(check for part in every for check in part.checks),
        ranked=tuple(ranked for part in every for ranked in part.ranked),
    )
