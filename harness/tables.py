"""Examples and predictions as Parquet, whole files in a fixed order of rows and columns."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from json.encoder import encode_basestring as spelt
from pathlib import Path
from typing import Any

from harness.errors import DataError, refused
from harness.files import write_whole
from harness.types import Example, Prediction, Split

PREDICTION_TYPES = {
    "arm": "string", "example_id": "string", "expected": "string", "predicted": "string", "status": "string",
    "response": "string", "shot_ids": "strings", "input_tokens": "int64", "output_tokens": "int64",
    "cached_tokens": "int64", "reasoning_tokens": "int64", "latency_s": "double", "queue_s": "double",
    "retry_s": "double", "attempts": "int64", "reused": "bool", "cost_usd": "double", "confidence": "double",
    "strict": "string", "probabilities": "string", "truncated": "bool", "error": "string", "first_token_s": "double",
    "key": "string", "tokens_estimated": "bool",
}  # fmt: skip
"""Columns of `predictions.parquet`: the first eighteen are promised, the others have grown since."""

Forms = Mapping[str, Mapping[str, str]]
"""Formatter → its options."""

_PARQUET = b"PAR1"
_PREPARED = b"finetune-harness examples"
"""Key of a Parquet file's metadata by which prepared examples are known."""
_FORMS = b"finetune-harness forms"
"""… and under which they say how their training lines were formed, where that is not as usual."""


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Writes `examples.parquet`; see `examples_file`."""
    write_whole(path, examples_file(examples))


def examples_file(examples: Sequence[Example], forms: Forms | None = None) -> bytes:
    """Returns `examples.parquet`: id, split, label, text, fields (JSON), group, slices (JSON), time.

    Each text field and slice has a column of its own beside them, where its name is free: an experiment can name them.

    Args:
        examples: The examples.
        forms: How their training lines were formed, for whoever prepares them again.
    """
    import pyarrow as pa

    columns = {
        "id": strings([example.id for example in examples]),
        "split": strings([example.split for example in examples]),
        "label": strings([example.label for example in examples]),
        "text": strings([example.text for example in examples]),
        "fields": strings([_texts(example.fields) for example in examples]),
        "group": strings([example.group for example in examples]),
        "slices": strings([_json(dict(example.slices)) if example.slices else "{}" for example in examples]),
        "time": strings([example.time for example in examples]),
    }
    for name in dict.fromkeys([name for example in examples for name in example.fields]):
        if name not in columns:
            columns[name] = strings([example.fields.get(name, "") for example in examples])
    for name in dict.fromkeys([name for example in examples for name in example.slices]):
        if name not in columns:
            columns[name] = strings([example.slices.get(name) for example in examples])
    own = {name: dict(options) for name, options in (forms or {}).items() if options}
    said = {_PREPARED: b"1", **({_FORMS: _json(own).encode("utf-8", "replace")} if own else {})}
    return as_bytes(pa.table(columns).replace_schema_metadata(said))


def strings(values: Sequence[str | None]) -> Any:
    """Returns a column of texts; lone surrogates, which cannot be written as UTF-8, become question marks."""
    import pyarrow as pa

    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        return pa.array([None if value is None else _clean(value) for value in values], pa.string())


def read_table(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Returns a table of a run.

    Args:
        path: A Parquet file.
        columns: Those to read; by default all.

    Raises:
        DataError: It cannot be read.
        UsageError: The system refuses it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise refused(error) or DataError(
            f"{path} cannot be read: {error}", "rebuild it: `harness run` scores again, sending nothing"
        ) from None


def is_whole(path: Path) -> bool:
    """Whether a file begins and ends as Parquet does: one that was cut off, or is empty, does not."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_PARQUET))
            file.seek(-len(_PARQUET), os.SEEK_END)
            return head == file.read() == _PARQUET
    except OSError:
        return False


def is_prepared(path: Path) -> bool:
    """Whether a file is one that `examples_file` has made."""
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return _PREPARED in (pq.read_schema(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False


def read_examples(path: Path) -> list[Example] | None:
    """Returns the examples that `examples_file` made the file of; `None` for any other file."""
    if not is_prepared(path):
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            rows = file.read(["id", "split", "label", "fields", "group", "slices", "time"]).to_pylist()
    except (OSError, pa.ArrowException):
        return None
    return [
        Example(
            id=row["id"],
            split=Split(row["split"]) if row["split"] else None,
            label=row["label"],
            fields=json.loads(row["fields"]),
            group=row["group"],
            slices=json.loads(row["slices"]),
            time=row["time"],
        )
        for row in rows
    ]


def read_forms(path: Path) -> Forms:
    """Returns how the training lines of prepared examples were formed; empty where it was as usual."""
    import pyarrow.parquet as pq

    try:
        said = json.loads((pq.read_schema(path).metadata or {}).get(_FORMS, b"{}"))
    except ValueError:
        return {}
    tables = said.items() if isinstance(said, dict) else ()
    return {
        name: {option: value for option, value in options.items() if isinstance(value, str) and value}
        for name, options in tables
        if isinstance(options, dict)
    }


def write_predictions(path: Path, predictions: Iterable[Prediction], candidates: Sequence[str] | None = None) -> None:
    """Writes predictions, ordered by arm as given and by example id.

    Args:
        path: The file.
        predictions: The rows.
        candidates: For trials: what each row's candidate is called, in the order of `predictions`.
    """
    import pyarrow as pa

    rows = list(predictions)
    types = {
        "string": pa.string(), "strings": pa.list_(pa.string()), "int64": pa.int64(), "double": pa.float64(),
        "bool": pa.bool_(),
    }  # fmt: skip
    columns = {
        name: pa.array([_value(row, name) for row in rows], types[kind]) for name, kind in PREDICTION_TYPES.items()
    }
    if candidates is not None:
        columns = {"candidate": pa.array(list(candidates), pa.string()), **columns}
    write_whole(path, as_bytes(pa.table(columns)))


def _value(row: Prediction, name: str) -> Any:
    value = getattr(row, name)
    if name == "probabilities":
        return None if value is None else _json(dict(value))
    if name == "shot_ids":
        return list(value)
    return _clean(str(value)) if isinstance(value, str) else value


def _texts(fields: Mapping[str, str]) -> str:
    """Returns texts by name as JSON; spelt out, which is several times as fast as the encoder."""
    return f"{{{', '.join([f'{spelt(name)}: {spelt(text)}' for name, text in fields.items()])}}}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def as_bytes(table: Any) -> bytes:
    """Returns a table as a Parquet file."""
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()
