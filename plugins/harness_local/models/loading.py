"""Which model, on which device, in which number type; and how it gets into memory."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness_local.models import embedded

_FAST_BF16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})  # the last is what arm64 calls it
DEVICES = ("cpu", "cuda", "mps")
DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A model to serve.

    Attributes:
        id: Its name in the API.
        location: Folder, or Hugging Face id.
        gguf: The file of quantised weights in that place, where it is one.
    """

    id: str
    location: str
    gguf: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the model computes and with what numbers; training uses the same."""

    device: str
    dtype: str
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A model in memory."""

    source: Source
    model: Any
    tokenizer: Any

    @property
    def context(self) -> int:
        """Most tokens of a prompt and its answer together."""
        return int(getattr(self.model.config, "max_position_embeddings", 2048))

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        configured = self.model.generation_config.eos_token_id
        listed = configured if isinstance(configured, list) else [configured]
        return frozenset(int(t) for t in [*listed, self.tokenizer.eos_token_id] if t is not None)


def find(model: str | None, say: Callable[[str], None] | None = None) -> Source:
    """The model a user asked for.

    Args:
        model: None or the embedded model's name for the embedded one; a folder; a GGUF file; a Hugging Face id.
        say: Called with a line when something has to be fetched.

    Raises:
        UsageError: There is no such model, or its weights are in a form that is not loaded.
        UnfinishedError: The embedded model had to be fetched and could not be.
    """
    if model is None or model.casefold() == embedded.NAME.casefold():
        return Source(id=embedded.NAME, location=str(embedded.embedded_model(say)))
    path = Path(model).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return Source(id=path.stem, location=str(path.parent), gguf=path.name)
    if path.is_dir():
        if not any(path.glob("*.safetensors")):
            raise UsageError(f"--model {model}: the folder holds no *.safetensors", "Pickled weights are never loaded.")
        return Source(id=path.resolve().name, location=str(path))
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
        raise UsageError(
            f"--model {model}: no such folder or GGUF file, and not a Hugging Face id such as owner/name",
            f"Leave --model out for the embedded {embedded.NAME}.",
        )
    return Source(id=model, location=model)


def place(device: str | None, dtype: str | None) -> Placement:
    """The best device and number type of this machine, or those that the user forces.

    bfloat16 halves the time where the processor multiplies it natively and takes five times as long where it does
    not, so processors are asked for what they can do.

    Raises:
        UsageError: The device or number type is unknown or not there.
    """
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is not None and not there.get(device, False):
        raise UsageError(f"--device {device} is not there", f"Here: {', '.join(d for d in DEVICES if there[d])}.")
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"--dtype {dtype} is not known", f"One of {', '.join(DTYPES)}.")
    chosen = device or next(d for d in ("cuda", "mps", "cpu") if there[d])
    if dtype is None:
        if chosen == "cpu":
            dtype = "bfloat16" if _FAST_BF16 & processor_flags() else "float32"
        else:
            dtype = "bfloat16" if chosen == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return Placement(device=chosen, dtype=dtype, threads=threads())


def threads() -> int:
    """Threads to compute with: the processors this process may use, or what ``OMP_NUM_THREADS`` says."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """What the processor says it can do; empty where the system does not tell."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lines = re.findall(r"^(?:flags|Features)\s*:(.*)$", text, flags=re.MULTILINE)
    return frozenset(lines[0].split()) if lines else frozenset()


def load(source: Source, placement: Placement, *, attention: str = "sdpa") -> Loaded:
    """Reads a model and its tokenizer; only safetensors and GGUF, and no code of the model's own.

    Args:
        source: What `find` returned.
        placement: What `place` returned.
        attention: `transformers` attention implementation.

    Raises:
        UsageError: The model cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(placement.threads)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.location, gguf_file=source.gguf, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            source.location,
            gguf_file=source.gguf,
            dtype=getattr(torch, placement.dtype),
            attn_implementation=attention,
            use_safetensors=None if source.gguf else True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"the model {source.id} cannot be loaded: {reason}",
            f"Check the name and the network, or leave --model out for the embedded {embedded.NAME}.",
        ) from None
    model.eval().requires_grad_(False)
    return Loaded(source=source, model=model.to(placement.device), tokenizer=tokenizer)
