"""Training files from disk: read into columns or lines, and held against the rules of `harness.prepare.format`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import DataError
from harness.prepare.format import chat_findings, completion_findings, raw_findings
from harness.prepare.format.plain_chat import plain_chat_findings
from harness.prepare.format.raw import BOM, Layout, layout
from harness.prepare.profiles import Profile
from harness.types import Check

LINES = (".jsonl", ".ndjson", ".json")

_NAMES = ("prompt", "completion")
_EXTRA = b"extra_columns"
_BLOCK = 1 << 22  # bytes that one thread parses at a time


def file_findings(path: Path, profile: Profile) -> tuple[Check, ...]:
    """Returns what is to be said of a training file: its bytes, then its lines by the rules for their kind.

    Raises:
        DataError: The file cannot be read: which line, and what was expected.
    """
    return content_findings(_data(path), profile, path)


def content_findings(data: bytes, profile: Profile, path: Path) -> tuple[Check, ...]:
    """Returns what is to be said of a training file's content.

    Args:
        data: The whole file.
        profile: The provider that is to take it.
        path: Where it is or will be: errors name it.

    Raises:
        DataError: The content cannot be read: which line, and what was expected.
    """
    shape = layout(data)
    told = raw_findings(data, profile, shape)
    if any(check.kind == "invalid-utf8" for check in told):
        return told
    if _is_chat(data):
        plain = plain_chat_findings(data, shape, profile)
        return told + (chat_findings(chat_lines(data, path), profile=profile) if plain is None else plain)
    table = completion_table(data, path, shape)
    weights = table["weight"] if "weight" in table.column_names else None
    return told + completion_findings(
        table["prompt"], table["completion"], profile=profile, extra_columns=extra_columns(table), weights=weights
    )


def is_training_file(path: Path) -> bool:
    """Whether a file is made of prompt/completion or chat lines, as far as its first line says."""
    if path.suffix.lower() not in LINES or not path.is_file():
        return False
    with path.open("rb") as file:
        data = file.read(1 << 24)
    for _, text in _texts(data):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return False
        return isinstance(value, dict) and ("messages" in value or set(_NAMES) <= value.keys())
    return False


def extra_columns(table: Any) -> tuple[str, ...]:
    """Returns the names of the columns beside prompt and completion that the file of `table` has, sorted."""
    return tuple(json.loads((table.schema.metadata or {}).get(_EXTRA, b"[]")))


def _data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", "check the path") from None


def _is_chat(data: bytes) -> bool:
    """Whether the first line that is an object has messages."""
    for _, text in _texts(data):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return b'"messages"' in text
        return isinstance(value, dict) and "messages" in value
    return False


def completion_table(data: bytes, path: Path, shape: Layout) -> Any:
    """Reads prompt/completion rows from JSON Lines.

    Args:
        data: The whole file, in UTF-8.
        path: Where it is or will be: errors name it.
        shape: How it is cut into lines.

    Returns:
        A `pyarrow.Table`: `prompt` and `completion` (strings, null where a row has none) and, if the file has it,
        `weight` (double); `extra_columns` tells the names of all others. The same file gives the same table, however
        many threads read it.

    Raises:
        DataError: A line is not as described: file, line, field.
    """
    table = _fast(data, shape)
    return _slow(path, data) if table is None else table


def _fast(data: bytes, shape: Layout) -> Any:
    """Returns the table as Arrow's threads read it, or `None` where the lines have to be looked at one by one."""
    import pyarrow as pa
    from pyarrow import json as arrow_json

    # A value over two lines, or two in one, would be let pass, and line numbers would be wrong.
    if not shape.lines or not shape.objects or shape.lone_cr:
        return None
    options = {
        "explicit_schema": pa.schema([(name, pa.string()) for name in _NAMES]),
        "unexpected_field_behavior": "infer",
    }
    block = max(_BLOCK, 2 * shape.longest)
    try:
        table = arrow_json.read_json(
            pa.BufferReader(data),
            read_options=arrow_json.ReadOptions(block_size=block),
            parse_options=arrow_json.ParseOptions(**options),
        )
    except pa.ArrowException:
        return None
    return _made(table) if table.num_rows == shape.lines else None


def _made(table: Any) -> Any:
    """Returns prompt, completion and weight with the other columns' names beside them; `None` for an odd weight."""
    import pyarrow as pa

    columns = {name: table[name] for name in _NAMES}
    if "weight" in table.column_names:
        kind = table.schema.field("weight").type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)):
            return None
        columns["weight"] = table["weight"].cast(pa.float64())
    extra = sorted(set(table.column_names) - set(_NAMES))
    return pa.table(columns).replace_schema_metadata({_EXTRA: json.dumps(extra).encode()})


def _slow(path: Path, data: bytes) -> Any:
    """Reads line by line: for files with what Arrow refuses, and to say which line is wrong."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {"prompt": [], "completion": [], "weight": []}
    names: set[str] = set()
    for number, value in _objects(path, data):
        names |= set(value)
        for name in _NAMES:
            columns[name].append(_text(path, number, name, value.get(name)))
        columns["weight"].append(_weight(path, number, value.get("weight")))
    made = {name: pa.array(columns[name], pa.string()) for name in _NAMES}
    if "weight" in names:
        made["weight"] = pa.array(columns["weight"], pa.float64())
    made |= {name: pa.nulls(len(columns["prompt"])) for name in names - set(made)}
    return _made(pa.table(made))


def _objects(path: Path, data: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields line number and object of each line that is not blank."""
    for number, text in _texts(data):
        try:
            value = json.loads(text, object_pairs_hook=_once)
        except RecursionError:
            _refuse(path, number, "is nested too deeply", "expected one flat JSON object a line")
        except ValueError as error:
            hint = "expected one JSON object a line, each whole in its line"
            _refuse(path, number, f"is not JSON: {str(error)[:120]}", hint)
        if not isinstance(value, dict):
            _refuse(path, number, f"is no JSON object but {_kind(value)}", 'expected {"prompt": …, "completion": …}')
        yield number, value


def _texts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields line number and bytes of each line that is not blank, the byte order mark left out."""
    start, number = len(BOM) * data.startswith(BOM), 0
    while start < len(data):
        end = data.find(b"\n", start)
        end, number = len(data) if end < 0 else end, number + 1
        if (text := data[start:end]).strip(b" \t\r"):
            yield number, text
        start = end + 1


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f'the key "{next(key for key in keys if keys.count(key) > 1)}" is given twice')
    return value


def _refuse(path: Path, number: int, what: str, hint: str) -> NoReturn:
    raise DataError(f"{path}, line {number} {what}", hint) from None


def _text(path: Path, number: int, name: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise DataError(
            f"{path}, line {number}: {name} is {_kind(value)}, expected a text", "put it between quotation marks"
        )
    # A lone surrogate has no UTF-8 form; a rule tells of it, and the others go on with what most readers make of it.
    return None if value is None else value.encode("utf-8", "replace").decode("utf-8")


def _weight(path: Path, number: int, value: Any) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise DataError(f"{path}, line {number}: weight is {_kind(value)}, expected a number", "write it as 1 or 0.5")
    try:
        return None if value is None else float(value)
    except OverflowError:
        return float("inf")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def chat_lines(data: bytes, path: Path) -> list[dict[str, Any]]:
    """Reads the lines of a chat file (JSON Lines); blank ones are left out.

    Raises:
        DataError: A line is no JSON object: file and line.
    """
    return [value for _, value in _objects(path, data)]
