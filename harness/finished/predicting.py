"""`harness predict`: new data, labelled by an arm of a run."""

from __future__ import annotations

import base64
import csv
import datetime
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import tables
from harness.console import Console
from harness.errors import UnfinishedError, UsageError
from harness.execution.work import digest
from harness.files import require_writable, write_whole
from harness.finished import new_data
from harness.finished.new_data import NewData, Source
from harness.finished.reopening import Reopened, tools
from harness.numbers import counted
from harness.runs import RunFolder, slug
from harness.types import Prediction, Status

ADDED = ("predicted", "status", "confidence", "response")
"""Columns that are added to the data's own."""
FORMS = (".csv", ".jsonl", ".parquet")
PLACE = "predict"
"""Folder in the run's, with a folder for each arm and data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """What became of new data."""

    out: Path
    rows: int
    counts: Mapping[str, int]
    """Rows by status."""
    usd: float
    """What it has cost in all, as far as prices are known."""
    unfinished: UnfinishedError | None = None
    """What is left to do, where something is."""


def predict(run: Reopened, name: str, data: Source, out: Path, console: Console, *, max_usd: float | None) -> Labelled:
    """Labels new data with an arm; the same command goes on where it stopped.

    Args:
        run: The run.
        name: The arm's name.
        data: The file to label.
        out: The file to write; its suffix says how.
        console: Is told how far it has come.
        max_usd: What this data may cost; what the run may where it is `None`.

    Raises:
        UsageError: Arm, column, file or suffix is wrong, or `out` cannot be written; nothing was asked.
        GateError: The budget ends, or personal data would leave this machine; what was answered is kept.
    """
    if out.suffix.lower() not in FORMS:
        raise UsageError(f"-o {out}: the file's name must end in {', '.join(FORMS)}")
    if out.resolve() == data.path.resolve():
        raise UsageError(f"-o {out} is the data itself", "name another file")
    arm = run.arm(name)
    given = new_data.read(run, data, labelled=False)
    taken = [column for column in ADDED if column in given.columns]
    if taken:
        raise UsageError(f'{data.path} has a column "{taken[0]}", which is to be added', "rename it in the data")
    examples = new_data.without_personal_data(run.experiment, [arm], given.examples)
    require_writable(out)
    asked = new_data.distinct(examples)
    folder = run.folder.path / PLACE / f"{slug(name)}-{digest([name, sorted(one.id for one in asked)])[:8]}"
    siblings = (run.folder, *_others(folder))
    with tools(run, [arm], folder / "journal.sqlite", console, max_usd=max_usd, siblings=siblings) as work:
        console.say(f"{counted(len(given.rows), 'row')}, {counted(len(asked), 'different text')} to label")
        (answers,) = work.asking.ask([(arm, asked)], f"labelling {given.name}")
        unfinished, usd = work.asking.engine.unfinished(), work.asking.journal.spent()
    by_id = {answer.prediction.example_id: answer.prediction for answer in answers}
    added = [_added(by_id.get(example.id)) for example in examples]
    write(out, given, added)
    counts = {str(status): sum(row["status"] == str(status) for row in added) for status in Status}
    return Labelled(out=out, rows=len(added), counts=counts, usd=usd, unfinished=unfinished)


def _others(folder: Path) -> list[RunFolder]:
    """Returns what was labelled with the run before, newest first: data grows, and nothing is asked twice."""
    found = [path.parent for path in folder.parent.glob("*/journal.sqlite") if path.parent != folder]
    return [RunFolder(path) for path in sorted(found, key=lambda path: (-path.stat().st_mtime, path.name))]


def _added(row: Prediction | None) -> dict[str, Any]:
    if row is None:  # a row without a text: there was nothing to ask
        return {"predicted": None, "status": str(Status.FAILED), "confidence": None, "response": ""}
    return {
        "predicted": row.predicted,
        "status": str(row.status),
        "confidence": row.confidence,
        "response": row.response,
    }


def write(out: Path, data: NewData, added: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows with what was added to them: all of the file, or none."""
    rows = [{**row, **more} for row, more in zip(data.rows, added, strict=True)]
    columns = [*data.columns, *ADDED]
    suffix = out.suffix.lower()
    if suffix == ".csv":
        write_whole(out, _csv(columns, rows))
    elif suffix == ".jsonl":
        kept = ({name: _json(row[name]) for name in columns if name in row} for row in rows)
        lines = (json.dumps(row, ensure_ascii=False) for row in kept)
        write_whole(out, "".join(f"{line}\n" for line in lines))
    else:
        write_whole(out, _parquet(columns, rows))


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Writes cells as they are: what a spreadsheet makes of one that begins with `=` is the spreadsheet's matter."""
    return "".join(map(_line, [columns, *([_cell(row.get(name)) for name in columns] for row in rows)]))


def _line(cells: Sequence[Any]) -> str:
    line = io.StringIO(newline="")
    # Cells with a sign that ends a line stand in quotes, and readers take either sign for one.
    csv.writer(line, lineterminator="\r\n").writerow(cells)
    return line.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(_json(value), ensure_ascii=False)
    return _json(value) if isinstance(value, bytes) else value


def _json(value: Any) -> Any:
    """Returns a value as JSON can hold it; bytes in base 64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(each) for each in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)


def _parquet(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    import pyarrow as pa

    def column(name: str) -> Any:
        values = [row.get(name) for row in rows]
        if name in ADDED:
            return pa.array(values, pa.float64()) if name == "confidence" else tables.strings(values)
        if any(isinstance(value, bytes) for value in values):  # other cells may have become texts
            values = [value.encode() if isinstance(value, str) else value for value in values]
        try:
            made = pa.array(values)
            tables.as_bytes(pa.table({name: made[:0]}))
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):  # of several kinds, or none that Parquet has
            return tables.strings([None if value is None else str(_cell(value)) for value in values])
        return made

    return tables.as_bytes(pa.table({name: column(name) for name in columns}))
