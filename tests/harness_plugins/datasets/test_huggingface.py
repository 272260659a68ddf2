import json
from collections import Counter

import pytest

import harness
from harness import Split
from harness_plugins.datasets.huggingface import HuggingFace

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def folder(tmp_path, **parts):
    made = tmp_path / "reviews"
    made.mkdir()
    for name, rows in parts.items():
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
        (made / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return made


def load(tmp_path, **options):
    plugin = HuggingFace(**({"path": "reviews", "text": "text", "label": "label"} | options))
    return list(plugin.load(harness.Context(folder=tmp_path)))


def test_a_folder_with_splits_keeps_them(tmp_path):
    folder(tmp_path, train=[("a", 5.0), ("b", 4.0)], test=[("c", 5.0)])
    rows = load(tmp_path)
    assert [(row.text, row.label, row.split) for row in rows] == [
        ("a", "5", Split.TRAIN),
        ("b", "4", Split.TRAIN),
        ("c", "5", Split.TEST),
    ]


def test_a_single_split_is_left_to_the_data_stage(tmp_path):
    folder(tmp_path, train=[("a", "x"), ("b", "y")])
    assert {row.split for row in load(tmp_path)} == {None}


def test_splits_can_be_named(tmp_path):
    folder(tmp_path, train=[("a", "x"), ("b", "y")], validation=[("c", "y")], test=[("d", "x")])
    rows = load(tmp_path, splits={"train": "train", "validation": "test"})
    assert Counter(row.split for row in rows) == {Split.TRAIN: 2, Split.TEST: 1}
    with pytest.raises(harness.DataError, match='no split "tset"'):
        load(tmp_path, splits={"tset": "test"})
    with pytest.raises(harness.DataError, match='"exam" is no split'):
        load(tmp_path, splits={"test": "exam"})


def test_classes_become_their_names(tmp_path):
    made = tmp_path / "reviews"
    made.mkdir()
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})
    part = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [1, 0, -1]}, features=features)
    part.to_parquet(made / "train.parquet")
    assert [row.label for row in load(tmp_path)] == ["pos", "neg", ""]


def test_says_what_is_wrong(tmp_path):
    folder(tmp_path, train=[("a", "x")])
    with pytest.raises(harness.DataError, match=r'no column "txt" \(dataset\.text\); did you mean "text"'):
        load(tmp_path, text="txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(harness.DataError, match="cannot be loaded"):
        load(tmp_path, path="empty")


def test_the_progress_bars_are_left_as_they_were(tmp_path, capfd):
    folder(tmp_path, train=[("a", "x"), ("b", "y")])
    load(tmp_path)
    assert "%" not in capfd.readouterr().err
    assert not datasets.utils.are_progress_bars_disabled()
