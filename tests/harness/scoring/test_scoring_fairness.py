"""What makes a comparison unfair is named, in the results and on the page."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from support.report import columns, example_columns, shipped_sections
from support.results import ARMS, Made, make_arm, make_examples, make_run

from harness.blocks import Results
from harness.findings import fairness
from harness.report.page import render
from harness.scoring.facts import ArmFacts, RunFacts
from harness.scoring.results import build
from harness.types import Check, Status

TUNED, PROMPT, SECOND = ARMS[0], ARMS[1], ARMS[2]
EXAMPLES = make_examples(120)


def arm(made: Made, **changes: Any) -> ArmFacts:
    return replace(make_arm(made, EXAMPLES), **changes)


def choice(name: str, tried: int) -> dict[str, Any]:
    return {"arm": name, "candidates": [{}] * tried}


def run(**changes: Any) -> RunFacts:
    return make_run(EXAMPLES, **changes)


def named(facts: RunFacts, arms: Sequence[ArmFacts]) -> dict[str, str]:
    found = build(facts, list(arms))["checks"]
    return {check["kind"]: check["message"] for check in found if check["kind"] in fairness.MESSAGES}


def unreadable(facts: ArmFacts) -> ArmFacts:
    rows = [
        replace(row, predicted=None, status=Status.UNPARSED, strict=None) if place % 5 else row
        for place, row in enumerate(facts.predictions)
    ]
    return replace(facts, predictions=tuple(rows))


def test_a_fair_comparison_is_not_remarked_on() -> None:
    assert named(run(choices=(choice("8-shot", 6),)), [arm(TUNED), arm(PROMPT)]) == {}


def test_a_prompt_without_search_is_named() -> None:
    alone = named(run(), [arm(TUNED), arm(PROMPT)])
    assert alone["prompt-without-search"].startswith("8-shot was tried in one way only: a lead over a prompt")
    searched = named(run(choices=(choice("tuned", 9), choice("8-shot", 1))), [arm(TUNED), arm(PROMPT)])
    assert "8-shot was tried in one way only, tuned in 9 on validation" in searched["prompt-without-search"]
    # Several prompts of which validation names the best are a search
    assert named(run(), [arm(TUNED), arm(PROMPT), arm(SECOND)]) == {}
    assert "prompt-without-search" not in named(run(), [arm(TUNED), replace(arm(PROMPT), imported=True)])
    unknown = [arm(each, validation_accuracy=None) for each in (TUNED, PROMPT, SECOND)]
    assert "prompt-without-search" in named(run(), unknown)
    assert named(run(), [arm(PROMPT), arm(SECOND)]) == {}  # nothing was trained


def test_a_barred_opponent_is_named_contender_or_not() -> None:
    facts = run(choices=(choice("8-shot", 6),))
    found = named(facts, [arm(TUNED), unreadable(arm(PROMPT))])
    assert "8-shot is no fair opponent: 96 of its 120 answers cannot be read" in found["barred-opponent"]
    poor = make_arm(replace(ARMS[4], accuracy=0.05), EXAMPLES)
    found = named(facts, [arm(TUNED), arm(PROMPT), poor])
    assert "majority is no fair opponent: it is right on" in found["barred-opponent"]
    assert "guessing among 3 labels on 33.3%" in found["barred-opponent"]


def test_another_way_of_answering_is_named() -> None:
    facts = run(choices=(choice("8-shot", 6),))
    found = named(facts, [arm(TUNED, mode="choose"), arm(PROMPT), arm(ARMS[3], mode=None)])
    assert found["answer-modes-differ"].endswith("choose: tuned; generate: 8-shot")


@pytest.mark.parametrize(("limits", "said"), [((5, None), "8-shot: the default"), ((5, 50), "8-shot: 50 tokens")])
def test_another_token_limit_is_named(limits: tuple[int, int | None], said: str) -> None:
    facts = run(choices=(choice("8-shot", 6),))
    found = named(facts, [arm(TUNED, max_tokens=limits[0]), arm(PROMPT, max_tokens=limits[1])])
    assert f"(tuned: 5 tokens; {said})" in found["token-limits-differ"]
    assert named(facts, [arm(TUNED, max_tokens=5), arm(PROMPT, max_tokens=5)]) == {}
    # Labels that are scored are never cut
    assert named(facts, [arm(TUNED, mode="choose", max_tokens=5), arm(PROMPT, mode="choose")]) == {}


def test_a_run_that_is_scored_again_says_what_is_so_now() -> None:
    results = build(run(), [arm(TUNED, mode="choose"), arm(PROMPT)])
    stored = tuple(Check(**check) for check in results["checks"])
    again = build(run(checks=stored), [arm(TUNED, mode="choose"), arm(PROMPT)])
    assert again["checks"] == results["checks"]
    fair = build(run(checks=stored, choices=(choice("8-shot", 4),)), [arm(TUNED), arm(PROMPT)])
    assert not [check for check in fair["checks"] if check["kind"] in fairness.MESSAGES]


def test_the_page_names_each() -> None:
    arms = [arm(TUNED, mode="schema", max_tokens=5), unreadable(arm(PROMPT))]
    results = build(run(choices=(choice("tuned", 3),)), arms)
    assert set(fairness.MESSAGES) <= {check["kind"] for check in results["checks"]}
    rows = [row for each in arms for row in each.predictions]
    told = Results(data=results, predictions=columns(rows), examples=example_columns(EXAMPLES))
    page = " ".join(html.unescape(render(told, shipped_sections())).split())
    for check in results["checks"]:
        if check["kind"] in fairness.MESSAGES:
            assert check["message"] in page
            assert check["advice"] in page
