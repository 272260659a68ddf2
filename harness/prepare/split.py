"""Train, validation, test: from content and seed alone.

All groups stand in one order, by a hash of seed and name (a row without a group is a group of its own). Each class
has its own cuts in that order, where its rows reach the wanted shares; a group follows the cuts of its most frequent
label. So row order changes nothing, and a row that is added moves at most one group for each class and boundary:

- It changes the cuts of its own class alone, for they are counted over the rows of that class, wherever these stand.
- Along one boundary F of a class of N rows, a group belongs to the left side if the middle of its rows lies below
  F·N. One more row shifts the later middles by 1 (that of its own group by ½) and the boundary by F ≤ 1. What changes
  sides lies within 1 of the boundary, and middles lie at least 1 apart: at most one group. Keeping the cut at least
  one group away from its neighbours does not add to that.
- If the new row changes its own group's most frequent label, that group may follow other cuts from now on: the one
  move for its former class, whose cuts have not changed.

A group's name must not change with its rows for that. The names of groups do not; but duplicates that stay form units
that are named after one of them, so an added row can rename its unit, or join two: then that unit moves, and others by
as much as it weighs. With duplicates removed (the default) there are no such units.

Stratified where possible, a class of fewer rows than splits is cut in the same way: one row or group for each split in
turn, train first, until there are none. Without strata all rows are one class, and a label may be nowhere in train.

By time the order is that of the groups' latest dates instead, and all rows are one class: what is held back is newer
than what is learned from, as it will be in use.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from itertools import accumulate
from typing import Any

from harness.errors import DataError
from harness.numbers import counted
from harness.prepare.normalise import keyed_hash
from harness.prepare.options import Fractions
from harness.types import Example, Split


def assign(
    examples: Sequence[Example], fractions: Fractions, seed: int, units: Mapping[str, str] | None = None
) -> dict[str, Split]:
    """Returns the split of each example by its id.

    Splits that the data give are kept; a validation split that is missing then is cut from train.

    Args:
        examples: With distinct ids; either all or none with a split.
        fractions: The wanted shares.
        seed: The experiment's.
        units: Example id → name of the unit that must stay together; by default the example's group, or its id.

    Raises:
        DataError: Some rows have a split and others have none, or the request cannot be met; says what can.
    """
    names = units if units is not None else {example.id: unit_name(example) for example in examples}
    given = {example.id: example.split for example in examples if example.split is not None}
    if not given:
        return _cut(examples, fractions.shares, fractions, seed, names)
    if len(given) < len(examples):
        raise DataError(
            f"{len(examples) - len(given)} of {len(examples)} rows have no split, the others have one",
            "give every row a split (train, validation or test), or none",
        )
    missing = {Split.TRAIN, Split.TEST} - set(given.values())
    if missing:
        raise DataError(
            f"the given split has no {' and no '.join(sorted(missing))} rows",
            "name train and test in the split column, or leave it out of [dataset] to have the rows split",
        )
    if Split.VALIDATION not in given.values() and fractions.validation:
        shares = {split: share for split, share in fractions.shares.items() if split != Split.TEST}
        whole = sum(shares.values())
        train = [example for example in examples if example.split == Split.TRAIN]
        within: dict[Split, Fraction] = {split: share / whole for split, share in shares.items()}
        possible = replace(fractions, stratify=fractions.stratify and "where-possible")
        try:
            return {**given, **_cut(train, within, possible, seed, names)}
        except DataError as error:
            hint = "add rows to train, or name validation in the split column as well"
            raise DataError(error.message, hint) from None
    return given


def unit_name(example: Example) -> str:
    """Returns the name of what an example must stay together with: its group, or only itself."""
    return f"row {example.id}" if example.group is None else f"group {example.group}"


def _cut(
    examples: Sequence[Example],
    shares: Mapping[Split, Fraction],
    fractions: Fractions,
    seed: int,
    names: Mapping[str, str],
) -> dict[str, Split]:
    """Cuts the groups by class; arrays with one place for each group, class or row stand for loops over them."""
    import numpy as np

    by_time = fractions.by == "time"
    stratify = fractions.stratify is not False and not by_time
    groups: dict[str, int] = {}
    group = np.array([groups.setdefault(names[example.id], len(groups)) for example in examples], dtype=np.int64)
    _check_possible(examples, len(groups), shares, fractions.stratify is True and not by_time)
    labels = {label: code for code, label in enumerate(sorted({example.label for example in examples}))}
    label = np.array([labels[example.label] if stratify else 0 for example in examples], dtype=np.int64)
    place = _places(list(groups), seed, _latest(examples, group) if by_time else None)
    pairs, sizes = np.unique(group * len(labels) + label, return_counts=True)
    owner, kind = np.divmod(pairs, len(labels))  # groups in order, of each its classes in order
    frequent = np.lexsort((kind, -sizes, owner))
    follows = kind[frequent[np.unique(owner[frequent], return_index=True)[1]]]
    parts = np.zeros(len(groups), dtype=np.int64)
    for code in range(len(labels)):
        inside = np.flatnonzero(kind == code)
        inside = inside[np.argsort(place[owner[inside]])]
        cuts = _cuts(place[owner[inside]], sizes[inside], shares, len(groups))
        mine = follows == code
        parts[mine] = np.searchsorted(cuts, place[mine], side="right")
    splits = list(shares)
    result = {e.id: splits[part] for e, part in zip(examples, parts[group].tolist(), strict=True)}
    _check_filled(result, shares, len(groups))
    return result


def _places(names: Sequence[str], seed: int, latest: Any) -> Any:
    """Returns where each group stands in the order: by its latest date, if there is one, then by the seed."""
    import numpy as np

    drawn = b"".join([keyed_hash(seed, "split", name) for name in names])
    halves = np.frombuffer(drawn, dtype=">u8").reshape(-1, 2)
    keys = (halves[:, 1], halves[:, 0]) if latest is None else (halves[:, 1], halves[:, 0], latest)
    places = np.empty(len(names), dtype=np.int64)
    places[np.lexsort(keys)] = np.arange(len(names))
    return places


def _cuts(places: Any, sizes: Any, shares: Mapping[Split, Fraction], end: int) -> list[int]:
    """Returns the places in the order at which the later splits begin for one class.

    Args:
        places: Where its groups stand, ascending.
        sizes: How many of its rows each has.
        shares: The wanted shares.
        end: The place after the last group.
    """
    import numpy as np

    # Twice the middle of a group's rows against twice the boundary: whole numbers and exact fractions.
    middles = 2 * np.cumsum(sizes) - sizes
    n = int(sizes.sum())
    cuts = []
    for number, share in enumerate(list(accumulate(shares.values()))[:-1], start=1):
        left = int(np.searchsorted(middles, math.ceil(2 * share * n)))
        left = max(number, min(left, len(places) - (len(shares) - number)))
        cuts.append(int(places[left]) if left < len(places) else end)
    return cuts


def _latest(examples: Sequence[Example], group: Any) -> Any:
    """Returns for each group the date of its latest row, in seconds since 1970."""
    import numpy as np

    undated = [example.id for example in examples if example.time is None]
    if undated:
        raise DataError(
            f'prepare.split.by = "time", but {len(undated)} rows have no date, e.g. id {min(undated)}',
            "name the column of dates in dataset.time, and leave out rows without one; or split by content",
        )
    latest = np.full(int(group.max()) + 1, -np.inf)
    np.maximum.at(latest, group, [moment(example.time) for example in examples if example.time])
    return latest


def moment(time: str) -> float:
    """Returns an ISO 8601 date as seconds since 1970: in UTC where it has no zone, at midnight where it has no hour."""
    parsed = datetime.fromisoformat(time)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _check_possible(
    examples: Sequence[Example], n_groups: int, shares: Mapping[Split, Fraction], stratify: bool
) -> None:
    n_splits = len(shares)
    wanted = ", ".join(shares)
    if n_groups < n_splits:
        what = f"{len(examples)} rows" if n_groups == len(examples) else f"{n_groups} groups of rows"
        raise DataError(
            f"{what} cannot be split into {wanted}: at least {n_splits} are needed",
            "add data, or set a share of [prepare].split to 0",
        )
    rare = {label: n for label, n in Counter(e.label for e in examples).items() if n < n_splits}
    if stratify and rare:
        label = min(rare, key=lambda name: (rare[name], name))
        more = f" (and {len(rare) - 1} such classes more)" if len(rare) > 1 else ""
        raise DataError(
            f'class "{label}" has {counted(rare[label], "example")}{more}, fewer than the splits: {wanted}',
            'add examples, leave the class out, set a share to 0 or [prepare].split.stratify = "where-possible"',
        )


def _check_filled(result: Mapping[str, Split], shares: Mapping[Split, Fraction], n_groups: int) -> None:
    for split in shares:
        if split not in result.values():
            raise DataError(
                f"no group is left for {split}: the {n_groups} groups are too large or too few for these shares",
                "give larger shares in [prepare].split, a finer group, or set the share to 0",
            )
