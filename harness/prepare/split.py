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

By time the order is that of the groups' latest dates instead, and all rows are one class: what is held back is newer
than what is learned from, as it will be in use.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import accumulate

from harness.errors import DataError
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
            "Give every row a split (train, validation or test), or none.",
        )
    missing = {Split.TRAIN, Split.TEST} - set(given.values())
    if missing:
        raise DataError(
            f"the given split has no {' and no '.join(sorted(missing))} rows",
            "Name train and test in the split column, or leave it out of [dataset] to have the rows split.",
        )
    if Split.VALIDATION not in given.values() and fractions.validation:
        shares = {split: share for split, share in fractions.shares.items() if split != Split.TEST}
        whole = sum(shares.values())
        train = [example for example in examples if example.split == Split.TRAIN]
        cut = _cut(train, {split: share / whole for split, share in shares.items()}, fractions, seed, names)
        return {**given, **cut}
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
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(names[example.id], []).append(example)
    by_time = fractions.by == "time"
    stratify = fractions.stratify and not by_time
    _check_possible(examples, groups, shares, stratify)
    latest = _latest(groups) if by_time else dict.fromkeys(groups, 0.0)
    order = sorted(groups, key=lambda name: (latest[name], keyed_hash(seed, "split", name), name))
    strata: dict[str, _Stratum] = {}
    follows = []
    for place, name in enumerate(order):
        counts = Counter([example.label if stratify else "" for example in groups[name]])
        for label, size in counts.items():
            strata.setdefault(label, _Stratum()).add(place, size)
        follows.append(min(counts, key=lambda label, counts=counts: (-counts[label], label)))  # type: ignore[misc]
    cuts = {label: stratum.cuts(shares, len(order)) for label, stratum in strata.items()}
    splits = list(shares)
    result = {}
    for place, (name, label) in enumerate(zip(order, follows, strict=True)):
        split = splits[sum(place >= cut for cut in cuts[label])]
        result.update({example.id: split for example in groups[name]})
    _check_filled(result, shares, len(groups))
    return result


def _latest(groups: Mapping[str, Sequence[Example]]) -> dict[str, float]:
    """Returns for each group the date of its latest row, in seconds since 1970."""
    undated = [example.id for members in groups.values() for example in members if example.time is None]
    if undated:
        raise DataError(
            f'prepare.split.by = "time", but {len(undated)} rows have no date, e.g. id {min(undated)}',
            "Name the column of dates in dataset.time, and leave out rows without one; or split by content.",
        )
    return {name: max(moment(example.time) for example in members if example.time) for name, members in groups.items()}


def moment(time: str) -> float:
    """Returns an ISO 8601 date as seconds since 1970: in UTC where it has no zone, at midnight where it has no hour."""
    parsed = datetime.fromisoformat(time)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


class _Stratum:
    """One class: where in the order its groups stand, and how many of its rows each has."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.sizes: list[int] = []

    def add(self, place: int, size: int) -> None:
        self.places.append(place)
        self.sizes.append(size)

    def cuts(self, shares: Mapping[Split, Fraction], end: int) -> list[int]:
        """Returns the places in the order at which the later splits begin."""
        # Twice the middle of a group's rows against twice the boundary: whole numbers and exact fractions.
        middles = [2 * after - size for after, size in zip(accumulate(self.sizes), self.sizes, strict=True)]
        n = sum(self.sizes)
        cuts = []
        for number, share in enumerate(list(accumulate(shares.values()))[:-1], start=1):
            left = bisect_left(middles, 2 * share * n)
            left = max(number, min(left, len(self.places) - (len(shares) - number)))
            cuts.append(self.places[left] if left < len(self.places) else end)
        return cuts


def _check_possible(
    examples: Sequence[Example], groups: Mapping[str, list[Example]], shares: Mapping[Split, Fraction], stratify: bool
) -> None:
    n_splits = len(shares)
    wanted = ", ".join(shares)
    if len(groups) < n_splits:
        what = f"{len(examples)} rows" if len(groups) == len(examples) else f"{len(groups)} groups of rows"
        raise DataError(
            f"{what} cannot be split into {wanted}: at least {n_splits} are needed",
            "Add data, or set a share of [prepare].split to 0.",
        )
    rare = {label: n for label, n in Counter(e.label for e in examples).items() if n < n_splits}
    if stratify and rare:
        label = min(rare, key=lambda name: (rare[name], name))
        more = f" (and {len(rare) - 1} such classes more)" if len(rare) > 1 else ""
        number = f"{rare[label]} example{'s' if rare[label] > 1 else ''}"
        raise DataError(
            f'class "{label}" has {number}{more}, fewer than the splits: {wanted}',
            "Add examples, leave the class out, set a share to 0 or [prepare].split.stratify = false.",
        )


def _check_filled(result: Mapping[str, Split], shares: Mapping[Split, Fraction], n_groups: int) -> None:
    for split in shares:
        if split not in result.values():
            raise DataError(
                f"no group is left for {split}: the {n_groups} groups are too large or too few for these shares",
                "Give larger shares in [prepare].split, a finer group, or set the share to 0.",
            )
