"""The training itself, of a tiny model, in this process: what is told, what stops it, how it goes on."""

from __future__ import annotations

import io
import json
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from support.local import lines
from support.training import PLACEMENT

from harness_local.models.loading import Source
from harness_local.training import lora, trainer
from harness_local.training.task import Hyperparameters, Task

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning"),
    pytest.mark.usefixtures("here"),
]
Train: TypeAlias = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def train(tiny: Path) -> Train:
    """Trains in a folder; returns what was told."""

    def train(folder: Path, content: bytes = lines(36), *, validation: bytes = b"", **asked: Any) -> list[Any]:
        folder.mkdir(exist_ok=True)
        for name, data in (("train", content), ("validation", validation)):
            folder.joinpath(name).write_bytes(data)
        Task(
            source=Source(id="tiny", location=str(tiny)),
            placement=PLACEMENT,
            training=folder / "train",
            validation=folder / "validation" if validation else None,
            hyperparameters=Hyperparameters(**{"n_epochs": 2, "batch_size": 6, **asked}),
            seed=7,
        ).write(folder / "task.json")
        told = io.StringIO()
        trainer.train(folder, trainer.Teller(told))
        return [json.loads(line) for line in told.getvalue().splitlines()]

    return train


def weights(folder: Path) -> bytes:
    return folder.joinpath("adapter", "adapter_model.safetensors").read_bytes()


def test_what_is_told(train: Train, tmp_path: Path) -> None:
    told = train(tmp_path / "a", validation=lines(8))
    assert [report["event"] for report in told] == [
        "started", *["step"] * 6, "checkpoint", *["step"] * 6, "checkpoint", "done",
    ]  # fmt: skip
    assert told[0]["steps"] == 12
    assert told[0]["hyperparameters"]["lora_targets"] == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip
    assert [report["step"] for report in told[1:-1]] == [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 12, 12]
    for report in told[1:-1]:
        measured = report["step"] in (6, 12)
        assert (report["valid_loss"] is not None) == measured
        assert ("full_valid_loss" in report) == measured
    assert told[7] == {**told[6], "event": "checkpoint"}


