"""A model split in two for training: frozen layers below, adapted layers above.

What the frozen layers say about an example never changes, so it is computed once and kept; later epochs only go
through the upper layers, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from harness_local.models.kinds import PLAIN
from harness_local.models.loading import Loaded
from harness_local.training.examples import Sample
from harness_local.training.task import ALL, Hyperparameters, Task, TrainingError, check_shape

_KEPT_BYTES = 2**30
_PASS_TOKENS = 1024


class Trainable:
    """The model with an adapter to train.

    Args:
        loaded: The base model.
        task: What to train; its adapter, if any, is gone on from.
        hyperparameters: Resolved settings.

    Attributes:
        adapter: The model with the adapter, as peft holds it.
        settings: The settings, with what the adapter is really made of.

    Raises:
        TrainingError: The settings do not fit the model, or the adapter that is gone on from.
    """

    def __init__(self, loaded: Loaded, task: Task, hyperparameters: Hyperparameters) -> None:
        from peft import PeftModel

        self._model = loaded.model
        self._decoder = loaded.model.base_model
        linear = self._linear()
        if task.adapter is None:
            self.adapter = self._fresh(hyperparameters, linear)
        else:
            self.adapter = PeftModel.from_pretrained(self._model, task.adapter, is_trainable=True)
            self._check_shape(task.hyperparameters, hyperparameters, linear)
        self.settings = replace(hyperparameters, **self._shape())
        self._frozen = self._frozen_layers()
        self._together: dict[Sample, tuple[Sample, ...]] = {}
        self._kept: dict[Sample, Any] = {}

    def _linear(self) -> set[str]:
        """Names of the decoder's linear layers, without the (tied) output layer, which gets no adapter."""
        from torch import nn

        return {name.rsplit(".", 1)[-1] for name, m in self._decoder.named_modules() if isinstance(m, nn.Linear)}

    def _shape(self) -> dict[str, Any]:
        """The adapter's own settings, whoever chose them."""
        config = self.adapter.peft_config["default"]
        return {
            "lora_rank": config.r,
            "lora_alpha": float(config.lora_alpha),
            "lora_layers": len(config.layers_to_transform or range(self._model.config.num_hidden_layers)),
            "lora_targets": sorted(config.target_modules),
        }

    def _check_shape(self, asked: Hyperparameters, resolved: Hyperparameters, linear: set[str]) -> None:
        """Refuses settings that an adapter which is gone on from does not have."""
        shape = self._shape()
        given = {name: getattr(resolved, name) for name in shape if getattr(asked, name) is not None}
        if given.get("lora_targets") == ALL:
            given["lora_targets"] = sorted(linear)
        check_shape(given, shape)

    def _fresh(self, hyperparameters: Hyperparameters, linear: set[str]) -> Any:
        """A new adapter on linear layers of the topmost decoder layers."""
        from peft import LoraConfig, get_peft_model

        config = self._model.config
        total = int(config.num_hidden_layers)
        adapted = hyperparameters.lora_layers or total
        targets = hyperparameters.lora_targets or ALL
        names = linear if targets == ALL else set(targets)
        if unknown := sorted(names - linear):
            message = (
                f"The model has no linear layers called {', '.join(unknown)[:200]}, but {', '.join(sorted(linear))}."
            )
            raise TrainingError("invalid_value", message, "hyperparameters.lora_targets")
        split = config.model_type in PLAIN
        settings = LoraConfig(
            r=hyperparameters.lora_rank,
            lora_alpha=hyperparameters.lora_alpha,
            lora_dropout=0.0,
            target_modules=sorted(names),
            layers_to_transform=list(range(total - adapted, total)) if split else None,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(self._model, settings)

    def _frozen_layers(self) -> int:
        """How many layers below the first adapted one; 0 where this architecture cannot be split."""
        config = self._model.config
        if config.model_type not in PLAIN or len(set(getattr(config, "layer_types", None) or [""])) > 1:
            return 0
        for index, layer in enumerate(self._decoder.layers):
            if any(parameter.requires_grad for parameter in layer.parameters()):
                return index
        return 0

    @property
    def parameters(self) -> list[Any]:
        """The adapter's parameters, in a fixed order."""
        return [parameter for parameter in self.adapter.parameters() if parameter.requires_grad]

    def logits(self, batch: Sequence[Sample]) -> tuple[Any, Any]:
        """Logits in float32 at every learned token of a batch, and the tokens that should come out.

        Sequences are padded on the right: under causal attention no real token sees the padding, so no mask is needed.
        """
        import torch

        rows = [row for row, sample in enumerate(batch) for _ in sample.learned]
        columns = [place - 1 for sample in batch for place in sample.learned]
        targets = torch.tensor([sample.ids[place] for sample in batch for place in sample.learned])
        hidden = self._upper(batch) if self._frozen else self._decoder(**self._inputs(batch)).last_hidden_state
        logits = self._model.get_output_embeddings()(hidden[rows, columns]).float()
        return logits, targets.to(logits.device)

    def _inputs(self, batch: Sequence[Sample]) -> dict[str, Any]:
        import torch

        ids = torch.zeros(len(batch), max(len(sample.ids) for sample in batch), dtype=torch.long)
        for row, sample in enumerate(batch):
            ids[row, : len(sample.ids)] = torch.tensor(sample.ids)
        return {"input_ids": ids.to(self._model.device), "use_cache": False}

    def _upper(self, batch: Sequence[Sample]) -> Any:
        import torch

        states = self._lower(batch)
        padded = torch.nn.utils.rnn.pad_sequence(states, batch_first=True)
        with _cut(self._decoder, slice(self._frozen, None), self._decoder.norm):
            return self._decoder(inputs_embeds=padded, use_cache=False).last_hidden_state

    def plan(self, groups: Iterable[Sequence[Sample]]) -> None:
        """Decides which examples go through the frozen layers together, and whose states are kept.

        Sums come out a little differently in other company. Because the company is decided here, once and from what
        does not change, a training that was interrupted computes the same numbers as one that was not.

        Args:
            groups: Examples that will be foreseen together, in this order.
        """
        if not self._frozen:
            return
        room = _KEPT_BYTES // (self._model.config.hidden_size * self._model.dtype.itemsize)  # in tokens
        for group in groups:
            new = sorted(
                (s for s in dict.fromkeys(group) if s not in self._together), key=lambda s: (len(s.ids), s.ids)
            )
            while new:
                most = max(1, _PASS_TOKENS // len(new[-1].ids))
                part, new = tuple(new[-most:]), new[:-most]
                if (size := sum(len(sample.ids) for sample in part)) <= room:
                    room -= size
                    self._together.update(dict.fromkeys(part, part))

    def foresee(self, samples: Sequence[Sample]) -> None:
        """Computes what the frozen layers make of examples that are about to come, as far as it was planned.

        Together they fill passes that a batch of a step is too small for.
        """
        for sample in samples:
            if sample in self._together and sample not in self._kept:
                self._kept.update(self._states(self._together[sample]))

    def _lower(self, batch: Sequence[Sample]) -> list[Any]:
        """What the frozen layers make of each example; of those beyond the room for kept states it is not kept."""
        self.foresee(batch)
        unplanned = [sample for sample in batch if sample not in self._together]
        fresh = self._states(unplanned) if unplanned else {}
        return [fresh[sample] if sample in fresh else self._kept[sample] for sample in batch]

    def _states(self, samples: Sequence[Sample]) -> dict[Sample, Any]:
        import torch

        with torch.no_grad(), _cut(self._decoder, slice(self._frozen), torch.nn.Identity()):
            hidden = self._decoder(**self._inputs(samples)).last_hidden_state
        return {sample: hidden[row, : len(sample.ids)].clone() for row, sample in enumerate(samples)}


@contextmanager
def _cut(decoder: Any, layers: slice, norm: Any) -> Iterator[None]:
    """Makes a decoder run some of its layers only, with this norm behind them."""
    whole = decoder.layers, decoder.norm
    decoder.layers, decoder.norm = decoder.layers[layers], norm
    try:
        yield
    finally:
        decoder.layers, decoder.norm = whole
