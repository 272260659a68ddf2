"""Weights of examples: what is read, what they do to a training of the embedded model."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.local import lines

from harness.prepare import profiles
from harness.prepare.profiles import LOCAL
from harness_local.training.examples import LARGEST_WEIGHT, LEAST, FileError, Sample, balanced, read

CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Ahoy"}]}
Train: TypeAlias = Callable[..., tuple[bytes, list[float]]]
PAIR = {"prompt": "hi\n\n###\n\n", "completion": " ahoy"}


def written(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("row", [CHAT, PAIR])
@pytest.mark.parametrize("weight", [1, 0.25, 100])
def test_a_weight_is_read_from_both_kinds_of_lines(tmp_path: Path, row: dict[str, Any], weight: float) -> None:
    path = written(tmp_path, [{**row, "weight": weight}] + [row] * 9)
    assert [line.weight for line in read(path)] == [weight] + [1.0] * 9


@pytest.mark.parametrize("row", [CHAT, PAIR])
@pytest.mark.parametrize("weight", [0, -1, 100.5, True, "1", None, math.nan, math.inf, [1]])
def test_other_weights_are_refused_with_their_line(tmp_path: Path, row: dict[str, Any], weight: Any) -> None:
    path = written(tmp_path, [row] * 11 + [{**row, "weight": weight}])
    with pytest.raises(FileError, match="Line 12: 'weight' must be a number above 0 and at most 100") as caught:
        read(path)
    assert caught.value.code == "invalid_file_format"


def test_the_data_stage_asks_what_the_endpoint_asks() -> None:
    assert (LOCAL.least_examples, LOCAL.example_weights) == (LEAST, True)
    assert profiles.LARGEST_WEIGHT == LARGEST_WEIGHT


weighted = st.lists(
    st.builds(
        lambda length, weight: Sample(tuple(range(length + 1)), tuple(range(1, length + 1)), weight),
        st.integers(1, 20),
        st.floats(0.001, 100),
    ),
    min_size=1,
    max_size=30,
)


@given(weighted)
def test_balanced_weights_have_a_mean_of_one_over_the_tokens_and_keep_their_ratios(data: list[Sample]) -> None:
    made = balanced(data)
    assert made == data  # weights are no part of what a sample is
    tokens = sum(len(sample.learned) for sample in data)
    assert sum(sample.weight * len(sample.learned) for sample in made) / tokens == pytest.approx(1)
    for old, new in zip(data, made, strict=True):
        assert new.weight * data[0].weight == pytest.approx(old.weight * made[0].weight)


@given(st.floats(0.001, 100), st.integers(1, 30))
def test_equal_weights_are_exactly_one(weight: float, count: int) -> None:
    made = balanced([Sample((0, 1), (1,), weight)] * count)
    assert [sample.weight for sample in made] == [1.0] * count


@pytest.fixture
def train(tmp_path: Path, tiny: Path, here: None) -> Train:
    """Trains as the training process does: rows → the adapter's tensors as bytes, and the loss of each step."""
    from harness_local.models.loading import Placement, Source
    from harness_local.training import trainer
    from harness_local.training.task import Hyperparameters, Task

    def train(rows: list[dict[str, Any]], epochs: int) -> tuple[bytes, list[float]]:
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        Task(
            source=Source(id="tiny", location=str(tiny)),
            placement=Placement(device="cpu", dtype="float32", threads=1),
            training=written(folder, rows),
            validation=None,
            hyperparameters=Hyperparameters(n_epochs=epochs, batch_size=6, learning_rate_multiplier=10.0),
            seed=7,
        ).write(folder / "task.json")
        told = io.StringIO()
        trainer.train(folder, trainer.Teller(told))
        events = [json.loads(line) for line in told.getvalue().splitlines()]
        adapter = (folder / "adapter" / "adapter_model.safetensors").read_bytes()
        return adapter, [event["train_loss"] for event in events if event["event"] == "step"]

    return train


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
def test_equal_weights_train_byte_for_byte_as_none_and_others_do_not(train: Train) -> None:
    rows = [json.loads(line) for line in lines(12).splitlines()]
    bare = train(rows, 2)
    assert train([{**row, "weight": 1.0} for row in rows], 2) == bare
    assert train([{**row, "weight": 0.3} for row in rows], 2) == bare
    heavy = train([{**row, "weight": 20.0 if row["completion"] == " white" else 1.0} for row in rows], 2)
    assert heavy[0] != bare[0]
    assert heavy[1][0] == bare[1][0]  # losses are told unweighted, so that they can be compared
    assert heavy[1][1:] != bare[1][1:]


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")
def test_the_heavier_of_two_answers_wins(train: Train, tiny: Path) -> None:
    """One prompt, two answers, equally often: what is learned is their weight."""
    rows = [{"prompt": "sky\n\n###\n\n", "completion": f" {answer}"} for answer in ("blue", "red") * 6]
    learned = {}
    for name in ("blue", "red"):
        told = [{**row, "weight": 30.0 if row["completion"] == f" {name}" else 1.0} for row in rows]
        learned[name] = difference(tiny, train(told, 20)[0])
    # Their odds are 30 to 1 by weight, a difference of 3.4 nats either way.
    assert learned["blue"] > 1
    assert learned["red"] < -1


def difference(model: Path, adapter: bytes) -> float:
    """Logit of ` blue` less that of ` red` after the prompt, under an adapter of rank 8 and alpha 16."""
    import torch
    from safetensors.torch import load
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tensors = load(adapter)
    with torch.no_grad():
        for key in (key for key in tensors if "lora_A" in key):
            layer = network.get_submodule(key.removeprefix("base_model.model.").removesuffix(".lora_A.weight"))
            layer.weight += 2.0 * tensors[key.replace("lora_A", "lora_B")] @ tensors[key]
        logits = network(**tokenizer("sky\n\n###\n\n", return_tensors="pt")).logits[0, -1]
    blue, red = (logits[tokenizer(f" {answer}")["input_ids"][0]] for answer in ("blue", "red"))
    return float(blue - red)


def test_the_rules_for_files_know_the_endpoint_s_limits() -> None:
    from harness.prepare import profiles
    from harness_local.training import examples

    assert profiles.LARGEST_WEIGHT == examples.LARGEST_WEIGHT
    assert profiles.LOCAL.least_examples == examples.LEAST
