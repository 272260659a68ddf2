"""The tables of an experiment file as they may stand in it: keys, types, defaults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from harness.errors import nearest
from harness.keys import KEYS
from harness.prepare.profiles import PROFILES


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)


class SplitTable(_Table):
    """Shares of the three splits."""

    train: float = Field(default=0.8, gt=0, lt=1)
    validation: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)
    stratify: bool | Literal["where-possible"] = True
    """Where possible: classes with fewer rows than there are splits are no error, and train gets the first."""
    by: Literal["content", "time"] = "content"
    seed: int | None = None
    """A seed of the split's own; the experiment's where there is none."""

    @model_validator(mode="after")
    def _whole(self) -> SplitTable:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            shares = f"{self.train:g} + {self.validation:g} + {self.test:g}"  # also what was left at its default
            raise ValueError(f"train + validation + test must be 1; {shares} is {total:g}")
        return self


class PrepareTable(_Table):
    """The data stage."""

    duplicates: Literal["off", "exact", "near"] = "near"
    conflicts: Literal["majority", "drop", "keep"] = "majority"
    split: SplitTable = SplitTable()
    balance: Literal["none", "downsample", "weights"] = "none"
    pii: Literal["warn", "mask", "stop"] | None = None


def _variable(name: str) -> str:
    """Refuses what is no variable's name or looks like a key, and does not say it: it may be the key itself."""
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name) or KEYS.search(name):
        raise ValueError("the name of an environment variable is expected (letters, digits, _), never the key itself")
    return name


Variable = Annotated[str, AfterValidator(_variable)]
"""The name of an environment variable."""


def _is_port(parts: SplitResult) -> bool:
    """Whether a URL names a port that there is, or none."""
    try:
        return parts.port != 0
    except ValueError:
        return False


class EnvironmentValue(_Table):
    """A header's value that stands in an environment variable."""

    env: Variable


class EndpointTable(_Table):
    """Where an OpenAI-compatible API is."""

    base_url: str | None = None
    api_key_env: Variable | None = None
    headers: dict[str, str | EnvironmentValue] = {}
    query: dict[str, str] = {}
    concurrency: int = Field(default=64, ge=1, le=4096)
    timeout_s: float = Field(default=120.0, gt=0)
    stream: bool = False
    """Ask for streams: the time to the first token is measured, at about twice the processor time."""
    context: int | None = Field(default=None, ge=1)
    """Tokens that a prompt and its answer may have together; by default what is known of the model."""
    model: str | None = None
    device: str | None = None
    dtype: str | None = None
    profile: str | None = None
    """Whose rules for training files hold; by default the host's."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that hold its key and its headers' values."""
        own = [self.api_key_env] if self.api_key_env else []
        return (*own, *(value.env for value in self.headers.values() if isinstance(value, EnvironmentValue)))

    @field_validator("base_url")
    @classmethod
    def _plain_url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("a URL like https://api.example.com/v1 is expected")
        if parts.username or parts.password:
            raise ValueError("a URL must not hold a name or password; name an environment variable in api_key_env")
        if not _is_port(parts):
            raise ValueError("the port after the host is a number from 1 to 65535")
        return url.rstrip("/")

    @field_validator("profile")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in PROFILES:
            raise ValueError(f'there is no profile "{name}" of training files; {nearest(name, PROFILES)}')
        return name

    @property
    def on_this_machine(self) -> bool:
        """Whether nothing that is sent there leaves this machine."""
        return self.base_url is None or urlsplit(self.base_url).hostname in {"localhost", "127.0.0.1", "::1"}


class PriceTable(_Table):
    """USD for a million tokens; `hour` is USD for an hour of a local endpoint's machine."""

    input: float | None = Field(default=None, ge=0)
    cached_input: float | None = Field(default=None, ge=0)
    """Of prompt tokens out of the cache; by default `input`."""
    cache_write: float | None = Field(default=None, ge=0)
    """Of prompt tokens that are written to the cache; by default `input`."""
    output: float | None = Field(default=None, ge=0)
    reasoning: float | None = Field(default=None, ge=0)
    """Of reasoning tokens, which are part of the output; by default `output`."""
    batch: float | None = Field(default=None, ge=0, le=1)
    """What a request costs in a batch, as a share of its price at once."""
    training: float | None = Field(default=None, ge=0)
    hosting_hour: float | None = Field(default=None, ge=0)
    """USD for an hour during which the model is deployed, asked or not."""
    hour: float | None = Field(default=None, ge=0)


class BudgetTable(_Table):
    """What a run may spend."""

    max_usd: float | None = Field(default=None, ge=0)


class VerdictTable(_Table):
    """When two arms count as equal."""

    margin: float = Field(default=0.02, ge=0, lt=1)
    thresholds: bool = False
    """Whether every arm is asked about validation, from whose answers confidence gates have their thresholds."""


