"""An experiment, complete and consistent: what `harness.experiment.reader` makes of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from harness.contract import Backend, Dataset, Embedded, Executor, Formatter, Metric, Observer, Section, Selector
from harness.experiment.file import (
    BudgetTable,
    ChooseBudget,
    DecisionTable,
    EndpointTable,
    LearningCurve,
    PrepareTable,
    PriceTable,
    ShotCurve,
    VerdictTable,
)
from harness.plugins import Plugins
from harness.types import Continued
from harness.weights import GGUF, fingerprint_at

LOCAL = "local"
"""The endpoint that the harness starts itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """A selector with its number of shots and draw."""

    selector: Selector
    k: int
    draw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One contender, its plugins made."""

    name: str
    backend: Backend
    formatter: Formatter
    shots: Shots | None
    candidates: tuple[tuple[Mapping[str, Any], Arm], ...] = ()
    """Settings → the arm with them, where something is chosen on validation."""
    choose_items: int | None = None
    """How many validation examples the choice looks at; all where `None`."""
    choose_budget: ChooseBudget = field(default_factory=ChooseBudget)
    combinations: int = 0
    """Of how many combinations the candidates are a draw."""
    checkpoints: bool = False
    """Whether the checkpoints of a training are candidates too."""
    of: str | None = None
    learning_curve: LearningCurve | None = None
    """Like the other curve it adds answers and changes none: it is no part of what names a run."""
    shot_curve: ShotCurve | None = None

    @property
    def variants(self) -> tuple[Arm, ...]:
        """The arm as it is written, then its candidates: whatever has to hold for all that may be asked or trained."""
        return (self, *(one for _, one in self.candidates))

    @property
    def contenders(self) -> tuple[Arm, ...]:
        """The arms that may answer: the candidates, where something is chosen."""
        return tuple(one for _, one in self.candidates) or (self,)

    @property
    def family(self) -> str:
        """The backend's family; of those that are asked here, a few-shot one that never sees a shot is zero-shot."""
        if self.imported:
            return self.backend.family
        offered = [arm.shots.k if arm.shots else 0 for _, arm in self.candidates]
        shown = max(offered, default=self.shots.k if self.shots else 0)
        return "zero-shot" if self.backend.family == "few-shot" and shown == 0 else self.backend.family

    @property
    def endpoint(self) -> str | None:
        """The endpoint that answers, where its backend asks one."""
        return self._of_backend("endpoint")

    @property
    def model(self) -> str | None:
        """The model that answers, where it is known: of an arm that is to be trained it is not yet."""
        return self._of_backend("model")

    @property
    def base(self) -> str | None:
        """The model that the arm's is trained from."""
        return self._of_backend("base")

    @property
    def deployment(self) -> str | None:
        """The deployment that stands for a trained model, where its endpoint answers by deployments."""
        return self._of_backend("deployment")

    @property
    def answer_mode(self) -> str | None:
        """How a model's answer becomes a label, such as `generate` or `choose`."""
        return self._of_backend("answer")

    @property
    def simulated(self) -> bool:
        """Whether no model answers."""
        return bool(getattr(self.backend, "simulated", False))

    @property
    def imported(self) -> bool:
        """Whether the answers were given elsewhere."""
        return bool(getattr(self.backend, "imported", False))

    @property
    def needs_job(self) -> bool:
        """Whether an endpoint has to train the arm before it can answer."""
        return hasattr(self.backend, "job") and self.model is None

    @property
    def trained(self) -> bool:
        """Whether an endpoint has to train the arm, or one of its candidates, before it can answer."""
        return any(arm.needs_job for arm in self.variants)

    def endpoint_names(self) -> set[str]:
        """Returns the endpoints that the arm and its candidates use."""
        names = {arm.endpoint for arm in self.variants if arm.endpoint}
        return names | {given.endpoint for given in self.embeddings()}

    def _of_backend(self, name: str) -> str | None:
        """Returns a setting that some backends have and others lack."""
        value: str | None = getattr(self.backend, name, None)
        return value

    def embeddings(self) -> list[Embedded]:
        """Returns whose vectors the arm and its candidates need to pick shots."""
        shots = [arm.shots for arm in self.variants if arm.shots and arm.shots.k > 0]
        return [given for one in shots if (given := getattr(one.selector, "embeddings", None)) is not None]

    def resolved(self) -> dict[str, Any]:
        """Returns the arm as plain values: what an answer depends on."""
        return {
            "name": self.name,
            "backend": plain(self.backend),
            "formatter": plain(self.formatter),
            "shots": {**plain(self.shots.selector), "k": self.shots.k, "draw": self.shots.draw} if self.shots else None,
            "choose": [dict(settings) for settings, _ in self.candidates],
            "choose_items": self.choose_items,
            "of": self.of,
            **({"checkpoints": True} if self.checkpoints else {}),  # absent otherwise: names of runs stay
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One experiment, complete and consistent."""

    name: str
    seed: int
    path: Path
    dataset: Dataset
    prepare: PrepareTable
    endpoints: Mapping[str, EndpointTable]
    prices: Mapping[str, PriceTable]
    budget: BudgetTable
    verdict: VerdictTable
    decision: DecisionTable
    executor: Executor
    arms: tuple[Arm, ...]
    repeats: int = 1
    """How often each test item is asked. More of them add answers and change none."""
    metrics: tuple[Metric, ...] = ()
    sections: tuple[Section, ...] = ()
    observers: tuple[Observer, ...] = ()
    plugins: Plugins = field(default_factory=lambda: Plugins(records=()))
    tables: Mapping[str, Any] = field(default_factory=dict)
    """The file's tables as they stand in it."""
    continued: Mapping[str, Continued] = field(default_factory=dict)
    """Model of an earlier run from which training goes on → what is known of it."""

    def answer_settings(self) -> dict[str, Any]:
        """Returns what changes an answer, as plain values; not, for one, concurrency, repeats, prices or executor."""
        return {
            "name": self.name,
            "seed": self.seed,
            "dataset": plain(self.dataset),
            "prepare": self.prepare.model_dump(),
            "endpoints": {
                name: {
                    "base_url": table.base_url,
                    "query": table.query,
                    "model": table.model,
                    **({"context": table.context} if table.context else {}),  # absent otherwise: names of runs stay
                }
                for name, table in sorted(self.endpoints.items())
            },
            "arms": [arm.resolved() for arm in self.arms],
        }

    def identities(self, weights: str = "") -> dict[str, str]:
        """Returns endpoint name → what identifies it in the keys of answers and of trained models.

        That is its base URL, or `local`: with the place of a model that a folder or a GGUF file holds, for it is asked
        by the last part of that alone, and another place may hold another model of this name; and with the fingerprint
        of its weights, which a training may have replaced.

        Args:
            weights: What `local_weights` has returned.
        """
        local = _local_identity(self.endpoints[LOCAL].model, weights)
        return {name: table.base_url or local for name, table in self.endpoints.items()}

    def local_weights(self, before: str = "") -> str:
        """Returns the fingerprint of a model in a folder or a GGUF file; `before` where it has gone; else ""."""
        path = _place_of(self.endpoints[LOCAL].model, gone=bool(before))
        return "" if path is None else fingerprint_at(path) or before

    def local_tokenizer(self) -> Path | None:
        """Returns the tokenizer's file of a local model in a folder, where it has one."""
        path = _place_of(self.endpoints[LOCAL].model, gone=False)
        return None if path is None or not (found := path / "tokenizer.json").is_file() else found

    def asks_for(self, kind: str, plugin: Any) -> bool:
        """Whether the experiment's tables or `--plugin` name a plugin that would take part anyway.

        Args:
            kind: The tables that would: `metrics`, `sections` or `observers`.
            plugin: Its instance.
        """
        record = self.plugins.find(plugin)
        named = {table.get("plugin") for table in self.tables.get(kind, ()) if isinstance(table, Mapping)}
        return plugin.name in named or (record is not None and record.loose)

    def secret_names(self) -> tuple[str, ...]:
        """Returns the environment variables that the experiment names."""
        return tuple(sorted({name for table in self.endpoints.values() for name in table.variables}))


def _place_of(model: str | None, *, gone: bool) -> Path | None:
    """Returns where a model lies that is given by its place on this machine; `gone`: it may have lain there before."""
    path = Path(model or "").expanduser()
    return path if model and (gone or path.exists() or path.is_absolute()) else None


def _local_identity(model: str | None, weights: str) -> str:
    path = _place_of(model, gone=bool(weights))
    if path is not None:
        return " ".join([LOCAL, str(path.resolve()), *([weights] if weights else [])])
    return f"{LOCAL} {model}" if model and model.endswith(GGUF) else LOCAL  # one file of a model on Hugging Face


def plain(plugin: Any) -> dict[str, Any]:
    """Returns a plugin's name and options as JSON values."""
    options = asdict(plugin) if is_dataclass(plugin) and not isinstance(plugin, type) else {}
    loaded: dict[str, Any] = json.loads(json.dumps({"plugin": plugin.name, **options}, default=str))
    return loaded
