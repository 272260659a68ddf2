"""Columns of a run's Parquet files: sorted by their keys, turned into Python values when first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FEW = 8
"""Rows for each distinct text from which on a column is read as words that repeat, each kept once."""


class Columns(Mapping[str, Sequence[Any]]):
    """A table by columns; a run of many arms has columns that few sections read."""

    def __init__(self, table: Any) -> None:
        """Takes a `pyarrow.Table`."""
        self._table = table
        self._kept: dict[str, tuple[Any, ...]] = {}

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        if name not in self._kept:
            if name not in self._table.column_names:
                raise KeyError(name)
            self._kept[name] = _values(self._table.column(name))
        return self._kept[name]

    def __contains__(self, name: object) -> bool:
        return name in self._table.column_names

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_columns)


def read(path: Path, keys: Sequence[str], wanted: Sequence[str] = ()) -> Mapping[str, Sequence[Any]]:
    """Reads a file's columns; a file that is missing or cut off has none.

    Args:
        path: A Parquet file.
        keys: Columns that rows are sorted by, as far as they are there.
        wanted: The columns to read; by default all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            table = file.read([name for name in wanted or there if name in there])
    except (OSError, pa.ArrowException):
        return {}
    return Columns(_sorted(table, [name for name in keys if name in table.column_names]))


def _sorted(table: Any, keys: Sequence[str]) -> Any:
    import pyarrow.compute as pc

    if not keys:
        return table
    return table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in keys]))


def _values(column: Any) -> tuple[Any, ...]:
    """Returns a column's values; words that repeat are one object each."""
    import pyarrow as pa

    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return tuple(column.to_pylist())
    coded = column.combine_chunks().dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    if len(coded.dictionary) * FEW > len(coded):
        return tuple(column.to_pylist())
    known = coded.dictionary.to_pylist()
    return tuple([None if code is None else known[code] for code in coded.indices.to_pylist()])


class Without(Mapping[str, Sequence[Any]]):
    """A table without some of its columns."""

    def __init__(self, columns: Mapping[str, Sequence[Any]], hidden: Sequence[str]) -> None:
        """Takes a table and the names of the columns that nobody is to see."""
        self._kept = {name: None for name in columns if name not in hidden}
        self._columns = columns

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._kept:
            raise KeyError(name)
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)
