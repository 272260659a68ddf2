"""Parquet, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import harness
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets._source import Source, check_names, opened

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BATCH = 4096
"""Rows held at once beside the examples."""
_Cells = Callable[["pa.Array", str, Callable[[int], str], int], list[Any]]
"""Makes Python's values of a column; see `values`."""


class Parquet:
    """The rows of a Parquet file.

    Args:
        source: The file; its schema is read at once.

    Raises:
        harness.DataError: It is no Parquet file, or two columns have one name.
    """

    complete = True

    def __init__(self, source: Source) -> None:
        self._source = source
        with self._file() as file:
            self.columns = tuple(file.schema_arrow.names)
        check_names(self.columns, source.name)

    def where(self, number: int) -> str:
        """Returns file and row."""
        return f"{self._source.name}, row {number}"

    def select(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields number and wanted values of each row; see `Table.select`.

        Raises:
            harness.DataError: A page cannot be read, or a text is not UTF-8.
        """
        return self._read(wanted, values)

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """Yields each row as column → value; bytes that are not UTF-8 stay bytes."""
        for _, row in self._read(self.columns, _kept):
            yield dict(zip(self.columns, row, strict=True))

    def _read(self, wanted: Sequence[str], cells: _Cells) -> Iterator[tuple[int, Sequence[Any]]]:
        number = size = 0
        names = list(dict.fromkeys(wanted))
        with self._file() as file:
            for batch in file.iter_batches(batch_size=BATCH, columns=names):
                size += batch.nbytes
                if size > self._source.limit:
                    raise self._source.too_large()
                columns = {name: cells(batch.column(name), name, self.where, number) for name in names}
                for row in zip(*(columns[name] for name in wanted), strict=True):
                    number += 1
                    yield number, row

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with opened(self._source) as raw:
                # Parquet is read from its end: what is packed once more must be unpacked as a whole.
                whole = pa.BufferReader(raw.read()) if self._source.packed else raw
                with pq.ParquetFile(whole) as file:
                    yield file
        except (OSError, ValueError, pa.ArrowException) as error:
            reason = shown((str(error).splitlines() or [type(error).__name__])[0], 160)
            raise harness.DataError(
                f"{self._source.name} is no readable Parquet file: {reason}", "check the file, or its format"
            ) from None


def values(column: pa.Array, name: str, where: Callable[[int], str], before: int) -> list[Any]:
    """Returns a column's values as Python has them; bytes that are UTF-8 become texts.

    Args:
        column: An array.
        name: The column's name, for messages.
        where: Makes file and row of a row's number.
        before: How many rows stand before the first one of `column`.

    Raises:
        harness.DataError: A text is not UTF-8.
    """
    try:
        cells: list[Any] = column.to_pylist()
        return [cell if cell is None else cell.decode() for cell in cells] if _binary(column) else cells
    except UnicodeDecodeError:
        number, byte = _first_wrong(column)
        raise harness.DataError(
            f'{where(before + number)}: column "{shown(name)}" holds bytes that are not UTF-8 (0x{byte:02x})',
            "write the file again with the texts as UTF-8",
        ) from None


def _kept(column: pa.Array, name: str, where: Callable[[int], str], before: int) -> list[Any]:
    """Returns what `values` does, but bytes that are no text as they are: a column that nobody asks for may hold any.

    Raises:
        harness.DataError: A text is not UTF-8, though the column says that it holds texts.
    """
    return list(map(_as_text, column.to_pylist())) if _binary(column) else values(column, name, where, before)


def _as_text(cell: bytes | None) -> str | bytes | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError:
        return cell


def _binary(column: pa.Array) -> bool:
    import pyarrow as pa

    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _first_wrong(column: pa.Array) -> tuple[int, int]:
    for number, cell in enumerate(column, start=1):
        try:
            value = cell.as_py()
            if isinstance(value, bytes):
                value.decode()
        except UnicodeDecodeError as error:
            return number, error.object[error.start]
    return 1, 0
