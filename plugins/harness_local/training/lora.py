"""A model split in two for training: frozen layers below, adapted layers above.

What the frozen layers say about an example never changes, so it is computed once and kept; later epochs only go
through the upper layers, forwards and backwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness_local.models.loading import Loaded
from harness_local.training.examples import Sample
from harness_local.training.task import Hyperparameters, Task

_SPLITTABLE = frozenset({"llama", "mistral", "qwen2", "qwen3"})
_KEPT_BYTES = 2**30
_PASS_TOKENS = 1024


class Trainable:
    """The model with an adapter to train.

    Args:
        loaded: The base model.
        task: What to train; its adapter, if any, is gone on from.
        hyperparameters: Resolved settings.
    """

    def __init__(self, loaded: Loaded, task: Task, hyperparameters: Hyperparameters) -> None:
        from peft import PeftModel

        self._model = loaded.model
        self._decoder = loaded.model.base_model
        if task.adapter is not None:
            self.adapter = PeftModel.from_pretrained(loaded.model, task.adapter, is_trainable=True)
        else:
            self.adapter = self._fresh(hyperparameters)
        self._frozen = self._frozen_layers()
        self._kept: dict[Sample, Any] = {}
        self._kept_bytes = 0

    def _fresh(self, hyperparameters: Hyperparameters) -> Any:
        """A new adapter on all linear layers of the topmost decoder layers; never on the (tied) output layer."""
        from peft import LoraConfig, get_peft_model
        from torch import nn

        config = self._model.config
        total = int(config.num_hidden_layers)
        adapted = hyperparameters.lora_layers or total
        names = {name.rsplit(".", 1)[-1] for name, m in self._decoder.named_modules() if isinstance(m, nn.Linear)}
        split = config.model_type in _SPLITTABLE
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
        if config.model_type not in _SPLITTABLE or len(set(getattr(config, "layer_types", None) or [""])) > 1:
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
        with _Part(self._decoder, slice(self._frozen, None), self._decoder.norm):
            return self._decoder(inputs_embeds=padded, use_cache=False).last_hidden_state

    def foresee(self, samples: Sequence[Sample]) -> None:
        """Computes what the frozen layers make of examples that are about to come.

        Together they fill passes that a batch of a step is too small for. Examples beyond the room for kept states are
        left to their step.
        """
        if not self._frozen:
            return
        unknown = sorted((s for s in dict.fromkeys(samples) if s not in self._kept), key=lambda s: (len(s.ids), s.ids))
        while unknown:
            most = max(1, _PASS_TOKENS // len(unknown[-1].ids))
            part, unknown = unknown[-most:], unknown[:-most]
            self._keep(self._states(part))

    def _lower(self, batch: Sequence[Sample]) -> list[Any]:
        """What the frozen layers make of each example."""
        unknown = [sample for sample in batch if sample not in self._kept]
        fresh = self._states(unknown) if unknown else {}
        self._keep(fresh)
        return [self._kept[sample] if sample in self._kept else fresh[sample] for sample in batch]

    def _states(self, samples: Sequence[Sample]) -> dict[Sample, Any]:
        import torch

        with torch.no_grad(), _Part(self._decoder, slice(0, self._frozen), torch.nn.Identity()):
            hidden = self._decoder(**self._inputs(samples)).last_hidden_state
        return {sample: hidden[row, : len(sample.ids)].clone() for row, sample in enumerate(samples)}

    def _keep(self, states: dict[Sample, Any]) -> None:
        size = sum(state.numel() * state.element_size() for state in states.values())
        if self._kept_bytes + size <= _KEPT_BYTES:
            self._kept.update(states)
            self._kept_bytes += size


class _Part:
    """Makes a decoder run some of its layers only, while the context is open."""

    def __init__(self, decoder: Any, layers: slice, norm: Any) -> None:
        self._decoder, self._layers, self._norm = decoder, layers, norm

    def __enter__(self) -> None:
        self._whole = (self._decoder.layers, self._decoder.norm)
        self._decoder.layers, self._decoder.norm = self._decoder.layers[self._layers], self._norm

    def __exit__(self, *_: object) -> None:
        self._decoder.layers, self._decoder.norm = self._whole
