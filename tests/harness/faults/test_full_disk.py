"""A disk that is full at every stage of a run: exit code 4, nothing half-written, nothing paid for twice."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.lab import Lab, task
from support.provider import Provider
from support.stops import (
    CREATE, ITEMS, KEY, PLANNED, QUALITY, asked, complete, run, running, same, twin, whole, write,
)  # fmt: skip

CONCURRENCY = 8
SIZE = 4 << 20


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider.start(answers=task(ITEMS), api_key=KEY, job_s=0.0, **QUALITY) as running:
        yield running


@pytest.fixture(scope="module")
def undisturbed(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab.make(tmp_path_factory.mktemp("undisturbed"), ITEMS)
    write(lab, provider, options=f"concurrency = {CONCURRENCY}")
    assert run(lab).code == 0
    return lab


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


def _leave(disk: Path, room: int) -> None:
    """Fills a disk up to so many bytes."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    state = os.statvfs(disk)
    free = state.f_bavail * state.f_frsize
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - room, 1))


def test_full_at_every_stage_it_goes_on_when_there_is_room(
    undisturbed: Lab, provider: Provider, disk: Path, tmp_path: Path
) -> None:
    lab = twin(undisturbed, tmp_path / "lab")
    (lab.path / "runs").symlink_to(disk)
    provider.reset()
    jobs, stops = len(provider.jobs()), []
    for room in (0, 64 << 10, 256 << 10, 512 << 10):
        _leave(disk, room)
        with running(lab, err=disk / "log.txt") as process:  # the log stands on the full disk, too
            done = process.ended()
        assert done.code == 4, (room, done)
        complete_so_far(lab)
        (disk / "log.txt").unlink()
        stops.append(room)
    _leave(disk, 128 << 10)
    done = run(lab)
    assert done.code == 4, done
    assert "unfinished: " in done.err
    assert "free some space; the same command goes on" in done.err
    (disk / "filler").unlink()
    done = run(lab)
    assert done.code == 0, done
    assert asked(provider) <= PLANNED + len(stops) * 2 * CONCURRENCY
    assert len(provider.jobs()) == jobs + 1
    assert provider.counts()[CREATE] == 1
    whole(lab)
    complete(lab)
    same(lab, undisturbed)


def complete_so_far(lab: Lab) -> None:
    if list((lab.path / "runs").glob("*/manifest.json")):
        complete(lab)
