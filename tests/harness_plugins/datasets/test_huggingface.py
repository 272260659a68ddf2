import json
from collections import Counter

import pytest

import harness
from harness import Split
from harness.contract import TabularDataset
from harness.plugins.options import OptionError, construct
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


LANGUAGES = ("en", "de")
SPLITS = {"train": 6, "validation": 2, "test": 3}


def review(split, number, language="en"):
    text = f"{language} {split} {number}: it does what it should"
    return {"id": f"{language}_{number}", "text": text, "label": number % 5, "label_text": str(number % 5)}


def parquet_mirror(made):
    """Lays out one folder for each language, each split a Parquet file, named in the head of a README."""
    head = ["---", "configs:"]
    for language in LANGUAGES:
        (made / language).mkdir(parents=True)
        head += [f"- config_name: {language}", "  data_files:"]
        for split, n in SPLITS.items():
            rows = [review(split, number, language) for number in range(n)]
            datasets.Dataset.from_list(rows).to_parquet(made / language / f"{split}-00000-of-00001.parquet")
            head += [f"  - split: {split}", f"    path: {language}/{split}-*"]
    (made / "README.md").write_text("\n".join([*head, "---", ""]), encoding="utf-8")
    return made


def jsonl_mirror(made):
    """Lays out one file for each split."""
    made.mkdir()
    for split, n in SPLITS.items():
        lines = [json.dumps(review(split, number)) for number in range(n)]
        (made / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return made


def told_by(tmp_path, **options):
    told = []
    rows = list(HuggingFace(**options).load(harness.Context(folder=tmp_path, tell=told.append)))
    return rows, told


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("lay_out", "config"), [(parquet_mirror, "de"), (jsonl_mirror, None)])
def test_a_mirror_in_a_folder_has_stars(tmp_path, lay_out, config, streaming):
    lay_out(tmp_path / "mirror")
    options = {"path": "mirror", "preset": "amazon_reviews_multi", "config": config, "streaming": streaming}
    rows, told = told_by(tmp_path, **options)
    assert Counter(row.split for row in rows) == {Split.TRAIN: 6, Split.VALIDATION: 2, Split.TEST: 3}
    assert [row.label for row in rows if row.split == Split.TRAIN] == ["1", "2", "3", "4", "5", "1"]
    assert rows[0].text == f"{config or 'en'} train 0: it does what it should"
    assert [(check.kind, check.figures) for check in told] == [("preset", {"source": "mirror"})]


def test_the_preset_knows_its_columns_and_its_order():
    made = construct(HuggingFace, {"path": "amazon_reviews_multi", "config": "fr"}, "dataset")
    assert (made.text, made.label, made.labels, made.ordered) == ("text", "label", ("1", "2", "3", "4", "5"), True)
    assert made.preset == "amazon_reviews_multi"
    with pytest.raises(OptionError, match="config = one of en, de, es, fr, ja, zh"):
        construct(HuggingFace, {"path": "amazon_reviews_multi"}, "dataset")
    with pytest.raises(OptionError, match='got "it"'):
        construct(HuggingFace, {"path": "amazon_reviews_multi", "config": "it"}, "dataset")
    with pytest.raises(OptionError, match="label is not given"):
        construct(HuggingFace, {"path": "a/b", "text": "t"}, "dataset")


class Hub:
    """Answers in the hub's place, and keeps what it was asked."""

    def __init__(self, monkeypatch, **known):
        self.known = known
        self.asked = []
        monkeypatch.setattr(datasets, "load_dataset", self.load)

    def load(self, path, **options):
        self.asked.append((path, options))
        found = self.known.get(path.split("/")[0])
        if found is None:
            raise datasets.exceptions.DatasetNotFoundError(f"Dataset '{path}' doesn't exist on the Hub")
        if isinstance(found, Exception):
            raise found
        return {"train": datasets.Dataset.from_list(found)}


@pytest.mark.parametrize("config", ["en", "de", "es", "fr", "ja", "zh"])
def test_the_preset_asks_for_its_mirror(tmp_path, monkeypatch, config):
    hub = Hub(monkeypatch, mteb=[review("train", 4)])
    rows, told = told_by(tmp_path, path="amazon_reviews_multi", config=config, revision="abc", streaming=True)
    assert [row.label for row in rows] == ["5"]
    assert hub.asked == [
        ("mteb/AmazonReviewsClassification", {"name": config, "revision": "abc", "streaming": True}),
    ]
    assert told[0].figures == {"source": "mteb/AmazonReviewsClassification"}


