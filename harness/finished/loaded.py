"""A finished run in a notebook: `harness.load("food-reviews")`, its results as a typed object, its tables as frames."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from harness.runs import RunFolder, find_run

if TYPE_CHECKING:
    import pandas as pd

Figures = dict[str, Any]
"""A part of `results.json` that has no type of its own here: see docs/reference/results.md."""
Interval = tuple[float, float]
"""Lower and upper bound, 95% unless said otherwise."""


class Part(BaseModel):
    """A part of `results.json`: the schema only grows, so what a newer version adds is kept."""

    model_config = ConfigDict(extra="allow", frozen=True)


class Dataset(Part):
    """What the run was about."""

    name: str
    fingerprint: str


class Run(Part):
    """The run itself."""

    name: str
    id: str
    started: str
    finished: str
    seed: int
    n_test: int
    preview: bool
    dataset: Dataset
    labels: list[str]
    command: str
    ordered: bool = False
    margin: float | None = None
    groups: int | None = None
    disagreements: int | None = None
    machine: str | None = None
    prices_date: str | None = None
    varied: list[str] = []
    not_varied: list[str] = []


class Check(Part):
    """A finding about data or run."""

    kind: str
    level: str
    message: str
    figures: Figures
    heading: str = ""
    advice: str = ""
    mended: int = 0


class Seconds(Part):
    """Quantiles of times, in seconds."""

    p50: float | None
    p95: float | None
    p99: float | None


class ArmResult(Part):
    """One contender's figures; shares of 1, US dollars, seconds, tokens for each request."""

    name: str
    family: str
    model: str | None
    of: str | None
    shots: int | None
    n: int
    answered: int
    unparsed: int
    failed: int
    simulated: bool
    imported: bool
    accuracy: float | None
    accuracy_strict: float | None
    accuracy_ci: Interval | None
    macro_f1: float | None
    mae: float | None
    mae_all: float | None
    off_by_one: float | None
    input_tokens_mean: float | None
    output_tokens_mean: float | None
    cached_tokens_mean: float | None
    reasoning_tokens_mean: float | None
    cost_per_1k_usd: float | None
    training_cost_usd: float | None
    training_s: float | None
    latency_s: Seconds | None
    queue_s: Seconds | None = None
    retry_s: Seconds | None = None
    first_token_s: Seconds | None = None
    machine_s_per_1k: float | None = None
    metrics: dict[str, float | None] = {}
    rank: int | None = None
    letter: str | None = None


class Comparison(Part):
    """Two arms on the same items; `difference` is a − b."""

    a: str
    b: str
    metric: str
    primary: bool
    difference: float
    ci: Interval
    mcnemar_p: float | None
    p_adjusted: float | None
    only_a_right: int
    only_b_right: int
    n_for_80_power: int | None
    n: int | None = None
    decisive: bool | None = None
    within_margin: bool | None = None
    claimed: bool | None = None


class Payback(Part):
    """After how many requests training is paid back, against one opponent."""

    arm: str
    against: str
    role: str
    unit: str
    fixed: float | None
    saving_per_1k: float | None
    requests: float | None
    ci: list[float | None] | None
    cache_hit: float | None
    reason: str | None


class Verdict(Part):
    """The answer."""

    kind: str
    arm: str | None
    against: str | None
    sentence: str
    simulated: bool = False
    rule: str | None = None


class RunResults(Part):
    """`results.json`, every number that the page shows."""

    run: Run
    checks: list[Check]
    arms: list[ArmResult]
    comparisons: list[Comparison]
    choices: list[Figures]
    curves: list[Figures]
    repeats: list[Figures]
    payback: list[Payback]
    decision: Figures
    verdict: Verdict
    training: list[Figures] = []
    contenders: Figures = {}
    ledger: Figures | None = None

    def arm(self, name: str) -> ArmResult:
        """Returns an arm's figures.

        Raises:
            UsageError: There is none of that name; the nearest is named.
        """
        from harness.errors import UsageError, nearest

        found = next((arm for arm in self.arms if arm.name == name), None)
        if found is None:
            raise UsageError(f'no arm "{name}"; {nearest(name, [arm.name for arm in self.arms])}')
        return found

    @property
    def primary(self) -> Comparison | None:
        """The comparison of the contenders, which decides."""
        return next((line for line in self.comparisons if line.primary), None)


@dataclass(frozen=True)
class Loaded:
    """A finished run."""

    folder: Path
    results: RunResults
    data: Figures
    """`results.json` as it stands."""

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row for each arm and test item."""
        return _frame(RunFolder(self.folder).predictions)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """The same for candidates, repeats and points of curves."""
        return _frame(RunFolder(self.folder).trials)

    @cached_property
    def examples(self) -> pd.DataFrame:
        """All examples with their splits."""
        return _frame(RunFolder(self.folder).examples)

    @property
    def arms(self) -> pd.DataFrame:
        """One row for each arm: the figures of `results.json` that are plain values."""
        import pandas as pd

        plain = [{k: v for k, v in arm.items() if not isinstance(v, dict | list)} for arm in self.data["arms"]]
        return pd.DataFrame(plain).set_index("name")

    def __repr__(self) -> str:
        return f"{self.folder.name}: {self.results.verdict.sentence}"


def load(run: str | Path, runs: str | Path = "runs") -> Loaded:
    """Reads a finished run: what `harness.load` does."""
    from harness.report.reading import read_results

    folder = find_run(str(run), Path(runs)).path
    data = read_results(folder / "results.json")
    return Loaded(folder=folder, results=RunResults.model_validate(data), data=data)


def _frame(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path) if path.is_file() else pd.DataFrame()
