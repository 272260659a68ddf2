"""Fine-tuned models on one base: each computes as peft has it, and all share one memory."""

from __future__ import annotations

import json
import pickle
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness_local.inference.adapters import AdapterError, Adapters

PROMPT = "One, two, three"
NAMES = ("ft:tiny:a:1", "ft:tiny:b.2:2", "ft:tiny:c:3")


@pytest.fixture(scope="session")
def adapters(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three adapters, and what peft answers with each, as ``expected.json``."""
    folder = tmp_path_factory.mktemp("adapters")
    with warnings.catch_warnings(action="ignore"):  # peft reads attributes that transformers renames
        write(tiny, folder)
    return folder


def write(tiny: Path, folder: Path) -> None:
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = torch.tensor([AutoTokenizer.from_pretrained(tiny)(PROMPT)["input_ids"]])
    targets = (["q_proj", "v_proj"], ["down_proj"], ["k_proj", "o_proj", "gate_proj", "up_proj"])
    expected = {}
    for index, (name, target) in enumerate(zip(NAMES, targets, strict=True)):
        with torch.random.fork_rng():
            torch.manual_seed(index)
            base = AutoModelForCausalLM.from_pretrained(tiny)
            settings = LoraConfig(
                r=2 + index, lora_alpha=8, target_modules=target, init_lora_weights=False, use_rslora=index == 1
            )
            get_peft_model(base, settings).save_pretrained(folder / name)
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny), folder / name).eval()
        with torch.inference_mode():
            expected[name] = model(ids).logits[0].log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])[:, 0].tolist()
    (folder / "expected.json").write_text(json.dumps(expected))


@pytest.fixture
def expected(adapters: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = json.loads((adapters / "expected.json").read_text())
    return found


def scores(outcome: Any) -> list[float]:
    return [token.logprob for token in outcome.stem[1:]]


@pytest.mark.parametrize("most", [1, 2, 32])
def test_each_model_computes_as_peft_has_it(
    build: Callable[..., Any], adapters: Path, expected: dict[str, list[float]], most: int
) -> None:
    lab = build(adapters.joinpath, adapters=most)
    base = scores(lab.ask(PROMPT, scored=True, max_tokens=0))
    order = [*NAMES, None, NAMES[1], None, NAMES[0], NAMES[1], NAMES[2]] * 2
    together = [lab.submit(PROMPT, model=name, scored=True, max_tokens=4) for name in order]
    for name, future in zip(order, together, strict=True):
        assert scores(future.result(60)) == pytest.approx(expected[name] if name else base, abs=1e-3)
    assert len({tuple(round(x, 2) for x in each) for each in (*expected.values(), base)}) == 4
    assert sum(name in lab.engine._adapters for name in NAMES) == min(most, 3)
    lab.ask(PROMPT)
    assert len(lab.engine._lanes) <= 1 + min(most, 3)


def test_models_take_turns(build: Callable[..., Any], adapters: Path) -> None:
    lab = build(adapters.joinpath)
    long = lab.submit(PROMPT, model=NAMES[0], max_tokens=1500)
    for name in (NAMES[1], None, NAMES[2]):
        lab.ask(PROMPT, model=name)
    assert not long.done()
    long.cancel()


def test_a_model_that_is_not_there_fails_alone(build: Callable[..., Any], adapters: Path) -> None:
    def folder(name: str) -> Path:
        if name not in NAMES:
            raise KeyError(name)
        return adapters / name

    lab = build(folder)
    bad, good = lab.submit(PROMPT, model="ft:tiny:x:9"), lab.submit(PROMPT, model=NAMES[0])
    with pytest.raises(KeyError):
        bad.result(60)
    assert good.result(60)
    assert set(lab.engine._lanes) <= {None, NAMES[0]}


def test_a_deleted_model_is_forgotten_with_all_it_kept(build: Callable[..., Any], adapters: Path) -> None:
    gone: set[str] = set()

    def folder(name: str) -> Path:
        if name in gone:
            raise KeyError(name)
        return adapters / name

    lab = build(folder)
    shots = "number one is one, number two is two, " * 4
    for end in ("a", "b", "c"):
        lab.ask(shots + end, model=NAMES[0])
    assert lab.engine._prefixes._held
    long = lab.submit(PROMPT, model=NAMES[0], max_tokens=1500)
    gone.add(NAMES[0])
    lab.engine.drop(NAMES[0])
    with pytest.raises(KeyError):
        long.result(60)
    assert NAMES[0] not in lab.engine._adapters
    assert not lab.engine._prefixes._held
    with pytest.raises(KeyError):
        lab.ask(PROMPT, model=NAMES[0])
    assert lab.ask(PROMPT, model=NAMES[1])


class Bomb:
    """Goes off when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("both", [True, False])
def test_pickles_are_never_opened(
    build: Callable[..., Any], adapters: Path, tmp_path: Path, expected: dict[str, list[float]], both: bool
) -> None:
    shutil.copytree(adapters / NAMES[0], tmp_path / NAMES[0])
    for name in ("adapter_model.bin", "adapter_model.pt", "adapter_config.pkl"):
        (tmp_path / NAMES[0] / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    if not both:
        (tmp_path / NAMES[0] / "adapter_model.safetensors").unlink()
    future = build(tmp_path.joinpath).submit(PROMPT, model=NAMES[0], scored=True)
    if both:
        assert scores(future.result(60)) == pytest.approx(expected[NAMES[0]], abs=1e-3)
    else:
        assert isinstance(future.exception(60), OSError)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"use_dora": True}, {"modules_to_save": ["lm_head"]}, {"r": 0}, {"lora_alpha": None}, {"r": "many"},
        {"init_lora_weights": "pissa_niter_4"}, {"init_lora_weights": "olora"}, {"init_lora_weights": "loftq"},
        {"alora_invocation_tokens": [1, 2]},
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_refused(
    build: Callable[..., Any], adapters: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    shutil.copytree(adapters / NAMES[0], tmp_path / "a")
    config = tmp_path / "a" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    lab = build(tmp_path.joinpath)
    assert isinstance(lab.submit(PROMPT, model="a").exception(60), AdapterError)
    assert lab.ask(PROMPT)
    with pytest.raises(AdapterError):
        lab.engine.check_adapter(tmp_path / "a")


@pytest.mark.parametrize("beginning", [True, False, "gaussian", "eva", "orthogonal"])
def test_how_an_adapter_began_is_no_hindrance_where_the_base_stays_as_it_is(
    build: Callable[..., Any], adapters: Path, tmp_path: Path, beginning: bool | str
) -> None:
    shutil.copytree(adapters / NAMES[0], tmp_path / "a")
    config = tmp_path / "a" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "init_lora_weights": beginning}))
    build(tmp_path.joinpath).engine.check_adapter(tmp_path / "a")


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"hidden_size": 48}, "32 outputs, the adapter's parts are of 2 × (48|64) and (32|48) × 2"),
        ({"intermediate_size": 80}, "64 inputs and 32 outputs, the adapter's parts are of 2 × 80 and 32 × 2"),
        ({"num_hidden_layers": 3}, r"the model has no model\.layers\.2\."),
    ],
)
def test_an_adapter_of_another_model_is_refused(
    build: Callable[..., Any], tiny: Path, tmp_path: Path, sizes: dict[str, int], words: str
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny)
    config.update({**sizes, "head_dim": 16})
    with warnings.catch_warnings(action="ignore"):
        other = get_peft_model(
            AutoModelForCausalLM.from_config(config), LoraConfig(r=2, target_modules=["q_proj", "down_proj"])
        )
        other.save_pretrained(tmp_path / "a")
    lab = build(tmp_path.joinpath)
    with pytest.raises(AdapterError, match=words):
        lab.engine.check_adapter(tmp_path / "a")
    assert isinstance(lab.submit(PROMPT, model="a").exception(60), AdapterError)
    assert lab.ask(PROMPT)


