"""CSV, TSV and plain lines of text."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from operator import itemgetter
from typing import Any

import harness
from harness_plugins.datasets._encoding import text
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets._source import Source, check_names, distinct

_LONGEST_CELL = 2**31 - 1
_OTHER_DELIMITERS = (";", "\t", "|", ",")
_ANNOUNCED = re.compile(r"sep=([^\r\n\"])\r?\n?", re.IGNORECASE)
"""A first line from which spreadsheets learn the separator."""


class Delimited:
    """Rows of cells between separators, below a line of column names.

    A line before it that tells spreadsheets the separator (`sep=;`) is believed, unless the experiment names another.

    Args:
        source: The file; its first line is read at once.

    Raises:
        harness.DataError: It is empty, or two columns have one name.
    """

    complete = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self._delimiter = source.delimiter or ("," if source.format == "csv" else "\t")
        if len(self._delimiter) != 1 or self._delimiter in '\r\n"':
            raise harness.DataError(
                f'dataset.delimiter = "{shown(self._delimiter)}" is no separator', 'expected one character, e.g. ";"'
            )
        self.columns = distinct(source.header or self._first())
        check_names(self.columns, source.name)

    def _first(self) -> Sequence[str]:
        with closing(self._records()) as records:
            _, first = next(records, (0, []))
        if not first:
            raise harness.DataError(
                f"{self._source.name} is empty", "expected a line of column names, then a row on each line"
            )
        return first

    @property
    def other_delimiter(self) -> str:
        """Returns the separator that the only column's name seems to hold, or ""."""
        only = self.columns[0] if len(self.columns) == 1 else ""
        return next((each for each in _OTHER_DELIMITERS if each != self._delimiter and each in only), "")

    def where(self, number: int) -> str:
        """Returns file and line."""
        return f"{self._source.name}, line {number}"

    def select(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields line and wanted cells of each row; see `Table.select`.

        Raises:
            harness.DataError: A row has another number of cells than there are columns, or quotes are not closed.
        """
        places = [self.columns.index(name) for name in wanted]
        pick: Callable[[Sequence[str]], Sequence[str]]
        pick = itemgetter(*places) if len(places) > 1 else lambda cells: [cells[place] for place in places]
        expected = len(self.columns)
        records = self._records()
        if self._source.header is None:
            next(records, None)
        for number, (line, cells) in enumerate(records):
            if len(cells) != expected:
                raise self._uneven(line, len(cells), titled=number == 0 and expected == 1)
            yield line, pick(cells)

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """Yields each row as column → cell."""
        for _, cells in self.select(self.columns):
            yield dict(zip(self.columns, cells, strict=True))

    def _uneven(self, line: int, n: int, *, titled: bool) -> harness.DataError:
        """Returns the error of a row; `titled`: it is the first, and may be the names below a line with a title."""
        hint = "put quotes around cells that hold the separator or a line break"
        if self._source.format == "tsv":
            hint = "if cells stand in quotes, set dataset.quotes = true"
        if self.other_delimiter:
            hint = (
                f'if "{shown(self.other_delimiter)}" separates the cells: dataset.delimiter = "{self.other_delimiter}"'
            )
        elif titled and self._source.header is None:
            hint += f"; if the column names stand in line {line}, delete what is above them"
        cells = f"{n} cell{'s' if n != 1 else ''}"
        return harness.DataError(f"{self.where(line)}: {cells}, expected {len(self.columns)}", hint)

    def _records(self) -> Generator[tuple[int, list[str]], None, None]:
        """Yields the rows that are not blank, each with the number of its first line."""
        source = self._source
        quotes = source.format == "csv" if source.quotes is None else source.quotes
        before = 0
        limit = csv.field_size_limit(_LONGEST_CELL)
        try:
            with text(source, newline="") as lines:
                first = next(lines, "")
                announced = _ANNOUNCED.fullmatch(first)
                before = skipped = 0 if announced is None else 1
                reader = csv.reader(
                    lines if announced else chain([first], lines),
                    delimiter=announced[1] if announced and not source.delimiter else self._delimiter,
                    quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
                    strict=True,
                )
                for cells in reader:
                    if cells:
                        yield before + 1, cells
                    before = skipped + reader.line_num
        except csv.Error as error:
            reason = "a quoted cell is never closed" if "unexpected end" in str(error) else str(error)
            raise harness.DataError(
                f"{self.where(before + 1)}: {reason}",
                'double the quotes within quoted cells (""), or set dataset.quotes = false if quotes are plain text',
            ) from None
        finally:
            csv.field_size_limit(limit)


class Lines:
    """One text on each line that is not blank; there is no label.

    Args:
        source: The file.

    Raises:
        harness.DataError: `source.header` names more than one column.
    """

    complete = True

    def __init__(self, source: Source) -> None:
        self._source = source
        self.columns = source.header or ("text",)
        if len(self.columns) != 1:
            raise harness.DataError(
                f"{source.name}: dataset.columns names {len(self.columns)} columns, and each line is one text",
                'if the lines hold several cells, set dataset.format = "csv" or "tsv"',
            )

    def where(self, number: int) -> str:
        """Returns file and line."""
        return f"{self._source.name}, line {number}"

    def select(self, wanted: Sequence[str]) -> Iterator[tuple[int, Sequence[Any]]]:
        """Yields line and text; see `Table.select`."""
        with text(self._source, newline="") as lines:
            for number, line in enumerate(lines, start=1):
                if line := line.strip():
                    yield number, [line] * len(wanted)

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """Yields each row as column → text."""
        for _, cells in self.select(self.columns):
            yield {self.columns[0]: cells[0]}
