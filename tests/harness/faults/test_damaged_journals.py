"""Journals that a crash, a copy or another version has left: what was complete is kept, or it is said what is wrong."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from support.lab import Lab
from support.provider import Provider
from support.stops import KEY, PLANNED, asked, running, same, twin, whole

NAME = "journal.sqlite"


@pytest.fixture(scope="module")
def killed(undisturbed: Lab, _provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A run that was killed while it asked the test items: its journal has a part that is not in the main file."""
    lab = twin(undisturbed, tmp_path_factory.mktemp("killed") / "lab")
    _provider.renew()
    _provider.set(latency_s=0.05)
    with running(lab) as process:
        process.wait_for("asking the test items")
        sent = asked(_provider)
        process.wait_until(lambda: asked(_provider) >= sent + 60)
        process.kill()
    assert (lab.folder / f"{NAME}-wal").stat().st_size > 100_000
    return lab


@pytest.fixture
def lab(killed: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("FAKE_KEY", KEY)
    lab = twin(killed, tmp_path / "lab")
    shutil.copytree(killed.path / "runs", lab.path / "runs")
    return lab


def answers(lab: Lab, tmp_path: Path) -> int:
    """How many answers a journal holds, by a look at a copy of it."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in lab.folder.glob(f"{NAME}*"):
        shutil.copy(path, copy)
    with contextlib.closing(sqlite3.connect(copy / NAME)) as connection:
        return int(connection.execute("SELECT count(*) FROM answers WHERE endpoint != ''").fetchone()[0])


def into_main(lab: Lab) -> None:
    with contextlib.closing(sqlite3.connect(lab.folder / NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def cut(lab: Lab, name: str, share: float) -> None:
    path = lab.folder / name
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))


def append(lab: Lab, name: str) -> None:
    with (lab.folder / name).open("ab") as file:
        file.write(b"\x00garbage\xff" * 3_000)


GOES_ON: dict[str, Callable[[Lab], object]] = {
    "untouched": lambda lab: None,
    "tail of the log cut off": lambda lab: cut(lab, f"{NAME}-wal", 0.7),
    "garbage after the log": lambda lab: append(lab, f"{NAME}-wal"),
    "garbage after the main file": lambda lab: (into_main(lab), append(lab, NAME)),
    "index lost": lambda lab: (lab.folder / f"{NAME}-shm").unlink(),
    "index spoilt": lambda lab: (lab.folder / f"{NAME}-shm").write_bytes(b"\xff" * 32_768),
}


@pytest.mark.parametrize("harm", GOES_ON)
def test_what_was_complete_is_kept_and_the_rest_asked_again(
    undisturbed: Lab, provider: Provider, lab: Lab, tmp_path: Path, harm: str
) -> None:
    GOES_ON[harm](lab)
    kept = answers(lab, tmp_path)
    assert kept > 0
    done = lab.run()
    assert done.code == 0, done
    assert asked(provider) == PLANNED - kept
    whole(lab)
    same(lab, undisturbed)


@pytest.mark.parametrize("share", [0.9, 0.5, 0.01])
def test_a_main_file_that_was_cut_off_is_said_and_left_alone(
    undisturbed: Lab, provider: Provider, lab: Lab, share: float
) -> None:
    into_main(lab)
    cut(lab, NAME, share)
    before = (lab.folder / NAME).read_bytes()
    done = lab.run()
    assert done.code == 2, done
    assert f"{NAME}: not a readable journal" in done.err
    assert "move it away to start anew; what it held will be asked again" in done.err
    assert "Traceback" not in done.err
    assert asked(provider) == 0
    assert (lab.folder / NAME).read_bytes() == before
    (lab.folder / NAME).rename(lab.path / "moved")
    assert lab.run().code == 0
    same(lab, undisturbed)


def test_a_journal_of_a_newer_version(provider: Provider, lab: Lab) -> None:
    with contextlib.closing(sqlite3.connect(lab.folder / NAME)) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    done = lab.run()
    assert done.code == 2, done
    assert "written by a newer version (schema 99" in done.err
    assert "update finetune-harness" in done.err
    assert asked(provider) == 0
