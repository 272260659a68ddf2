"""Settings of a training, batches, learning rates; which layers get an adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_local.models.loading import Loaded, Placement, Source, load
from harness_local.training.examples import Sample
from harness_local.training.task import Hyperparameters, Task, TrainingError
from harness_local.training.trainer import batches, parts, rate


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(1, 20))
def test_each_example_is_in_one_batch_and_one_part(lengths: list[int], size: int) -> None:
    data = [Sample(tuple(range(index, index + length)), (0,)) for index, length in enumerate(lengths)]
    grouped = batches(data, size, "seed")
    assert sorted(sample.ids for batch in grouped for part in parts(batch) for sample in part) == sorted(
        sample.ids for sample in data
    )
    assert all(len(batch) <= size for batch in grouped)
    assert grouped == batches(data, size, "seed")


@given(st.integers(1, 500), st.floats(1e-6, 1), st.floats(0, 0.5))
def test_the_learning_rate_rises_to_its_peak_and_falls(steps: int, peak: float, warmup: float) -> None:
    rates = [rate(step, steps, peak, warmup) for step in range(steps)]
    assert max(rates) == pytest.approx(peak)
    top = rates.index(max(rates))
    assert rates[max(1, round(warmup * steps)) - 1] == pytest.approx(peak)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0


@pytest.mark.parametrize(("examples", "batch"), [(10, 1), (100, 4), (400, 16), (2400, 16)])
def test_auto_gives_fifty_steps_where_the_data_allow(examples: int, batch: int) -> None:
    settings = Hyperparameters().resolved(examples, 30)
    assert (settings.n_epochs, settings.batch_size, settings.lora_layers) == (2, batch, 10)
    assert 2 * -(-examples // batch) >= min(50, 2 * examples)


def test_auto_is_what_the_documentation_says() -> None:
    assert Hyperparameters().resolved(2400, 30) == Hyperparameters(
        n_epochs=2, batch_size=16, learning_rate_multiplier=1.0, warmup_ratio=0.1, lora_rank=8, lora_alpha=16.0,
        lora_layers=10, lora_targets="all",
    )  # fmt: skip
    given = Hyperparameters(warmup_ratio=0.0, lora_rank=4, lora_layers=99, lora_targets=["q_proj"]).resolved(10, 30)
    assert (given.warmup_ratio, given.lora_alpha, given.lora_layers, given.lora_targets) == (0.0, 8.0, 30, ["q_proj"])


TASK = Task(
    source=Source(id="m", location="/models/m"),
    placement=Placement(device="cpu", dtype="float32", threads=1),
    training=Path("a"),
    validation=None,
    hyperparameters=Hyperparameters(n_epochs=3, lora_targets=["q_proj"], warmup_ratio=0.0),
    seed=1,
)


def test_a_task_survives_its_file(tmp_path: Path) -> None:
    TASK.write(tmp_path / "task.json")
    assert Task.load(tmp_path / "task.json") == TASK


def test_a_task_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    file = tmp_path / "task.json"
    TASK.write(file)
    values = json.loads(file.read_text())
    for name in ("lora_targets", "warmup_ratio"):
        del values["hyperparameters"][name]
    file.write_text(json.dumps(values))
    assert Task.load(file).hyperparameters == Hyperparameters(n_epochs=3)


peft = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")


@pytest.fixture
def loaded(tiny: Path) -> Loaded:
    return load(Source(id="tiny", location=str(tiny)), TASK.placement)


def adapted(loaded: Loaded, adapter: Path | None = None, **asked: Any) -> Any:
    from harness_local.training.lora import Trainable

    settings = Hyperparameters(**asked)
    task = Task(
        source=loaded.source, placement=TASK.placement, training=Path(), validation=None, hyperparameters=settings,
        seed=1, adapter=adapter,
    )  # fmt: skip
    return Trainable(loaded, task, settings.resolved(24, 2))


def layers(trainable: Any) -> set[str]:
    names = [name for name, parameter in trainable.adapter.named_parameters() if parameter.requires_grad]
    return {name.split(".layers.")[1].split(".lora_")[0] for name in names}


@peft
def test_adapters_are_put_where_they_are_wanted(loaded: Loaded) -> None:
    trainable = adapted(loaded, lora_targets=["q_proj", "down_proj"], lora_layers=1)
    assert layers(trainable) == {"1.self_attn.q_proj", "1.mlp.down_proj"}
    assert trainable.settings.lora_targets == ["down_proj", "q_proj"]


@peft
def test_all_linear_layers_are_the_default(loaded: Loaded) -> None:
    trainable = adapted(loaded, lora_targets="all", lora_layers=2)
    kinds = {name.rsplit(".", 1)[-1] for name in layers(trainable)}
    assert kinds == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert {name[0] for name in layers(trainable)} == {"0", "1"}


def test_names_that_the_model_does_not_have_are_refused_with_those_it_has(loaded: Loaded) -> None:
    with pytest.raises(TrainingError, match="called c_attn, but down_proj, gate_proj, k_proj, o_proj") as caught:
        adapted(loaded, lora_targets=["q_proj", "c_attn"])
    assert (caught.value.code, caught.value.param) == ("invalid_value", "hyperparameters.lora_targets")


@peft
def test_an_adapter_that_is_trained_on_keeps_its_shape(loaded: Loaded, tiny: Path, tmp_path: Path) -> None:
    shape = {"lora_rank": 4, "lora_alpha": 4.0, "lora_layers": 1, "lora_targets": ["q_proj", "v_proj"]}
    adapted(loaded, **shape).adapter.save_pretrained(tmp_path)

    def on(**asked: Any) -> Any:
        return adapted(load(Source(id="tiny", location=str(tiny)), TASK.placement), tmp_path, **asked)

    for same in ({}, {"lora_rank": 4}, {**shape, "lora_targets": ["v_proj", "q_proj"]}):
        assert {name: getattr(on(**same).settings, name) for name in shape} == shape
    for other in ({"lora_rank": 8}, {"lora_layers": 2}, {"lora_targets": "all"}, {"lora_alpha": 8.0}):
        with pytest.raises(TrainingError, match=f"{next(iter(other))} is .* cannot be changed"):
            on(**other)
