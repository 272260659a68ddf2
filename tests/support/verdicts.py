"""Constructed runs, one for each verdict: arms whose right and wrong answers are counted out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.scoring.facts import ArmFacts, Decision, RunFacts
from harness.types import Check, Prediction, Status
from support.results import make_run

N = 1000


def rows(
    arm: str, wrong: Iterable[int], usd: float | None = None, n: int = N, unparsed: int = 0
) -> tuple[Prediction, ...]:
    """Answers of three labels: those of `wrong` are wrong, the last `unparsed` ones are not readable."""
    missed = set(wrong)
    return tuple(
        Prediction(
            arm=arm,
            example_id=f"{number:04d}",
            expected="abc"[number % 3],
            predicted=None if number >= n - unparsed else "abc"[(number + (number in missed)) % 3],
            status=Status.UNPARSED if number >= n - unparsed else Status.ANSWERED,
            cost_usd=usd,
            latency_s=0.2,
        )
        for number in range(n)
    )


def tuned(wrong: Iterable[int], usd: float | None = 0.0001, **changes: Any) -> ArmFacts:
    facts = ArmFacts(
        name="small",
        family="fine-tuned",
        predictions=rows("small", wrong, usd),
        training_cost_usd=86.0,
        training_s=85.0,
    )
    return replace(facts, **changes)


def prompt(wrong: Iterable[int], usd: float | None = 0.001, **changes: Any) -> ArmFacts:
    facts = ArmFacts(name="large", family="few-shot", shots=8, predictions=rows("large", wrong, usd))
    return replace(facts, **changes)


def run(**changes: Any) -> RunFacts:
    facts = make_run([], labels=("a", "b", "c"), n_test=N, checks=())
    return replace(facts, **changes)


LEAK = Check(kind="exact-leak", level="error", message="12 test examples stand in train.", figures={"examples": 12})


def failed(row: Prediction) -> Prediction:
    """Returns the row of a request that came to nothing, for seven of ten items."""
    lost = int(row.example_id) % 10 < 7
    return replace(row, status=Status.FAILED, predicted=None) if lost else row


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A run that a rule speaks on."""

    arms: tuple[ArmFacts, ...]
    changes: Mapping[str, Any] = field(default_factory=dict)


BETTER, WORSE = range(50), range(91)
CASES: Mapping[str, Case] = {
    "leak": Case(arms=(tuned(BETTER), prompt(WORSE)), changes={"checks": (LEAK,)}),
    "unavailable": Case(arms=(tuned([], predictions=(), refused=True), prompt(WORSE))),
    "no_opponent": Case(arms=(prompt(range(70)),)),
    "unequal": Case(arms=(tuned(BETTER), prompt([], predictions=rows("large", WORSE, 0.001)[:-9]))),
    "unanswered": Case(
        arms=(
            tuned(BETTER),
            prompt([], predictions=tuple(failed(row) for row in rows("large", range(20), 0.001))),
        )
    ),
    "unfair": Case(arms=(tuned(BETTER), prompt(range(700)))),
    "expires": Case(
        arms=(tuned(BETTER, shutdown_date="2027-01-20"), prompt(WORSE)),
        changes={"decision": Decision(requests_per_month=10_000)},
    ),
    "baseline_suffices": Case(
        arms=(
            tuned(BETTER),
            prompt(WORSE),
            ArmFacts(name="TF-IDF", family="classical", predictions=rows("TF-IDF", range(52)), local=True, busy_s=0.1),
        )
    ),
    "win": Case(arms=(tuned(BETTER), prompt(WORSE))),
    "trade_off": Case(arms=(tuned(BETTER, usd=0.00112), prompt(WORSE))),
    "never_pays": Case(arms=(tuned(range(51), usd=0.0014), prompt(BETTER))),
    "tie": Case(arms=(tuned(range(2, 50)), prompt(BETTER))),
    "not_enough_data": Case(arms=(tuned(range(100, 160)), prompt(range(70)))),
}
