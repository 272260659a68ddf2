"""The parts that need no model: splitting prompts, sharing prefixes, settings, batches, reading requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness_local.api.guard import is_loopback
from harness_local.api.wire import ApiError, Fields
from harness_local.inference.prefixes import common
from harness_local.models.loading import processor_flags
from harness_local.models.tokens import boundary
from harness_local.training.examples import FileError, Sample, read
from harness_local.training.task import Hyperparameters, Task
from harness_local.training.trainer import batches, parts, rate


@given(st.text(), st.lists(st.text("abc", min_size=1), min_size=2, max_size=4, unique=True))
def test_labels_after_a_space_are_split_off_at_or_before_it(prompt: str, labels: list[str]) -> None:
    texts = [f"{prompt} {label}" for label in labels]
    split = boundary(texts)
    assert split == len(prompt)


@given(st.lists(st.text(), min_size=2, max_size=4))
def test_the_boundary_lies_within_what_is_common(texts: list[str]) -> None:
    split = boundary(texts)
    assert len({text[:split] for text in texts}) == 1
    assert 0 <= split <= min(map(len, texts))


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_is_the_longest_shared_beginning(a: list[int], b: list[int]) -> None:
    length = common(a, b)
    assert a[:length] == b[:length]
    assert length == min(len(a), len(b)) or a[length] != b[length]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(1, 20))
def test_each_example_is_in_one_batch_and_one_part(lengths: list[int], size: int) -> None:
    data = [Sample(tuple(range(index, index + length)), (0,)) for index, length in enumerate(lengths)]
    grouped = batches(data, size, "seed")
    assert sorted(sample.ids for batch in grouped for part in parts(batch) for sample in part) == sorted(
        sample.ids for sample in data
    )
    assert all(len(batch) <= size for batch in grouped)
    assert grouped == batches(data, size, "seed")


@given(st.integers(1, 500), st.floats(1e-6, 1))
def test_the_learning_rate_rises_to_its_peak_and_falls(steps: int, peak: float) -> None:
    rates = [rate(step, steps, peak) for step in range(steps)]
    assert max(rates) == pytest.approx(peak)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0


@pytest.mark.parametrize(("examples", "batch"), [(10, 1), (100, 4), (400, 16), (2400, 16)])
def test_auto_gives_fifty_steps_where_the_data_allow(examples: int, batch: int) -> None:
    settings = Hyperparameters().resolved(examples, 30)
    assert (settings.n_epochs, settings.batch_size, settings.lora_layers) == (2, batch, 10)
    assert 2 * -(-examples // batch) >= min(50, 2 * examples)


def test_a_task_survives_its_file(tmp_path: Path) -> None:
    from harness_local.models.loading import Placement, Source

    task = Task(
        source=Source(id="m", location="/models/m"),
        placement=Placement(device="cpu", dtype="float32", threads=2),
        training=Path("a"),
        validation=None,
        hyperparameters=Hyperparameters(n_epochs=3),
        seed=1,
    )
    task.write(tmp_path / "task.json")
    assert Task.load(tmp_path / "task.json") == task


def test_processor_flags(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags\t\t: fpu amx_bf16 avx2\n\nprocessor : 1\nflags\t\t: fpu\n")
    assert processor_flags(info) == {"fpu", "amx_bf16", "avx2"}
    assert processor_flags(tmp_path / "none") == frozenset()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("127.0.0.1.evil.example", False), ("", False)],
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


class _Letters:
    """Spells each character as one token."""

    def encode(self, text: str, *, start: bool = True) -> Any:
        from harness_local.models.tokens import Encoded

        return Encoded(tuple(map(ord, text)), tuple(range(1, len(text) + 1)))

    def piece(self, token: int) -> str:
        return "?"


@given(
    st.dictionaries(
        st.sampled_from(["prompt", "messages", "max_tokens", "stop", "n", "logprobs", "echo", "seed", "best_of", "x"]),
        VALUES,
        max_size=6,
    )
)
def test_any_body_is_read_or_refused_in_the_api_s_words(values: dict[str, Any]) -> None:
    from harness_local.api import requests

    codec: Any = _Letters()
    for reader in (lambda body: requests.completion(body, codec, 100), requests.chat):
        try:
            reader({"model": "m", **values})
        except ApiError as error:
            if error.status != 400 or not json.dumps(error.body()):
                raise


@given(st.lists(VALUES, max_size=14))
def test_any_training_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("file") / "train.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(FileError) as caught:
        read(path)
    assert caught.value.code in ("invalid_file_format", "invalid_n_examples")


def test_unknown_fields_are_refused_with_the_nearest_name() -> None:
    fields = Fields({"temprature": 1})
    fields.number("temperature", 1.0)
    with pytest.raises(ApiError, match="'temperature'"):
        fields.finish()
