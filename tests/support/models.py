"""Small models with random weights, in the forms in which models come."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any


def configured(kind: str, vocabulary: int) -> Any:
    """The configuration of a small model of some kind."""
    import transformers

    same = {"vocab_size": vocabulary, "initializer_range": 0.3, "eos_token_id": None, "bos_token_id": None}
    sizes = {
        **same, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "pad_token_id": None,
    }  # fmt: skip
    flat = {**same, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 512}
    options: dict[str, tuple[str, dict[str, Any]]] = {
        "llama": ("LlamaConfig", sizes),
        "mistral": ("MistralConfig", sizes | {"sliding_window": None}),
        "mistral, sliding": ("MistralConfig", sizes | {"sliding_window": 48}),
        "qwen2": ("Qwen2Config", sizes),
        "qwen3": ("Qwen3Config", sizes | {"head_dim": 8}),
        "gemma": ("GemmaConfig", sizes | {"head_dim": 8}),
        "gemma3, sliding": ("Gemma3TextConfig", sizes | {"head_dim": 8, "sliding_window": 48, "num_hidden_layers": 6}),
        "gpt2": ("GPT2Config", flat),
        "gpt_neox": ("GPTNeoXConfig", sizes | {"num_attention_heads": 2}),
        "phi3": ("Phi3Config", sizes),
        "gemma2": ("Gemma2Config", sizes | {"head_dim": 8}),
        "cohere": ("CohereConfig", sizes),
        "mpt": ("MptConfig", {"vocab_size": vocabulary, "d_model": 32, "n_heads": 2, "n_layers": 2}),
        "gpt_neo": ("GPTNeoConfig", {
            **same, "hidden_size": 32, "num_layers": 2, "num_heads": 2, "window_size": 16,
            "attention_types": [[["global", "local"], 1]],
        }),
        "mamba": ("MambaConfig", {**same, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}),
        "bert": ("BertConfig", sizes | {"pad_token_id": 0}),
    }  # fmt: skip
    name, values = options[kind]
    return getattr(transformers, name)(**values)


def make(kind: str, folder: Path, tokenizer: Path) -> Path:
    """Writes a small model of some kind, with the tokenizer of another model."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    spoken = AutoTokenizer.from_pretrained(tokenizer)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        AutoModelForCausalLM.from_config(configured(kind, len(spoken))).save_pretrained(folder)
    spoken.save_pretrained(folder)
    return folder


def copy_tokenizer(source: Path, folder: Path, *, tokens: int) -> None:
    """Copies a model's tokenizer without its later merges: with tens of thousands it takes half a second to load."""
    whole = json.loads(source.joinpath("tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = {token: number for token, number in whole["model"]["vocab"].items() if number < tokens}
    merges = [pair for pair in whole["model"]["merges"] if "".join(pair) in vocabulary]
    whole["model"].update(vocab=vocabulary, merges=merges)
    folder.joinpath("tokenizer.json").write_text(json.dumps(whole), encoding="utf-8")
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(source / name, folder)


def hub_cache(folder: Path, model: str, source: Path) -> Path:
    """Lays a model out as Hugging Face's cache holds it; returns the cache."""
    place = folder / f"models--{model.replace('/', '--')}"
    commit = "c" * 40
    place.joinpath("refs").mkdir(parents=True)
    place.joinpath("refs", "main").write_text(commit)
    blobs, snapshot = place / "blobs", place / "snapshots" / commit
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in source.iterdir() if path.is_file())):
        blob = blobs / f"{number:040x}"
        shutil.copy(file, blob)
        snapshot.joinpath(file.name).symlink_to(Path("..", "..", "blobs", blob.name))
    return folder


def write_gguf(file: Path) -> None:
    """Writes a small GGUF model that spells every text byte by byte."""
    import numpy as np
    from gguf import GGUFWriter, TokenType
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokens = ["<|end|>", *bytes_to_unicode().values(), "th"]
    size, inner, generator = 32, 64, np.random.default_rng(3)
    writer = GGUFWriter(file, "llama")
    writer.add_block_count(2)
    writer.add_context_length(256)
    writer.add_embedding_length(size)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL, *[TokenType.NORMAL] * (len(tokens) - 1)])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    shapes = {"token_embd": (len(tokens), size), "output_norm": (size,), "output": (len(tokens), size)}
    for layer in range(2):
        shapes |= {f"blk.{layer}.attn_{part}": (size, size) for part in ("q", "k", "v", "output")}
        shapes |= {f"blk.{layer}.{part}_norm": (size,) for part in ("attn", "ffn")}
        shapes |= {f"blk.{layer}.ffn_{part}": (inner, size) for part in ("gate", "up")}
        shapes |= {f"blk.{layer}.ffn_down": (size, inner)}
    for name, shape in shapes.items():
        values = np.ones(shape) if len(shape) == 1 else generator.normal(0, 0.3, shape)
        writer.add_tensor(f"{name}.weight", values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
