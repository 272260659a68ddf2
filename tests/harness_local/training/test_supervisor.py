"""The queue of jobs and what training processes do to it; the trainer only plays, so all of this takes no time."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest
from support.training import PLAYER, Lab, Play, add_job, messages, steps_of

from harness_local.state import State
from harness_local.training.supervisor import Supervisor

WELL = "started(); step(1); done()"


def job_of(state: State, job: str) -> dict[str, object]:
    body = state.job(job)
    assert body is not None
    return body


def test_jobs_run_one_after_another_in_the_order_of_their_creation(state: State, play: Play) -> None:
    jobs = [add_job(state) for _ in range(3)]
    play(state, "(folder.parent.parent / 'order').open('a').write(folder.name + ' '); time.sleep(0.05);" + WELL)
    assert state.folder.joinpath("order").read_text().split() == jobs
    assert {job_of(state, job)["status"] for job in jobs} == {"succeeded"}
    assert messages(state, jobs[0])[:2] == ["Fine-tuning job started", "Step 1/2: training loss=1.00"]
    ends = [state.events(job)[0]["created_at"] for job in jobs]
    assert ends == sorted(ends)


def test_what_libraries_print_goes_to_the_log(state: State, play: Play) -> None:
    job = add_job(state)
    noise = "print('100% loaded'); print('{\"progress\": 1}'); print('x' * 3_000_000); print('[' * 100_000);"
    noise += "os.write(1, b'\\xff\\xfe\\n'); print('null');"
    play(state, f"{noise} started(); {noise} step(1); done(); os.write(1, b'{{\"event\"')")
    assert job_of(state, job)["status"] == "succeeded"
    log = state.job_folder(job).joinpath("log.txt").read_bytes()
    assert b"100% loaded" in log
    assert b"\xff\xfe\n" in log


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("started(); step(1); raise SystemExit('out of luck')", "training_failed", "code 1. out of luck"),
        ("started(); hang()", "training_failed", "said nothing for 2 seconds"),
        ("tell('started')", "server_error", "KeyError"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "training_failed", "by signal 9 3 times"),
        ("tell('failed', code='invalid_value', message='No.', param='p')", "invalid_value", "No."),
    ],
)
def test_a_training_that_goes_wrong_fails_and_the_next_one_runs(
    state: State, play: Play, script: str, code: str, words: str
) -> None:
    bad, good = add_job(state), add_job(state)
    play(state, f"if folder.name == {bad!r}:\n    {script}\nelse:\n    {WELL}", silence=2)
    assert job_of(state, bad)["status"] == "failed"
    error = job_of(state, bad)["error"]
    assert isinstance(error, dict)
    assert error["code"] == code
    assert words in error["message"]
    assert error["message"] in messages(state, bad)
    assert job_of(state, bad)["estimated_finish"] is None
    assert job_of(state, good)["status"] == "succeeded"


def test_the_folder_of_a_job_that_cannot_be_written_fails_the_job(state: State, play: Play) -> None:
    job = add_job(state)
    state.job_folder(job).write_text("a file where the folder should be")
    play(state, WELL)
    assert job_of(state, job)["status"] == "failed"
    assert "exists" in str(job_of(state, job)["error"])


def test_reports_that_come_again_change_nothing(state: State, play: Play) -> None:
    job = add_job(state)
    seen: list[object] = []
    again = "started(step=1); step(1, 9.0); done()"

    def heard() -> bool:
        seen[:] = state.events(job)
        return len(steps_of(state, job)) == 2

    play(state, "started(); step(2, 0.5); step(1, 0.7); hang()", until=heard)
    play(state, again)
    assert state.events(job)[-len(seen) :] == seen
    assert [row["train_loss"] for row in state.metrics(job)] == [0.7, 0.5]
    assert "Fine-tuning job resumed after a restart of the server" in messages(state, job)


def test_the_end_is_estimated_while_a_job_runs(state: State, play: Play) -> None:
    job = add_job(state)
    play(
        state,
        "started(); time.sleep(0.5); step(1); hang()",
        until=lambda: job_of(state, job)["estimated_finish"] is not None,
    )
    assert job_of(state, job)["estimated_finish"] in range(int(time.time()) - 5, int(time.time()) + 60)


def test_cut_examples_are_told_of_once(state: State, play: Play) -> None:
    job = add_job(state)
    play(state, "if once('a'):\n    started(cut=3)\n    os.kill(os.getpid(), 9)\nstarted(cut=3); done()")
    said = messages(state, job)
    assert said.count("3 of 12 examples are longer than the model's context and were cut") == 1


def test_a_cancelled_job_stays_cancelled(state: State, play: Play) -> None:
    """Cancelled while the model loads, before anything was reported, and while others wait."""
    first, waiting, last = (add_job(state) for _ in range(3))

    async def cancel(supervisor: Supervisor) -> None:
        for _ in range(2):
            assert supervisor.cancel(first)["status"] == "cancelled"
            assert supervisor.cancel(waiting)["status"] == "cancelled"
        async with asyncio.timeout(10):
            while not gone(int(pid.read_text())):
                await asyncio.sleep(0.01)

    loading = f"(folder / 'pid').write_text(str(os.getpid()))\nif folder.name == {first!r}: hang()\n"
    pid = state.job_folder(first) / "pid"
    play(state, loading + WELL, until=lambda: pid.exists() and bool(pid.read_text()), then=cancel)
    play(state, WELL)
    assert [job_of(state, job)["status"] for job in (first, waiting, last)] == ["cancelled", "cancelled", "succeeded"]
    assert [messages(state, job).count("The job was cancelled") for job in (first, waiting, last)] == [1, 1, 0]
    assert not state.job_folder(waiting).exists()
    for job in (first, last):
        assert Supervisor(state, None, None).cancel(job) == job_of(state, job)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_job_cancelled_while_it_runs_stays_cancelled_after_a_kill(lab: Lab) -> None:
    job = lab.add()
    cancel = """
