"""What a training process is told, and the rules behind ``"auto"``. Plain values: no torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness_local.models.loading import Placement, Source

BASE_RATE = 1e-3
"""Learning rate at multiplier 1: what LoRA of rank 8 bears on the embedded model."""

ALL = "all"
"""The value of `lora_targets` that stands for every linear layer."""

_BATCH = 16
_STEPS = 50


class TrainingError(Exception):
    """A training cannot be carried out as asked.

    Args:
        code: For programs, such as ``invalid_file_format``.
        message: For people: what is wrong, and what would do.
        param: The field of the request that is meant.
    """

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """Settings of a training, as asked for; None where ``"auto"``.

    Attributes:
        n_epochs: Passes over the training file. Auto: 2.
        batch_size: Examples of one step. Auto: 16, or fewer, so that there are at least 50 steps where the data allow.
        learning_rate_multiplier: Times 0.001. Auto: 1.
        warmup_ratio: Share of the steps, from 0 to 0.5, over which the learning rate rises to its peak; over the others
            it falls to 0 in a straight line. Auto: 0.1.
        lora_rank: Rank of the adapter's matrices. Auto: 8.
        lora_alpha: Their scale is alpha over rank. Auto: twice the rank.
        lora_layers: How many of the topmost layers get an adapter. Auto: a third of the model's, rounded up.
        lora_targets: Names of the linear layers in them that get one, such as ``q_proj``, or ``"all"``. Auto: all.
    """

    n_epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    warmup_ratio: float | None = None
    lora_rank: int | None = None
    lora_alpha: float | None = None
    lora_layers: int | None = None
    lora_targets: Sequence[str] | None = None

    def resolved(self, examples: int, layers: int) -> Hyperparameters:
        """The same with values in the place of ``"auto"``.

        Args:
            examples: Number of training examples.
            layers: Number of the model's layers.
        """
        epochs = self.n_epochs or 2
        rank = self.lora_rank or 8
        return Hyperparameters(
            n_epochs=epochs,
            batch_size=self.batch_size or max(1, min(_BATCH, epochs * examples // _STEPS)),
            learning_rate_multiplier=self.learning_rate_multiplier or 1.0,
            warmup_ratio=0.1 if self.warmup_ratio is None else self.warmup_ratio,
            lora_rank=rank,
            lora_alpha=self.lora_alpha or 2.0 * rank,
            lora_layers=min(self.lora_layers or -(-layers // 3), layers),
            lora_targets=self.lora_targets or ALL,
        )


def check_shape(asked: Mapping[str, Any], shape: Mapping[str, Any]) -> None:
    """Refuses settings that do not fit the adapter that is trained on.

    Args:
        asked: Settings by name; those that are None or ``"auto"`` fit anything.
        shape: What the adapter is made of, by the same names; targets in order.

    Raises:
        TrainingError: The first setting of another value.
    """
    for name, value in shape.items():
        wanted = asked.get(name)
        wanted = sorted(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else wanted
        if wanted not in (None, "auto", value):
            message = f"{name} is {value} in the model that is trained on, and cannot be changed to {wanted}."
            raise TrainingError("invalid_value", message, f"hyperparameters.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One training.

    Attributes:
        source: The base model.
        placement: Where to compute.
        training: Training file.
        validation: Validation file.
        hyperparameters: As asked for.
        seed: Seed of initial weights and of the order of batches.
        adapter: Folder of an adapter to go on from.
    """

    source: Source
    placement: Placement
    training: Path
    validation: Path | None
    hyperparameters: Hyperparameters
    seed: int
    adapter: Path | None = None

    def write(self, file: Path) -> None:
        """Writes the task for the training process."""
        file.write_text(json.dumps(asdict(self), default=str), encoding="utf-8")

    @classmethod
    def load(cls, file: Path) -> Task:
        """Reads what `write` wrote, in this version or an earlier one."""
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return cls(
            source=Source(**values["source"]),
            placement=Placement(**values["placement"]),
            training=Path(values["training"]),
            validation=values["validation"] and Path(values["validation"]),
            hyperparameters=Hyperparameters(**values["hyperparameters"]),
            seed=values["seed"],
            adapter=values["adapter"] and Path(values["adapter"]),
        )
