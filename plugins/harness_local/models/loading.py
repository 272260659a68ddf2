"""Which model, on which device, in which number type; and how it gets into memory."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.weights import DIGITS, GGUF, fingerprint, weight_files
from harness_local.models import embedded

_HOSTED = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:/(\w[\w.-]*\.gguf))?", flags=re.ASCII)
_CONTEXT = 2048  # where a model does not say
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
        weights: Fingerprint of its weights, by which models of one name are told apart; None before it is loaded.
    """

    id: str
    location: str
    gguf: str | None = None
    weights: str | None = None


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
        """Most tokens of a prompt and its answer together.

        Where layers see a window of the text alone, that window: within it they see all, so answers are exact.
        """
        config = self._text_config
        most = int(getattr(config, "max_position_embeddings", None) or _CONTEXT)
        return min([most, *windows(config)])

    @property
    def vocabulary(self) -> int:
        """Number of the model's tokens."""
        return int(self._text_config.vocab_size)

    @property
    def _text_config(self) -> Any:
        return self.model.config.get_text_config(decoder=True)

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        configured = self.model.generation_config.eos_token_id
        listed = configured if isinstance(configured, list) else [configured]
        return frozenset(int(t) for t in [*listed, self.tokenizer.eos_token_id] if t is not None)


def windows(config: Any) -> list[int]:
    """How many tokens back layers see, for each kind of layer that does not see all."""
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention"])
    sizes = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
    return [int(size) for kind, name in sizes.items() if kind in kinds and (size := getattr(config, name, None))]


def find(model: str | None, say: Callable[[str], None] | None = None) -> Source:
    """The model a user asked for.

    Args:
        model: None or the embedded model's name for the embedded one; a folder; a GGUF file; a Hugging Face id
            (``owner/name``), or a GGUF file of one (``owner/name/file.gguf``).
        say: Called with a line when something has to be fetched.

    Raises:
        UsageError: There is no such model, or its weights are in a form that is not loaded.
        UnfinishedError: The embedded model had to be fetched and could not be.
    """
    if model is None or model.casefold() == embedded.NAME.casefold():
        # Its files are written on this machine, and by another version maybe otherwise.
        weights = embedded.MODEL.sha256[:DIGITS]
        return Source(id=embedded.NAME, location=str(embedded.embedded_model(say)), weights=weights)
    path = Path(model).expanduser()
    if model and path.is_dir():
        return _folder(model, path.resolve())
    if path.is_file():
        if path.suffix != GGUF:
            raise UsageError(f"--model {model}: not a *{GGUF} file", "give a GGUF file, or the model's whole folder")
        path = path.resolve()
        return Source(id=path.stem, location=str(path.parent), gguf=path.name)
    if hosted := _HOSTED.fullmatch(model):
        owner_and_name, file = hosted.groups()
        return Source(id=Path(file).stem if file else model, location=owner_and_name, gguf=file)
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    names = {name.casefold(): name for name in (embedded.NAME, *(entry.name for entry in beside))}
    close = get_close_matches(path.name.casefold(), names, n=1)
    meant = f"Did you mean {names[close[0]]}? " if close else ""
    raise UsageError(
        f"--model {model}: no such folder or GGUF file, and not a Hugging Face id such as owner/name",
        f"{meant}leave --model out for the embedded {embedded.NAME}",
    )


def _folder(model: str, path: Path) -> Source:
    """A model in a folder: safetensors, or one GGUF file. What else lies there is not looked at."""
    if any(path.glob("*.safetensors")) and path.joinpath("config.json").is_file():
        return Source(id=path.name, location=str(path))
    files = sorted(file.name for file in path.glob(f"*{GGUF}"))
    if len(files) == 1:
        return Source(id=Path(files[0]).stem, location=str(path), gguf=files[0])
    if files:
        raise UsageError(
            f"--model {model}: the folder holds {len(files)} GGUF files", f"name one, such as {path / files[0]}"
        )
    if path.joinpath("adapter_config.json").is_file():
        raise UsageError(
            f"--model {model}: the folder holds an adapter, not a model", "give the model that it was trained on"
        )
    raise UsageError(
        f"--model {model}: the folder holds no model, which is config.json with *.safetensors, or a *{GGUF} file",
        "pickled weights (*.bin, *.pt) are never loaded: save them as safetensors",
    )


