"""Every plugin that ships keeps what its kind promises."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.plugins import Record
from harness.plugins.discovery import KINDS, discover
from harness.testing import check_plugin, promises, sample_examples
from harness.testing._common import imported

SHIPPED = [record for record in discover().records if record.distribution.startswith("finetune-harness ")]
OPTIONS: dict[str, dict[str, Any]] = {
    "event-log": {"path": "events.jsonl"},
    "few-shot": {"endpoint": "sample", "model": "sample-model"},
    "files": {"path": "rows.csv", "text": "text", "label": "label"},
    "fine-tuned": {"endpoint": "sample", "base": "sample-model"},
    "huggingface": {"path": "hub", "text": "text", "label": "label"},
    "mlflow": {"experiment": "sample"},
    "predictions": {"path": "rows.csv", "text": "text", "answer": "label"},
}
"""Name → what a plugin cannot be made without."""
MORE = [
    ("backend", "few-shot", {"answer": "choose", "calibrate": True}),
    ("backend", "few-shot", {"answer": "schema", "reasoning_effort": "low", "max_tokens": 9}),
    ("backend", "mock", {"unparsed_rate": 0.2, "fail_rate": 0.2, "tokens": {"input": 9, "cached": 3}}),
    ("formatter", "chat", {"instruction": "", "words": {"good": "yes", "bad": "no"}}),
    ("formatter", "completion", {"stop": " END"}),
    ("formatter", "plain", {"template": "{text} =>", "instruction": "Judge."}),
    ("selector", "nearest", {"embeddings": {"endpoint": "sample", "model": "vectors"}}),
    ("selector", "random", {"per_item": True, "order": 2}),
    ("metric", "calibration", {"bins": 3}),
]
"""Options under which they are other plugins."""
SLOW = {"ray": "starts a cluster", "sentence-embeddings": "loads a model", "mlflow": "makes a database"}
NEEDS = {"ray": "ray", "mlflow": "mlflow", "sentence-embeddings": "torch"}
"""Name → the library of its extra."""


def _case(record: Record) -> Any:
    marks: list[Any] = [pytest.mark.thorough] if record.name in SLOW else []
    if record.name == "mlflow":
        marks.append(pytest.mark.filterwarnings("ignore"))  # of MLflow's own libraries
    return pytest.param(record, id=f"{record.kind}-{record.name}", marks=marks)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "hub").mkdir()
    for path in (tmp_path / "rows.csv", tmp_path / "hub" / "train.csv"):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([example.text, example.label] for example in sample_examples())
    return tmp_path


@pytest.mark.parametrize("record", [_case(record) for record in SHIPPED])
def test_a_shipped_plugin_keeps_its_promises(record: Record, folder: Path) -> None:
    if record.name in NEEDS and importlib.util.find_spec(NEEDS[record.name]) is None:
        pytest.skip(f"{NEEDS[record.name]} is not installed")
    kept = check_plugin(record.kind, record.cls, OPTIONS.get(record.name), folder=folder, skip=("light",))
    assert len(kept) >= 10


@pytest.mark.parametrize(("kind", "name", "options"), MORE)
def test_it_keeps_them_with_other_options_too(kind: str, name: str, options: dict[str, Any], folder: Path) -> None:
    (cls,) = (record.cls for record in SHIPPED if (record.kind, record.name) == (kind, name))
    kept = check_plugin(kind, cls, {**OPTIONS.get(name, {}), **options}, folder=folder, skip=("light",))
    assert len(kept) >= 10


def test_importing_any_of_them_is_quick_and_light() -> None:
    """All in one process: what a shared module takes counts once, and libraries show wherever they come in."""
    modules = sorted({record.cls.__module__ for record in SHIPPED})
    found = imported([(name, str(sys.modules[name].__file__)) for name in modules])
    assert {one["module"]: one["heavy"] for one in found if one["heavy"]} == {}
    assert [one for one in found if one["printed"] or one["error"]] == []
    assert sum(one["seconds"] for one in found) < 0.03 * len(found)  # 30 ms each, together a tenth of that


def test_every_kind_ships_and_makes_promises_of_its_own() -> None:
    assert {record.kind for record in SHIPPED} == set(KINDS)
    for kind in KINDS:
        assert len(promises(kind)) > len(set.intersection(*(set(promises(one)) for one in KINDS)))
