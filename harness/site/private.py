"""What of a run's files may leave: columns and rows of its tables, and the same without keys and personal data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.files import json_text
from harness.report import scan
from harness.report.reading import EXAMPLE_COLUMNS, PRIVATE, Samples
from harness.tables import read_table

INTERNAL = ("key", "probabilities")
"""Columns of predictions that no page needs."""


def keep_predictions(run: Path, folder: Path, samples: Samples) -> tuple[tuple[str, ...], Any]:
    """Writes what leaves of the answers; returns its columns and the ids of what any arm got wrong.

    Raises:
        DataError: They cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not (run / "predictions.parquet").is_file():
        return (), None
    table = read_table(run / "predictions.parquet")
    table = table.drop_columns([name for name in INTERNAL if name in table.column_names])
    private = [name for name in PRIVATE if name in table.column_names]
    wrong = None
    if samples == "none":
        table = table.drop_columns(private)
    elif samples == "errors":
        right = pc.fill_null(pc.equal(table["expected"], table["predicted"]), False)
        wrong = pc.unique(table.filter(pc.invert(right))["example_id"])
        shown = pc.is_in(table["example_id"], wrong)
        for name in private:
            table = _put_column(table, name, pc.if_else(shown, table[name], pa.scalar(None, table[name].type)))
    write_table(table, folder / "predictions.parquet")
    return tuple(table.column_names), wrong


def keep_examples(run: Path, folder: Path, samples: Samples, wrong: Any) -> int:
    """Writes the test examples, their groups numbered, with the texts that may leave; returns how many those are.

    Raises:
        DataError: They cannot be read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    path = run / "data" / "examples.parquet"
    if not path.is_file():
        return 0
    table = read_table(path)
    if "split" in table.column_names:
        table = table.filter(pc.equal(table["split"], "test"))
    table = table.select([name for name in EXAMPLE_COLUMNS if name in table.column_names])
    if samples == "all":
        shown = pa.array([True] * len(table), pa.bool_())
    elif samples == "errors" and wrong is not None:
        shown = pc.is_in(table["id"], wrong)
    else:
        shown = pa.array([False] * len(table), pa.bool_())
    for name, blank in (("text", ""), ("fields", "{}"), ("slices", "{}"), ("time", None), ("group", None)):
        if name in table.column_names:
            old = table[name]
            column = _numbered(old) if name == "group" else pc.if_else(shown, old, pa.scalar(blank, old.type))
            table = _put_column(table, name, column)
    (folder / "data").mkdir()
    write_table(table, folder / "data" / "examples.parquet")
    return int(pc.sum(shown).as_py() or 0)


def _put_column(table: Any, name: str, column: Any) -> Any:
    """Returns a table with another column in the place of the one of that name."""
    return table.set_column(table.column_names.index(name), name, column)


def _numbered(groups: Any) -> Any:
    """Puts numbers in place of groups: who wrote a text is nobody's business, that two are of one hand is."""
    import pyarrow as pa

    known: dict[Any, str] = {}
    values = groups.to_pylist()
    return pa.array([None if value is None else known.setdefault(value, str(len(known))) for value in values], "string")


def write_table(table: Any, path: Path) -> None:
    """Writes Parquet, small."""
    import pyarrow.parquet as pq

    pq.write_table(table, path, compression="zstd", compression_level=15)


def suspicious(folder: Path) -> list[scan.Finding]:
    """Looks through everything that a staged folder holds before its page is rendered."""
    import pyarrow.parquet as pq

    found: list[scan.Finding] = []
    for name in ("results.json", "manifest.json"):
        found += scan.findings(_read(folder / name), name, personal=True)
    for path in sorted(folder.rglob("*.parquet")):
        place = path.relative_to(folder).as_posix()
        for name, texts in _texts(pq.read_table(path)):
            values = [json.loads(text) for text in texts] if name in _JSON else texts
            found += scan.column_findings(name, values, place, personal=True)
    return found


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _texts(table: Any) -> list[tuple[str, list[str]]]:
    """Returns the columns of a table that hold text, each different value once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_list(column.type):
            column = pc.list_flatten(column)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            found.append((name, [value for value in pc.unique(column).to_pylist() if value]))
    return found


_JSON = frozenset({"fields", "slices"})
"""Columns that hold JSON as text."""


def redact(folder: Path) -> None:
    """Takes keys and personal data out of all files of a folder."""
    import pyarrow.parquet as pq

    data = _read(folder / "results.json")
    tables = {path: pq.read_table(path) for path in folder.rglob("*.parquet")}
    ids = [one for table in tables.values() for name in ("id", "example_id") if name in table.column_names
           for one in table[name].unique().to_pylist() if one]  # fmt: skip
    redactor = scan.Redactor(scan.names_of(data, ids))
    for name in ("results.json", "manifest.json"):
        (folder / name).write_text(json_text(redactor.value(_read(folder / name))), "utf-8")
    for path, table in tables.items():
        write_table(_clean(table, redactor), path)


def _clean(table: Any, redactor: scan.Redactor) -> Any:
    import pyarrow as pa

    for name, texts in _texts(table):
        own = name in scan.IDS
        clean = {text: _redacted(name, text, redactor) for text in texts if not (own and scan.OWN_ID.fullmatch(text))}
        old = table[name]
        table = _put_column(table, name, pa.array([_put(value, clean) for value in old.to_pylist()], old.type))
    return table


def _redacted(name: str, text: str, redactor: scan.Redactor) -> str:
    if name in _JSON:
        return json.dumps(redactor.value(json.loads(text)), ensure_ascii=False)
    return redactor.text(text)


def _put(value: Any, clean: Mapping[str, str]) -> Any:
    """Puts what is clean in the place of a cell's text, or of each text of a list."""
    if isinstance(value, list):
        return [clean.get(one, one) for one in value]
    return clean.get(value, value)
