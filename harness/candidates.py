"""Which settings a choice on validation tries."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def grid_of(choose: Mapping[str, Sequence[Any]], trials: int, draw: random.Random) -> list[dict[str, Any]]:
    """Returns all combinations of the values, or a draw of `trials` of them where there are more."""
    total = math.prod(len(values) for values in choose.values())
    grid = []
    for number in range(total) if total <= trials else draw.sample(range(total), trials):
        settings, rest = {}, number
        for key, values in reversed(list(choose.items())):
            rest, index = divmod(rest, len(values))
            settings[key] = values[index]
        grid.append({key: settings[key] for key in choose})
    return grid


def simplest(grid: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields each setting once; with `shots.k` = 0 the draws are all the same prompt."""
    seen = set()
    for settings in grid:
        relevant = {
            key: value for key, value in settings.items() if key != "shots.draw" or settings.get("shots.k") != 0
        }
        mark = json.dumps(relevant, sort_keys=True, default=str)
        if mark not in seen:
            seen.add(mark)
            yield relevant
