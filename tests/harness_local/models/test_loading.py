"""Models in the forms in which they come: found, loaded, or refused in words."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from support.models import hub_cache, make, write_gguf

from harness.errors import UsageError
from harness_local.models.embedded import MODEL, NAME
from harness_local.models.fitness import check
from harness_local.models.loading import Loaded, Placement, find, load, place, windows
from harness_local.models.tokens import Codec

HERE = Placement(device="cpu", dtype="float32", threads=1)


def loaded(model: Path | str) -> Loaded:
    return load(find(str(model)), HERE)


def answers(model: Loaded, text: str = "the cat") -> list[int]:
    """The most probable token at each place of a text."""
    import torch

    ids = Codec(model.tokenizer).encode(text).ids
    with torch.inference_mode():
        found: list[int] = model.model(torch.tensor([ids])).logits[0].argmax(-1).tolist()
    return found


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def refusal(model: Path | str) -> str:
    with pytest.raises(UsageError) as caught:
        check(loaded(model))
    assert len(str(caught.value).splitlines()) <= 3
    return str(caught.value)


def test_the_embedded_model_by_name(model_folder: Path) -> None:
    assert find(None) == find(NAME.lower())
    assert find(None).location == str(model_folder)


def test_weights_in_several_files(tiny: Path, tmp_path: Path) -> None:
    whole = loaded(tiny)
    whole.model.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    whole.tokenizer.save_pretrained(tmp_path / "parts")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    assert answers(loaded(tmp_path / "parts")) == answers(whole)
    next((tmp_path / "parts").glob("*.safetensors")).unlink()
    assert "cannot be loaded" in refusal(tmp_path / "parts")


def test_models_are_told_apart_by_their_weights(tiny: Path, copy: Path, tmp_path: Path) -> None:
    """Not by their names: each of many trainings has a checkpoint-500."""
    import torch

    whole = loaded(tiny)
    assert loaded(copy).source.weights == whole.source.weights
    change(copy / "config.json", use_cache=False)
    copy.joinpath("consolidated.safetensors").write_bytes(b"what no one loads")
    assert loaded(copy).source.weights == whole.source.weights
    with torch.no_grad():  # as one more step of a training does: all in the topmost layer, and by very little
        for parameter in whole.model.model.layers[1].parameters():
            parameter += 1e-5
    whole.model.save_pretrained(copy)
    assert loaded(copy).source.id == "copy"
    assert loaded(copy).source.weights != whole.source.weights
    whole.model.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    whole.tokenizer.save_pretrained(tmp_path / "parts")
    parts = loaded(tmp_path / "parts").source.weights
    assert parts == loaded(tmp_path / "parts").source.weights
    assert find(None).weights == MODEL.sha256[:16]  # wherever and by whichever version it was unpacked


def test_gguf_as_a_file_and_as_a_folder(tmp_path: Path) -> None:
    import torch

    write_gguf(tmp_path / "small.f32.gguf")
    by_file, by_folder = loaded(tmp_path / "small.f32.gguf"), loaded(tmp_path)
    assert by_file.source == by_folder.source
    assert by_file.source.id == "small.f32"
    assert len(by_file.source.weights or "") == 16
    assert (by_file.context, by_file.vocabulary, by_file.ends) == (256, 258, {0})
    assert Codec(by_file.tokenizer).decode(Codec(by_file.tokenizer).encode("the catß").ids) == "the catß"
    assert by_file.model.get_output_embeddings().weight.dtype == torch.float32
    assert answers(by_file) == answers(by_folder)
    write_gguf(tmp_path / "other.gguf")
    assert "2 GGUF files" in refusal(tmp_path)


def test_hugging_face_s_cache_needs_no_network(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    asked: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_cache(tmp_path / "hub", "owner/small", tiny)))
    found = load(find("owner/small"), HERE, say=pytest.fail)
    assert found.source.id == "owner/small"
    assert answers(found) == answers(loaded(tiny))
    assert asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    next(tmp_path.glob("hub/*/snapshots/*/model.safetensors")).unlink()
    with pytest.raises(UsageError, match="owner/small"):
        load(find("owner/small"), HERE)
    said: list[str] = []
    with pytest.raises(UsageError) as caught:
        load(find("owner/other"), HERE, say=said.append)
    assert "fetching owner/other" in said[0]
    assert "owner/other" in str(caught.value)
    assert "folder" in str(caught.value)


@pytest.mark.parametrize("kept", [True, False])
def test_pickles_are_never_loaded(copy: Path, tiny: Path, kept: bool) -> None:
    """A pickle that writes a file when it is opened lies there, beside safetensors or alone."""
    ran = copy / "ran"
    copy.joinpath("pytorch_model.bin").write_bytes(f"cbuiltins\nopen\n(V{ran}\nVw\ntR.".encode())
    if kept:
        assert answers(loaded(copy)) == answers(loaded(tiny))
    else:
        copy.joinpath("model.safetensors").unlink()
        assert "pickled" in refusal(copy)
    assert not ran.exists()


def test_pickles_of_hugging_face_are_never_loaded(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    ran = tmp_path / "ran"
    copy.joinpath("pytorch_model.bin").write_bytes(f"cbuiltins\nopen\n(V{ran}\nVw\ntR.".encode())
    copy.joinpath("model.safetensors").unlink()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(hub_cache(tmp_path / "hub", "owner/pickled", copy)))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "owner/pickled" in refusal("owner/pickled")
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["llama", "of-its-own"])
def test_code_of_a_model_is_never_run(copy: Path, kind: str) -> None:
    ran = copy / "ran"
    copy.joinpath("own.py").write_text(f"open({str(ran)!r}, 'w')\nclass Own: pass\n")
    classes = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": ["own.Own", "own.Own"]}
    change(copy / "config.json", auto_map=classes, model_type=kind)
    change(copy / "tokenizer_config.json", auto_map=classes)
    if kind == "llama":
        assert answers(loaded(copy))
    else:
        assert "never run" in refusal(copy)
    assert not ran.exists()


def test_weights_that_are_missing_are_not_made_up(copy: Path) -> None:
    change(copy / "config.json", num_hidden_layers=3)
    assert "lacks 9 of its weights, such as model.layers.2" in refusal(copy)


def test_broken_files(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert "cannot be loaded" in refusal(copy)
    copy.joinpath("config.json").write_text("{")
    assert "cannot be loaded" in refusal(copy)
    copy.joinpath("config.json").write_text('{"model_type": "no-such-kind"}')
    assert "no-such-kind" in refusal(copy)


def test_models_that_are_no_causal_language_models(copy: Path) -> None:
    change(copy / "config.json", model_type="t5", architectures=["T5ForConditionalGeneration"])
    assert "cannot be loaded" in refusal(copy)


@pytest.mark.parametrize("kind", ["bert", "cohere", "gemma2", "gpt_neo", "mamba", "mpt"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_kinds_that_would_answer_wrongly_are_refused(tiny: Path, tmp_path: Path, kind: str, dtype: str) -> None:
    make(kind, tmp_path / "model", tiny)
    found = load(find(str(tmp_path / "model")), Placement(device="cpu", dtype=dtype, threads=1))
    with pytest.raises(UsageError, match=kind):
        check(found)


def test_a_window_limits_the_context() -> None:
    from transformers import Gemma3TextConfig, Llama4TextConfig, LlamaConfig, MistralConfig, Qwen2Config

    assert windows(LlamaConfig()) == []
    assert windows(MistralConfig(sliding_window=64)) == [64]
    assert windows(Gemma3TextConfig(sliding_window=512)) == [512]
    assert windows(Qwen2Config(sliding_window=64)) == []
    assert windows(Qwen2Config(sliding_window=64, use_sliding_window=True, max_window_layers=1)) == [64]
    assert windows(Llama4TextConfig(attention_chunk_size=128)) == [128]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smollm2-135m", f"Did you mean {NAME}"),
        ("no such model", "Hugging Face id"),
        ("./absent", "no such folder"),
        ("a/b/c/d", "no such folder"),
        ("ünï/code", "no such folder"),
        ("", "no such folder"),
    ],
)
def test_names_of_no_model(name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hint in refusal(name)


def test_other_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("weights.bin").touch()
    assert ".gguf" in refusal("weights.bin")
    assert "holds no model" in refusal(tmp_path)
    assert "Did you mean weights.bin" in refusal("weight.bin")
    tmp_path.joinpath("adapter_config.json").touch()
    tmp_path.joinpath("adapter_model.safetensors").touch()
    assert "adapter" in refusal(tmp_path)


def test_a_gguf_file_on_hugging_face() -> None:
    source = find("owner/small-GGUF/small.Q4_0.gguf")
    assert (source.id, source.location, source.gguf) == ("small.Q4_0", "owner/small-GGUF", "small.Q4_0.gguf")


def test_devices_and_number_types(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from harness_local.models import loading

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(loading, "processor_flags", lambda: frozenset({"avx2"}))
    assert (place(None, None).device, place(None, None).dtype) == ("cpu", "float32")
    monkeypatch.setattr(loading, "processor_flags", lambda: frozenset({"amx_bf16"}))
    assert place("cpu", None).dtype == "bfloat16"
    assert place("cpu", "float16").dtype == "float16"
    with pytest.raises(UsageError, match=r"cuda is not there\nhere: cpu"):
        place("cuda", None)
    with pytest.raises(UsageError, match="one of cpu, cuda, mps"):
        place("tpu", None)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert (place(None, None).device, place(None, None).dtype) == ("mps", "float32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert (place(None, None).device, place(None, None).dtype) == ("cuda", "bfloat16")
