"""XLSX through openpyxl, which tells formulas from values."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import harness
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets._source import Source, check_names, distinct, opened

if TYPE_CHECKING:
    from openpyxl import Workbook

_FORMULA = re.compile(rb"<(\w+:)?f[\s>/]")
_ERRORS = frozenset({"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"})


class Xlsx:
    """The rows of one sheet, below its first row that is not empty; the sheet is read as a whole.

    Args:
        source: The file.

    Raises:
        harness.DataError: It is no XLSX file, has no such sheet, or several with content and none is named.
    """

    complete = True

    def __init__(self, source: Source) -> None:
        self._source = source
        with opened(source) as raw:
            self._content = raw.read()
        formulas = self._looked()
        self._sheet, self._rows = self._read(formulas=formulas)
        self._start, header = next(((n, row) for n, row in enumerate(self._rows, start=1) if _filled(row)), (0, ()))
        if source.header is not None:
            self._start -= 1
        self._places = self._named(source.header or header)
        self.columns = tuple(self._places)

    @property
    def _place(self) -> str:
        return f'{self._source.name}, sheet "{shown(self._sheet)}"'

    def _named(self, header: Sequence[Any]) -> dict[str, int]:
        """Returns name → place of each column that has a name, or something below."""
        names = {place: str(name) for place, name in enumerate(header) if name is not None and str(name).strip()}
        filled = {place for _, row in self._filled_rows() for place, value in enumerate(row) if value not in (None, "")}
        places = sorted({*names, *filled})
        columns = distinct(names.get(place, "") for place in places)
        check_names(columns, self._place)
        return dict(zip(columns, places, strict=True))

    def where(self, number: int) -> str:
        """Returns file, sheet and row."""
        return f"{self._place}, row {number}"

    def select(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields number and wanted values of each row that is not empty; see `Table.select`.

        Raises:
            harness.DataError: A wanted cell is a formula without a stored value: sheet and cell.
        """
        places = [self._places[name] for name in wanted]
        for number, row in self._filled_rows():
            yield number, [self._value(row, place, number, refuse=True) for place in places]

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """Yields each row as column → value; a formula without a stored value is `None`."""
        for number, row in self._filled_rows():
            yield {name: self._value(row, place, number, refuse=False) for name, place in self._places.items()}

    def _filled_rows(self) -> Iterator[tuple[int, Sequence[Any]]]:
        for number, row in enumerate(self._rows, start=1):
            if number > self._start and _filled(row):
                yield number, row

    def _value(self, row: Sequence[Any], place: int, number: int, *, refuse: bool) -> Any:
        value = row[place] if place < len(row) else None
        if isinstance(value, _Formula):
            if value.stored is not None:
                self._source.notes.add("formula-cells", self._cell(place, number))
            elif refuse:
                raise harness.DataError(
                    f"{self._cell(place, number)}: a formula without a stored value",
                    "open the workbook in a spreadsheet program and save it: that stores what the formulas yield",
                )
            value = value.stored
        if isinstance(value, str) and value in _ERRORS:
            self._source.notes.add("cell-errors", self._cell(place, number))
            return None
        return value

    def _cell(self, place: int, number: int) -> str:
        from openpyxl.utils import get_column_letter

        return f"{self._place}, cell {get_column_letter(place + 1)}{number}"

    def _looked(self) -> bool:
        """Refuses what would unpack to too much, and returns whether there are formulas."""
        try:
            with zipfile.ZipFile(BytesIO(self._content)) as archive:
                large = sum(part.file_size for part in archive.infolist()) > self._source.limit
                read = [] if large else [name for name in archive.namelist() if name.endswith((".xml", ".rels"))]
                parts = {name: archive.read(name) for name in read}
        except Exception as error:  # what a damaged archive raises has no common root
            raise self._unreadable(error) from None
        if large:
            raise self._source.too_large()
        if any(b"<!DOCTYPE" in part for part in parts.values()):  # no workbook has one, but those that are to blow up
            raise self._unreadable(ValueError("a part of it defines entities of its own"))
        return any(_FORMULA.search(part) for name, part in parts.items() if name.startswith("xl/worksheets/"))

    def _read(self, *, formulas: bool) -> tuple[str, list[Sequence[Any]]]:
        """Returns the sheet's name and its rows, formulas marked as such."""
        try:
            import openpyxl
        except ImportError:
            raise harness.DataError(
                f"{self._source.name}: openpyxl, which reads XLSX, is not installed",
                "pip install 'finetune-harness[xlsx]'",
            ) from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about styles and extensions, which do not matter here
                with closing(openpyxl.load_workbook(BytesIO(self._content), read_only=True, data_only=True)) as book:
                    name = self._chosen(book)
                    if not formulas:
                        return name, list(_read_rows(book, name))
                    stored = [[_stored(cell) for cell in row] for row in _read_rows(book, name, values_only=False)]
                with closing(openpyxl.load_workbook(BytesIO(self._content), read_only=True)) as book:
                    return name, _marked(stored, _read_rows(book, name))
        except harness.DataError:
            raise
        except Exception as error:  # what a damaged workbook raises has no common root
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> harness.DataError:
        hint = "Check the file, or its format."
        if self._content.startswith(b"\xd0\xcf\x11\xe0"):
            hint = "It is an old .xls or protected by a password: save it as an XLSX workbook without one."
        reason = shown((str(error).splitlines() or [""])[0] or type(error).__name__, 120)
        return harness.DataError(f"{self._source.name} is no readable XLSX file: {reason}", hint)

    def _chosen(self, book: Workbook) -> str:
        source = self._source
        names = [sheet.title for sheet in book.worksheets]
        if source.sheet is not None:
            if source.sheet not in names:
                raise harness.DataError(
                    f'{source.name} has no sheet "{shown(source.sheet)}" (dataset.sheet)',
                    f"of its sheets: {harness.nearest(source.sheet, map(shown, names))}",
                )
            return str(source.sheet)
        filled = [name for name in names if any(map(_filled, _read_rows(book, name)))]
        if len(filled) > 1:
            listed = ", ".join(f'"{shown(name)}"' for name in filled[:12])
            raise harness.DataError(
                f"{source.name} has {len(filled)} sheets with content: {listed}",
                f'say which one to read: dataset.sheet = "{shown(filled[0])}"',
            )
        if not filled:
            raise harness.DataError(f"{source.name} is empty", "expected a row of column names, then the rows")
        return str(filled[0])


