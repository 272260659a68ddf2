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
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
        return _cut(examples, fractions.shares, fractions.stratify, seed, names)
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
        cut = _cut(train, {split: share / whole for split, share in shares.items()}, fractions.stratify, seed, names)
        return {**given, **cut}
    return given


def unit_name(example: Example) -> str:
    """Returns the name of what an example must stay together with: its group, or only itself."""
    return f"row {example.id}" if example.group is None else f"group {example.group}"


def _cut(
    examples: Sequence[Example],
    shares: Mapping[Split, Fraction],
    stratify: bool,
    seed: int,
    names: Mapping[str, str],
) -> dict[str, Split]:
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(names[example.id], []).append(example)
    _check_possible(examples, groups, shares, stratify)
    order = sorted(groups, key=lambda name: (keyed_hash(seed, "split", name), name))
    counts = {name: Counter(example.label if stratify else "" for example in groups[name]) for name in order}
    cuts = {label: _cuts(order, counts, label, shares) for label in sorted(set().union(*counts.values()))}
    splits = list(shares)
    result = {}
    for place, name in enumerate(order):
        stratum = min(counts[name], key=lambda label: (-counts[name][label], label))
        split = splits[sum(place >= cut for cut in cuts[stratum])]
        result.update({example.id: split for example in groups[name]})
    _check_filled(result, shares, len(groups))
    return result


def _cuts(
    order: Sequence[str], counts: Mapping[str, Counter[str]], label: str, shares: Mapping[Split, Fraction]
) -> list[int]:
    """Returns the places in `order` at which the later splits begin for one class."""
    places = [place for place, name in enumerate(order) if counts[name][label]]
    sizes = [counts[order[place]][label] for place in places]
    ends = list(accumulate(sizes))
    boundaries = list(accumulate(shares.values()))[:-1]
    cuts = []
    for number, share in enumerate(boundaries, start=1):
        # Twice the middle of a group's rows against twice the boundary: whole numbers and exact fractions.
        left = sum(2 * end - size < 2 * share * ends[-1] for end, size in zip(ends, sizes, strict=True))
        left = max(number, min(left, len(places) - (len(shares) - number)))
        cuts.append(places[left] if left < len(places) else len(order))
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
