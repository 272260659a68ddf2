"""Examples and predictions as Parquet, whole files in a fixed order of rows and columns."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.files import write_whole
from harness.types import Example, Prediction

PREDICTION_TYPES = {
    "arm": "string", "example_id": "string", "expected": "string", "predicted": "string", "status": "string",
    "response": "string", "shot_ids": "strings", "input_tokens": "int64", "output_tokens": "int64",
    "cached_tokens": "int64", "reasoning_tokens": "int64", "latency_s": "double", "queue_s": "double",
    "retry_s": "double", "attempts": "int64", "reused": "bool", "cost_usd": "double", "confidence": "double",
    "strict": "string", "probabilities": "string", "truncated": "bool", "error": "string",
}  # fmt: skip
"""Columns of `predictions.parquet`: the first eighteen are promised, the others have grown since."""


def write_examples(path: Path, examples: Sequence[Example]) -> None:
    """Writes `examples.parquet`: id, text fields (JSON), text, label, group, split, slices (JSON), time."""
    import pyarrow as pa

    columns = {
        "id": pa.array([example.id for example in examples], pa.string()),
        "split": pa.array([str(example.split) if example.split else None for example in examples], pa.string()),
        "label": pa.array([example.label for example in examples], pa.string()),
        "text": pa.array([_clean(example.text) for example in examples], pa.string()),
        "fields": pa.array([_clean(_json(dict(example.fields))) for example in examples], pa.string()),
        "group": pa.array([example.group for example in examples], pa.string()),
        "slices": pa.array([_json(dict(example.slices)) for example in examples], pa.string()),
        "time": pa.array([example.time for example in examples], pa.string()),
    }
    _write(path, pa.table(columns))


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
    _write(path, pa.table(columns))


def _value(row: Prediction, name: str) -> Any:
    value = getattr(row, name)
    if name == "probabilities":
        return None if value is None else _json(dict(value))
    if name == "shot_ids":
        return list(value)
    return _clean(str(value)) if isinstance(value, str) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _clean(text: str) -> str:
    """Lone surrogates cannot be written as UTF-8; they become replacement characters."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _write(path: Path, table: Any) -> None:
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_whole(path, buffer.getvalue())
