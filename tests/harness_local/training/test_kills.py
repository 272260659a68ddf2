"""kill -9 of the server and of the process that trains, at the worst moments; a tiny model is really trained."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support.local import lines
from support.training import PLAYER, Lab, messages, steps_of

EPOCHS, EACH = 3, 4
ALL = list(range(1, EPOCHS * EACH + 1))
SETTINGS = {"n_epochs": EPOCHS, "batch_size": 6, "learning_rate_multiplier": 5.0}
ENDED = ["New fine-tuned model created: {}", "The job has successfully completed"]

# The server reads no more from step 6 on; at the end of the second epoch, when all is on disk, both are killed before
# the server can hear of it.
BEFORE_THE_NEWS = """
import sqlite3, time

taken = trainer.Teller.__call__

def heard():
    with sqlite3.connect(Path(sys.argv[1]).parents[1] / "state.sqlite") as state:
        return state.execute("SELECT count(*) FROM checkpoints").fetchone()[0]

def tell(self, event, **facts):
    if event == "step" and facts["step"] == 6:
        while not heard():  # the server may be behind: it hears of the first checkpoint, and of no more
            time.sleep(0.01)
        os.kill(int(os.environ["ASKED_BY"]), signal.SIGSTOP)
    if event == "step" and facts["step"] == 8:
        os.kill(int(os.environ["ASKED_BY"]), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    taken(self, event, **facts)

if not Path(sys.argv[1], "snapshots").exists():
    trainer.Teller.__call__ = tell
"""

# A snapshot after each step, and the end before the second epoch's checkpoint: step 8 is taken from a snapshot in the
# middle of the epoch.
TRAINER_ALONE = """
trainer._SNAPSHOT_S = 0.0
writing = trainer._writing

def kill_at(target):
    marker = Path(sys.argv[1], "killed")
    if target.name == "8" and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return writing(target)

trainer._writing = kill_at
"""

BEFORE_THE_COMMIT = """
ended = record.Record._succeeded

def succeeded(self, tokens):
    ended(self, tokens)
    die()

record.Record._succeeded = succeeded
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> bytes:
    """The adapter of a training in peace."""
    lab = Lab(tmp_path_factory.mktemp("undisturbed"), tiny)
    job = lab.add(lines(24), validation=lines(6), **SETTINGS)
    assert lab.run() == 0
    assert lab.computed(job) == ALL
    return check(lab, job)


def check(lab: Lab, job: str) -> bytes:
    """Whatever happened: everything is there, once. Returns the adapter."""
    state = lab.state
    try:
        body = state.job(job)
        assert body is not None
        assert body["status"] == "succeeded"
        assert body["estimated_finish"] is None
        assert sorted(steps_of(state, job)) == ALL
        assert [row["step_number"] for row in state.checkpoints(job)] == [12, 8, 4]
        said = messages(state, job)
        assert [said.count(f"Checkpoint created at step {step}") for step in (4, 8, 12)] == [1, 1, 1]
        assert said[-2:] == [text.format(body["fine_tuned_model"]) for text in ENDED]
        assert len(state.models("tiny")) == 4
        (results,) = body["result_files"]
        assert len(list(state.folder.joinpath("files").iterdir())) == len(state.files()) == 3
        table = list(csv.DictReader(state.content(results).read_text().splitlines()))
        assert [int(row["step"]) for row in table] == ALL
        assert [bool(row["valid_mean_token_accuracy"]) for row in table] == [step % EACH == 0 for step in ALL]
        metrics = state.checkpoints(job)[0]["metrics"]
        assert set(metrics) == {
            "step", "train_loss", "train_mean_token_accuracy", "valid_loss", "valid_mean_token_accuracy",
            "full_valid_loss", "full_valid_mean_token_accuracy",
        }  # fmt: skip
        folder = state.job_folder(job)
        assert not folder.joinpath("snapshots").exists()
        model = state.model(body["fine_tuned_model"])
        assert model is not None
        files = [model["folder"] / name for name in ("adapter_model.safetensors", "adapter_config.json")]
        return b"".join(file.read_bytes() for file in files)
    finally:
        state.close()


def test_news_that_the_server_never_heard_is_told_again(lab: Lab, undisturbed: bytes) -> None:
    job = lab.add(lines(24), validation=lines(6), **SETTINGS)
    assert lab.run(trainer=BEFORE_THE_NEWS) == -9
    state = lab.state
    known = state.events(job)
    assert steps_of(state, job) == ALL[: len(steps_of(state, job))]
    assert len(steps_of(state, job)) < 8
    assert [row["step_number"] for row in state.checkpoints(job)] == [4]
    state.close()
    assert lab.run() == 0
    assert check(lab, job) == undisturbed
    assert lab.computed(job) == ALL  # nothing was computed twice
    state = lab.state
    assert state.events(job)[-len(known) :] == known  # what a client has seen stays as it was
    state.close()


def test_a_trainer_that_is_killed_is_started_again_and_ends_at_the_same_weights(lab: Lab, undisturbed: bytes) -> None:
    job = lab.add(lines(24), validation=lines(6), **SETTINGS)
    assert lab.run(trainer=TRAINER_ALONE) == 0
    assert check(lab, job) == undisturbed
    assert lab.computed(job) == [1, 2, 3, 4, 5, 6, 7, 8, 8, 9, 10, 11, 12]
    state = lab.state
    assert messages(state, job).count("The training process was ended by signal 9 and is started again") == 1
    state.close()


def test_snapshots_stay_until_the_end_of_a_training_is_on_disk(lab: Lab) -> None:
    """Without them, a server that is killed just before would have it begin again from nothing."""
    job = lab.add()
    played = PLAYER + "folder.joinpath('snapshots', '2').mkdir(parents=True, exist_ok=True); started(); step(1); done()"
    assert lab.run(server=BEFORE_THE_COMMIT, played=played) == -9
    state = lab.state
    assert [row["status"] for row in state.jobs()] == ["running"]
    assert all(":ckpt-step-" in row["id"] for row in state.models())
    assert len(list(state.folder.joinpath("files").iterdir())) == 1  # the results that nobody knows of are swept away
    assert state.job_folder(job).joinpath("snapshots", "2").exists()
    state.close()
    assert lab.run(played=played) == 0
    state = lab.state
    assert [row["status"] for row in state.jobs()] == ["succeeded"]
    assert not state.job_folder(job).joinpath("snapshots").exists()
    assert len(state.files()) == 2
    assert len(state.models()) == 2
    state.close()