class DecisionTable(_Table):
    """What the money side assumes; changes no answer."""

    incumbent: str | None = None
    requests_per_month: float | None = Field(default=None, gt=0)
    horizon_months: float = Field(default=12, gt=0)
    cache_hit: float | None = Field(default=None, ge=0, le=1)
    error_usd: dict[str, float] | float | None = None
    """What a wrong answer costs: always, or by the label that was right, with `default` for the others."""
    review_usd: float | None = Field(default=None, ge=0)
    """What it costs to have a person answer one request."""
    setup_hours: float = Field(default=0, ge=0)
    upkeep_hours_per_month: float = Field(default=0, ge=0)
    hour_usd: float = Field(default=0, ge=0)
    retrainings_per_year: float = Field(default=0, ge=0)
    hosting_usd_per_month: float = Field(default=0, ge=0)
    """What keeping the trained model deployed costs."""
    labelling_usd: float | None = Field(default=None, ge=0)
    """What the labels of the training examples cost, together."""
    label_usd: float | None = Field(default=None, ge=0)
    """The same for one example."""
    count_evaluation: bool = False
    """Whether what the run has spent on asking is part of the investment."""

    @field_validator("error_usd")
    @classmethod
    def _no_gain(cls, cost: dict[str, float] | float | None) -> dict[str, float] | float | None:
        costs = cost.values() if isinstance(cost, dict) else [cost or 0.0]
        if any(each < 0 for each in costs):
            raise ValueError("a wrong answer costs 0 or more")
        return cost

    @field_validator("label_usd")
    @classmethod
    def _one_of_two(cls, label: float | None, others: ValidationInfo) -> float | None:
        if label is not None and others.data.get("labelling_usd") is not None:
            raise ValueError("labelling_usd is for all training examples together, label_usd for each: give one")
        return label


class ShotsTable(_Table):
    """Which shots a prompt shows."""

    model_config = ConfigDict(extra="allow", frozen=True)  # the others are the selector's options

    selector: str = "balanced"
    k: int = Field(ge=0)
    draw: int = 1


class ChooseBudget(_Table):
    """How much a choice may cost."""

    trials: int = Field(default=24, ge=1)
    """Most candidates; of more combinations so many are drawn."""
    usd: float | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    """Wall time after which nothing more is begun."""


class _CurveTable(_Table):
    """Where a curve is measured; a list stands for the whole table."""

    listed: ClassVar[str]
    """The key that such a list is."""
    example: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _long(cls, value: Any) -> Any:
        """Returns the table that a list stands for."""
        if not isinstance(value, (list, dict, BaseModel)):
            message = f"a list of numbers is expected, or a table like {cls.example}"
            raise ValueError(message)  # noqa: TRY004 - for pydantic
        return {cls.listed: value} if isinstance(value, list) else value

    @field_validator("sizes", "k", check_fields=False)
    @classmethod
    def _ascending(cls, values: tuple[int | Literal["all"], ...]) -> tuple[int | Literal["all"], ...]:
        twice = next((value for place, value in enumerate(values) if value in values[:place]), None)
        if twice is not None:
            raise ValueError(f"{twice} is listed twice")
        return tuple(sorted(values, key=lambda value: (value == "all", 0 if value == "all" else value)))


class LearningCurve(_CurveTable):
    """Accuracy against the size of the training set; a list stands for its sizes."""

    listed = "sizes"
    example = "{ sizes = [64, 256], seeds = 3 }"

    sizes: tuple[Annotated[int, Field(strict=True, ge=1)] | Literal["all"], ...] = Field(min_length=1)
    """Training examples, ascending; `all` is the whole train split."""
    seeds: int = Field(default=3, strict=True, ge=1, le=20)
    """How many subsets of each size; the first follows the experiment's own seed."""


class ShotCurve(_CurveTable):
    """Accuracy against the number of shots; a list stands for its `k`."""

    listed = "k"
    example = "{ k = [0, 4, 8], draws = 3 }"

    k: tuple[Annotated[int, Field(strict=True, ge=0)], ...] = Field(min_length=1)
    """Numbers of shots, ascending."""
    draws: int = Field(default=3, strict=True, ge=1, le=20)
    """How many draws of shots for each number."""


class ArmTable(_Table):
    """One contender."""

    name: str = Field(min_length=1, max_length=120)
    backend: dict[str, Any]
    formatter: dict[str, Any] | None = None
    shots: ShotsTable | None = None
    choose: dict[str, Any] = {}
    learning_curve: LearningCurve | None = None
    shot_curve: ShotCurve | None = None
    of: str | None = None


class PluginsTable(_Table):
    """Which plugins may be loaded."""

    files: list[str] = []
    """Loose files that `--plugin` has to repeat."""
    allow: list[str] | None = None
    """Distributions whose plugins may be imported, beside those that ship; by default all."""


class ExperimentFile(_Table):
    """The file's tables as they come."""

    name: str = Field(min_length=1, max_length=200)
    seed: int = 7
    repeats: int = Field(default=1, ge=1, le=20)
    """How often each test item is asked; the first answer is the result, all of them say how stable it is."""
    plugins: PluginsTable | list[str] = []
    """A list is short for the table's `files`."""
    dataset: dict[str, Any]
    prepare: PrepareTable = PrepareTable()
    endpoints: dict[str, EndpointTable] = {}
    prices: dict[str, PriceTable] = {}
    budget: BudgetTable = BudgetTable()
    verdict: VerdictTable = VerdictTable()
    decision: DecisionTable = DecisionTable()
    executor: dict[str, Any] = {"plugin": "local"}
    metrics: list[dict[str, Any]] = []
    sections: list[dict[str, Any]] = []
    observers: list[dict[str, Any]] = []
    arms: list[ArmTable] = Field(min_length=1)


def known_keys(model: type[BaseModel], where: Sequence[str | int]) -> list[str]:
    """Returns the keys that are known where an unknown one stands."""
    kind: Any = model
    for part in where[:-1]:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:  # a list or a dict of tables
            kind = get_args(kind)[-1]
        tables = [member for member in get_args(kind) if isinstance(member, type) and issubclass(member, BaseModel)]
        kind = tables[0] if tables and get_origin(kind) in {Union, UnionType} else kind
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
