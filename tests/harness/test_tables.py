"""Parquet files: promised columns, nulls that stay nulls, the same bytes for the same rows."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.tables import (
    PREDICTION_TYPES,
    examples_file,
    is_prepared,
    read_examples,
    read_forms,
    write_examples,
    write_predictions,
)
from harness.types import Example, Prediction, Split, Status

PROMISED = [
    "arm", "example_id", "expected", "predicted", "status", "response", "shot_ids", "input_tokens", "output_tokens",
    "cached_tokens", "reasoning_tokens", "latency_s", "queue_s", "retry_s", "attempts", "reused", "cost_usd",
    "confidence",
]  # fmt: skip


def prediction(**changes: object) -> Prediction:
    given = {"arm": "a", "example_id": "1", "expected": "x", "predicted": "x", "status": Status.ANSWERED, **changes}
    return Prediction(**given)  # type: ignore[arg-type]


def test_predictions(tmp_path: Path) -> None:
    full = prediction(
        response="lone \ud800 <b>",
        shot_ids=("s1", "s2"),
        input_tokens=3,
        cost_usd=0.5,
        probabilities={"x": 1.0},
        reused=True,
    )
    none = prediction(predicted=None, status=Status.FAILED, error="500")
    write_predictions(tmp_path / "p.parquet", [full, none])
    table = pq.read_table(tmp_path / "p.parquet")
    assert table.column_names == list(PREDICTION_TYPES)
    assert table.column_names[:18] == PROMISED
    first, second = table.to_pylist()
    assert first["response"] == "lone ? <b>"
    assert first["shot_ids"] == ["s1", "s2"]
    assert json.loads(first["probabilities"]) == {"x": 1.0}
    assert first["reused"] is True
    assert second["status"] == "failed"
    assert second["predicted"] is second["input_tokens"] is second["cost_usd"] is second["probabilities"] is None


def test_no_rows_keep_their_types(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", [], [])
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.names == ["candidate", *PREDICTION_TYPES]
    assert schema.field("input_tokens").type == pa.int64()
    assert schema.field("shot_ids").type == pa.list_(pa.string())


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_predictions(tmp_path / name, [prediction(), prediction(example_id="2")], ["c", "d"])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.read_table(tmp_path / "a")["candidate"].to_pylist() == ["c", "d"]


def test_examples(tmp_path: Path) -> None:
    examples = [
        Example(
            fields={"title": "T", "body": ""}, label="x", split=Split.TEST, group="g", slices={"c": "de"}, time="2026"
        ),
        Example(fields={"title": "\udfff"}, label="y"),
    ]
    write_examples(tmp_path / "e.parquet", examples)
    first, second = pq.read_table(tmp_path / "e.parquet").to_pylist()
    assert first["text"] == "T"
    assert json.loads(first["fields"]) == {"title": "T", "body": ""}
    assert (first["split"], first["group"], first["time"]) == ("test", "g", "2026")
    assert second["split"] is None
    assert second["text"] == "?"


@pytest.mark.parametrize("name", ["examples.parquet", "EXAMPLES.PARQUET"])
def test_prepared_examples_are_known_whatever_the_case_of_their_suffix(tmp_path: Path, name: str) -> None:
    examples = [
        Example(fields={"text": "one"}, label="x", split=Split.TEST),
        Example(fields={"text": "two"}, label="y"),
    ]
    write_examples(tmp_path / name, examples)
    assert is_prepared(tmp_path / name)
    assert read_examples(tmp_path / name) == examples


def test_prepared_examples_say_how_their_training_lines_were_formed(tmp_path: Path) -> None:
    examples = [Example(fields={"text": "one"}, label="x")]
    forms = {"completion": {"separator": "\n->", "stop": " END"}, "chat": {"instruction": "Wie viele Sterne? ★"}}
    (tmp_path / "e.parquet").write_bytes(examples_file(examples, forms))
    assert read_examples(tmp_path / "e.parquet") == examples
    assert read_forms(tmp_path / "e.parquet") == forms
    write_examples(tmp_path / "plain.parquet", examples)
    assert read_forms(tmp_path / "plain.parquet") == {}
    assert examples_file(examples, {"completion": {}, "chat": {}}) == (tmp_path / "plain.parquet").read_bytes()


@pytest.mark.parametrize(
    "said", [b"{", b"\xff", b"[]", b'{"chat": "x", "completion": {"separator": 5, "stop": "", "own": ["x"]}}']
)
def test_what_is_no_form_of_training_lines_is_let_be(said: bytes, tmp_path: Path) -> None:
    write_examples(tmp_path / "e.parquet", [Example(fields={"text": "one"}, label="x")])
    table = pq.read_table(tmp_path / "e.parquet")
    known = {**table.schema.metadata, b"finetune-harness forms": said}
    pq.write_table(table.replace_schema_metadata(known), tmp_path / "e.parquet")
    assert not any(read_forms(tmp_path / "e.parquet").values())


def test_other_files_are_no_prepared_examples(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.parquet", [prediction()])
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    (tmp_path / "rows.csv").write_text("text,label\n")
    for name in ("predictions.parquet", "torn.parquet", "rows.csv", "missing.parquet"):
        assert not is_prepared(tmp_path / name)
        assert read_examples(tmp_path / name) is None
