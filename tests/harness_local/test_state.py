"""What the endpoint remembers: what a crash leaves behind, what is acknowledged, pages of events."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.training import add_job

from harness.errors import UnfinishedError, UsageError
from harness_local.disk import complete
from harness_local.state import State, new_id

# Killed between the move of an upload and its row.
KILLED = """
import os, signal, sys
from pathlib import Path
from harness_local.state import State

state = State(Path(sys.argv[1]))
state._insert = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
upload = state.folder / "files" / ".upload-x"
upload.write_bytes(b"content")
state.folder.joinpath("files", ".upload-y").write_bytes(b"half of some")
state.add_file(upload, "train.jsonl", "fine-tune")
"""


def again(state: State) -> State:
    state.close()
    return State(state.folder)


def test_an_upload_that_was_not_acknowledged_leaves_nothing(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.joinpath("files").iterdir())) == 2
    state = State(tmp_path)
    assert state.files() == []
    assert list(tmp_path.joinpath("files").iterdir()) == []
    state.close()


def test_a_start_removes_what_no_row_names_and_nothing_else(tmp_path: Path) -> None:
    state = State(tmp_path)
    kept = {"files/notes.txt", "jobs/notes", "files/file-mine"}
    for name in kept:
        tmp_path.joinpath(name).mkdir()
    jobs = {status: add_job(state) for status in ("running", "succeeded", "cancelled")}
    for status, job in jobs.items():
        state.update_job(job, status=status)
        for name in ("adapter", "checkpoints/4", "checkpoints/.8.part", "snapshots/4"):
            state.job_folder(job).joinpath(name).mkdir(parents=True)
    state.add_model("ft:tiny::succeeded", "tiny", state.job_folder(jobs["succeeded"]) / "adapter")
    state.add_model("ft:tiny::deleted", "tiny", state.job_folder(jobs["cancelled"]) / "checkpoints" / "4")
    state.job_folder(new_id("ftjob")).mkdir()
    state.delete_model("ft:tiny::deleted")
    state = again(state)
    contents = {path.name for path in tmp_path.joinpath("files").iterdir()}
    assert contents == {row["id"] for row in state.files()} | {"notes.txt", "file-mine"}
    assert {path.name for path in tmp_path.joinpath("jobs").iterdir()} == {*jobs.values(), "notes"}
    left = {status: len(list(state.job_folder(job).rglob("*"))) for status, job in jobs.items()}
    assert left == {"running": 6, "succeeded": 2, "cancelled": 1}
    state.close()


def test_rows_whose_content_was_taken_away_are_as_good_as_none(state: State) -> None:
    add_job(state)
    (file,) = state.files()
    folder = state.job_folder("x")
    folder.mkdir()
    state.add_model("ft:tiny::x", "tiny", folder)
    assert (state.models(), state.model("ft:tiny::x")) == ([], None)
    folder.joinpath("adapter_model.safetensors").touch()
    assert [row["id"] for row in state.models()] == ["ft:tiny::x"]
    state.content(file["id"]).unlink()
    assert (state.files(), state.file(file["id"])) == ([], None)
    state.delete_file(file["id"])


def test_another_thread_may_close_it(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    thread = threading.Thread(target=state.close)
    thread.start()
    thread.join()
    State(tmp_path / "state").close()


def test_models_are_of_one_base(state: State) -> None:
    for base in ("a", "b"):
        folder = state.job_folder(base)
        folder.mkdir()
        folder.joinpath("adapter_model.safetensors").touch()
        state.add_model(f"ft:{base}", base, folder)
    assert [row["id"] for row in state.models("b")] == ["ft:b"]
    assert [row["id"] for row in state.models()] == ["ft:a", "ft:b"]
    assert state.model("ft:a", "a") == state.model("ft:a")
    assert state.model("ft:a", "b") is None


def test_models_and_jobs_are_of_the_weights_that_were_served(state: State) -> None:
    def added(name: str) -> str:
        folder = state.job_folder(name)
        folder.mkdir()
        folder.joinpath("adapter_model.safetensors").touch()
        state.add_model(name, "checkpoint-500", folder)
        return add_job(state, model="checkpoint-500")

    jobs = {"of none known": added("of none known")}
    for weights in ("a", "b"):
        state.weights = weights
        jobs[f"of {weights}"] = added(f"of {weights}")
    state = again(state)
    for weights, others in (("a", {"of b"}), ("b", {"of a"}), (None, set[str]())):
        state.weights = weights
        own = jobs.keys() - others
        assert {row["id"] for row in state.models("checkpoint-500")} == own
        assert {name for name in jobs if state.model(name, "checkpoint-500")} == own
        assert {name for name, job in jobs.items() if state.is_own(job)} == own
        assert {row["id"] for row in state.models()} == jobs.keys()
        assert all(map(state.model, jobs))
    state.weights = "b"
    state.add_model("of a", "checkpoint-500", state.job_folder("of b"))  # taken in anew
    assert state.model("of a", "checkpoint-500")
    state.close()


def test_pages_of_events(state: State) -> None:
    job, other = add_job(state), add_job(state)
    for number in range(30):
        state.add_event(job, str(number))
        state.add_event(other, "else")
    everything = state.events(job)
    assert [event["message"] for event in everything] == list(map(str, range(29, -1, -1)))
    pages, after = [], None
    while page := state.events(job, limit=7, after=after):
        pages += page
        after = page[-1]["id"]
        assert len(page) <= 7
    assert pages == everything
    for unknown in ("ftevent-none", state.events(other)[0]["id"]):
        with pytest.raises(KeyError):
            state.events(job, after=unknown)


def test_a_page_of_many_events_reads_no_others(state: State) -> None:
    """Counted in steps of SQLite's machine, which no busy processor changes."""
    job = add_job(state)
    with state.transaction():
        for number in range(3000):
            state.add_event(job, str(number), data={"step": number})
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    state._db.set_progress_handler(count, 1)
    state.events(job, limit=20)
    assert 0 < steps < 1000


