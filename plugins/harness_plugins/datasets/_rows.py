"""What datasets with columns share: from rows to examples."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import harness

_SPLITS = {
    "train": harness.Split.TRAIN,
    "training": harness.Split.TRAIN,
    "validation": harness.Split.VALIDATION,
    "valid": harness.Split.VALIDATION,
    "val": harness.Split.VALIDATION,
    "dev": harness.Split.VALIDATION,
    "test": harness.Split.TEST,
}
_POINT_ZERO = re.compile(r"([+-]?\d+)\.0+")
_INTEGER = re.compile(r"[+-]?\d+(\.0+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column is what."""

    text: tuple[str, ...]
    label: str
    group: str | None = None
    split: str | None = None
    slices: tuple[str, ...] = ()
    time: str | None = None

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """Returns the columns by the option that names them."""
        single = {"label": self.label, "group": self.group, "split": self.split, "time": self.time}
        return {
            "text": self.text,
            "slices": self.slices,
            **{option: (column,) for option, column in single.items() if column},
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was read."""

    where: str
    """File and line, for messages."""
    values: Mapping[str, Any]
    split: harness.Split | None = None
    """Known from elsewhere than a column."""


def check_columns(columns: Columns, present: Sequence[str], source: str, hint: str = "") -> None:
    """Refuses options that name no column.

    Raises:
        harness.DataError: With the nearest name and the list of columns.
    """
    shown = [name if len(name) <= 30 else f"{name[:29]}…" for name in map(str, present)]
    quoted = ", ".join(f'"{name}"' for name in shown[:20])
    listed = f"Its columns: {quoted}{', …' if len(shown) > 20 else ''}{hint}"
    if not columns.text:
        raise harness.DataError(f"dataset.text names no column of {source}", listed)
    for option, names in columns.named.items():
        for name in names:
            if name not in present:
                raise harness.DataError(
                    f'{source} has no column "{name}" (dataset.{option}); {harness.nearest(name, shown)}', listed
                )


def examples(rows: Iterable[Row], columns: Columns) -> Iterator[harness.Example]:
    """Yields an example for each row, in order.

    Labels become texts without white space around them; where all labels of the column are whole numbers, `5.0`
    becomes `5`. A row without a label (empty, null or NaN) yields the label "", which the data stage counts and
    removes. Texts that are missing are "".

    Raises:
        harness.DataError: A value is no text, no number or no date: where, and what was expected.
    """
    loaded = list(rows)
    labels = _labels([_scalar(row, columns.label) if columns.label else "" for row in loaded])
    for row, label in zip(loaded, labels, strict=True):
        yield harness.Example(
            fields={name: _text(row, name) for name in columns.text},
            label=label,
            group=_text(row, columns.group).strip() or None if columns.group else None,
            split=_split(row, columns.split) if columns.split else row.split,
            slices={name: _text(row, name).strip() for name in columns.slices},
            time=_time(row, columns.time) if columns.time else None,
        )


def split_of(name: str) -> harness.Split | None:
    """Returns the split that `name` means (val, dev: validation), or `None`."""
    return _SPLITS.get(name.strip().casefold())


def _labels(raw: Sequence[str]) -> list[str]:
    labels = [label.strip() for label in raw]
    stated = {label for label in labels if label}
    numbers = {label for label in stated if label.casefold() != "nan"}
    if numbers and all(_INTEGER.fullmatch(label) for label in numbers):
        # Among numbers "nan" is what a table without values was written with, not a class.
        return ["" if label not in numbers else _POINT_ZERO.sub(r"\1", label) for label in labels]
    return labels


def _text(row: Row, column: str) -> str:
    return _scalar(row, column).replace("\r\n", "\n").replace("\r", "\n")


def _scalar(row: Row, column: str) -> str:
    """Returns a cell as text: null and NaN as "", numbers as they are written, truth values as true and false."""
    value = row.values.get(column)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, list | tuple | dict | bytes | set):
        raise harness.DataError(
            f'{row.where}: column "{column}" holds a {type(value).__name__}, expected a text or a number',
            "Name a column of plain values, or flatten it first.",
        )
    return value.isoformat() if isinstance(value, date) else str(value)


def _split(row: Row, column: str) -> harness.Split | None:
    value = _scalar(row, column).strip()
    if not value:
        return None
    split = split_of(value)
    if split is None:
        raise harness.DataError(
            f'{row.where}: "{value}" in column "{column}" is no split: {harness.nearest(value, _SPLITS)}',
            "Expected train, validation (val, dev) or test.",
        )
    return split


def _time(row: Row, column: str) -> str | None:
    """Returns an ISO 8601 date; whole numbers are seconds or milliseconds since 1970."""
    value = _POINT_ZERO.sub(r"\1", _scalar(row, column).strip())
    if not value:
        return None
    readers: tuple[Callable[[str], date], ...] = (date.fromisoformat, datetime.fromisoformat)
    if value.isdecimal() and len(value) >= 9:
        seconds = int(value) / (1000 if len(value) >= 12 else 1)
        readers = (lambda _: datetime.fromtimestamp(seconds, UTC),)
    for reader in readers:
        try:
            return reader(value).isoformat()
        except (ValueError, OverflowError, OSError):
            continue
    raise harness.DataError(
        f'{row.where}: "{value[:40]}" in column "{column}" (dataset.time) is no date',
        "Expected ISO 8601, e.g. 2026-01-31, or seconds since 1970.",
    )
