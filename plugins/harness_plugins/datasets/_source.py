"""A file to be read, what it is by its name, and its bytes as they are once unpacked."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

import harness
from harness_plugins.datasets._notes import Notes, shown

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PACKED: Mapping[str, str] = {".gz": "gzip", ".zst": "zstd"}
MB = 1_000_000
MOST_TIMES = 100
"""Text packs to a third or a tenth of its size: what unpacks to more than a hundred times its size is no such file."""
LEAST_LIMIT_MB = 64
"""Below this a small file may be as repetitive as it likes."""
_CHUNK = 1 << 20
_BEGINNINGS = {
    b"PK\x03\x04": ("an XLSX or another zip file", "xlsx"),
    b"PAR1": ("a Parquet file", "parquet"),
    b"\x1f\x8b": ("packed with gzip", ".gz"),
    b"\x28\xb5\x2f\xfd": ("packed with zstd", ".zst"),
    b"\xd0\xcf\x11\xe0": ("an old or password-protected Office file", ""),
    b"%PDF": ("a PDF file", ""),
    b"SQLite format 3": ("an SQLite database", ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file and how it is written."""

    path: Path
    name: str
    """As messages show it."""
    format: str
    """One of `_tables.READERS`."""
    notes: Notes
    packed: str = ""
    """`gzip` or `zstd`; empty where the file is not packed."""
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = None
    """Names of the columns of a file without a header line."""
    quotes: bool | None = None
    """Whether cells may stand in quotes; by default in CSV, not in TSV."""
    delimiter: str | None = None
    sheet: str | None = None
    turns: Literal["refuse", "join"] = "refuse"
    unpacked_mb: int | None = None

    @property
    def limit(self) -> int:
        """Returns how many bytes the unpacked file may have at most."""
        if self.unpacked_mb is not None:
            return self.unpacked_mb * MB
        return max(LEAST_LIMIT_MB * MB, MOST_TIMES * self.path.stat().st_size)

    def too_large(self) -> harness.DataError:
        """Returns the error of a file that unpacks to more than its limit."""
        why = "" if self.unpacked_mb is not None else f", {MOST_TIMES} times its size and at least {LEAST_LIMIT_MB} MB"
        return harness.DataError(
            f"{self.name} unpacks to more than {self.limit // MB} MB (the limit{why})",
            f"if the file is what you expect, raise the limit: dataset.unpacked_mb = {4 * self.limit // MB}",
        )


class Table(Protocol):
    """The rows of one file. Each reading opens the file anew and closes it at its end."""

    columns: tuple[str, ...]
    complete: bool
    """Whether `columns` are all columns; else more may be seen while the rows are read, and are added."""

    def where(self, number: int) -> str:
        """Returns file and line, for messages."""
        ...

    def select(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields for each row its number and the values of the wanted columns; `None` where one is missing."""
        ...

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """Yields each row as column → value."""
        ...


@contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """Opens a file's bytes, unpacked.

    Raises:
        harness.DataError: It cannot be read, is not packed as its name says, or unpacks to more than its limit.
    """
    try:
        file = source.path.open("rb")
    except OSError as error:
        raise harness.DataError(
            f"{source.name} cannot be read: {error.strerror}", f"check the path: {source.path.parent}"
        ) from None
    with file:
        if not source.packed:
            yield file
            return
        with io.BufferedReader(_Unpacked(file, source), _CHUNK) as unpacked:
            yield unpacked


class _Unpacked(io.RawIOBase):
    """Unpacks while it is read, and counts what comes out."""

    def __init__(self, file: IO[bytes], source: Source) -> None:
        import pyarrow as pa

        self._source = source
        self._limit = source.limit
        self._count = 0
        self._stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), source.packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        try:
            n: int = self._stream.readinto(buffer)
        except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            raise harness.DataError(
                f"{self._source.name} cannot be unpacked as {self._source.packed}: {str(error).splitlines()[0][:120]}",
                "the file is damaged or cut off, or its name says something else than it is: fetch it again",
            ) from None
        self._count += n
        if self._count > self._limit:
            raise self._source.too_large()
        return n


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Returns columns' names without white space around them; those without a name are as many spaces as come before.

    So all of them can be told apart, and written again they still have no name.
    """
    found: list[str] = []
    blanks = 0
    for name in names:
        found.append(name.strip() or " " * blanks)
        blanks += not name.strip()
    return tuple(found)


def check_names(names: Sequence[str], place: str) -> None:
    """Refuses columns of one name.

    Args:
        names: The columns' names; those without one as `distinct` tells them apart.
        place: File, or file and sheet, for the message.

    Raises:
        harness.DataError: Two columns have one name.
    """
    repeated = sorted(name for name, n in Counter(names).items() if n > 1)
    if repeated:
        raise harness.DataError(
            f'{place} has more than one column "{shown(repeated[0])}"',
            "rename the columns so that each name is used once",
        )


def check_packed(source: Source) -> None:
    """Unpacks a packed file once and keeps nothing: before anything is built of it, it must be whole and no bomb.

    Raises:
        harness.DataError: It is not packed as its name says, damaged, or unpacks to more than its limit.
    """
    if source.packed:
        with opened(source) as unpacked:
            while unpacked.read(_CHUNK):
                pass


def check_beginning(source: Source, beginning: bytes) -> None:
    """Refuses a file that is to be read as text and begins like another kind of file.

    Raises:
        harness.DataError: What it seems to be.
    """
    for magic, (what, means) in _BEGINNINGS.items():
        if beginning.startswith(magic):
            hint = "Save it as CSV, XLSX, JSONL or Parquet."
            if means:
                hint = f"Its name should end in {means}" if means[0] == "." else f'Set dataset.format = "{means}".'
            raise harness.DataError(f"{source.name} is {what}, expected {source.format.upper()}", hint)
