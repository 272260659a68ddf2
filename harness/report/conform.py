"""Blocks as they must be: what plugins yield is checked by the types of its fields before anything draws it.

A block that passes is made of plain text, finite numbers and known blocks alone. So no writer has to expect a figure
without a number, a row that is longer than its table, or a string that claims to be markup already.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, SupportsFloat, Union, cast, get_args, get_origin, get_type_hints

from harness.blocks import Block, Chart, Matrix, Table

KINDS: tuple[type, ...] = get_args(Block)


def conform(block: object) -> Block:
    """Returns a block of plain values.

    Args:
        block: What a section yielded.

    Raises:
        TypeError: It is no block, or a field holds something of another type; the field is named.
        ValueError: A number that is none, an unknown word, a table or matrix that is ragged.
    """
    if type(block) not in KINDS:
        raise TypeError(f"yielded {type(block).__name__}, which is not a block")
    clean: Any = _dataclass(block, type(block).__name__)
    if isinstance(clean, Table):
        _rectangular(clean)
    if isinstance(clean, Matrix):
        _counted(clean)
    if isinstance(clean, Chart) and not clean.series:
        raise ValueError("Chart.series is empty")
    return clean  # type: ignore[no-any-return]


@cache
def _fields(cls: Hashable) -> tuple[tuple[str, Any], ...]:
    """Returns names and hints: a page asks thousands of times."""
    hints, kind = get_type_hints(cls), cast("Any", cls)
    return tuple((field.name, hints[field.name]) for field in fields(kind))


@cache
def _parts(hint: Hashable) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


def _dataclass(value: Any, where: str) -> Any:
    checked = {}
    for name, hint in _fields(cast("Hashable", type(value))):
        given = getattr(value, name)
        clean = _value(given, hint, f"{where}.{name}")
        if clean is not given:
            checked[name] = clean
    return replace(value, **checked) if checked else value


def _value(value: Any, hint: Any, where: str) -> Any:
    """Returns a value as its hint wants it; what a hint leaves open passes as it is."""
    if hint is str and type(value) is str:
        return value
    origin, parts = _parts(hint)
    if origin in (Union, UnionType):
        return _one_of(value, parts, where)
    if origin is Literal:
        if value not in parts:
            raise ValueError(f"{where} is {value!r}; it may be {', '.join(map(repr, parts))}")
        return value
    if origin is tuple:
        return _tuple(value, parts, where)
    if hint is str:
        return _text(value, where)
    if hint in (float, int):
        return _number(value, hint, where)
    if isinstance(hint, type) and (hint is bool or is_dataclass(hint)):
        if type(value) is not hint:
            raise _wrong(value, hint.__name__, where)
        return value if hint is bool else _dataclass(value, where)
    return value


def _one_of(value: Any, hints: Sequence[Any], where: str) -> Any:
    if value is None and NoneType in hints:
        return None
    known = [hint for hint in hints if hint is not NoneType]
    exact = [hint for hint in known if hint is type(value)]
    if exact or len(known) == 1:
        return _value(value, (exact or known)[0], where)
    if isinstance(value, str) and str in known:
        return _text(value, where)
    raise _wrong(value, " or ".join(getattr(hint, "__name__", str(hint)) for hint in known), where)


def _tuple(value: Any, hints: Sequence[Any], where: str) -> Any:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        raise _wrong(value, "tuple", where)
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise ValueError(f"{where} has {len(value)} entries instead of {len(hints)}")
    clean = tuple(
        _value(item, hint, f"{where}[{place}]") for place, (item, hint) in enumerate(zip(value, hints, strict=True))
    )
    same = type(value) is tuple and all(new is old for new, old in zip(clean, value, strict=True))
    return value if same else clean


def _text(value: Any, where: str) -> str:
    """Returns plain text: a subclass that calls itself markup loses that claim."""
    if not isinstance(value, str):
        raise _wrong(value, "str", where)
    return value if type(value) is str else str.__str__(value)


def _number(value: Any, wanted: Any, where: str) -> Any:
    if type(value) in (int, float) and (wanted is float or type(value) is int) and math.isfinite(value):
        return value  # nearly all; the rest takes its time
    if isinstance(value, bool) or not isinstance(value, SupportsFloat) or isinstance(value, str):
        raise _wrong(value, wanted.__name__, where)
    if not math.isfinite(value):
        raise ValueError(f"{where} is {value}: where there is no number, leave it out")
    exact = wanted(value)
    if exact != value:
        raise _wrong(value, wanted.__name__, where)
    return exact


def _wrong(value: Any, wanted: str, where: str) -> TypeError:
    return TypeError(f"{where} is of type {type(value).__name__} instead of {wanted}")


def _rectangular(table: Table) -> None:
    if not table.columns:
        raise ValueError("Table.columns is empty")
    for place, row in enumerate(table.rows):
        if len(row) != len(table.columns):
            raise ValueError(f"Table.rows[{place}] has {len(row)} cells for {len(table.columns)} columns")


def _counted(matrix: Matrix) -> None:
    if len(matrix.counts) != len(matrix.rows):
        raise ValueError(f"Matrix.counts has {len(matrix.counts)} rows for {len(matrix.rows)} labels")
    for place, row in enumerate(matrix.counts):
        if len(row) != len(matrix.columns):
            raise ValueError(f"Matrix.counts[{place}] has {len(row)} counts for {len(matrix.columns)} columns")
