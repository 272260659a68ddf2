"""What an experiment is going to take, in numbers; pure. What is not known stays `None`, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.scoring.facts import Decision, Price
from harness.scoring.investment import Spent
from harness.scoring.payback import paybacks
from harness.types import PROMPTS, TUNED

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A figure that nobody knows before: the least it can be, what is expected, the most."""

    low: float
    expected: float | None
    """`None` where nothing speaks for any value between the bounds."""
    high: float

    @classmethod
    def exactly(cls, value: float) -> Band:
        """Returns a figure that is known."""
        return cls(low=value, expected=value, high=value)

    def __add__(self, other: Band) -> Band:
        known = self.expected is not None and other.expected is not None
        expected = (self.expected or 0.0) + (other.expected or 0.0) if known else None
        return Band(low=self.low + other.low, expected=expected, high=self.high + other.high)


NOTHING = Band.exactly(0.0)


def either(bands: Sequence[Band]) -> Band:
    """Returns the figure of whichever of several things comes true: their mean is expected.

    Args:
        bands: At least one.
    """
    known = [band.expected for band in bands if band.expected is not None]
    return Band(
        low=min(band.low for band in bands),
        expected=sum(known) / len(known) if len(known) == len(bands) else None,
        high=max(band.high for band in bands),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests and what they hold."""

    requests: int = 0
    """Those that would be sent."""
    known: int = 0
    """Those whose answers are there already."""
    input_tokens: int = 0
    output_tokens: Band = NOTHING
    usd: Band | None = NOTHING
    """`None` where no price is known, or none applies."""

    def __add__(self, other: Load) -> Load:
        return Load(
            requests=self.requests + other.requests,
            known=self.known + other.known,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=None if self.usd is None or other.usd is None else self.usd + other.usd,
        )


def any_of(loads: Sequence[Load]) -> Load:
    """Returns the load of whichever candidate is chosen.

    Args:
        loads: At least one.
    """
    priced = [load.usd for load in loads if load.usd is not None]
    return Load(
        requests=max(load.requests for load in loads),
        known=min(load.known for load in loads),
        input_tokens=round(sum(load.input_tokens for load in loads) / len(loads)),
        output_tokens=either([load.output_tokens for load in loads]),
        usd=either(priced) if len(priced) == len(loads) else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What an arm's training jobs take."""

    jobs: int = 0
    """Those that would be launched."""
    known: int = 0
    """Models that are there already."""
    tokens: int = 0
    """Billed tokens: those of all epochs of all jobs."""
    epochs: tuple[int, ...] = ()
    epochs_assumed: bool = False
    """Whether the endpoint chooses the epochs; the usual number is taken."""
    usd: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEstimate:
    """What one arm takes."""

    name: str
    family: str
    model: str | None
    endpoint: str | None
    """`None` where it answers in process."""
    choosing: Load = Load()
    validation: Load = Load()
    """Naming the contenders."""
    test: Load = Load()
    repeats: Load = Load()
    curves: Load = Load()
    answers_in_process: int = 0
    training: Training | None = None
    vocabulary: str | None = None
    tokens_exact: bool = False
    """Whether tokens were counted in the model's own vocabulary."""
    usd_reason: str | None = None
    """Why there are no dollars."""
    seconds: float | None = None
    seconds_reason: str | None = None
    """Why there are no seconds, or what they were taken from."""
    per_request: Mapping[str, Any] = field(default_factory=dict)
    """Means over the test items: `input_tokens`, `output_tokens`, `usd`, `price`, `machine_s` (of a local endpoint);
    `training_usd` and `training_s` of one job."""
    remarks: tuple[str, ...] = ()

    @property
    def load(self) -> Load:
        """All its requests."""
        return self.choosing + self.validation + self.test + self.repeats + self.curves

    @property
    def usd(self) -> Band | None:
        """Dollars, training included; `None` where a price that is needed is not known, or none applies."""
        asked, training = self.load.usd, self.training
        if asked is None or self.usd_reason is not None:
            return None
        if training is None or not training.jobs:
            return asked
        return None if training.usd is None else asked + Band.exactly(training.usd)

    def as_dict(self) -> dict[str, Any]:
        """Returns the arm as `harness estimate --json` shows it."""
        load, price = self.load, self.per_request.get("price")
        names = ("choosing", "validation", "test", "repeats", "curves")
        parts: dict[str, Load] = {name: getattr(self, name) for name in names}
        return {
            "name": self.name,
            "family": self.family,
            "model": self.model,
            "endpoint": self.endpoint,
            "requests": load.requests,
            "requests_for": {name: part.requests for name, part in parts.items()},
            "answers_known": load.known,
            "answers_in_process": self.answers_in_process,
            "input_tokens": load.input_tokens,
            "output_tokens": asdict(load.output_tokens),
            "vocabulary": self.vocabulary,
            "tokens_exact": self.tokens_exact,
            "training": None if self.training is None else asdict(self.training),
            "usd": None if self.usd is None else asdict(self.usd),
            "usd_reason": self.usd_reason,
            "seconds": self.seconds,
            "seconds_reason": self.seconds_reason,
            "per_request": {**self.per_request, "price": None if price is None else asdict(price)},
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What an experiment takes."""

    arms: tuple[ArmEstimate, ...]
    power: Mapping[str, Any]
    payback: tuple[Mapping[str, Any], ...] = ()
    shutdown: Mapping[str, str | None] = field(default_factory=dict)
    """Model → ISO date from which it answers no more, `None` where that is not known."""
    probe: tuple[Mapping[str, Any], ...] | None = None
    """What was seen of each arm; `None` where nothing was asked."""
    probe_usd: float = 0.0
    spent_usd: float = 0.0
    """What the run has spent before."""
    max_usd: float | None = None
    executor: str = "local"
    folder: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def load(self) -> Load:
        """The requests of all arms."""
        return sum((arm.load for arm in self.arms), Load())

    @property
    def usd(self) -> Band | None:
        """Dollars that are yet to be spent, those of the probe included; `None` where no arm has any."""
        priced = [arm.usd for arm in self.arms if arm.usd is not None]
        return sum(priced, Band.exactly(self.probe_usd)) if priced else None

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The arms that will cost something nobody knows."""
        return tuple(arm.name for arm in self.arms if arm.usd is None and arm.usd_reason == NO_PRICE)

    @property
    def over_budget(self) -> bool:
        """Whether the upper bound passes the budget."""
        return self.max_usd is not None and self.usd is not None and self.spent_usd + self.usd.high > self.max_usd

    @property
    def seconds(self) -> float | None:
        """Seconds of the slowest endpoint: endpoints work side by side, arms of one share it."""
        busy: dict[str | None, float] = {}
        for arm in self.arms:
            if arm.seconds is None:
                return None
            busy[arm.endpoint] = busy.get(arm.endpoint, 0.0) + arm.seconds
        return max(busy.values(), default=0.0)

    def as_dict(self) -> dict[str, Any]:
        """Returns what `harness estimate --json` prints."""
        load = self.load
        return {
            "schema": SCHEMA,
            "run": self.folder,
            "executor": self.executor,
            "arms": [arm.as_dict() for arm in self.arms],
            "power": dict(self.power),
            "payback": [dict(line) for line in self.payback],
            "shutdown": dict(self.shutdown),
            "probe": None if self.probe is None else [dict(line) for line in self.probe],
            "total": {
                "requests": load.requests,
                "answers_known": load.known,
                "input_tokens": load.input_tokens,
                "output_tokens": asdict(load.output_tokens),
                "usd": None if self.usd is None else asdict(self.usd),
                "unpriced": list(self.unpriced),
                "probe_usd": self.probe_usd if self.probe is not None else None,
                "spent_usd": self.spent_usd,
                "max_usd": self.max_usd,
                "over_budget": self.over_budget,
                "seconds": self.seconds,
            },
            "uncertain": list(self.remarks),
        }


NO_PRICE = "no price is known"
IN_PROCESS = "answers in this process: no bill"
LOCAL_BILL = "runs on this machine: no bill"
LOCAL_HOUR = "runs on this machine: what an hour of it costs counts by the time that the run takes"


def payback_if_tied(
    arms: Sequence[ArmEstimate], margin: float, decision: Decision, n_train: int | None = None
) -> tuple[dict[str, Any], ...]:
    """Returns after how many requests training would be paid back, were all arms equally accurate.

    Each trained arm is held against the incumbent where there is one, else against every prompted arm: which of them
    is the best is not known before.

    Args:
        arms: The arms.
        margin: Differences in accuracy below it do not matter.
        decision: Assumptions.
        n_train: Training examples, whose labels may have a price.
    """
    figures = [_figures(arm) for arm in arms]
    tuned = [arm["name"] for arm in figures if arm["family"] in TUNED]
    prompts = [arm["name"] for arm in figures if arm["family"] in PROMPTS]
    against = [decision.incumbent] if decision.incumbent in {arm["name"] for arm in figures} else prompts
    lines = []
    for name in tuned:
        for other in against:
            table = paybacks(figures, {"a": name, "b": other}, margin, decision, spent=Spent(n_train=n_train))
            lines += [line for line in table if line["against"] == other][:1]
    kept = ("arm", "against", "unit", "fixed", "saving_per_1k", "requests", "reason", "monthly")
    return tuple({key: line[key] for key in kept} for line in lines)


def _figures(arm: ArmEstimate) -> dict[str, Any]:
    """Returns an arm as the payback knows it."""
    asked = arm.per_request
    price: Price | None = asked.get("price")
    usd = asked.get("usd")
    return {
        "name": arm.name,
        "family": arm.family,
        "accuracy": 1.0,
        "n": 1,
        "local": arm.endpoint in (None, "local"),
        "input_tokens_mean": asked.get("input_tokens"),
        "output_tokens_mean": asked.get("output_tokens"),
        "cached_tokens_mean": None,
        "price": None if price is None else asdict(price),
        "price_shares": asked.get("price_shares"),
        "cost_per_1k_usd": None if usd is None else usd * 1000,
        "machine_s_per_1k": None if asked.get("machine_s") is None else asked["machine_s"] * 1000,
        "training_cost_usd": asked.get("training_usd"),
        "training_s": asked.get("training_s"),
        "latency_s": {"p50": None, "p95": None, "p99": None},
    }
