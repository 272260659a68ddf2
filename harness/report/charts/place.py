"""Places labels so that none covers another, a marker or a whisker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.report.charts.svg import LINE, width


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle in px."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two overlap."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def inside(self, other: Box) -> bool:
        """Whether this one lies within `other`."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A label with its place; `far` ones need a line to what they name."""

    text: str
    box: Box
    far: bool
    left: bool = False
    """Whether it stands left of its point, and so ends there."""


def place(
    wanted: Sequence[tuple[float, float, Sequence[str]]], obstacles: Sequence[Box], within: Box, *, below: bool = False
) -> list[Placed]:
    """Finds a place for each label.

    Args:
        wanted: For each label the point (x, y) that it names and its texts, the preferred first, the shortest last.
        obstacles: What must stay visible.
        within: The area to stay in.
        below: Whether below the point is preferred to beside it.

    Returns:
        One placed label for each wanted one, none of them overlapping another.
    """
    taken = list(obstacles)
    found: list[Placed] = []
    for x, y, texts in wanted:
        best = _first_free(x, y, texts, taken, within, below=below)
        taken.append(best.box)
        found.append(best)
    return found


def _first_free(x: float, y: float, texts: Sequence[str], taken: Sequence[Box], within: Box, *, below: bool) -> Placed:
    for text in texts:
        for box in sorted(_near(x, y, width(text)), key=lambda box: below and box.top < y):
            if box.inside(within) and not any(box.meets(other) for other in taken):
                return Placed(text=text, box=box, far=False, left=box.right < x)
    for text in reversed(texts):
        for box in _around(x, y, width(text), within):
            if not any(box.meets(other) for other in taken):
                return Placed(text=text, box=box, far=True)
    return Placed(text=texts[-1], box=next(_near(x, y, width(texts[-1]))), far=False)


def _near(x: float, y: float, wide: float) -> Iterator[Box]:
    half = LINE / 2
    for left, top in (
        (x + 9, y - half),
        (x - 9 - wide, y - half),
        (x + 7, y - LINE - 3),
        (x + 7, y + 3),
        (x - 7 - wide, y - LINE - 3),
        (x - 7 - wide, y + 3),
        (x - wide / 2, y - LINE - 8),
        (x - wide / 2, y + 8),
    ):
        yield Box(left=left, top=top, right=left + wide, bottom=top + LINE)


def _around(x: float, y: float, wide: float, within: Box) -> Iterator[Box]:
    """Yields boxes farther and farther from the point, all over the area."""
    spots = [
        Box(left=left, top=top, right=left + wide, bottom=top + LINE)
        for row in range(int((within.bottom - within.top) // LINE))
        for column in range(max(1, int((within.right - within.left - wide) // 16)))
        for left, top in [(within.left + column * 16, within.top + row * LINE)]
    ]
    yield from sorted(
        (spot for spot in spots if spot.inside(within)),
        key=lambda box: (
            ((box.left + box.right) / 2 - x) ** 2 + ((box.top + box.bottom) / 2 - y) ** 2,
            box.left,
            box.top,
        ),
    )


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves positions apart by at least `gap`, in order, within `low`…`high` as far as there is room."""
    order = sorted(range(len(wanted)), key=lambda n: (wanted[n], n))
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1)) if len(wanted) > 1 else gap
    moved = [min(max(value, low), high) for value in wanted]
    for before, after in pairwise(order):
        moved[after] = max(moved[after], moved[before] + gap)
    if order and moved[order[-1]] > high:
        moved[order[-1]] = high
        for after, before in pairwise(reversed(order)):
            moved[before] = min(moved[before], moved[after] - gap)
    return moved