@dataclass(frozen=True, slots=True)
class _Formula:
    """A cell that is worked out."""

    stored: Any


def _read_rows(book: Workbook, name: str, *, values_only: bool = True) -> Iterator[Sequence[Any]]:
    sheet: Any = book[name]
    sheet.reset_dimensions()  # what a file says of its size may be wrong, and openpyxl would believe it
    rows: Iterator[Sequence[Any]] = sheet.iter_rows(values_only=values_only)
    return rows


def _stored(cell: Any) -> Any:
    # A formula that yields an empty text has the type of a text and no value.
    return "" if cell.value is None and cell.data_type == "str" else cell.value


def _marked(stored: Sequence[Sequence[Any]], written: Iterator[Sequence[Any]]) -> list[Sequence[Any]]:
    rows: list[Sequence[Any]] = []
    for values, sources in zip(stored, written, strict=True):
        pairs = zip_longest(values, sources)
        rows.append([_Formula(value) if _is_formula(source, value) else value for value, source in pairs])
    return rows


def _is_formula(written: Any, stored: Any) -> bool:
    if isinstance(written, str):
        return written.startswith("=") and written != stored
    return hasattr(written, "ref")  # array formulas and data tables


def _filled(row: Sequence[Any]) -> bool:
    return any(value is not None and value != "" for value in row)