def place(device: str | None, dtype: str | None) -> Placement:
    """The best device and number type of this machine, or those that the user forces.

    bfloat16 halves the time where the processor multiplies it natively and takes five times as long where it does
    not, so processors are asked for what they can do.

    Raises:
        UsageError: The device or number type is unknown or not there.
    """
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"--dtype {dtype} is not known", f"one of {', '.join(DTYPES)}")
    if device is not None and device not in DEVICES:
        raise UsageError(f"--device {device} is not known", f"one of {', '.join(DEVICES)}")
    import torch

    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device is not None and not there[device]:
        raise UsageError(f"--device {device} is not there", f"here: {', '.join(d for d in DEVICES if there[d])}")
    chosen = device or next(d for d in ("cuda", "mps", "cpu") if there[d])
    if dtype is None:
        if chosen == "cpu":
            dtype = "bfloat16" if _FAST_BF16 & processor_flags() else "float32"
        else:
            dtype = "bfloat16" if chosen == "cuda" and torch.cuda.is_bf16_supported() else "float32"
    return Placement(device=chosen, dtype=dtype, threads=threads())


def threads() -> int:
    """Threads to compute with: the processors this process may use, or what ``OMP_NUM_THREADS`` says."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # it may be a list, of nested levels
    if asked.isdecimal() and int(asked):
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


def load(
    source: Source, placement: Placement, *, attention: str | None = None, say: Callable[[str], None] | None = None
) -> Loaded:
    """Reads a model and its tokenizer; only safetensors and GGUF, and no code of the model's own.

    What Hugging Face's cache holds is taken as it is; the network is asked for what is not there.

    Args:
        source: What `find` returned.
        placement: What `place` returned.
        attention: `transformers` attention implementation; None for the quickest that the model has.
        say: Called with a line when something has to be fetched.

    Raises:
        UsageError: The model cannot be loaded, or its weights are not complete.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(placement.threads)
    try:
        folder = _fetched(source, say)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=source.gguf, trust_remote_code=False)
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=source.gguf,
            dtype=getattr(torch, placement.dtype),
            attn_implementation=attention,
            use_safetensors=None if source.gguf else True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except MemoryError:
        raise
    except Exception as error:  # of many kinds: a file that is no JSON, a tensor cut short, a server that says no
        raise _unloadable(source, error) from None
    if lacking := sorted(report["missing_keys"]):  # they would be filled with random numbers
        raise UsageError(
            f"the model {source.id} cannot be loaded: it lacks {len(lacking)} of its weights, such as {lacking[0]}",
            "either a file is missing, or it is no causal language model",
        )
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise UsageError(
            f"the model {source.id} cannot be served: it has no tokenizer.json", "convert its tokenizer to that form"
        )
    model.eval().requires_grad_(False)
    return Loaded(source=_identified(source, Path(folder)), model=model.to(placement.device), tokenizer=tokenizer)


def _identified(source: Source, folder: Path) -> Source:
    """The same source with the fingerprint of the weights that lie in its folder."""
    return source if source.weights else replace(source, weights=fingerprint(weight_files(folder, source.gguf)))


def _fetched(source: Source, say: Callable[[str], None] | None) -> str:
    """The folder of a model; of one on Hugging Face, its place in the cache, which the network fills where it must.

    `transformers` itself would ask the network each time, for files that most models lack.
    """
    if Path(source.location).is_dir():
        return source.location
    from huggingface_hub import model_info, snapshot_download

    wanted = [source.gguf] if source.gguf else ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model"]
    known = partial(snapshot_download, source.location, allow_patterns=wanted, ignore_patterns=["*/*", "consolidated*"])
    with contextlib.suppress(OSError):
        folder = known(local_files_only=True)
        if _whole(Path(folder), source.gguf):
            return folder
    if say is not None:
        say(f"fetching {source.location} from Hugging Face (once)")
    model_info(source.location, timeout=10)  # says at once that there is no such model, or no network
    return known()


def _whole(folder: Path, gguf: str | None) -> bool:
    """Whether a folder of the cache has what a model needs: other programs may have fetched a part of it."""
    described = gguf is not None or folder.joinpath("config.json").is_file()
    return described and all(file.is_file() for file in weight_files(folder, gguf))


def _unloadable(source: Source, error: Exception) -> UsageError:
    text = str(error).strip()
    message = f"the model {source.id} cannot be loaded"
    if "trust_remote_code" in text:
        return UsageError(f"{message}: it needs code of its own, which is never run", "take a model without auto_map")
    reason = text.splitlines()[0][:200] if text else type(error).__name__
    if not Path(source.location).is_dir():
        hint = (
            "Check the id and the network (HF_TOKEN for a gated model); what was once fetched needs none.\n"
            f"Or give --model a folder, or leave it out for the embedded {embedded.NAME}."
        )
        return UsageError(f"{message}: {reason}", hint)
    return UsageError(f"{message}: {reason}", "it must be a causal language model that transformers knows")
