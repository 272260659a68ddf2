"""Run folders: names, whole files, siblings."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.files import write_json, write_whole
from harness.runs import RunFolder, find_run, run_folder, slug


@given(st.text(max_size=80))
def test_slugs_are_file_names(name: str) -> None:
    made = slug(name)
    assert re.fullmatch(r"[a-z0-9-]{1,40}", made)
    if re.fullmatch(r"[a-z0-9-]{1,40}", name):
        assert made == name
    else:
        assert re.search(r"(?:^|-)[0-9a-f]{8}$", made)


@given(st.text(max_size=50), st.text(max_size=50))
def test_different_names_have_different_slugs(first: str, second: str) -> None:
    if first != second:
        assert slug(first) != slug(second)


@pytest.mark.parametrize("name", ["../../etc", "a/b", "..", "", "A B", "x" * 41, "é", "nul\x00"])
def test_no_name_leaves_its_folder(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9-]{1,40}", slug(name))


def test_the_folder_follows_from_what_changes_an_answer() -> None:
    def folder(settings: dict[str, object], fingerprint: str = "f") -> str:
        return run_folder(Path("out"), "name", settings, fingerprint).path.name

    assert folder({"a": 1, "b": 2}) == folder({"b": 2, "a": 1})
    assert len({folder({"a": 1}), folder({"a": 2}), folder({"a": 1}, "g")}) == 3
    assert re.fullmatch(r"name-[0-9a-f]{8}", folder({}))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "file.json"
    write_json(path, {"a": "é"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "é"}
    assert path.stat().st_mode & 0o777 == 0o644
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"a": float("nan")})

    def fails(_: int) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="full"):
        write_whole(path, b"half")
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "é"}
    assert [other.name for other in path.parent.iterdir()] == ["file.json"]


def made(out: Path, folder: str, name: str, age: int = 0) -> Path:
    write_json(out / folder / "manifest.json", {"name": name})
    os.utime(out / folder / "manifest.json", (1_000_000 - age, 1_000_000 - age))
    return out / folder


def test_siblings_are_the_other_runs_of_the_name_newest_first(tmp_path: Path) -> None:
    mine = RunFolder(made(tmp_path, "n-1", "n"))
    made(tmp_path, "n-2", "n", age=5)
    made(tmp_path, "n-3", "n", age=1)
    made(tmp_path, "m-1", "m")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text("{")
    assert [other.path.name for other in mine.siblings("n")] == ["n-3", "n-2"]


def test_runs_are_found_by_folder_name_or_slug(tmp_path: Path) -> None:
    folder = made(tmp_path, "food-12345678", "food")
    made(tmp_path, "tea-11111111", "tea")
    made(tmp_path, "tea-22222222", "tea", age=9)
    for name in (str(folder), "food-12345678", "food"):
        assert find_run(name, tmp_path).path == folder
    with pytest.raises(UsageError, match=r"there are 2 runs named .tea.: tea-11111111, tea-22222222") as caught:
        find_run("tea", tmp_path)
    assert caught.value.hint == f"name one of them by its folder; the newest is {tmp_path}/tea-11111111"
    with pytest.raises(UsageError, match='did you mean "food-12345678"'):
        find_run("food-12345679", tmp_path)
    with pytest.raises(UsageError, match="there is none"):
        find_run("x", tmp_path / "nowhere")


def test_a_broken_manifest_is_none(tmp_path: Path) -> None:
    for content in ("{", "[1]", "\xff"):
        (tmp_path / "manifest.json").write_bytes(content.encode("latin-1"))
        assert RunFolder(tmp_path).read_manifest() == {}


def test_a_run_is_found_by_a_name_that_is_no_file_name(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "My_Run", {}, "f")
    folder.path.mkdir(parents=True)
    write_json(folder.manifest, {"name": "My_Run"})
    assert find_run("My_Run", tmp_path) == folder
    with pytest.raises(UsageError, match="there is no run"):
        find_run("Other_Run", tmp_path)
