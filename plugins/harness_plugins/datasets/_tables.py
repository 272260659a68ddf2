"""Reading tables: each row with the place it stands at, each fault with file and line."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import harness
from harness_plugins.datasets._rows import Row

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_LONGEST_CELL = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file and how it is written."""

    path: Path
    format: str
    encoding: str
    header: tuple[str, ...] | None = None
    """Names of the columns of a file without a header line."""
    quotes: bool | None = None
    """Whether cells may stand in quotes; by default in CSV, not in TSV."""


@dataclass(frozen=True, slots=True)
class Table:
    """Column names, and rows to be read once."""

    columns: tuple[str, ...]
    rows: Iterator[Row]


def read(source: Source) -> Table:
    """Reads a table.

    Raises:
        harness.DataError: The file is not what it should be: file, line, what was expected.
    """
    readers: dict[str, Callable[[Source], Table]] = {
        "csv": _delimited,
        "tsv": _delimited,
        "jsonl": _jsonl,
        "parquet": _parquet,
    }
    return readers[source.format](source)


def _decoded(source: Source) -> str:
    """Returns the file's text without its byte-order mark; a mark of UTF-16 says more than the option."""
    try:
        raw = source.path.read_bytes()
    except OSError as error:
        raise harness.DataError(f"{source.path} cannot be read: {error.strerror}", "Check the path.") from None
    encoding = source.encoding
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif raw.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    try:
        return raw.decode(encoding)
    except LookupError:
        raise harness.DataError(
            f'dataset.encoding = "{encoding}" is no encoding', 'Give one like "utf-8", "cp1252" or "utf-16".'
        ) from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise harness.DataError(
            f"{source.path.name}, line {line}: byte 0x{raw[error.start]:02x} is not {encoding}",
            'Save the file as UTF-8, or say how it is written: dataset.encoding = "cp1252" (Windows), "utf-16", …',
        ) from None


def _delimited(source: Source) -> Table:
    name = source.path.name
    text = _decoded(source)
    quotes = source.format == "csv" if source.quotes is None else source.quotes
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter="," if source.format == "csv" else "\t",
        quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        strict=True,
    )
    records = _records(reader, name)
    header = source.header
    if header is None:
        _, first = next(records, (0, []))
        if not first:
            raise harness.DataError(f"{name} is empty", "Expected a line of column names, then a row on each line.")
        header = tuple(cell.strip() for cell in first)
    repeated = sorted({column for column in header if header.count(column) > 1})
    if repeated:
        raise harness.DataError(
            f'{name} has more than one column "{repeated[0]}"', "Rename the columns so that each name is used once."
        )
    return Table(header, _rows(records, header, source))


def _records(reader: Iterator[list[str]], name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows that are not blank, each with the number of its first line."""
    before = 0
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        for cells in reader:
            if cells:
                yield before + 1, cells
            before = reader.line_num  # type: ignore[attr-defined]
    except csv.Error as error:
        reason = "a quoted cell is never closed" if "unexpected end" in str(error) else str(error)
        raise harness.DataError(
            f"{name}, line {before + 1}: {reason}",
            'Double the quotes within quoted cells (""), or set dataset.quotes = false if quotes are plain text.',
        ) from None
    finally:
        csv.field_size_limit(limit)


def _rows(records: Iterator[tuple[int, list[str]]], header: Sequence[str], source: Source) -> Iterator[Row]:
    name = source.path.name
    for line, cells in records:
        if len(cells) != len(header):
            hint = "Put quotes around cells that hold the separator or a line break."
            if source.format == "tsv":
                hint = "If cells stand in quotes, set dataset.quotes = true."
            raise harness.DataError(f"{name}, line {line}: {len(cells)} cells, expected {len(header)}", hint)
        yield Row(f"{name}, line {line}", dict(zip(header, cells, strict=True)))


def _jsonl(source: Source) -> Table:
    name = source.path.name
    rows = []
    columns: dict[str, None] = {}
    # Only line feeds end a line: a text may hold other characters that Unicode calls line ends.
    for number, line in enumerate(_decoded(source).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except ValueError as error:
            raise harness.DataError(
                f"{name}, line {number}: no JSON: {error}", "Expected one JSON object on each line."
            ) from None
        if not isinstance(values, dict):
            raise harness.DataError(
                f"{name}, line {number}: a JSON {type(values).__name__}, expected an object",
                'One object on each line, like {"text": "…", "label": "…"}.',
            )
        columns.update(dict.fromkeys(values))
        rows.append(Row(f"{name}, line {number}", values))
    return Table(tuple(columns), iter(rows))


def _parquet(source: Source) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = source.path.name
    try:
        table = pq.read_table(source.path)
    except (OSError, pa.ArrowException) as error:
        raise harness.DataError(
            f"{name} is no readable Parquet file: {str(error).splitlines()[0][:160]}", "Check the file, or its format."
        ) from None
    rows = (Row(f"{name}, row {number}", values) for number, values in enumerate(table.to_pylist(), start=1))
    return Table(tuple(table.column_names), rows)
