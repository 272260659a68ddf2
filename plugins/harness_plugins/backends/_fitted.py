"""What backends share that learn in this process: the files of a model, without pickle, and answers from shares."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import harness


def save(folder: Path, name: str, described: Mapping[str, Any], **arrays: Any) -> None:
    """Leaves a model in `NAME.json` and `NAME.npz`; the engine sees to it that the folder appears whole or not at all.

    Args:
        folder: The arm's own.
        name: What the files are called.
        described: What is no array; JSON.
        **arrays: NumPy arrays.
    """
    import numpy as np

    np.savez_compressed(folder / f"{name}.npz", **arrays)
    (folder / f"{name}.json").write_text(json.dumps(described), encoding="utf-8")


@contextmanager
def loaded(ctx: harness.Context, name: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Gives back what `save` has left: what was described, and the arrays, which are read as they are asked for.

    Raises:
        harness.DataError: It is not there, not readable, or lacks what the block looks up in it.
    """
    import numpy as np

    try:
        described = json.loads((ctx.folder / f"{name}.json").read_text(encoding="utf-8"))
        # Opened here: of a file that is cut off, `np.load` would leave it open.
        with (ctx.folder / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield described, arrays
    except (OSError, ValueError, KeyError, BadZipFile):
        raise harness.DataError(
            f'arm "{ctx.arm}" has no readable {name}.json and {name}.npz in {ctx.folder}',
            "run the training stage again",
        ) from None


def most_probable(shares: dict[str, float]) -> harness.Answer:
    """Answers the label with the largest share; the first of equals."""
    return harness.Answer(text=max(shares, key=shares.__getitem__), probabilities=shares)
