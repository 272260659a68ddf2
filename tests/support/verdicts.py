"""Constructed runs, one for each verdict: arms whose right and wrong answers are counted out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from harness.scoring.facts import ArmFacts, RunFacts
from harness.types import Prediction, Status
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
