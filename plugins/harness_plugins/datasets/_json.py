"""JSON: one object on each line, or one value for the whole file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import harness
from harness_plugins.datasets._encoding import text
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets._source import Source

_SURROGATE = re.compile(r"\\u[dD][89abAB]")
_HALF = re.compile("[\ud800-\udfff]")
_TOO_DEEP = "nested too deeply to be read"
_NUMBER = re.compile(r"-?\d+")
_RECORDS = 'Expected a list of objects, as pandas writes it with to_json(orient="records").'


class JsonLines:
    """One JSON object on each line that is not blank.

    Args:
        source: The file; it is read up to its first object at once.
        reshape: Makes a row of an object; takes its place, too.

    Raises:
        harness.DataError: The first line is no object.
    """

    def __init__(self, source: Source, reshape: Callable[[Mapping[str, Any], str], Mapping[str, Any]] | None = None):
        self.source = source
        self.complete = False
        self._reshape = reshape
        with closing(self._raw(quiet=True)) as rows:
            _, self.first = next(rows, (0, {}))
        self.columns = tuple(self.first)

    def where(self, number: int) -> str:
        """Returns file and line."""
        return f"{self.source.name}, line {number}"

    def select(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields line and wanted values of each object; see `Table.select`.

        Raises:
            harness.DataError: A line holds no object.
        """
        for number, values in self._rows():
            get = values.get
            yield number, [get(name) for name in wanted]

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """Yields each object."""
        for _, values in self._rows():
            yield values

    def _rows(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        seen = dict.fromkeys(self.columns)
        shapes: set[tuple[str, ...]] = set()
        for number, values in self._raw():
            row = values if self._reshape is None else self._reshape(values, self.where(number))
            shape = tuple(row)
            if shape not in shapes:
                seen.update(dict.fromkeys(shape))
                self.columns = tuple(seen)
                if len(shapes) < 1000:  # objects of ever new keys must not fill the memory
                    shapes.add(shape)
            yield number, row

    def _raw(self, *, quiet: bool = False) -> Generator[tuple[int, dict[str, Any]], None, None]:
        repeated = _Repeated()
        decode = json.JSONDecoder(object_pairs_hook=repeated.pairs).decode
        # Line feeds alone end a line: a text may hold other characters that Unicode calls line ends.
        with text(self.source, newline="\n") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    values = decode(line)
                except ValueError as error:
                    if not line.strip():
                        continue
                    raise self._broken(number, line, error) from None
                except RecursionError:
                    raise harness.DataError(f"{self.where(number)}: {_TOO_DEEP}", "flatten the object") from None
                if type(values) is not dict:
                    raise self._no_object(number, values)
                if not quiet:
                    repeated.tell(self.source, self.where, number)
                if "\\u" in line and _SURROGATE.search(line):
                    values = _whole(values, None if quiet else self.source, self.where(number))
                yield number, values

    def _broken(self, number: int, line: str, error: ValueError) -> harness.DataError:
        hint = "expected one JSON object on each line"
        if line.lstrip()[:1] in "[{" and line.strip() in ("[", "{", "[{"):
            hint = 'if the whole file is one JSON value: dataset.format = "json"'
        return harness.DataError(f"{self.where(number)}: no JSON: {_reason(error)}", hint)

    def _no_object(self, number: int, values: object) -> harness.DataError:
        hint = 'expected one object on each line, like {"text": "…", "label": "…"}'
        if isinstance(values, list) and any(isinstance(value, dict) for value in values):
            hint = 'if the whole file is one JSON value: dataset.format = "json"'
        return harness.DataError(f"{self.where(number)}: a JSON {_kind(values)}, expected an object", hint)


class Json:
    """A file that is one JSON value: a list of objects, an object that holds one, or what pandas makes of a table.

    Args:
        source: The file; it is read as a whole.

    Raises:
        harness.DataError: It is no JSON (with its line) or has another layout.
    """

    complete = True

    def __init__(self, source: Source) -> None:
        self._source = source
        repeated = _Repeated()
        with text(source, newline="") as file:
            content = file.read()
        try:
            value = json.JSONDecoder(object_pairs_hook=repeated.pairs).decode(content)
        except RecursionError:
            raise harness.DataError(f"{source.name}: {_TOO_DEEP}", "flatten the file") from None
        except ValueError as error:
            raise self._broken(content, error) from None
        if _SURROGATE.search(content):
            value = _whole(value, source, source.name)
        repeated.tell(source, lambda _: source.name, 0)
        self._rows = _rows_of(value, source.name)
        self.columns = tuple(dict.fromkeys(name for row in self._rows for name in row))

    def where(self, number: int) -> str:
        """Returns file and row."""
        return f"{self._source.name}, row {number}"

    def select(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields number and wanted values of each row; see `Table.select`."""
        for number, row in enumerate(self._rows, start=1):
            yield number, [row.get(name) for name in wanted]

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """Yields each row."""
        return iter(self._rows)

    def _broken(self, content: str, error: ValueError) -> harness.DataError:
        name = self._source.name
        if not content.strip():
            return harness.DataError(f"{name} is empty", _RECORDS)
        line = getattr(error, "lineno", None)
        where = name if line is None else f"{name}, line {line}"
        hint = _RECORDS
        if "Extra data" in str(error) and content.lstrip()[:1] == "{":
            hint = 'If each line is an object of its own: dataset.format = "jsonl"'
        return harness.DataError(f"{where}: no JSON: {_reason(error)}", hint)


class _Repeated:
    """Notices keys that stand more than once in an object."""

    def __init__(self) -> None:
        self._n = 0

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            self._n += 1
        return made

    def tell(self, source: Source, where: Callable[[int], str], number: int) -> None:
        if self._n:
            source.notes.add("duplicate-keys", where(number), self._n)
            self._n = 0


def _whole(value: Any, source: Source | None, where: str) -> Any:
    """Puts U+FFFD in the place of each half of a character; such a text could not be written anywhere."""
    found = 0

    def mended(part: Any) -> Any:
        nonlocal found
        if isinstance(part, str):
            new = _HALF.sub("\ufffd", part)
            found += new != part
            return new
        if isinstance(part, list):
            return [mended(each) for each in part]
        if isinstance(part, dict):
            return {mended(key): mended(each) for key, each in part.items()}
        return part

    try:
        result = mended(value)
    except RecursionError:
        raise harness.DataError(f"{where}: {_TOO_DEEP}", "flatten the object") from None
    if found and source is not None:
        source.notes.add("broken-characters", where)
    return result


def _rows_of(value: Any, name: str) -> Sequence[Mapping[str, Any]]:
    rows = _listed(value, name)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise harness.DataError(f"{name}, row {number}: a JSON {_kind(row)}, expected an object", _RECORDS)
    return rows


def _listed(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    if not isinstance(value, dict):
        raise harness.DataError(f"{name}: a JSON {_kind(value)}, expected a list", _RECORDS)
    if set(value) == {"columns", "index", "data"}:
        return _from_split(value["columns"], value["data"], name)
    lists = {key: part for key, part in value.items() if isinstance(part, list)}
    of_objects = [part for part in lists.values() if part and isinstance(part[0], dict)]
    if len(of_objects) == 1:
        return of_objects[0]
    if _by_number(value):
        return list(value.values())
    columns = {key: part.values() if isinstance(part, dict) else part for key, part in value.items()}
    if value and all(isinstance(part, list | dict) for part in value.values()) and not of_objects:
        return _from_columns(columns, name)
    if len(value) == 1 and len(lists) == 1:
        return next(iter(lists.values()))
    raise harness.DataError(f"{name}: an object that holds no list of rows", _RECORDS)


def _by_number(value: Mapping[str, Any]) -> bool:
    """Whether an object has rows by their numbers, not columns by name, whose values have the rows' numbers."""
    if not all(_NUMBER.fullmatch(key) and isinstance(part, dict) for key, part in value.items()):
        return False
    return any(not _NUMBER.fullmatch(name) for row in value.values() for name in row)


def _from_split(names: Any, rows: Any, name: str) -> Sequence[Any]:
    if not (isinstance(names, list) and all(isinstance(each, str) for each in names) and isinstance(rows, list)):
        raise harness.DataError(f"{name}: columns and data are no lists of names and rows", _RECORDS)
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, list) or len(row) != len(names):
            raise harness.DataError(f"{name}, row {number}: expected a list of {len(names)} values", _RECORDS)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _from_columns(columns: Mapping[str, Any], name: str) -> Sequence[Any]:
    first, *others = columns
    for other in others:
        if len(columns[other]) != len(columns[first]):
            raise harness.DataError(
                f'{name}: column "{shown(other)}" has {len(columns[other])} values and column "{shown(first)}" '
                f"{len(columns[first])}, expected as many",
                _RECORDS,
            )
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} (column {error.colno})"
    return shown(str(error).split(";")[0], 120)


def _kind(value: object) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "truth value", int: "number", float: "number"}
    return names.get(type(value), "null")