def test_a_check_leaves_nothing_behind(
    build: Callable[..., Any], adapters: Path, expected: dict[str, list[float]]
) -> None:
    lab = build(adapters.joinpath)
    lab.engine.check_adapter(adapters / NAMES[0])
    assert NAMES[0] not in lab.engine._adapters
    assert scores(lab.ask(PROMPT, scored=True)) == scores(build().ask(PROMPT, scored=True))


def test_broken_weights_are_refused(build: Callable[..., Any], adapters: Path, tmp_path: Path) -> None:
    shutil.copytree(adapters / NAMES[0], tmp_path / "a")
    weights = tmp_path / "a" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-7])
    assert isinstance(build(tmp_path.joinpath).submit(PROMPT, model="a").exception(60), AdapterError)


def test_switching_is_quick_and_memory_bounded(build: Callable[..., Any], adapters: Path) -> None:
    lab = build()
    model, run = lab.model, lab.engine._decoder
    held = Adapters(model, run, lambda name: adapters / name.partition("#")[0], most=8, most_bytes=40_000)
    for name in NAMES * 2:
        held.use(name)
    began = time.thread_time()
    for name in (*NAMES, None) * 10:
        held.use(name)
    assert (time.thread_time() - began) / 40 < 0.05
    for count in range(20):
        held.use(f"{NAMES[0]}#{count}")
    assert sum(f"{NAMES[0]}#{count}" in held for count in range(20)) == 8
    assert f"{NAMES[0]}#19" in held
    small = Adapters(model, run, adapters.joinpath, most_bytes=1)
    for name in NAMES:
        small.use(name)
    assert [name in small for name in NAMES] == [False, False, True]
    small.use(None)
    held.use(None)
    assert run._additions == run._none
