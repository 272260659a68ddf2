"""The page of verdict rules: every rule in its order, each with the sentence that its constructed run gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from support.verdicts import CASES, run

from harness.report import plain
from harness.scoring.duel import Kind
from harness.scoring.results import build
from harness.scoring.verdict import BEFORE, BETWEEN
from harness.site import badge

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "verdict.md"


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


def test_each_kind_has_a_rule_an_advice_and_a_badge() -> None:
    kinds = set(get_args(Kind))
    assert {kind for _, kind, _ in listed()} == kinds
    assert set(plain.ADVICE) == kinds, "say in harness/report/plain.py what is advised"
    assert set(badge.KINDS) == kinds, "say in harness/site/badge.py how it is called in a badge"
