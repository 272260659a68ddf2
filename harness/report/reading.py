"""A run as a report reads it: its three result files, and what of them may be shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from harness import findings
from harness.blocks import Results
from harness.errors import DataError
from harness.report.columns import Without, read

Samples: TypeAlias = Literal["all", "errors", "none"]
"""Which of the examples' texts and answers may stand in the page."""

EXAMPLE_COLUMNS = ("id", "split", "label", "text", "fields", "group", "slices", "time")
"""What the page reads of `examples.parquet`; its other columns repeat the text fields."""

PRIVATE = ("response", "error")
"""Columns of `predictions.parquet` that hold what a model said."""

SCHEMA = 1
"""The schema of `results.json` that this page reads."""


def load(folder: Path) -> Results:
    """Reads `results.json` and, as far as they are there, predictions and examples of a run's folder.

    Raises:
        DataError: `results.json` is missing, broken or of another schema.
    """
    predictions = read(folder / "predictions.parquet", ("arm", "example_id"))
    examples = read(folder / "data" / "examples.parquet", ("id",), EXAMPLE_COLUMNS)
    return Results(data=read_results(folder / "results.json"), predictions=predictions, examples=examples)


def read_results(path: Path) -> dict[str, Any]:
    """Reads one `results.json`.

    Raises:
        DataError: It is missing, broken or of another schema.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing", "finish the run first: `harness run` goes on where it stopped")
    try:
        data = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON, or cut off: {error}", "rebuild it: `harness run` scores again, sending nothing"
        ) from error
    if not isinstance(data, dict):
        raise DataError(
            f"{path} holds no JSON object, as results.json does: it was expected to begin with {{",
            "rebuild it: `harness run` scores again, sending nothing",
        )
    if data.get("schema") != SCHEMA:
        raise DataError(
            f"{path} has schema {data.get('schema')!r}, this version reads schema {SCHEMA}",
            "rebuild it with `harness run`, or use the version that wrote it",
        )
    return data


def unquoted(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns `results.json` without the words of texts that its checks quote."""
    checks = data.get("checks")
    if not isinstance(checks, list):
        return data
    return {**data, "checks": [findings.withheld(each) if isinstance(each, dict) else each for each in checks]}


def withhold(results: Results, samples: Samples) -> Results:
    """Takes texts and answers away before any section sees them, as far as `samples` says."""
    if samples == "all":
        return results
    data, columns = unquoted(results.data), results.predictions
    if samples == "none":
        return Results(data=data, predictions=Without(columns, PRIVATE), samples=samples)
    pairs = zip(columns.get("example_id", ()), columns.get("expected", ()), columns.get("predicted", ()), strict=True)
    wrong = {key for key, expected, predicted in pairs if expected != predicted}
    kept = [n for n, key in enumerate(results.examples.get("id", ())) if key in wrong]
    examples = {name: tuple(values[n] for n in kept) for name, values in results.examples.items()}
    predictions = dict(columns)
    for name in PRIVATE:
        if name in columns:
            told = zip(columns["example_id"], columns[name], strict=True)
            predictions[name] = tuple(value if key in wrong else None for key, value in told)
    return Results(data=data, predictions=predictions, examples=examples, samples=samples)
