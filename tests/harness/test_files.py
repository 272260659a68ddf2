"""Files are whole, and files that belong together are all old or all new."""

from __future__ import annotations

import errno
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.errors import UnfinishedError, UsageError
from harness.files import clear, folder_whole, make_folder, require_writable, write_json, write_together, write_whole

WRITER = """
import sys
from pathlib import Path
from harness.files import write_together
print("ready", flush=True)
n = 0
while True:
    n += 1
    write_together(Path(sys.argv[1]), {name: str(n).encode() * 20000 for name in "abcdef"})
"""


def test_together_replaces_its_own_files_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    write_together(tmp_path, {"a": b"1", "b": b"1"})
    write_together(tmp_path, {"a": b"2", "b": b"2"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "2", "b": "2", "mine.txt": "mine"}


def test_together_leaves_the_old_ones_where_one_cannot_be_written(tmp_path: Path) -> None:
    write_together(tmp_path, {"a": b"1", "b": b"1"})
    with pytest.raises(TypeError):
        write_together(tmp_path, {"a": b"2", "b": None})  # type: ignore[dict-item]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "1", "b": "1"}


def test_together_survives_being_killed_at_any_moment(tmp_path: Path) -> None:
    draw = random.Random(5)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(draw.uniform(0.01, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        write_together(tmp_path, {})  # finishes what was complete
        assert {path.name for path in tmp_path.iterdir()} in (set(), set("abcdef"))
        contents = {path.read_bytes() for path in tmp_path.iterdir()}
        assert len(contents) <= 1
        assert all(each == each[: len(each) // 20000] * 20000 for each in contents)


def test_what_a_killed_writer_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = tmp_path / f".writing-{os.getppid()}-x"
    for folder in (tmp_path / f".writing-{dead.pid}-x", alive):
        folder.mkdir()
        (folder / "a").write_bytes(b"half")
    write_together(tmp_path, {"a": b"1"})
    assert {path.name for path in tmp_path.iterdir()} == {"a", alive.name}


def test_a_killed_writers_files_are_cleared_away_too(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    alive = tmp_path / f".writing-{os.getppid()}-x"
    inner = tmp_path / "a" / "b" / f".writing-{dead.pid}-x"
    inner.mkdir(parents=True)
    for path in (tmp_path / f".writing-{dead.pid}-x", alive, tmp_path / ".other", inner / inner.name):
        path.write_bytes(b"half")
    clear(tmp_path)
    clear(tmp_path / "nowhere")
    assert {path.name for path in tmp_path.iterdir()} == {alive.name, ".other", "a"}
    assert inner.is_dir()
    clear(tmp_path, deep=True)
    clear(tmp_path / "nowhere", deep=True)
    assert {path.name for path in tmp_path.rglob("*")} == {alive.name, ".other", "a", "b"}


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "a"

    def stopped() -> None:
        with folder_whole(folder) as filling:
            (filling / "half").write_text("1")
            assert not folder.exists()
            raise KeyError("stopped")

    with pytest.raises(KeyError):
        stopped()
    assert list((tmp_path / "models").iterdir()) == []
    for content in "12":
        with folder_whole(folder) as filling:
            (filling / "model").write_text(content)
        assert (folder / "model").read_text() == content
    assert [path.name for path in folder.parent.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_made_is_said_and_what_the_block_raises_stays(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    place = tmp_path / "file" / "deeper"

    def filled(folder: Path, error: Exception | None = None) -> None:
        with folder_whole(folder) as filling:
            (filling / "model").write_text("1")
            if error is not None:
                raise error

    with pytest.raises(UsageError, match=re.escape(f"cannot write to {place}")):
        make_folder(place)
    for folder in (place / "model", place.parent):
        with pytest.raises(UsageError, match=re.escape(f"cannot write to {folder}")):
            filled(folder)
    with pytest.raises(PermissionError):
        filled(tmp_path / "model", PermissionError(errno.EACCES, "a file that is read"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_looking_whether_a_file_can_be_written_leaves_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")
    for name in ("old.csv", "new.csv", "folder/new.csv"):
        require_writable(tmp_path / name)
    for name in ("folder", "old.csv/new.csv"):
        with pytest.raises(UsageError, match=re.escape(f"cannot write to {tmp_path / name}")):
            require_writable(tmp_path / name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")

    def fails(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fails)
    for write in (lambda: write_whole(path, "new"), lambda: write_together(tmp_path, {"a.txt": b"new"})):
        with pytest.raises(UnfinishedError, match=re.escape(str(tmp_path))) as told:
            write()
        assert told.value.hint == "free some space; the same command goes on"
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "old"}


def test_whole_files(tmp_path: Path) -> None:
    write_whole(tmp_path / "deep" / "a.txt", "text")
    assert (tmp_path / "deep" / "a.txt").read_text() == "text"
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "b.json", float("nan"))
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
