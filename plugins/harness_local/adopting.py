"""Fine-tuned models from elsewhere: what `harness export` wrote, or the folder that `peft` saves an adapter to."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness_local.disk import complete
from harness_local.inference.adapters import AdapterError
from harness_local.state import State

_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""All that is taken of an adapter's folder."""

_MERGE = (
    "what is applied is plain LoRA on the model that is served; merge others into their model, and give --model that"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter on disk."""

    folder: Path
    """Where its two files lie."""
    model: str | None
    """The id by which it is to be asked; by default one that follows from base and weights."""
    base: str | None
    """The base model that it says it is for."""

    def take_in(self, state: State, base: str, check: Callable[[Path], None]) -> str:
        """Copies it into an endpoint's memory, where it is not there yet.

        Args:
            state: The memory.
            base: The base model that is served.
            check: Raises `AdapterError` where the adapter in a folder cannot be applied to that.

        Returns:
            Its model's id.

        Raises:
            UsageError: It belongs to another base model, or cannot be applied.
        """
        if self.base is not None and self.base.casefold() != base.casefold():
            raise UsageError(
                f"{self.folder} was trained on {self.base}, and {base} is served", f"give --model {self.base}"
            )
        weights = hashlib.sha256((self.folder / _FILES[1]).read_bytes()).hexdigest()
        model = self.model or f"ft:{base}::{weights[:8]}"
        if state.model(model, base) is None:
            try:
                check(self.folder)
            except AdapterError as error:
                raise UsageError(f"--adapter {self.folder}: {error}", _MERGE) from None
            target = state.folder / "brought" / hashlib.sha256(model.encode()).hexdigest()[:24]
            with complete(target) as temporary:
                for name in _FILES:
                    shutil.copyfile(self.folder / name, temporary / name)
            state.add_model(model, base, target)
        return model


def found(folder: Path) -> Adapter:
    """Finds an adapter in a folder, or in `adapter/` of it.

    Raises:
        UsageError: There is none.
    """
    place = folder / "adapter" if (folder / "adapter").is_dir() else folder
    missing = [name for name in _FILES if not (place / name).is_file()]
    if missing:
        raise UsageError(
            f"--adapter {folder}: there is no {missing[0]} in it", "name what harness export wrote, or peft saved"
        )
    told = _told(folder / "arm.json")
    if not isinstance(told, dict) or not all(isinstance(told.get(name), str | None) for name in ("model", "base")):
        raise UsageError(f"--adapter {folder}: arm.json is not as harness export writes it")
    return Adapter(folder=place, model=told.get("model"), base=told.get("base"))


def _told(file: Path) -> Any:
    """What `harness export` wrote beside an adapter: nothing beside one that `peft` saved, None where it is no JSON."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        return None