def test_the_loss_of_some_of_the_validation_file_is_not_called_full(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_CHECKS", 7)
    told = train(tmp_path / "a", validation=lines(8), n_epochs=1)
    assert told[6]["valid_loss"] is not None
    assert "full_valid_loss" not in told[6]


def interrupt(monkeypatch: pytest.MonkeyPatch, at: int) -> Callable[[], None]:
    """Has the training break off before a step; returns what ends that."""
    compute = trainer.Run._step

    def step(self: Any, batch: Any, number: int, steps: int) -> Any:
        if number == at:
            raise KeyboardInterrupt
        return compute(self, batch, number, steps)

    monkeypatch.setattr(trainer.Run, "_step", step)
    return lambda: monkeypatch.setattr(trainer.Run, "_step", compute)


def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The examples that go through the frozen layers together, from now on."""
    found: list[tuple[Any, ...]] = []
    states = lora.Trainable._states

    def noted(self: Any, samples: Any) -> Any:
        found.append(tuple(samples))
        return states(self, samples)

    monkeypatch.setattr(lora.Trainable, "_states", noted)
    return found


@pytest.mark.parametrize("room", [0, 300, 2**20])
def test_an_interrupted_training_ends_at_the_same_bytes_however_many_states_are_kept(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """The room is in tokens: none of the examples, some, all. It breaks off in the middle of the second epoch."""
    at = 9
    monkeypatch.setattr(lora, "_KEPT_BYTES", room * 32 * 4)
    monkeypatch.setattr(lora, "_PASS_TOKENS", 64)
    monkeypatch.setattr(trainer, "_WINDOW", 2)
    monkeypatch.setattr(trainer, "_SNAPSHOT_S", 0.0)
    together = passes(monkeypatch)
    whole = train(tmp_path / "whole")
    known = set(together)
    go_on = interrupt(monkeypatch, at)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken")
    go_on()
    again = train(tmp_path / "broken")
    assert again[0]["step"] == at
    assert again[1:] == whole[1:]
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    # Larger models and other number types show in their sums who else was there.
    assert set(together) == known


def test_states_are_kept_once_and_no_more_than_there_is_room_for(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = passes(monkeypatch)
    train(tmp_path / "a")
    passed = [sample for group in together for sample in group]
    assert len(passed) == len(set(passed)) == 36
    tokens = sum(len(sample.ids) for sample in passed)
    together.clear()
    monkeypatch.setattr(lora, "_KEPT_BYTES", tokens // 2 * 32 * 4)
    monkeypatch.setattr(lora, "_PASS_TOKENS", 64)
    train(tmp_path / "b")
    passed = [sample for group in together for sample in group]
    twice = {sample for sample in passed if passed.count(sample) == 2}
    assert len(set(passed)) == 36
    assert tokens / 2 <= sum(len(sample.ids) for sample in twice) < 0.6 * tokens


def failure(told: list[dict[str, Any]]) -> tuple[str, str | None, str]:
    assert told[-1]["event"] == "failed"
    return told[-1]["code"], told[-1].get("param"), told[-1]["message"]


def test_names_of_layers_that_are_not_there_fail_the_job(train: Train, tmp_path: Path) -> None:
    code, param, message = failure(train(tmp_path / "a", lora_targets=["c_attn"]))
    assert (code, param) == ("invalid_value", "hyperparameters.lora_targets")
    assert "q_proj" in message


def test_a_training_that_diverges_fails_and_leaves_no_adapter(train: Train, tmp_path: Path) -> None:
    code, param, message = failure(train(tmp_path / "a", learning_rate_multiplier=1e30))
    assert (code, param) == ("training_diverged", "hyperparameters.learning_rate_multiplier")
    assert "At step" in message
    assert not tmp_path.joinpath("a", "adapter").exists()


@pytest.mark.parametrize(("validation", "param"), [(b"", "training_file"), (b"{}\n", "validation_file")])
def test_a_bad_file_is_named(train: Train, tmp_path: Path, validation: bytes, param: str) -> None:
    content = lines(9) if param == "training_file" else lines(12)
    assert failure(train(tmp_path / "a", content, validation=validation))[1] == param


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As a disk that is full: no file grows beyond some bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_fails_the_job(train: Train, tmp_path: Path) -> None:
    with largest_file(12_000):  # the weights do not fit, what is written before them does
        code, _, message = failure(train(tmp_path / "a"))
    assert code == "storage_error"
    assert "too large" in message
    assert not list(tmp_path.joinpath("a", "checkpoints").glob("[0-9]*"))


def test_a_folder_that_cannot_be_made_fails_the_job(train: Train, tmp_path: Path) -> None:
    tmp_path.joinpath("a").mkdir()
    tmp_path.joinpath("a", "snapshots").touch()
    assert failure(train(tmp_path / "a"))[0] == "storage_error"


def test_warm_up_and_targets_change_what_is_learned(train: Train, tmp_path: Path) -> None:
    plain = train(tmp_path / "a", n_epochs=1)
    warm = train(tmp_path / "b", n_epochs=1, warmup_ratio=0.5)
    assert plain[1] == warm[1]
    assert plain[2]["train_loss"] != warm[2]["train_loss"]
    few = train(tmp_path / "c", n_epochs=1, lora_targets=["q_proj"])
    assert few[0]["hyperparameters"]["lora_targets"] == ["q_proj"]
    assert len(weights(tmp_path / "c")) < len(weights(tmp_path / "a"))


def test_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    tell = trainer.Teller(told)
    for now[0] in (30.0, 61.0, 100.0, 130.0):
        tell.alive()
    assert told.getvalue() == '{"event": "alive"}\n' * 2
