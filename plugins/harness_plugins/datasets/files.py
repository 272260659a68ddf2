"""Examples from a file of one's own: CSV, TSV, JSONL, Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import harness
from harness_plugins.datasets import _rows, _tables


@dataclass(frozen=True, kw_only=True)
class Files:
    """Reads one file; each row is an example."""

    name: ClassVar[str] = "files"

    path: str
    """Relative to the experiment file's folder."""
    text: str | tuple[str, ...]
    """Column or columns of the text, in the order in which a model sees them."""
    label: str
    """Column of the label; "" where there is none."""
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
    format: Literal["csv", "tsv", "jsonl", "parquet"] | None = None
    """By default what the file's suffix says."""
    columns: tuple[str, ...] | None = None
    """Names of the columns of a CSV or TSV file without a header line."""
    quotes: bool | None = None
    """Whether cells may stand in quotes; by default in CSV, not in TSV."""

    def load(self, ctx: harness.Context) -> Iterator[harness.Example]:
        """Yields an example for each row.

        Labels are texts; where the whole column holds whole numbers, `5.0` is `5`. A row without a label yields the
        label "", which the data stage counts and removes.

        Raises:
            harness.DataError: No such file or column (with the nearest name), or a broken row (with its line).
        """
        path = self._found(ctx.folder)
        source = _tables.Source(
            path=path,
            format=self.format or _format(path),
            encoding=self.encoding,
            header=self.columns,
            quotes=self.quotes,
        )
        table = _tables.read(source)
        columns = _rows.Columns(
            text=(self.text,) if isinstance(self.text, str) else self.text,
            label=self.label,
            group=self.group,
            split=self.split,
            slices=self.slices,
            time=self.time,
        )
        if not table.columns:
            raise harness.DataError(f"{path.name} has no rows", "Expected at least one example for each class.")
        headless = source.format in ("csv", "tsv") and self.columns is None
        hint = " (no line of column names? Give dataset.columns)" if headless else ""
        _rows.check_columns(columns, table.columns, path.name, hint)
        return _rows.examples(table.rows, columns)

    def _found(self, folder: Path) -> Path:
        path = folder / Path(self.path).expanduser()
        if path.is_file():
            return path
        if path.is_dir():
            raise harness.DataError(
                f"dataset.path: {path} is a folder", f"Name one file in it; {_nearest_file('data', path)}"
            )
        if not path.parent.is_dir():
            raise harness.DataError(
                f"dataset.path: there is no folder {path.parent}", "The path is relative to the experiment file."
            )
        raise harness.DataError(f"dataset.path: there is no file {path}", _nearest_file(path.name, path.parent))


def _nearest_file(name: str, folder: Path) -> str:
    files = [each.name for each in folder.iterdir() if each.is_file() and each.suffix.lower() in _tables.FORMATS]
    return f"In {folder}: {harness.nearest(name, files)}"


def _format(path: Path) -> str:
    known = _tables.FORMATS.get(path.suffix.lower())
    if known is None:
        raise harness.DataError(
            f'{path.name}: the suffix "{path.suffix}" is no known format ({", ".join(_tables.FORMATS)})',
            'Say what it is: dataset.format = "csv", "tsv", "jsonl" or "parquet".',
        )
    return known


@harness.hookimpl
def harness_datasets() -> list[type[Files]]:
    """Declares the dataset."""
    return [Files]