def test_an_event_that_is_told_again_keeps_its_id_and_words(state: State) -> None:
    job = add_job(state)
    assert state.add_event(job, "first", kind="metrics", data={"step": 2}, once="step/2")
    assert not state.add_event(job, "second", kind="metrics", data={"step": 2}, once="step/2")
    assert state.add_event(job, "third", kind="metrics", data={"step": 1}, once="step/1")
    assert [event["message"] for event in state.events(job)] == ["third", "first"]
    assert [row["step"] for row in state.metrics(job)] == [1, 2]
    assert state.add_event(add_job(state), "first", once="step/2")


def test_transactions_inside_transactions_are_one(state: State) -> None:
    job = add_job(state)

    def half() -> None:
        with state.transaction():
            with state.transaction():
                state.add_event(job, "never")
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        half()
    assert state.events(job) == []
    with state.transaction():
        state.add_event(job, "told")
    assert len(state.events(job)) == 1


def test_content_lasts_before_it_is_acknowledged(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    original, insert = os.fsync, state._insert

    def fsync(handle: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        original(handle)

    def inserted(*values: object, **more: object) -> bool:
        synced.append("row")
        return insert(*values, **more)  # type: ignore[arg-type]

    if not Path("/proc/self/fd").exists():
        pytest.skip("nothing tells which file a handle is of")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(state, "_insert", inserted)
    files = state.folder / "files"
    upload = files / ".upload-a"
    upload.write_bytes(b"content")
    state.add_file(upload, "train.jsonl", "fine-tune")
    assert synced == [str(upload), str(files), "row"]
    synced.clear()
    target = state.folder / "jobs" / "job" / "adapter"
    with complete(target) as temporary:
        temporary.joinpath("weights").write_bytes(b"1")
        assert not target.exists()
    assert synced == [str(temporary / "weights"), str(temporary), str(target.parent), str(target.parent.parent)]
    assert [path.name for path in target.parent.iterdir()] == ["adapter"]


def test_a_folder_that_failed_takes_no_name(tmp_path: Path) -> None:
    def fail() -> None:
        with complete(tmp_path / "a") as temporary:
            temporary.joinpath("half").touch()
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert not tmp_path.joinpath("a").exists()
    with complete(tmp_path / "a") as temporary:
        temporary.joinpath("whole").touch()
    assert [path.name for path in tmp_path.joinpath("a").iterdir()] == ["whole"]


def test_a_folder_of_a_newer_version_is_refused_and_let_go(tmp_path: Path) -> None:
    State(tmp_path).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as db:
        db.execute("PRAGMA user_version = 2")
        with pytest.raises(UsageError, match="newer version") as refused:
            State(tmp_path)
        db.execute("PRAGMA user_version = 1")
    State(tmp_path).close()
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("state", "not a directory"),  # a file where the folder should be
        ("state/jobs", "exists"),
        ("state/state.sqlite", "not a database"),
        ("state/state.sqlite/", "unable to open"),
        ("state/holder.json/", "directory"),
    ],
)
def test_a_folder_that_cannot_be_used_is_named_and_let_go(tmp_path: Path, broken: str, reason: str) -> None:
    place = tmp_path / broken
    place.parent.mkdir(exist_ok=True)
    if broken.endswith("/"):
        place.mkdir()
    else:
        place.write_text("something else, of more than the hundred bytes that a database begins with" * 2)
    for _ in range(2):  # were it still held, that would be said the second time
        with pytest.raises(UsageError) as refused:
            State(tmp_path / "state")
        assert str(tmp_path / "state") in refused.value.message
        assert reason in refused.value.message.casefold()
        assert refused.value.hint == "give --state another folder"


def test_a_full_disk_is_no_reason_for_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UnfinishedError, match="free some space"):
        State(tmp_path / "state")
    monkeypatch.undo()
    State(tmp_path / "state").close()
