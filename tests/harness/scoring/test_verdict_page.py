"""The page of verdict rules: every rule in its order, each with the sentence that its constructed run gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.verdicts import prompt, rows, run, tuned

from harness.scoring.facts import ArmFacts, Decision
from harness.scoring.results import build
from harness.scoring.verdict import BEFORE, BETWEEN
from harness.types import Check, Prediction, Status

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "verdict.md"
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


def listed() -> list[tuple[str, str, str]]:
    """Returns rule, kind and example of each row of the page."""
    found = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \|[^|]*\| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(rule, kind, sentence) for rule, kind, sentence in found]


def test_all_rules_stand_there_in_the_order_in_which_they_are_asked() -> None:
    rules = [rule.__name__ for rule in (*BEFORE, *BETWEEN)]
    assert [rule for rule, _, _ in listed()] == rules == list(CASES)


@pytest.mark.parametrize("rule", list(CASES))
def test_the_example_is_what_the_rule_says(rule: str) -> None:
    case = CASES[rule]
    said = build(run(**case.changes), list(case.arms))["verdict"]
    assert (said["rule"], said["kind"], said["sentence"]) == next(row for row in listed() if row[0] == rule)
