"""The first look at a file: which rows it takes in."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.guessing import looking
from harness.guessing.looking import in_blocks, look
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
    assert not seen.whole
    assert 200 <= seen.guesses.rows <= 400


def test_of_a_mixed_file_the_first_rows_say_enough(tmp_path: Path) -> None:
    rows = ["neg", "pos"] * 300
    path = written(tmp_path / "d.csv", rows)
    with path.open("a", encoding="utf-8") as file:
        file.write('a row that nobody reads,"with a quote that stays open\n')
    seen = look(path, discover())
    assert (seen.guesses.rows, seen.whole) == (400, False)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_blocks_are_runs_of_twenty_on_average(runs: list[int]) -> None:
    rows = [{"id": number, "of": place} for place, length in enumerate(runs) for number in range(length)]
    assert in_blocks(rows) is (20 * len(runs) <= sum(runs))


@given(st.integers(1, 5000))
def test_rows_at_equal_distances_come_from_all_of_a_file(n: int) -> None:
    kept = [row["n"] for row in looking._spread(iter([{"n": number} for number in range(n)]))]
    steps = {after - before for before, after in pairwise(kept)}
    assert len(steps) <= 1
    assert kept[0] == 0
    assert n - kept[-1] <= max(steps, default=1)
    assert n <= len(kept) <= 400 if n <= 400 else 200 <= len(kept) <= 400


def test_a_folder_is_looked_at_as_its_files_are(tmp_path: Path) -> None:
    path = written(tmp_path / "d.csv", ["neg", "pos"] * 30)
    headless = "".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[1:])
    path.unlink()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.csv").write_text(headless, encoding="utf-8")
    (tmp_path / "parts" / ".DS_Store").write_bytes(b"\0")
    assert look(tmp_path / "parts", discover()).options["columns"] == ["text", "label"]


def test_what_only_an_experiment_can_say_is_named_so(tmp_path: Path) -> None:
    path = written(tmp_path / "d.data", ["neg", "pos"] * 30)
    with pytest.raises(DataError) as caught:
        look(path, discover())
    assert caught.value.hint.startswith('say what it is: [dataset] format (in an experiment file) = "csv"')
