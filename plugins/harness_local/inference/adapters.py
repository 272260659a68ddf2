"""Fine-tuned models on one base in memory.

Switching tells the decoder what to add to its layers' products, and an adapter is loaded by reading its safetensors:
`peft`, which wraps layers for that, took 270 to 550 ms for each adapter of the embedded model, 23 ms for each switch,
and half a second to start with.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness_local.inference.decoder import Applied, Decoder, Patch

MOST = 32
"""How many adapters are held in memory."""

_MOST_BYTES = 2**30
_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
_NOT_DONE = (
    "use_dora", "use_qalora", "use_bdlora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern",
    "alora_invocation_tokens", "layer_replication", "arrow_config",
)  # fmt: skip
_BEGINNINGS = (None, True, False, "gaussian", "eva", "orthogonal")
"""`init_lora_weights` that leave the base model as it is; PiSSA, OLoRA, CorDA, LoftQ and others subtract from it."""


class AdapterError(Exception):
    """An adapter's folder holds what cannot be applied."""


class Adapters:
    """The adapters of one model, the least recently used leaving memory first.

    Args:
        model: The base model, a `transformers` causal language model.
        decoder: Runs its layers.
        folder: Where an adapter lies, by its name; `KeyError` where there is none.
        most: How many to hold.
        most_bytes: How much memory to hold them in.
    """

    def __init__(
        self,
        model: Any,
        decoder: Decoder,
        folder: Callable[[str], Path],
        *,
        most: int = MOST,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._model, self._decoder, self._folder = model, decoder, folder
        self._most, self._most_bytes = most, most_bytes
        self._held: OrderedDict[str, Applied] = OrderedDict()
        self._active: str | None = None

    def __contains__(self, name: str) -> bool:
        """Whether an adapter is in memory."""
        return name in self._held

    def use(self, name: str | None) -> None:
        """Makes the model compute with an adapter, or with none.

        Raises:
            KeyError: There is no such adapter.
            AdapterError: It is of a kind that cannot be applied, or of another model.
            OSError: It cannot be read.
        """
        if name is not None and name in self._held:
            self._held.move_to_end(name)
        if name == self._active:
            return
        if name is not None and name not in self._held:
            self._held[name] = self.load(self._folder(name))
            self._make_room()
        self._off()
        if name is not None:
            self._held[name].on()
        self._active = name

    def drop(self, name: str) -> None:
        """Frees an adapter's memory."""
        if name == self._active:
            self._off()
        self._held.pop(name, None)

    def _off(self) -> None:
        if self._active is not None:
            self._held[self._active].off()
        self._active = None

    def _make_room(self) -> None:
        def size() -> int:
            return sum(held.nbytes for held in self._held.values())

        while len(self._held) > 1 and (len(self._held) > self._most or size() > self._most_bytes):
            self.drop(next(iter(self._held)))

    def load(self, folder: Path) -> Applied:
        """Reads an adapter; only safetensors are opened, whatever else the folder holds.

        Raises:
            AdapterError: It is of a kind that cannot be applied, or of another model.
            OSError: It cannot be read.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            settings = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
            weights = load_file(folder / "adapter_model.safetensors", device=str(self._model.device))
            return self._decoder.join(self._patches(settings, weights))
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, SafetensorError) as error:
            raise AdapterError(f"the adapter cannot be used: {error}") from error

    def _patches(self, settings: dict[str, Any], weights: dict[str, Any]) -> list[Patch]:
        if odd := [name for name in _NOT_DONE if settings.get(name)]:
            raise ValueError(f"{odd[0]} is not supported")
        if (beginning := settings.get("init_lora_weights")) not in _BEGINNINGS:
            raise ValueError(
                f'it changes the base model (init_lora_weights = "{beginning}"): save it as plain LoRA, with '
                "peft's path_initial_model_for_weight_conversion"
            )
        rank = int(settings["r"])
        scale = settings["lora_alpha"] / (rank**0.5 if settings.get("use_rslora") else rank)
        patches = []
        for stem in [key.removesuffix(_DOWN) for key in weights if key.endswith(_DOWN)]:
            name, down, up = stem.removeprefix(_PREFIX), weights.pop(stem + _DOWN), weights.pop(stem + _UP)
            try:
                layer = self._model.get_submodule(name)
            except AttributeError:
                raise ValueError(f"the model has no {name}") from None
            patches.append(_fitting(name, Patch(layer, down, up * scale)))
        if weights:
            raise ValueError(f"{next(iter(weights))} is not supported")
        return patches


def _fitting(name: str, patch: Patch) -> Patch:
    """The same patch, whose parts are of its layer's size.

    Raises:
        ValueError: They are not.
    """
    sizes = tuple(patch.layer.weight.shape)
    outputs, inputs = sizes if hasattr(patch.layer, "out_features") else sizes[::-1]  # GPT-2 holds them the other way
    rank = len(patch.down)
    if (tuple(patch.down.shape), tuple(patch.up.shape)) != ((rank, inputs), (outputs, rank)):
        raise ValueError(
            f"the model's {name} has {inputs} inputs and {outputs} outputs, the adapter's parts "
            f"are of {' × '.join(map(str, patch.down.shape))} and {' × '.join(map(str, patch.up.shape))}"
        )
    return patch
