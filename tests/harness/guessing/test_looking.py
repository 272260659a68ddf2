"""The first look at a file: which rows it takes in."""

from __future__ import annotations

import random
from itertools import cycle, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.guessing import looking
from harness.guessing.looking import look, sample
from harness.plugins.discovery import discover

WORDS = ("good", "bad", "fine", "film", "plot", "actor", "music", "scene", "story", "night", "light", "cold", "warm")


def written(path: Path, labels: list[str]) -> Path:
    drawn = random.Random(3)
    rows = [f"{' '.join(drawn.choices(WORDS, k=12))},{label}\n" for label in labels]
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "ROWS", 400)


@pytest.mark.parametrize("labels", [["neg", "pos"], ["1", "2", "3", "4", "5"]])
def test_all_classes_of_a_file_in_their_order_are_seen(tmp_path: Path, labels: list[str]) -> None:
    seen = look(written(tmp_path / "d.csv", [label for label in labels for _ in range(450)]), discover())
    assert seen.options["label"] == "label"
    assert list(seen.guesses.labels) == labels
    assert (seen.guesses.rows, seen.whole) == (400, False)


@pytest.mark.parametrize("labels", ["ab" * 300 + "cd" * 300, "abcd" * 450, "aaabbb" * 200])
def test_a_sample_is_no_part_and_no_period_of_a_file(tmp_path: Path, labels: str) -> None:
    path = written(tmp_path / "d.csv", [f"{label},en" for label in labels])
    path.write_text(path.read_text(encoding="utf-8").replace("text,label", "text,label,language"), encoding="utf-8")
    counts = look(path, discover()).guesses.labels
    assert set(counts) == set(labels)
    assert min(counts.values()) > 0.6 * 400 / len(counts)


def test_rows_of_one_group_are_seen_together_in_a_long_file(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", [f"{label},{row // 3}" for row, label in enumerate(islice(cycle("ab"), 20_000))])
    path.write_text(path.read_text(encoding="utf-8").replace("text,label", "text,label,thread"), encoding="utf-8")
    assert look(path, discover()).options["group"] == "thread"


def test_what_makes_a_file_unreadable_is_found_in_all_of_it(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", ["neg", "pos"] * 300)
    with path.open("a", encoding="utf-8") as file:
        file.write('"a quote" that is text,pos\n')
    assert look(path, discover()).options["quotes"] is False


@given(st.integers(1, 5000))
def test_a_sample_has_all_of_a_short_file_and_as_many_of_a_long_one(n: int) -> None:
    rows, whole = sample(iter([{"n": number} for number in range(n)]))
    kept = [row["n"] for row in rows]
    assert whole is (n <= 400)
    assert kept == sorted(set(kept))
    assert len(kept) == n if whole else 395 < len(kept) <= 400
    assert rows == sample(iter([{"n": number} for number in range(n)]))[0]


def test_a_folder_is_looked_at_as_its_files_are(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", ["neg", "pos"] * 30)
    headless = "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:])
    path.unlink()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.csv").write_text(headless, encoding="utf-8")
    (tmp_path / "parts" / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "parts" / "README.md").write_text("# Whose these are", encoding="utf-8")
    assert look(tmp_path / "parts", discover()).options["columns"] == ["text", "label"]


def test_parts_without_column_names_are_one_table(tmp_path: Path) -> None:
    rows = written(tmp_path / "d.csv", ["neg", "pos"] * 30).read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    (tmp_path / "parts").mkdir()
    for part in range(3):
        (tmp_path / "parts" / f"{part}.csv").write_text("".join(rows[part::3]), encoding="utf-8")
    seen = look(tmp_path / "parts", discover())
    assert (seen.options["columns"], seen.guesses.rows) == (["text", "label"], 60)


def test_parts_without_column_names_may_have_another_separator(tmp_path: Path) -> None:
    rows = written(tmp_path / "d.csv", ["neg", "pos"] * 30).read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    (tmp_path / "parts").mkdir()
    for part in range(3):
        lines = "".join(rows[part::3]).replace(",", ";")
        (tmp_path / "parts" / f"{part}.csv").write_text(lines, encoding="utf-8")
    seen = look(tmp_path / "parts", discover())
    assert (seen.options["delimiter"], seen.options["columns"]) == (";", ["text", "label"])
    assert seen.guesses.rows == 60


def test_parts_with_other_column_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for part in ("one", "two"):
        path = written(tmp_path / "parts" / f"{part}.csv", ["neg", "pos"] * 30)
        path.write_text(path.read_text(encoding="utf-8").replace("text,", f"text {part},"), encoding="utf-8")
    with pytest.raises(DataError, match="files must have the same columns"):
        look(tmp_path / "parts", discover())


def test_what_only_an_experiment_can_say_is_named_so(tmp_path: Path) -> None:
    path = written(tmp_path / "d.data", ["neg", "pos"] * 30)
    with pytest.raises(DataError) as caught:
        look(path, discover())
    assert caught.value.hint.startswith('say what it is: [dataset] format (in an experiment file) = "csv"')