def test_where_the_first_mirror_is_gone_the_other_is_asked(tmp_path, monkeypatch):
    hub = Hub(monkeypatch, SetFit=[review("train", 0)])
    rows, told = told_by(tmp_path, path="amazon_reviews_multi", config="ja")
    assert [row.label for row in rows] == ["1"]
    assert [path for path, _ in hub.asked] == ["mteb/AmazonReviewsClassification", "SetFit/amazon_reviews_multi_ja"]
    assert hub.asked[1][1] == {"name": None, "revision": None, "streaming": False}
    assert told[0].figures == {"source": "SetFit/amazon_reviews_multi_ja"}
    with pytest.raises(harness.DataError, match="mteb/AmazonReviewsClassification"):
        told_by(tmp_path, path="amazon_reviews_multi", config="es")


def test_labels_that_are_no_stars_are_refused(tmp_path, monkeypatch):
    Hub(monkeypatch, mteb=[{"text": "a", "label": 3}, {"text": "b", "label": -1}])
    rows, _ = told_by(tmp_path, path="amazon_reviews_multi", config="en")
    assert [row.label for row in rows] == ["4", ""]
    Hub(monkeypatch, mteb=[{"text": "a", "label": 7}])
    with pytest.raises(harness.DataError, match=r'split "train", row 1: label "7", expected a number from 0 to 4'):
        told_by(tmp_path, path="amazon_reviews_multi", config="en")


class NetworkError(Exception):
    """As network libraries raise it: no OSError."""


@pytest.mark.parametrize("error", [ConnectionError("no route\nto host"), TimeoutError("slow"), NetworkError("gone")])
def test_a_hub_that_cannot_be_reached_is_unfinished(tmp_path, monkeypatch, error):
    Hub(monkeypatch, some=error)
    with pytest.raises(harness.UnfinishedError, match="cannot be reached for some/reviews"):
        told_by(tmp_path, path="some/reviews", text="text", label="label")


def test_a_bug_stays_one(tmp_path, monkeypatch):
    Hub(monkeypatch, some=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        told_by(tmp_path, path="some/reviews", text="text", label="label")


@pytest.mark.parametrize("streaming", [False, True])
def test_the_first_rows_of_each_split_can_be_enough(tmp_path, streaming):
    folder(tmp_path, train=[("a", "x"), ("b", "y"), ("c", "y")], test=[("d", "x")])
    options = {"path": "reviews", "text": "text", "label": "label", "streaming": streaming}
    rows, told = told_by(tmp_path, **options, limit_rows=2)
    assert [row.text for row in rows] == ["a", "b", "d"]
    assert [(check.kind, check.level, check.figures) for check in told] == [
        ("limited-rows", "warning", {"rows": 2, "last": 'reviews, split "train", row 2'})
    ]
    assert 'nothing after reviews, split "train", row 2' in told[0].message
    rows, told = told_by(tmp_path, **options, limit_rows=3)
    assert (len(rows), told) == (4, [])
    with pytest.raises(ValueError, match="expected at least 1"):
        HuggingFace(**options, limit_rows=0)


def test_rows_come_as_they_stand(tmp_path):
    folder(tmp_path, train=[("a", 5), ("b", 4)])
    dataset = HuggingFace(path="reviews", text=(), label="")
    assert isinstance(dataset, TabularDataset)
    assert list(dataset.rows(harness.Context(folder=tmp_path))) == [
        {"text": "a", "label": 5},
        {"text": "b", "label": 4},
    ]


def test_a_saved_dataset_is_read(tmp_path):
    part = datasets.Dataset.from_list([{"text": "a", "label": "x"}])
    datasets.DatasetDict({"train": part, "test": part}).save_to_disk(tmp_path / "reviews")
    assert [(row.text, row.split) for row in load(tmp_path)] == [("a", Split.TRAIN), ("a", Split.TEST)]


def test_a_folder_that_is_not_there_is_no_repository(tmp_path):
    with pytest.raises(harness.DataError, match="there is no folder"):
        load(tmp_path, path="./reviews")


def test_a_configuration_that_is_missing_is_asked_for(tmp_path):
    parquet_mirror(tmp_path / "reviews")
    with pytest.raises(harness.DataError, match=r"one among the available configs: \['(de|en)'"):
        load(tmp_path)


def test_a_nested_column_is_refused(tmp_path):
    made = tmp_path / "reviews"
    made.mkdir()
    (made / "train.jsonl").write_text('{"text": ["a"], "label": "x"}\n', encoding="utf-8")
    with pytest.raises(harness.DataError, match=r'reviews, split "train", row 1: column "text" holds a list'):
        load(tmp_path)
