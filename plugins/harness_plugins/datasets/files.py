"""Examples from files of one's own: CSV, TSV, XLSX, JSON, JSONL, Parquet, plain lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

import harness
from harness_plugins.datasets import _rows, _tables
from harness_plugins.datasets._chat import COLUMNS
from harness_plugins.datasets._delimited import Delimited, Lines
from harness_plugins.datasets._notes import Notes, shown
from harness_plugins.datasets._source import Source, Table


@dataclass(frozen=True, kw_only=True)
class Files:
    """Reads one file or several of the same columns; each row is an example."""

    name: ClassVar[str] = "files"

    path: str | tuple[str, ...]
    """Relative to the experiment file's folder: a file, a pattern like `data/*.csv`, a folder, or a list of these.
    Files may be packed (`.gz`, `.zst`)."""
    text: str | tuple[str, ...] | None = None
    """Column or columns of the text, in the order in which a model sees them. By default that of a fine-tuning file:
    the user's message, or `prompt`; and the lines of a TXT file."""
    label: str | None = None
    """Column of the label; "" where there is none. By default that of a fine-tuning file: the assistant's last
    message, or `completion`."""
    labels: tuple[str, ...] | None = None
    """The label set, in rank order where `ordered`; by default the labels that occur."""
    ordered: bool = False
    """Whether the labels have an order."""
    group: str | None = None
    """Column whose equal values never stand on both sides of a split."""
    split: str | None = None
    """Column that says train, validation (val, dev) or test."""
    slices: tuple[str, ...] = ()
    """Columns by which the report tells parts of the data apart."""
    time: str | None = None
    """Column of dates: ISO 8601, or seconds since 1970."""
    share: bool = False
    """Whether texts of this data may be published."""
    encoding: str = "utf-8"
    """How the file is written; a byte-order mark is recognised."""
    format: _tables.Format | None = None
    """By default what the file's suffix says."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a CSV, TSV or XLSX file without a header line."""
    quotes: bool | None = None
    """Whether cells may stand in quotes; by default in CSV, not in TSV."""
    delimiter: str | None = None
    """What separates the cells of a CSV or TSV file; by default a comma or a tab."""
    sheet: str | None = None
    """The sheet of an XLSX file; needed where several have content."""
    separator: str = ""
    """Taken off the end of each text, e.g. the separator of a prompt/completion file."""
    stop: str = ""
    """Taken off the end of each label, e.g. the stop sequence of a prompt/completion file."""
    turns: Literal["refuse", "join"] = "refuse"
    """Chat lines with several turns: refused, or all messages before the answer joined to one text."""
    unpacked_mb: int | None = None
    """How many million bytes a file may unpack to; by default 100 times its size, and at least 64."""

    def load(self, ctx: harness.Context) -> Iterator[harness.Example]:
        """Yields an example for each row.

        Labels are texts; where the whole column holds whole numbers, `5.0` is `5`. A row without a label yields the
        label "", which the data stage counts and removes. What was found or mended is told at the end.

        Raises:
            harness.DataError: No such file or column (with the nearest name), or a broken row (with its line).
        """
        notes = Notes()
        return self._examples(self._sources(ctx, notes), notes, ctx)

    def rows(self, ctx: harness.Context) -> Iterator[Mapping[str, Any]]:
        """Yields the rows as they stand, column → value; chat lines as instruction, text, label and weight.

        Raises:
            harness.DataError: No such file, or a broken row (with its line).
        """
        sources = self._sources(ctx, Notes())
        return (row for _, table in self._tables(sources) for row in table.objects())

    def reads(self, folder: Path) -> tuple[Path, ...]:
        """Returns the files that are read; paths are relative to `folder`.

        Raises:
            harness.DataError: No such file.
        """
        return tuple(path for path, _, _ in self._files(folder))

    def _files(self, folder: Path) -> list[tuple[Path, _tables.Format, str]]:
        return _tables.find((self.path,) if isinstance(self.path, str) else self.path, folder, self.format)

    def _sources(self, ctx: harness.Context, notes: Notes) -> list[Source]:
        return [
            Source(
                path=path,
                name=shown(path.name, 200),
                format=form,
                packed=packed,
                notes=notes,
                encoding=self.encoding,
                header=self.columns,
                quotes=self.quotes,
                delimiter=self.delimiter,
                sheet=self.sheet,
                turns=self.turns,
                unpacked_mb=self.unpacked_mb,
            )
            for path, form, packed in self._files(ctx.folder)
        ]

    def _examples(self, sources: list[Source], notes: Notes, ctx: harness.Context) -> Iterator[harness.Example]:
        tables = self._tables(sources)
        first = next(tables)
        columns = self._meant(*first)
        n = 0
        for example in _rows.examples(self._parts(chain([first], tables), columns), columns, notes, self.labels or ()):
            n += 1
            yield example
        if not n:
            raise harness.DataError(f"{sources[0].name} has no rows", "expected at least one example for each class")
        for check in notes.checks():
            ctx.tell(check)

    def _tables(self, sources: list[Source]) -> Iterator[tuple[Source, Table]]:
        """Yields each file's table; the named columns of tables that know theirs must be the same."""
        known: tuple[str, set[str]] | None = None
        for source in sources:
            table = _tables.read(source)
            if table.complete:
                here = {name for name in table.columns if name.strip()}
                name, columns = known = known or (source.name, here)
                if here != columns:
                    odd = sorted(here ^ columns)[0]
                    has, lacks = (source.name, name) if odd in here else (name, source.name)
                    raise harness.DataError(
                        f'{has} has a column "{shown(odd)}" and {lacks} has none; files must have the same columns',
                        "name files of the same columns, or make them the same",
                    )
            yield source, table

    def _parts(self, tables: Iterable[tuple[Source, Table]], columns: _rows.Columns) -> Iterator[_rows.Part]:
        for source, table in tables:
            if table.complete and table.columns:
                _rows.check_columns(columns, table.columns, source.name, self._hint(table))
            yield _rows.Part(where=table.where, rows=table.select(columns.wanted))
            if not table.complete and table.columns:
                _rows.check_columns(columns, table.columns, source.name)

    def _hint(self, table: Table) -> str:
        if not isinstance(table, Delimited) or self.columns is not None:
            return ""
        if table.other_delimiter:
            other = shown(table.other_delimiter)
            return f' (if "{other}" separates the cells: dataset.delimiter = "{other}")'
        return " (no line of column names? give dataset.columns)"

    def _meant(self, source: Source, table: Table) -> _rows.Columns:
        """Returns which column is what, with the defaults of a fine-tuning file where it is one.

        Raises:
            harness.DataError: Text or label is not given, and the file does not say it.
        """
        usual = _usual(table)
        text = usual[0] if self.text is None and usual is not None else self.text
        label = usual[1] if self.label is None and usual is not None else self.label
        for option, value in (("text", text), ("label", label)):
            if value is None and table.columns:
                aside = ', or "" where there is none' if option == "label" else ""
                raise harness.DataError(
                    f"dataset.{option} is not given, and {source.name} is no fine-tuning file, which would say it",
                    f"name the column{aside}; its columns: {_rows.quoted(table.columns)}{self._hint(table)}",
                )
        return _rows.Columns(
            text=(text,) if isinstance(text, str) else text or (),
            label=label or "",
            group=self.group,
            split=self.split,
            slices=self.slices,
            time=self.time,
            separator=self.separator,
            stop=self.stop,
        )


def _usual(table: Table) -> tuple[str, str] | None:
    """Returns the columns of text and label, where the kind of file says them."""
    if isinstance(table, Lines):
        return table.columns[0], ""
    if table.columns[: len(COLUMNS)] == COLUMNS:
        return "text", "label"
    return ("prompt", "completion") if {"prompt", "completion"} <= set(table.columns) else None


@harness.hookimpl
def harness_datasets() -> list[type[Files]]:
    """Declares the dataset."""
    return [Files]
