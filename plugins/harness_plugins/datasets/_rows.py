"""What datasets with columns share: from rows to examples."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import harness
from harness_plugins.datasets._notes import Notes, shown

_SPLITS = {
    "train": harness.Split.TRAIN,
    "training": harness.Split.TRAIN,
    "validation": harness.Split.VALIDATION,
    "valid": harness.Split.VALIDATION,
    "val": harness.Split.VALIDATION,
    "dev": harness.Split.VALIDATION,
    "test": harness.Split.TEST,
}
_POINT_ZERO = re.compile(r"\A([+-]?\d+)\.0+\Z")
_INTEGER = re.compile(r"[+-]?\d+(\.0+)?")
_NULLS = frozenset({"#n/a", "<na>", "n/a", "na", "nan", "nil", "none", "null"})
"""What tables are written with where a value is missing, in lower case."""
_NESTED: dict[type, str] = {dict: "an object", list: "a list", tuple: "a list", set: "a list", bytes: "bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is what, and what is taken off the ends of texts and labels."""

    text: tuple[str, ...]
    label: str
    group: str | None = None
    split: str | None = None
    slices: tuple[str, ...] = ()
    time: str | None = None
    separator: str = ""
    stop: str = ""

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """Returns the columns by the option that names them."""
        single = {"label": self.label, "group": self.group, "split": self.split, "time": self.time}
        return {
            "text": self.text,
            "slices": self.slices,
            **{option: (column,) for option, column in single.items() if column},
        }

    @property
    def wanted(self) -> tuple[str, ...]:
        """Returns the columns that are to be read, texts first, each once."""
        return tuple(dict.fromkeys(name for names in self.named.values() for name in names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Rows of one file or one split: the values of `Columns.wanted`, in that order."""

    where: Callable[[int], str]
    """Makes file and line of a row's number."""
    rows: Iterable[tuple[int, Sequence[Any]]]
    split: harness.Split | None = None
    """Known from elsewhere than a column."""


def check_columns(columns: Columns, present: Sequence[str], source: str, hint: str = "") -> None:
    """Refuses options that name no column.

    Raises:
        harness.DataError: With the nearest name and the list of columns.
    """
    names = [shown(name, 30) for name in present]
    listed = f"its columns: {quoted(names)}{hint}"
    if not columns.text:
        raise harness.DataError(f"dataset.text names no column of {source}", listed)
    for option, wanted in columns.named.items():
        for name in wanted:
            if name not in present:
                raise harness.DataError(
                    f'{source} has no column "{shown(name)}" (dataset.{option}); {harness.nearest(name, names)}', listed
                )


def quoted(names: Sequence[str]) -> str:
    """Returns the first twenty names in quotes."""
    return ", ".join(f'"{shown(name, 30)}"' for name in names[:20]) + (", …" if len(names) > 20 else "")


def examples(
    parts: Iterable[Part], columns: Columns, notes: Notes, labels: Collection[str] = ()
) -> Iterator[harness.Example]:
    """Yields an example for each row, in order.

    Labels become texts without white space around them. Of `5` and `5.0` a label becomes the one that is in the label
    set; where neither is, `5.0` becomes `5` if all labels of the column are whole numbers. A row without a label
    (empty, null or NaN) yields the label "", which the data stage counts and removes; words like NA and None are
    labels, and are told. Texts that are missing are "". Examples are held back only as long as all labels so far are
    whole numbers.

    Args:
        parts: The rows.
        columns: Which column is what.
        notes: Are told what was found.
        labels: The label set, where it is known.

    Raises:
        harness.DataError: A value is no text, no number or no date: where, and what was expected.
    """
    maker = _Maker(columns, notes, labels)
    whole = _WholeNumbers(labels)
    for part in parts:
        for number, cells in part.rows:
            example = maker.example(part, number, cells)
            if whole.open:
                yield from whole.add(example, part, number)
            else:
                yield example
    yield from whole.rest(notes)
    for label, (n, first) in maker.nulls.items():
        if label not in whole.missing:
            notes.add("null-like-labels", first, n, label)


def split_of(name: str) -> harness.Split | None:
    """Returns the split that `name` means (val, dev: validation), or `None`."""
    return _SPLITS.get(name.strip().casefold())


class _WholeNumbers:
    """Holds examples back until it is known whether all labels are whole numbers."""

    def __init__(self, known: Collection[str]) -> None:
        self.open = True
        self._known = known
        self._held: list[harness.Example] = []
        self._numbers: set[str] = set()
        self._others: set[str] = set()
        """Labels that are "" or some spelling of nan, where no label is called so."""
        self._first = ""

    @property
    def missing(self) -> frozenset[str]:
        """Labels that mean that there is none: among numbers "nan" is what such a table was written with."""
        return frozenset(label for label in self._others if label) if self.open and self._numbers else frozenset()

    def add(self, example: harness.Example, part: Part, number: int) -> Iterable[harness.Example]:
        """Takes an example, and returns what need not be held back any longer."""
        self._held.append(example)
        label = example.label
        if label in self._numbers or label in self._others:
            return ()
        if not label or (label.casefold() == "nan" and label not in self._known):
            self._others.add(label)
        elif _INTEGER.fullmatch(label):
            self._numbers.add(label)
            if not self._first and "." in label and label not in self._known:
                self._first = part.where(number)
        else:
            self.open = False
            held, self._held = self._held, []
            return held
        return ()

    def rest(self, notes: Notes) -> Iterator[harness.Example]:
        """Yields the examples that are still held, their labels written as whole numbers."""
        mended = {label: _whole(label) for label in self._numbers if "." in label and label not in self._known}
        mended |= dict.fromkeys(self.missing, "")
        for example in self._held:
            new = mended.get(example.label)
            if new is None:
                yield example
            else:
                if new:
                    notes.add("label-format", self._first)
                yield replace(example, label=new)


def _whole(number: str) -> str:
    """Returns 5 for 5.0, and everything else as it is."""
    return _POINT_ZERO.sub(r"\1", number)


def _spellings(labels: Collection[str]) -> dict[str, str]:
    """Returns whole number → how the label set writes it, where it does so in one way."""
    written: dict[str, list[str]] = {}
    for label in labels:
        written.setdefault(_whole(label), []).append(label)
    return {number: min(found, key=len) for number, found in written.items() if number in found or len(found) == 1}


class _Maker:
    """Makes examples of rows; what it knows of the columns is worked out once."""

    def __init__(self, columns: Columns, notes: Notes, labels: Collection[str]) -> None:
        self._columns = columns
        self._notes = notes
        self._place = {name: place for place, name in enumerate(columns.wanted)}
        self._texts = [(name, self._place[name]) for name in columns.text]
        self._more = bool(columns.group or columns.split or columns.slices or columns.time)
        self._known = frozenset(labels)
        self._spellings = _spellings(self._known)
        self._labels: dict[str, tuple[str, tuple[str, ...]]] = {}
        """Label as written → as used, with the rules that say what was found."""
        self._splits: dict[Any, harness.Split | None] = {}
        """Cell as written → the split that it names."""
        self._no_slices: dict[str, str] = {}
        self.nulls: dict[str, tuple[int, str]] = {}
        """Labels that read like a missing value → rows and the place of the first."""
        self._null_like: set[str] = set()

    def example(self, part: Part, number: int, cells: Sequence[Any]) -> harness.Example:
        columns = self._columns
        fields = {}
        for name, place in self._texts:
            value = cells[place]
            if type(value) is not str:
                value = scalar(value, name, part, number)
            fields[name] = value.replace("\r\n", "\n").replace("\r", "\n") if "\r" in value else value
        if columns.separator:
            self._separated(fields, part, number)
        label = self._label(cells[self._place[columns.label]], part, number) if columns.label else ""
        if self._more:
            return harness.Example(fields=fields, label=label, **self._further(part, number, cells))
        # One mapping for all: a million empty ones would take as much memory as the texts.
        return harness.Example(fields=fields, label=label, split=part.split, slices=self._no_slices)

    def _separated(self, fields: dict[str, str], part: Part, number: int) -> None:
        last = self._columns.text[-1]
        if fields[last].endswith(self._columns.separator):
            fields[last] = fields[last].removesuffix(self._columns.separator)
        elif fields[last]:
            self._notes.add("rows-without-separator", part.where(number))

    def _label(self, value: Any, part: Part, number: int) -> str:
        if type(value) is not str:
            value = scalar(value, self._columns.label, part, number)
            if value.lstrip("-") in ("inf", "Infinity"):
                raise harness.DataError(
                    f'{part.where(number)}: column "{shown(self._columns.label)}" holds an infinite number, '
                    "expected a label",
                    "correct the value, or leave the row out",
                )
        known = self._labels.get(value)
        if known is None:
            known = self._labels[value] = self._read(value)
        label, rules = known
        for rule in rules:
            self._notes.add(rule, part.where(number))
        if label in self._null_like:
            n, first = self.nulls.get(label, (0, part.where(number)))
            self.nulls[label] = (n + 1, first)
        return label

    def _read(self, written: str) -> tuple[str, tuple[str, ...]]:
        stop = self._columns.stop
        bare = written.removesuffix(stop)
        label = bare.strip()
        if label not in self._known:
            label = self._spellings.get(_whole(label), label)
        rules = ["label-format"] if label != bare else []
        if stop and label and bare == written:
            rules.append("rows-without-stop")
        if label.casefold() in _NULLS:
            self._null_like.add(label)
        return label, tuple(rules)

    def _further(self, part: Part, number: int, cells: Sequence[Any]) -> dict[str, Any]:
        columns = self._columns

        def cell(name: str) -> str:
            return scalar(cells[self._place[name]], name, part, number).strip()

        split = part.split
        if columns.split:
            written = cells[self._place[columns.split]]
            if type(written) is not str or written not in self._splits:
                self._splits[written] = _split(cell(columns.split), columns.split, part, number)
            split = self._splits[written]
        return {
            "group": cell(columns.group) or None if columns.group else None,
            "split": split,
            "slices": {name: cell(name) for name in columns.slices} if columns.slices else self._no_slices,
            "time": _time(cell(columns.time), columns.time, part, number) if columns.time else None,
        }


def scalar(value: Any, column: str, part: Part, number: int) -> str:
    """Returns a cell as text: null and NaN as "", numbers as they are written, truth values as true and false.

    Raises:
        harness.DataError: It is a list, an object or bytes (`nested-value`).
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return ""
    if (kind := _NESTED.get(type(value))) is not None:
        raise harness.DataError(
            f'{part.where(number)}: column "{shown(column)}" holds {kind}, expected a text or a number (nested-value)',
            "name a column of plain values, or flatten it first",
        )
    return value.isoformat() if isinstance(value, date) else str(value)


def _split(value: str, column: str, part: Part, number: int) -> harness.Split | None:
    if not value:
        return None
    split = split_of(value)
    if split is None:
        raise harness.DataError(
            f'{part.where(number)}: "{shown(value)}" in column "{shown(column)}" is no split: '
            f"{harness.nearest(value, _SPLITS)}",
            "expected train, validation (val, dev) or test",
        )
    return split


def _time(value: str, column: str, part: Part, number: int) -> str | None:
    """Returns an ISO 8601 date; whole numbers are seconds or milliseconds since 1970."""
    value = _POINT_ZERO.sub(r"\1", value)
    if not value:
        return None
    readers: tuple[Callable[[str], date], ...] = (date.fromisoformat, datetime.fromisoformat)
    if value.isdecimal() and 9 <= len(value) <= 15:
        seconds = int(value) / (1000 if len(value) >= 12 else 1)
        readers = (lambda _: datetime.fromtimestamp(seconds, UTC),)
    for reader in readers:
        try:
            return reader(value).isoformat()
        except (ValueError, OverflowError, OSError):
            continue
    raise harness.DataError(
        f'{part.where(number)}: "{shown(value)}" in column "{shown(column)}" (dataset.time) is no date',
        "expected ISO 8601, e.g. 2026-01-31, or seconds since 1970",
    )
