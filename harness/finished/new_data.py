"""Data that a run has not seen: read as the run's own was, each row with its example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.errors import DataError, GateError, UsageError, nearest
from harness.experiment import Arm, Experiment
from harness.finished.reopening import Reopened
from harness.guessing.looking import check_file, kind_of
from harness.numbers import counted
from harness.plugins import attributed
from harness.plugins.options import construct
from harness.prepare import pii
from harness.types import Context, Example

READING = ("encoding", "format", "columns", "quotes", "delimiter", "sheet", "unpacked_mb")
"""Options of the dataset `files` that say how a file of one kind is written."""
CONTENT = ("separator", "stop", "turns")
"""Those about what stands in the columns, whatever the file."""
_CELLS = frozenset({".csv", ".tsv", ".tab"})
_SHEETS = frozenset({".xlsx", ".xlsm"})
_ONLY: Mapping[str, Collection[str]] = {
    "delimiter": _CELLS,
    "quotes": _CELLS,
    "sheet": _SHEETS,
    "columns": _CELLS | _SHEETS,
}
"""Option → the kinds of file that it is for, by their suffixes; others are for all."""
_KNOWN = _CELLS | _SHEETS | {".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".txt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file with new data, and what its columns are where they are not named as in the run."""

    path: Path
    """Whatever the dataset `files` reads."""
    text: tuple[str, ...] = ()
    """Columns in the place of the run's text columns, in their order."""
    label: str | None = None
    """Column of the label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewData:
    """A file's rows as they stand, and what the arms are asked about them."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    examples: tuple[Example, ...]
    """One for each row, in the same order; rows of the same text have the same id."""


def read(run: Reopened, source: Source, *, labelled: bool) -> NewData:
    """Reads new data for a run's arms.

    Args:
        run: The run: its text columns, and how its file was written, hold for the new one where nothing else is said.
        source: The file.
        labelled: Whether the labels matter.

    Raises:
        DataError: There is no such file, or it cannot be read.
        UsageError: A column is not there; the nearest is named.
    """
    check_file(source.path)
    data, files = source.path, run.experiment.plugins.get("dataset", "files").cls
    reading = _reading(run, _kind(files, data))
    told = Context(folder=Path(), seed=run.experiment.seed)
    plain: Any = construct(files, {**reading, "path": str(data.absolute()), "text": "", "label": ""}, "dataset")
    with attributed(plain, "rows"):
        rows = tuple(plain.rows(told))
    if not rows:
        raise DataError(f"{data} has no rows", "expected at least one item")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    texts = _text_columns(run, source, columns)
    label = _label_column(run, source, columns) if labelled else ""
    group = getattr(run.experiment.dataset, "group", None)
    options = {**reading, "path": str(data.absolute()), "text": texts, "label": label}
    options |= {"group": group} if group in columns else {}
    options |= {"labels": run.data.labels} if labelled else {}
    dataset: Any = construct(files, options, "dataset")
    with attributed(dataset, "load"):
        loaded = list(dataset.load(told))
    return NewData(
        name=data.name,
        columns=columns,
        rows=rows,
        examples=tuple(_named(example, texts, run.fields) for example in loaded),
    )


def _kind(files: type[Any], data: Path) -> str:
    """Returns the suffix of a file, of a folder's or a pattern's first file."""
    dataset: Any = construct(files, {"path": str(data.absolute()), "text": "", "label": ""}, "dataset")
    with attributed(dataset, "reads"):
        return kind_of(dataset.reads(Path())[0])


def _reading(run: Reopened, kind: str) -> dict[str, Any]:
    """Returns how a file is read: as the run's own, where it is of that kind.

    Of a run over a folder, whose files are not named, each option holds that such a file can have, but for `format`.
    """
    dataset = run.experiment.dataset
    if dataset.name != "files":
        return {}
    paths = getattr(dataset, "path", "")
    first = paths if isinstance(paths, str) else next(iter(paths), "")
    own = kind_of(Path(first))
    some = [name for name in READING if name != "format" and kind in _ONLY.get(name, (kind,))]
    alike = READING if own == kind else () if own in _KNOWN else some
    names = (*CONTENT, *alike)
    options = {name: getattr(dataset, name, None) for name in names}
    return {name: value for name, value in options.items() if value is not None}


def _text_columns(run: Reopened, source: Source, columns: Sequence[str]) -> tuple[str, ...]:
    fields, given = run.fields, source.text
    if given and len(given) != len(fields):
        raise UsageError(
            f"--text names {counted(len(given), 'column')}, and the run's items have "
            f"{counted(len(fields), 'text field')} ({', '.join(fields)})",
            "name one column for each of them, in this order",
        )
    wanted = given or fields
    if not given and len(fields) == 1 and len(columns) == 1:
        return tuple(columns)  # lines of text, for instance
    for name in wanted:
        if name not in columns:
            raise UsageError(
                f'{source.path} has no column "{name}"; {nearest(name, columns)}',
                f"--text names the columns in the place of {', '.join(fields)}",
            )
    return wanted


def _label_column(run: Reopened, source: Source, columns: Sequence[str]) -> str:
    own = getattr(run.experiment.dataset, "label", None) or ("completion" if "completion" in columns else "label")
    name = source.label or own
    if not isinstance(name, str) or name not in columns:
        raise UsageError(
            f'{source.path} has no column "{name}" (the label); {nearest(str(name), columns)}', "name it: --label COL"
        )
    return name


def _named(example: Example, columns: Sequence[str], fields: Sequence[str]) -> Example:
    """Gives texts the names that they have in the run: templates name them, and equal texts get equal ids."""
    texts = {field: example.fields[column] for column, field in zip(columns, fields, strict=True)}
    return Example(fields=texts, label=example.label, group=example.group)


def without_personal_data(experiment: Experiment, arms: Iterable[Arm], examples: Sequence[Example]) -> list[Example]:
    """Does with personal data what the experiment says: nothing, a mask in its place, or a stop.

    Raises:
        GateError: There is some, and texts would leave this machine with it.
    """
    outside = any(not experiment.endpoints[name].on_this_machine for arm in arms for name in arm.endpoint_names())
    mode = experiment.prepare.pii or ("stop" if outside else "warn")
    if mode == "warn":
        return list(examples)
    found: Counter[str] = Counter()
    masked = []
    for example in examples:
        kinds = pii.kinds(example.text)
        found.update(sorted(kinds))
        masked.append(pii.mask(example) if kinds else example)
    if mode == "stop" and found:
        listed = ", ".join(f"{kind}: {n}" for kind, n in sorted(found.items()))
        raise GateError(
            f"[prepare].pii says stop: texts that seem to hold personal data or keys ({listed})",
            'set [prepare].pii = "mask" in the experiment to replace it, or "warn" to send it, and run it again',
        )
    return masked


def distinct(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Returns each text once, those without any text left out."""
    found: dict[str, Example] = {}
    for example in examples:
        if example.text.strip():
            found.setdefault(example.id, replace(example, split=None))
    return tuple(found.values())
