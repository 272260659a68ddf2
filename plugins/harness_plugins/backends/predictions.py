"""Answers from a file: results that another tool, or an earlier study, has brought."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import harness
from harness_plugins.datasets.files import Files

_COUNTS = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
_FIGURES = ("latency_s", "cost_usd")
_SHOWN = 8
"""Columns that an error lists."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Looks each item up in a CSV, TSV, JSON, JSONL, Parquet or XLSX file, by its id or its text; sends nothing.

    A row is found by id where `id` is given, else by text: both compared as duplicates are, without regard to case,
    white space and punctuation. An item without a row has failed; rows without an item are counted. Numbers of such an
    arm are flagged *imported* wherever they show.
    """

    name: ClassVar[str] = "predictions"
    deterministic: ClassVar[bool] = True
    imported: ClassVar[bool] = True

    path: str
    """The file, relative to the experiment file's folder."""
    answer: str = "response"
    """Column of the answer as the model gave it; the arm's formatter reads the label out of it. In JSON a path such as
    `output.choices.0.message.content` leads into what is nested, here and in all other columns."""
    text: str | tuple[str, ...] | None = None
    """Column or columns of the item's text, in the order of `dataset.text`."""
    id: str | None = None
    """Column of the example's id, as in `predictions.parquet`; one of `text` and `id` is needed."""
    rows: str | None = None
    """Where the list of rows stands in a JSON file that is an object: `results.results`."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column → value: only these rows, `{ arm = "8-shot" }` of a file with several."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Figure → its column, where the file does not call it so: `input_tokens`, `output_tokens`, `cached_tokens`,
    `reasoning_tokens`, `latency_s` (seconds), `cost_usd` (of one request), `error`, `probabilities` (label → share)."""
    family: Literal["zero-shot", "few-shot", "fine-tuned", "classical", "other"] = "other"
    """What the arm counts as in the verdict."""
    model: str | None = None
    """The model's id, as it is to be shown."""
    training_usd: float | None = None
    """What its training cost, where it was trained."""

    def __post_init__(self) -> None:
        if (self.text is None) == (self.id is None):
            raise ValueError("expected one of text and id: the column or columns by which a row finds its item")
        known = (*_COUNTS, *_FIGURES, "error", "probabilities")
        for name in self.columns:
            if name not in known:
                raise ValueError(f'columns has no "{name}"; {harness.nearest(name, known)}')
        if self.training_usd is not None and self.training_usd < 0:
            raise ValueError(f"training_usd = {self.training_usd}, expected 0 dollars or more")

    def depends_on(self, folder: Path) -> str:
        """Returns the hash of the file: where it changes, its answers are read again.

        Raises:
            harness.DataError: There is no such file.
        """
        return hashlib.sha256(self._file(folder).read_bytes()).hexdigest()

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Reads the file.

        Raises:
            harness.DataError: A column is missing, or two rows of one item have different answers.
        """
        found = self._found(ctx.experiment)
        self._tell_unmatched(found, ctx)
        missing = harness.Answer(error=f"{Path(self.path).name} has no row with its {'id' if self.id else 'text'}")
        yield lambda prompts: [
            found.get(harness.fold(prompt.example_id if self.id else prompt.source), missing) for prompt in prompts
        ]

    def _tell_unmatched(self, found: Mapping[str, harness.Answer], ctx: harness.Context) -> None:
        """Counts the rows that belong to no item of the run, whatever its split."""
        import pyarrow.parquet as pq

        kept = (ctx.run or ctx.folder) / "data" / "examples.parquet"
        if not kept.is_file():
            return
        column = "id" if self.id else "text"
        known = {harness.fold(str(value)) for value in pq.read_table(kept, columns=[column])[column].to_pylist()}
        unmatched = len(found.keys() - known)
        if unmatched:
            name = Path(self.path).name
            ctx.tell(
                harness.Check(
                    kind="imported-rows-unmatched",
                    level="warning",
                    message=f"{ctx.arm}: {unmatched:,} of {len(found):,} items in {name} are none of this run's.",
                    figures={"arm": ctx.arm, "rows": len(found), "unmatched": unmatched},
                )
            )

    def _file(self, folder: Path) -> Path:
        path = folder / self.path
        if not path.is_file():
            near = [other.name for other in path.parent.glob("*") if other.is_file()] if path.parent.is_dir() else []
            raise harness.DataError(
                f"backend.path: there is no file {path}", f"expected answers; {harness.nearest(path.name, near)}"
            )
        return path

    def _found(self, folder: Path) -> dict[str, harness.Answer]:
        """Returns folded id or text → answer."""
        path = self._file(folder)
        found: dict[str, harness.Answer] = {}
        lines: dict[str, int] = {}
        for number, row in enumerate(self._rows(path, folder), 1):
            if any(str(_at(row, column)) != value for column, value in self.where.items()):
                continue
            key = self._key(row, number, path)
            answer = self._answer(row, number, path)
            if key in found and found[key].text != answer.text:
                raise harness.DataError(
                    f"{path.name}: rows {lines[key]} and {number} are one item and answer differently",
                    'expected one answer for each item: name the rows that are meant, where = { arm = "…" }',
                )
            found.setdefault(key, answer)
            lines.setdefault(key, number)
        if not found:
            meant = f" where {', '.join(f'{k} = {v}' for k, v in self.where.items())}" if self.where else ""
            raise harness.DataError(f"{path.name} has no rows{meant}", "expected one for each test item")
        return found

    def _rows(self, path: Path, folder: Path) -> Iterator[Mapping[str, Any]]:
        if self.rows is None:
            yield from Files(path=self.path, text=()).rows(harness.Context(folder=folder))
            return
        try:
            listed = _at(json.loads(path.read_text("utf-8-sig")), self.rows)
        except ValueError as error:
            raise harness.DataError(
                f"{path.name} is no JSON: {error}", "expected an object, for rows is given"
            ) from None
        if not isinstance(listed, list):
            raise harness.DataError(f'{path.name} has no list at "{self.rows}"', "expected the list of rows there")
        yield from (row for row in listed if isinstance(row, dict))

    def _key(self, row: Mapping[str, Any], number: int, path: Path) -> str:
        names = (self.id,) if self.id else (self.text,) if isinstance(self.text, str) else self.text or ()
        for name in names:
            _present(row, str(name), number, path)
        values = [_at(row, str(name)) for name in names]
        return harness.fold("\n".join(str(value) for value in values if value not in (None, "")))

    def _answer(self, row: Mapping[str, Any], number: int, path: Path) -> harness.Answer:
        _present(row, self.answer, number, path)
        said = _at(row, self.answer)
        error = _at(row, self.columns.get("error", "error"))
        lost = error or _at(row, "status") == "failed"
        if said is None or (lost and not str(said).strip()):  # CSV has no other way to say that there is none
            return harness.Answer(error=str(error or "no answer in the file"))
        figures: dict[str, Any] = {}
        for name in (*_COUNTS, *_FIGURES):
            column = self.columns.get(name, name)
            value = _at(row, column)
            figures[name] = None if value in (None, "") else _figure(value, column, number, path, name in _COUNTS)
        shares = _at(row, self.columns.get("probabilities", "probabilities"))
        return harness.Answer(
            text=str(said), probabilities=shares if isinstance(shares, dict) and shares else None, **figures
        )


def _at(row: Any, column: str) -> Any:
    """Returns a column's value; where there is no such column, what its name leads to as a path."""
    if isinstance(row, Mapping) and column in row:
        return row[column]
    for part in column.split("."):
        if isinstance(row, Mapping):
            row = row.get(part)
        elif isinstance(row, list) and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        else:
            return None
    return row


def _present(row: Mapping[str, Any], column: str, number: int, path: Path) -> None:
    if column in row or column.split(".")[0] in row:
        return
    names = [str(name) for name in row]
    listed = ", ".join(f'"{name}"' for name in names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    raise harness.DataError(
        f'{path.name} has no column "{column}" in row {number}; {harness.nearest(column, names)}',
        f"its columns: {listed}",
    )


def _figure(value: Any, column: str, number: int, path: Path, whole: bool) -> float:
    try:
        figure = float(value)
    except (TypeError, ValueError):
        figure = -1.0
    if not 0 <= figure < 2**53 or (whole and not figure.is_integer()):
        what = "a whole number" if whole else "a number"
        raise harness.DataError(
            f"{path.name}, row {number}: {column} = {str(value)[:40]!r}", f"expected {what} of 0 or more, or nothing"
        )
    return int(figure) if whole else figure


@harness.hookimpl
def harness_backends() -> list[type[Predictions]]:
    """Declares the backend."""
    return [Predictions]
