"""Weights of a model in a folder or a GGUF file: which files hold them, and what tells them from others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

GGUF = ".gguf"
DIGITS = 16
"""Of a fingerprint."""
_SAMPLE, _SAMPLES = 1024, 2048  # bytes; of each file


def weight_files(folder: Path, gguf: str | None = None) -> list[Path]:
    """Returns the files that `transformers` reads a model's weights from, in an order that is always the same.

    Args:
        folder: Of the model.
        gguf: The file of quantised weights in it, where it is one.

    Raises:
        OSError: The index of the parts cannot be read.
        ValueError: It is no JSON.
    """
    if gguf is not None:
        return [folder / gguf]
    whole, parts = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file() or not parts.is_file():
        return [whole]
    return sorted({folder / file for file in json.loads(parts.read_text("utf-8"))["weight_map"].values()})


def fingerprint(files: Sequence[Path]) -> str:
    """Returns what tells weights from others of the same shape: sizes and samples of bytes, 16 hexadecimal digits.

    A training changes its matrices throughout, and reading gigabytes would take as long as loading them.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        digest.update(f"{size}\n".encode())
        with file.open("rb", buffering=0) as stream:
            for place in range(0, size, max(_SAMPLE, size // _SAMPLES)):
                stream.seek(place)
                digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()[:DIGITS]


def fingerprint_at(place: Path) -> str:
    """Returns the fingerprint of the model that a folder or a GGUF file holds; "" where none is to be read."""
    try:
        if place.suffix == GGUF:
            return fingerprint([place])
        files = weight_files(place) if any(place.glob("*.safetensors")) else sorted(place.glob(f"*{GGUF}"))
        return fingerprint(files) if files else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # gone, or an index that is none
        return ""
