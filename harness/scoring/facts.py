"""What scoring is told: frozen facts of a run and of its arms. Nothing here is computed from the answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.types import Check, Example, Prediction


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Prices of one model, USD for a million tokens. `None` where there is none or it is not known."""

    input: float | None = None
    cached_input: float | None = None
    output: float | None = None
    training: float | None = None
    cache_write: float | None = None
    """Of prompt tokens that are written to the cache; `None`: as `input`."""
    reasoning: float | None = None
    """Of reasoning tokens; `None`: as `output`."""
    hosting_hour: float | None = None
    """USD for an hour during which the model is deployed, asked or not."""

    @property
    def by_kind(self) -> dict[str, float | None]:
        """What tokens of each kind cost: those without a price of their own are plain input, or output."""
        return {
            "input": self.input,
            "cached_input": self.input if self.cached_input is None else self.cached_input,
            "cache_write": self.input if self.cache_write is None else self.cache_write,
            "output": self.output,
            "reasoning": self.output if self.reasoning is None else self.reasoning,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFacts:
    """One arm with its answers to the test split.

    An arm that could not answer at all (training refused, endpoint down) has no predictions.
    """

    name: str
    family: str
    """`zero-shot`, `few-shot`, `fine-tuned`, `classical`, `mock` or `other`."""
    predictions: tuple[Prediction, ...] = ()
    """One for each test example, in any order. `cost_usd` is an answer's price whether or not it was reused, and
    `None` where no price applies."""
    model: str | None = None
    of: str | None = None
    """The arm of which this is another draw or seed."""
    shots: int | None = None
    mode: str | None = None
    """How it answers: `generate`, `choose` or `schema`."""
    max_tokens: int | None = None
    """Limit of an answer, where the experiment gives one."""
    simulated: bool = False
    imported: bool = False
    validation: tuple[Prediction, ...] = ()
    """Its answers to the validation split, where it was asked."""
    validation_accuracy: float | None = None
    n_validation: int | None = None
    training_cost_usd: float | None = None
    """What training cost in dollars; `None` where there was none or it is not known."""
    failed_training_usd: float | None = None
    """What training jobs of the arm were billed that came to nothing."""
    training_s: float | None = None
    """Seconds that training took; `None` where there was none."""
    local: bool = False
    """Whether its answers are computed on this machine: in process, or by a local endpoint."""
    busy_s: float | None = None
    """Seconds of this machine that the arm's answers took: the union of its requests' intervals."""
    busy_n: int | None = None
    """How many answers `busy_s` covers; `None`: all."""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    """All figures of the metric plugins, by name."""
    refused: bool = False
    """Whether its training was refused."""
    price: Price | None = None
    """What its model costs at once."""
    price_shares: Mapping[str, float] | None = None
    """Kind of token → what it cost as it was bought, as a share of `price`; `None`: at once."""
    faults: Mapping[str, int] = field(default_factory=dict)
    """Kind → attempts of the arm that failed, in the whole run."""
    shutdown_date: str | None = None
    """ISO date from which the model no longer answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Assumptions about production (`[decision]` of the experiment). They change no answer."""

    incumbent: str | None = None
    """Name of the arm that is in use today."""
    requests_per_month: float | None = None
    horizon_months: float = 12.0
    cache_hit: float | None = None
    """Share of prompt tokens that production takes from the provider's prompt cache; `None`: as in the run."""
    error_usd: Mapping[str, float] | float | None = None
    """What a wrong answer costs: always, or by the label that was right, with `default` for the others."""
    setup_hours: float = 0.0
    upkeep_hours_per_month: float = 0.0
    hour_usd: float = 0.0
    retrainings_per_year: float = 0.0
    hosting_usd_per_month: float = 0.0
    """What keeping the trained model deployed costs."""
    labelling_usd: float | None = None
    """What the labels of the training examples cost, together."""
    label_usd: float | None = None
    """The same for one example, where `labelling_usd` is not given."""
    count_evaluation: bool = False
    """Whether what this run has spent on asking is part of the investment."""
    review_usd: float | None = None
    """What it costs to have a person answer one request."""


def groups_of(examples: Iterable[Example]) -> dict[str, str] | None:
    """Returns example id → group; `None` where no example has one."""
    return {example.id: example.group for example in examples if example.group is not None} or None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The run as a whole."""

    name: str
    id: str
    started: str
    """ISO 8601."""
    finished: str
    seed: int
    n_test: int
    dataset: str
    fingerprint: str
    labels: tuple[str, ...]
    """The label set, in rank order where `ordered`."""
    ordered: bool = False
    preview: bool = False
    command: str = ""
    groups: Mapping[str, str] | None = None
    """Example id → group, where the test examples have groups; one left out is a group of its own."""
    slices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Example id → column → value, of every test example; empty where that is not known."""
    margin: float = 0.02
    """Differences in accuracy below this share do not matter to the user."""
    checks: tuple[Check, ...] = ()
    choices: tuple[Mapping[str, Any], ...] = ()
    curves: tuple[Mapping[str, Any], ...] = ()
    training: tuple[Mapping[str, Any], ...] = ()
    """One for each arm that an endpoint trained, or would not train."""
    repeats: tuple[Mapping[str, Any], ...] = ()
    decision: Decision = field(default_factory=Decision)
    machine: str | None = None
    """One line on the machine that gave the seconds, e.g. `2 cores, AMX`."""
    prices_date: str | None = None
    prior: Mapping[str, float] = field(default_factory=dict)
    """Label → share of the training split; empty where it is not known."""
    leaked: frozenset[str] = frozenset()
    """Test examples that also stand in train or validation, exactly or nearly."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What became of the rows: `rows_in`, `removed`, `ranked`, …"""
    ledger: Mapping[str, Any] | None = None
    """What the run has cost, as its journal knows it."""
