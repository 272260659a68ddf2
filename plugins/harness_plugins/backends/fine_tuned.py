"""The `fine-tuned` backend: trains on an endpoint, then asks the trained model the bare prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import harness
from harness_plugins.openai_answers import Asking, Mode, read

Auto = Literal["auto"]
AT_LEAST_ONE = ("n_epochs", "batch_size")
MULTIPLIER = "learning_rate_multiplier"
RANKS = ("lora_rank", "lora_r")
"""How endpoints call the rank of an adapter."""


@dataclass(frozen=True, kw_only=True)
class FineTuned:
    """Trains `base` through files + fine_tuning.jobs, then answers with the fine-tuned model."""

    name: ClassVar[str] = "fine-tuned"
    family: ClassVar[str] = "fine-tuned"
    default_formatter: ClassVar[str] = "completion"

    endpoint: str
    base: str | None = None
    """The model to train: a base model, a fine-tuned one (`ft:…`) to go on from, or `run:NAME/ARM`, that of a run."""
    model: str | None = None
    """A model that is trained already; then nothing is trained."""
    deployment: str | None = None
    """The name by which the trained model is called where it has to be deployed first, as at Azure."""
    answer: Mode = "generate"
    calibrate: bool = False
    max_tokens: int | None = None
    n_epochs: int | Auto = "auto"
    batch_size: int | Auto = "auto"
    learning_rate_multiplier: float | Auto = "auto"
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    """Further hyperparameters that the endpoint knows, e.g. `lora_r`."""
    suffix: str | None = None
    training_seed: int | None = None
    extra_body: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.base is None and self.model is None:
            raise ValueError("give `base`, the model to train, or `model`, one that is trained already")
        if self.calibrate and self.answer != "choose":
            raise ValueError('calibrate = true needs answer = "choose"')
        self._check_hyperparameters()
        if self.suffix is not None and len(self.suffix) > 64:
            raise ValueError("suffix has at most 64 characters")

    def _check_hyperparameters(self) -> None:
        """Refuses what no endpoint can train with; what only some of them know, they judge themselves."""
        given = {name: getattr(self, name) for name in (*AT_LEAST_ONE, MULTIPLIER)} | self.hyperparameters
        for name in AT_LEAST_ONE:
            value = given.get(name, "auto")
            if value != "auto" and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be at least 1")
        multiplier = given.get(MULTIPLIER, "auto")
        if multiplier != "auto" and not (isinstance(multiplier, (int, float)) and 0 < multiplier < math.inf):
            raise ValueError(f"{MULTIPLIER} must be above 0")
        for name, value in self.hyperparameters.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"hyperparameters.{name} must be a finite number")
            if name in RANKS and value != "auto" and (not isinstance(value, int) or value < 1):
                raise ValueError(f"hyperparameters.{name} must be at least 1")

    def job(self, files: harness.TrainingFiles) -> harness.JobSpec:
        """Describes the training job."""
        if self.base is None:
            raise ValueError("there is nothing to train: `model` names a trained model")
        chosen = {
            "n_epochs": self.n_epochs,
            "batch_size": self.batch_size,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
        return harness.JobSpec(
            endpoint=self.endpoint,
            base=self.base,
            hyperparameters={
                **{key: value for key, value in chosen.items() if value != "auto"},
                **self.hyperparameters,
            },
            suffix=self.suffix,
            seed=self.training_seed,
        )

    def calls(self, prompt: harness.Prompt, labels: Sequence[str]) -> tuple[harness.Call, ...]:
        """Describes the requests for one bare prompt.

        Raises:
            ValueError: There is no trained model yet.
        """
        if self.model is None:
            raise ValueError("the model is not trained yet")
        asking = Asking(
            endpoint=self.endpoint, model=self.deployment or self.model, answer=self.answer, calibrate=self.calibrate,
            max_tokens=self.max_tokens, extra=self.extra_body,
        )  # fmt: skip
        return asking.calls(prompt, labels)

    def read(self, bodies: Sequence[harness.Reply]) -> harness.Answer:
        """Reads the replies."""
        return read(bodies)


@harness.hookimpl
def harness_backends() -> list[type[FineTuned]]:
    """Declares the backend."""
    return [FineTuned]
