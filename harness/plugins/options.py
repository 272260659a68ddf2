"""A plugin's options: an experiment's table → a frozen dataclass, with errors that name the key's path."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_type_hints

from harness.errors import PluginError, UsageError, nearest
from harness.plugins import Record, attributed, blamed, called
from harness.words import clipped

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")
TOML: Mapping[str, str] = {"integer": "whole number", "tuple": "list", "dictionary": "table"}
"""What pydantic calls a value of an experiment file → what it is called there."""


class OptionError(ValueError):
    """An option is unknown, missing or of the wrong kind.

    Args:
        path: The key's path, e.g. ``arms[2].backend.epochs``.
        message: What is wrong with it.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def option_names(cls: type) -> tuple[str, ...]:
    """Returns the names of a plugin's options."""
    return tuple(field.name for field in fields(cls) if field.init) if is_dataclass(cls) else ()


def needs_options(cls: type) -> bool:
    """Whether a plugin cannot be made without being told something."""
    return bool(_required(cls))


def _required(cls: type) -> list[str]:
    """Returns the options that have no default."""
    return [
        field.name
        for field in (fields(cls) if is_dataclass(cls) else ())
        if field.init and field.default is MISSING and field.default_factory is MISSING
    ]


def construct(cls: type[T], table: Mapping[str, Any], path: str, *, reserved: Iterable[str] = ()) -> T:
    """Builds a plugin from a table.

    Args:
        cls: The plugin's class, a dataclass.
        table: Option → value as TOML gives it.
        path: Where the table stands, for errors.
        reserved: Keys of the table that are not options.

    Raises:
        OptionError: A key is unknown, missing, or its value is not what the field's annotation says.
        PluginError: The plugin fails while it is made, or its annotations cannot be read.
    """
    from pydantic import TypeAdapter, ValidationError

    skipped = set(reserved)
    names = option_names(cls)
    given = {key: value for key, value in table.items() if key not in skipped}
    for key in given:
        if key not in names:
            raise OptionError(f"{path}.{key}", f'{cls.name} has no option "{key}"; {nearest(key, names)}')  # type: ignore[attr-defined]
    with attributed(cls, "the types of its options"):
        annotations = get_type_hints(cls, include_extras=True) if given else {}
        kinds = {key: TypeAdapter(annotations[key]) for key in given}
    values: dict[str, Any] = {}
    for key, value in given.items():
        try:
            values[key] = kinds[key].validate_python(value)
        except ValidationError as error:
            where, message = finding(error.errors(), value)
            raise OptionError(key_path([path, key, *where]), f"{message}, got {shortened(value)}") from None
        if not _finite(value):  # files of the run could not hold it: JSON has no such number
            raise OptionError(f"{path}.{key}", f"must be a finite number, got {shortened(value)}")
    missing = [name for name in _required(cls) if name not in values]
    if missing:
        raise OptionError(path, f'{cls.name} needs the option "{missing[0]}"')  # type: ignore[attr-defined]
    try:
        with attributed(cls, "being made"):
            return cls(**values)
    except PluginError as error:
        if isinstance(error.__cause__, TypeError | ValueError):  # so plugins say that options do not go together
            raise OptionError(path, f"{cls.name}: {error.__cause__}") from None  # type: ignore[attr-defined]
        raise


def _finite(value: Any) -> bool:
    """Whether all numbers of a value are, lists and tables included."""
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def taking_part(records: Iterable[Record]) -> list[Any]:
    """Makes the plugins that take part without being asked for: those whose options all have defaults.

    One of an installed package that cannot be made has a stand-in, which raises wherever the plugin would be used:
    there it is named, and left out like one that fails.

    Raises:
        PluginError: A plugin cannot be made that comes from a file which `--plugin` names.
    """
    made = []
    for record in records:
        if needs_options(record.cls):
            continue
        try:
            made.append(_unasked(record))
        except PluginError as error:
            if record.loose:
                raise
            made.append(_stand_in(record, error))
    return made


def _unasked(record: Record) -> Any:
    try:
        return construct(record.cls, {}, record.kind)
    except OptionError as error:
        said = error.message.removeprefix(f"{record.name}: ")
        raise PluginError(f"{called(record.cls)} cannot be made: {said}") from error
    except UsageError as error:
        raise PluginError(blamed(record.cls, error), error.hint) from error


def _stand_in(record: Record, error: PluginError) -> Any:
    from harness.plugins.discovery import KINDS

    def refuse(*_: object) -> NoReturn:
        raise error

    told = {"__module__": record.cls.__module__, "name": record.name}
    return type(record.cls.__name__, (), told | dict.fromkeys(KINDS[record.kind][1], refuse))()


def finding(errors: Sequence[ErrorDetails], value: Any) -> tuple[list[str | int], str]:
    """Returns the place of the first of pydantic's findings within `value`, and what is wrong there, in one line.

    The names of a union's members, which pydantic puts into places, are left out; what they expect is joined.
    """
    found = [(_place(one["loc"], value), _plainly(one["msg"])) for one in errors]
    first = found[0][0]
    # Of a union's members the one that got further into the value is the one that was meant
    where = max((place for place, _ in found if place[: len(first)] == first), key=len)
    said, *others = dict.fromkeys(message for place, message in found if place == where)
    return where, " or ".join([said, *(other.removeprefix("must be ") for other in others)])


def _plainly(message: str) -> str:
    """Returns what pydantic says in the words of the other errors."""
    said = message.removeprefix("Value error, ").replace("Input should be a valid", "must be a")
    said = re.sub(r", unable to (parse|interpret) .*|, got a number with a fractional part", "", said)
    said = said.replace("Input should", "must")
    return re.sub(r"(?<=must be a )\w+", lambda kind: TOML.get(kind[0], kind[0]), said)


def _place(loc: Sequence[str | int], value: Any) -> list[str | int]:
    place: list[str | int] = []
    for part in loc:
        listed = isinstance(value, Sequence) and not isinstance(value, str)
        if (isinstance(part, int) and listed and part < len(value)) or (isinstance(value, Mapping) and part in value):
            place.append(part)
            value = value[part]
    return place


def key_path(parts: Iterable[str | int]) -> str:
    """Returns a key's path as errors show it: ``arms[2].backend.epochs``."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    return path


def shortened(value: Any) -> str:
    """Shows a value in an error, at most 80 characters of it and in one line."""
    return clipped(repr(value), 80)
