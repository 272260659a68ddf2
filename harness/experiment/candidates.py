"""Which settings a choice on validation tries: the table `[arms.choose]`, and the grid of its values."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from harness.errors import KeyedError, nearest
from harness.plugins.options import shortened

T = TypeVar("T")

PARTS = ("backend", "formatter", "shots")
"""The tables of an arm in which something can be chosen."""
FIXED = ("plugin", "endpoint", "base")
"""What a backend keeps: an arm stands for one way of answering, at one place, at one price."""
CHECKPOINT = "checkpoint"
"""The setting that tells a checkpoint from its job's last model: the step at which it was saved."""
Wrong: TypeAlias = Callable[[str, str], KeyedError]
"""A key below the table, or none for the table itself, and what is wrong with it → the error to raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choose:
    """`[arms.choose]` as it was written."""

    values: Mapping[str, Sequence[Any]]
    """Key of the arm → values to try."""
    budget: Any
    """The table of that name; not checked yet."""
    items: int | None
    checkpoints: bool
    """Whether the checkpoints of a training are candidates too."""


def read_choose(table: Mapping[str, Any], trained: bool, wrong: Wrong) -> Choose:
    """Reads the table.

    Args:
        table: As it stands in the file.
        trained: Whether an endpoint trains the arm: then its checkpoints are candidates unless the table says no.
        wrong: Makes the error of a key.

    Raises:
        ExperimentError: A key is none that can be chosen, its value is no list, or there is nothing to choose.
    """
    rest = dict(table)
    budget, items, checkpoints = rest.pop("budget", {}), rest.pop("items", None), rest.pop("checkpoints", trained)
    if items is not None and (not isinstance(items, int) or isinstance(items, bool) or items < 1):
        raise wrong("items", "a number of validation examples is expected")
    if not isinstance(checkpoints, bool):
        raise wrong("checkpoints", f"true or false is expected, got {shortened(checkpoints)}")
    if checkpoints and not trained:
        raise wrong("checkpoints", "no endpoint trains this arm: it has no checkpoints")
    values = dict(_flat(rest, ""))
    for key, given in values.items():
        _check(key, given, wrong)
    if not values and not checkpoints:
        raise wrong("", 'nothing is to be chosen: give lists of values to try, e.g. "shots.k" = [2, 4, 8]')
    return Choose(values=values, budget=budget, items=items, checkpoints=checkpoints)


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yields `shots.k` for `"shots.k" = …` as well as for `shots.k = …`, which in TOML is a table in a table."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _check(key: str, values: Any, wrong: Wrong) -> None:
    part, _, option = key.partition(".")
    if part not in PARTS:
        near = nearest(part, (*PARTS, "budget", "items", "checkpoints"))
        raise wrong(key, f'only {", ".join(PARTS)} can be chosen, e.g. "shots.k"; {near}')
    if part == "backend" and option in FIXED:
        raise wrong(key, f"an arm has one {option}: give each of them an arm of its own")
    if not isinstance(values, list) or not values:
        raise wrong(key, "a list of values to try is expected")


def with_settings(table: Mapping[str, Any], settings: Mapping[str, Any], wrong: Wrong) -> dict[str, Any]:
    """Returns an arm's table with some of its keys set.

    Raises:
        ExperimentError: A key leads into something that is no table, or changes what an arm keeps.
    """
    changed = deepcopy(dict(table))
    for key, value in settings.items():
        *parents, last = key.split(".")
        target = changed
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                raise wrong(key, f"{parent} is no table: there is nothing in it to choose")
        target[last] = value
        if key == "backend" and isinstance(value, Mapping):
            for option in FIXED:
                if value.get(option) != table["backend"].get(option):
                    raise wrong(key, f"an arm has one {option}: give each of them an arm of its own")
    return changed


def candidate(made: Callable[[Mapping[str, Any]], T], settings: Mapping[str, Any], at: str, wrong: Wrong) -> T:
    """Makes a candidate; where a plugin refuses the options, the error names the value that is wrong on its own.

    Args:
        made: Makes it.
        settings: Its settings.
        at: Where the table stands, for errors.
        wrong: Makes the error of a key.

    Raises:
        ExperimentError: It cannot be.
    """
    try:
        return made(settings)
    except KeyedError as error:
        for key, value in settings.items() if error.key.removeprefix(f"{at}.") in PARTS else ():
            try:
                made({key: value})
            except KeyedError as alone:
                if alone.said == error.said and key not in PARTS:
                    raise wrong(key, f"{alone.said}, got {shortened(value)}") from None
        raise


def worded(settings: Mapping[str, Any]) -> str:
    """Words settings for messages and for `trials.parquet`."""
    return ", ".join(f"{key} = {value}" for key, value in settings.items())


def combinations(choose: Mapping[str, Sequence[Any]]) -> int:
    """Returns how many combinations of the values there are."""
    return math.prod(len(values) for values in choose.values())


def grid_of(choose: Mapping[str, Sequence[Any]], trials: int, draw: random.Random) -> list[dict[str, Any]]:
    """Returns all combinations of the values, or a draw of `trials` of them where there are more."""
    total = combinations(choose)
    grid = []
    for number in range(total) if total <= trials else draw.sample(range(total), trials):
        settings, rest = {}, number
        for key, values in reversed(list(choose.items())):
            rest, index = divmod(rest, len(values))
            settings[key] = values[index]
        grid.append({key: settings[key] for key in choose})
    return grid


def simplest(grid: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields each setting once; with `shots.k` = 0 draws, orders and selectors are all the same prompt."""
    seen = set()
    for settings in grid:
        shotless = settings.get("shots.k") == 0
        relevant = {
            key: value
            for key, value in settings.items()
            if not (shotless and key.startswith("shots.") and key != "shots.k")
        }
        mark = json.dumps(relevant, sort_keys=True, default=str)
        if mark not in seen:
            seen.add(mark)
            yield relevant