take = record.Record.take

def taken(self, report):
    take(self, report)
    server = supervisor.Supervisor(state, None, None)
    server.cancel(self._job)
    die()

record.Record.take = taken
"""
    assert lab.run(server=cancel, played=PLAYER + "started(); hang()") == -signal.SIGKILL
    assert lab.run(played=PLAYER + WELL) == 0
    state = lab.state
    assert job_of(state, job)["status"] == "cancelled"
    assert messages(state, job)[-1] == "The job was cancelled"
    assert state.models() == []
    state.close()


def test_a_job_of_another_base_waits_for_its_server(state: State, play: Play) -> None:
    other, own = add_job(state, model="other"), add_job(state)
    play(state, WELL, until=lambda: job_of(state, own)["status"] == "succeeded")
    assert job_of(state, other)["status"] == "queued"
    assert messages(state, other) == ["Waiting for a server of other; the one that runs now serves tiny"]
    play(state, "started(); hang()", base="other", until=lambda: job_of(state, other)["status"] == "running")
    play(state, WELL, until=lambda: job_of(state, other)["status"] == "queued")
    play(state, WELL, base="other")
    done = job_of(state, other)
    assert done["status"] == "succeeded"
    assert str(done["fine_tuned_model"]).startswith("ft:other:")
    assert [row["base"] for row in state.models("other")] == ["other"] * 2
    assert {row["base"] for row in state.models()} == {"other", "tiny"}
    assert state.model(str(done["fine_tuned_model"]), "tiny") is None


def test_a_job_of_other_weights_by_the_same_name_waits_for_its_server(state: State, play: Play) -> None:
    state.weights = "a"
    other = add_job(state)
    state.weights = "b"
    own = add_job(state)
    play(state, WELL, until=lambda: job_of(state, own)["status"] == "succeeded")
    assert job_of(state, other)["status"] == "queued"
    assert messages(state, other) == [
        "Waiting for a server of tiny; the one that runs now serves tiny, another model of that name"
    ]
    state.weights = "a"
    play(state, WELL)
    done = job_of(state, other)
    assert done["status"] == "succeeded"
    assert [row["id"] for row in state.models("tiny") if row["id"] == done["fine_tuned_model"]]
    state.weights = "b"
    assert state.model(str(done["fine_tuned_model"]), "tiny") is None


def test_a_job_whose_file_or_model_is_gone_says_so(state: State, play: Play) -> None:
    file, model = add_job(state), add_job(state, model="ft:tiny::0123")
    state.content(str(job_of(state, file)["training_file"])).unlink()
    play(state, WELL)
    errors = [job_of(state, job)["error"] for job in (file, model)]
    assert [(e["code"], e["param"]) for e in errors if isinstance(e, dict)] == [
        ("file_not_found", "training_file"),
        ("model_not_found", "model"),
    ]
    assert f"The training file {job_of(state, file)['training_file']} is gone." in messages(state, file)
