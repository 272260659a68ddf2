"""A disk that is full at every stage of a run: exit code 4, nothing half-written, nothing paid for twice."""

from __future__ import annotations

import errno
import itertools
import os
import re
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Finished
from support.lab import Lab
from support.provider import Provider
from support.stops import CONCURRENCY, PLANNED, asked, complete, running, same, whole

from harness.report import page

IN_FLIGHT = 2 * CONCURRENCY
"""Answers that a full disk can cost: those under way, and as many that wait for their commit."""
KIB = 1 << 10
SIZE = 8 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path], capture_output=True)
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def leave(disk: Path, room: int) -> None:
    """Fills a disk up to so many bytes."""
    (disk / "filler").unlink(missing_ok=True)
    state = os.statvfs(disk)
    with (disk / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(state.f_bavail * state.f_frsize - room, 1))


def unfinished(lab: Lab, done: Finished) -> str:
    """Checks how a run on a full disk ends; returns the name of what could not be written."""
    assert done.code == 4, done
    said = re.search(r"^unfinished: (?:cannot write )?\S*?([\w.]+): .+\nfree some space; the same .*", done.err, re.M)
    assert said, done
    if list((lab.path / "runs").glob("*/manifest.json")):
        complete(lab)
    return said[1]


def test_full_at_every_stage_it_goes_on_when_there_is_room(
    undisturbed: Lab, provider: Provider, lab: Lab, disk: Path
) -> None:
    (lab.path / "runs").symlink_to(disk)
    jobs, rooms = len(provider.jobs()), [64 * KIB, 192 * KIB, 384 * KIB]
    for room in rooms:
        leave(disk, room)
        unfinished(lab, lab.run())
    kept = lab.journal("SELECT count(*) FROM answers WHERE endpoint != ''")[0][0]
    assert 0 < kept < PLANNED
    assert kept <= asked(provider) <= kept + len(rooms) * IN_FLIGHT
    (disk / "filler").unlink()
    done = lab.run()
    assert done.code == 0, done
    assert asked(provider) <= PLANNED + len(rooms) * IN_FLIGHT
    assert len(provider.jobs()) == jobs + 1
    whole(lab)
    complete(lab)
    same(lab, undisturbed)

    # and full while results, report and manifest are written anew
    provider.reset()
    page = lab.folder / "report.html"
    size, names = page.stat().st_size, set()
    page.unlink()
    few, some = range(44 * KIB, 100 * KIB, 14 * KIB), range(100 * KIB, size, 56 * KIB)
    for room in itertools.chain(few, some, itertools.count(size, 14 * KIB)):
        leave(disk, room)
        done = lab.run()
        if done.code == 0:
            break
        names.add(unfinished(lab, done))
    assert {"data", "report.html"} <= names
    assert asked(provider) == 0
    complete(lab)
    same(lab, undisturbed)


def test_a_log_on_the_full_disk_changes_no_exit_code(lab: Lab, disk: Path) -> None:
    (lab.path / "runs").symlink_to(disk)
    leave(disk, 0)
    with running(lab, err=disk / "log.txt") as process:
        assert process.ended().code == 4
    assert (disk / "log.txt").read_text() == ""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_whatever_cannot_be_written_says_so(lab: Lab, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number), "some/file")

    monkeypatch.setattr(page, "build", fails)
    done = lab.run("--only", "mock")
    assert done.code == 4, done
    assert f"unfinished: cannot write some/file: {os.strerror(number)}\nfree some space" in done.err


def test_a_plugin_that_meets_a_full_disk_is_no_plugin_that_is_wrong(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_plugins.backends.classical import Classical

    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Classical, "fit", fails)
    done = lab.run("--only", "classical")
    assert done.code == 4, done
    assert "unfinished: cannot write" in done.err


def test_files_that_may_not_grow_are_a_full_disk(undisturbed: Lab, provider: Provider, lab: Lab) -> None:
    limits = [16 * KIB, 160 * KIB]
    for limit in limits:
        with running(lab) as process:
            resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (limit, limit))  # before it has begun to write
            assert unfinished(lab, process.ended()) == "journal.sqlite"
    kept = lab.journal("SELECT count(*) FROM answers WHERE endpoint != ''")[0][0]
    assert 0 < kept < PLANNED
    done = lab.run()
    assert done.code == 0, done
    assert PLANNED <= asked(provider) <= PLANNED + IN_FLIGHT
    whole(lab)
    complete(lab)
    same(lab, undisturbed)
