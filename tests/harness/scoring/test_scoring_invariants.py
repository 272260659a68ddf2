"""What holds for any answers: sums, swapped arms, permuted rows; and runs that are hardly runs, down to their page."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.report import Page, columns, example_columns, shipped_sections
from support.results import ARMS, LABELS, macro_f1, make_arm, make_examples, make_run

from harness.blocks import Results
from harness.report.page import render
from harness.scoring.facts import ArmFacts, Decision, Price, RunFacts
from harness.scoring.results import build
from harness.types import Prediction, Status

FAMILIES = ("fine-tuned", "few-shot", "classical", "other")
KINDS = {
    "win",
    "trade-off",
    "never-pays",
    "baseline-suffices",
    "tie",
    "not-enough-data",
    "expires",
    "unavailable",
    "invalid",
}


@st.composite
def drawn_runs(draw: st.DrawFn) -> tuple[RunFacts, list[ArmFacts]]:
    """Draws runs of few items with answers of every kind, with and without groups, prices, confidence and order."""
    n, arms = draw(st.integers(1, 16)), draw(st.integers(2, 4))
    expected = draw(st.lists(st.sampled_from(LABELS), min_size=n, max_size=n))
    grouped, seed = draw(st.booleans()), draw(st.integers(0, 10**6))
    chance = random.Random(seed)
    price = Price(input=1.0, output=2.0)
    facts = []
    for place in range(arms):
        accuracy = draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
        rows = [_row(f"{item:03}", label, accuracy, chance) for item, label in enumerate(expected)]
        facts.append(
            ArmFacts(
                name=f"arm {place}",
                family=FAMILIES[place],
                predictions=tuple(rows),
                validation_accuracy=chance.random(),
                training_cost_usd=1.0 if place == 0 else None,
                price=price,
                metrics={"macro_f1": macro_f1(rows)},
            )
        )
    groups = {f"{item:03}": str(chance.randrange(4)) for item in range(n)} if grouped else None
    decision = Decision(requests_per_month=1000.0, error_usd=draw(st.none() | st.just(0.5)))
    shares = dict(zip(LABELS, (0.5, 0.3, 0.2), strict=True))
    return make_run([], n_test=n, groups=groups, prior=shares, decision=decision), facts


def _row(name: str, label: str, accuracy: float, chance: random.Random) -> Prediction:
    fate = chance.random()
    status = Status.FAILED if fate < 0.1 else Status.UNPARSED if fate < 0.25 else Status.ANSWERED
    said = label if chance.random() < accuracy else chance.choice([*LABELS, "another"])
    answered = status is Status.ANSWERED
    return Prediction(
        arm="x",
        example_id=name,
        expected=label,
        predicted=said if answered else None,
        status=status,
        strict=said if answered and chance.random() < 0.5 else None,
        response="" if status is Status.FAILED else said,
        cost_usd=None if status is Status.FAILED else chance.random() / 1000,
        confidence=chance.random() if answered and chance.random() < 0.8 else None,
        latency_s=chance.random(),
    )


@settings(max_examples=25, deadline=None)
@given(drawn_runs())
def test_every_question_ends_in_one_of_three_ways(made: tuple[RunFacts, list[ArmFacts]]) -> None:
    run, facts = made
    for arm in build(run, facts)["arms"]:
        assert arm["answered"] + arm["unparsed"] + arm["failed"] == arm["n"] == run.n_test
        assert sum(arm["parsing"].values()) == arm["answered"] + arm["unparsed"]
        table = arm["confusion"]
        assert sum(map(sum, table["counts"])) == arm["answered"]
        assert (sum(table["unparsed"]), sum(table["failed"])) == (arm["unparsed"], arm["failed"])
        assert sum(line["support"] for line in arm["per_class"]) == arm["n"]
        assert arm["accuracy"] * arm["n"] == pytest.approx(
            sum(table["counts"][place][place] for place in range(len(table["labels"])))
        )


@settings(max_examples=15, deadline=None)
@given(drawn_runs())
def test_swapping_two_arms_negates(made: tuple[RunFacts, list[ArmFacts]]) -> None:
    """The arms change places: what was said of the one against the other is now said the other way round."""
    run, facts = made
    swap = {"fine-tuned": "few-shot", "few-shot": "fine-tuned"}
    turned = [replace(arm, family=swap.get(arm.family, arm.family)) for arm in facts]
    one, other = build(run, facts), build(run, turned)
    first, second = ({(x["a"], x["b"]): x for x in each["comparisons"]} for each in (one, other))
    assert ("arm 0", "arm 1") in first
    assert ("arm 1", "arm 0") in second
    a, b = first["arm 0", "arm 1"], second["arm 1", "arm 0"]
    assert b["difference"] == -a["difference"]
    assert b["ci"] == [-a["ci"][1], -a["ci"][0]]
    assert (b["only_a_right"], b["only_b_right"]) == (a["only_b_right"], a["only_a_right"])
    assert sorted(b["not_worse"]) == sorted(a["not_worse"])
    for key in ("mcnemar_p", "p", "n_for_80_power", "smallest_difference", "decisive", "within_margin"):
        assert b[key] == a[key]
    assert [line["metric"] for line in one["differences"]] == [line["metric"] for line in other["differences"]]
    for x, y in zip(one["differences"], other["differences"], strict=True):
        assert (y["a"], y["b"], y["difference"]) == (x["b"], x["a"], -x["difference"])
        assert y["ci"] == (None if x["ci"] is None else [-x["ci"][1], -x["ci"][0]])


@settings(max_examples=15, deadline=None)
@given(drawn_runs(), st.randoms(use_true_random=False))
def test_the_order_of_the_answers_changes_nothing(
    made: tuple[RunFacts, list[ArmFacts]], shuffle: random.Random
) -> None:
    run, facts = made
    mixed = [replace(arm, predictions=tuple(shuffle.sample(arm.predictions, len(arm.predictions)))) for arm in facts]
    assert build(run, mixed) == build(run, facts)


# Runs that are hardly runs

Change = Callable[[RunFacts, list[ArmFacts]], tuple[RunFacts, list[ArmFacts]]]


def rows_of(change: Callable[[int, Prediction], Prediction | None], *arms: int) -> Change:
    """Returns a change of the rows of some arms, of all where none are named."""

    def changed(run: RunFacts, facts: list[ArmFacts]) -> tuple[RunFacts, list[ArmFacts]]:
        made = []
        for place, arm in enumerate(facts):
            rows = [change(number, row) for number, row in enumerate(arm.predictions)]
            kept = tuple(row for row in rows if row is not None)
            made.append(replace(arm, predictions=kept) if not arms or place in arms else arm)
        return run, made

    return changed


def said(status: Status, *arms: int) -> Change:
    return rows_of(lambda _, row: replace(row, status=status, predicted=None, strict=None, confidence=None), *arms)


def of_run(**changes: Any) -> Change:
    return lambda run, facts: (replace(run, **changes), facts)


def of_arm(place: int, **changes: Any) -> Change:
    return lambda run, facts: (run, [replace(arm, **changes) if at == place else arm for at, arm in enumerate(facts)])


def shut_down(day: str) -> Change:
    """Returns a change after which the trained model holds its own, but answers no more."""
    return lambda run, facts: (replace(run, margin=0.3), [replace(facts[0], shutdown_date=day), *facts[1:]])


def first(n: int) -> Change:
    def changed(run: RunFacts, facts: list[ArmFacts]) -> tuple[RunFacts, list[ArmFacts]]:
        return replace(run, n_test=n), [replace(arm, predictions=arm.predictions[:n]) for arm in facts]

    return changed


def grouped(groups: int) -> Change:
    def changed(run: RunFacts, facts: list[ArmFacts]) -> tuple[RunFacts, list[ArmFacts]]:
        ids = [row.example_id for row in facts[0].predictions]
        return replace(run, groups={name: str(place % groups) for place, name in enumerate(ids)}), facts

    return changed


NO_SUM = dict.fromkeys(LABELS, 0.9)
ITEMS = 40
CASES: dict[str, tuple[Change, set[str]]] = {
    "unequal items": (rows_of(lambda n, row: row if n % 2 else None, 1), {"invalid"}),
    "other items": (rows_of(lambda n, row: replace(row, example_id=f"other {n}"), 1), {"invalid"}),
    "a label outside the set": (
        rows_of(lambda n, row: replace(row, predicted="strange") if n % 3 else replace(row, expected="odd")), KINDS
    ),
    "all unparsed": (said(Status.UNPARSED), {"invalid"}),
    "one arm unparsed": (said(Status.UNPARSED, 1), {"invalid"}),
    "all failed": (said(Status.FAILED), {"not-enough-data"}),
    "one class": (rows_of(lambda _, row: replace(row, expected="positive")), KINDS),
    "one class, one label": (
        lambda run, facts: rows_of(lambda _, row: replace(row, expected="positive", predicted="positive"))(
            replace(run, labels=("positive",)), facts
        ),
        KINDS,
    ),
    "no items": (first(0), {"not-enough-data"}),
    "one item": (first(1), KINDS),
    "two items": (first(2), KINDS),
    "no sum of one": (rows_of(lambda _, row: replace(row, probabilities=NO_SUM, confidence=1.7)), KINDS),
    "one group": (grouped(1), {"not-enough-data"}),
    "two groups": (grouped(2), KINDS),
    "shut down before": (shut_down("2020-01-01"), {"expires"}),
    "shut down on the day": (shut_down("2026-11-20"), {"expires"}),
    "nothing costs anything": (
        lambda run, facts: (
            run,
            [
                replace(arm, predictions=tuple(replace(row, cost_usd=0.0) for row in arm.predictions),
                        training_cost_usd=0.0)
                for arm in facts
            ],
        ),
        KINDS,
    ),
    "no times": (rows_of(lambda _, row: replace(row, latency_s=None, cost_usd=None)), KINDS),
    "ordered labels": (of_run(ordered=True), KINDS),
    "training refused": (of_arm(0, predictions=(), refused=True), {"unavailable"}),
}  # fmt: skip
"""Name → how the run is changed, and what its verdict may then be."""


@pytest.mark.parametrize("name", CASES)
def test_a_run_that_is_hardly_one_has_an_honest_verdict_and_a_whole_page(name: str) -> None:
    change, kinds = CASES[name]
    examples = make_examples(ITEMS)
    facts = [make_arm(each, examples) for each in (*ARMS[:3], ARMS[4])]
    run, arms = change(make_run(examples, decision=Decision(requests_per_month=10_000.0, error_usd=0.1)), facts)
    results = build(run, arms)
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    verdict = results["verdict"]
    assert verdict["kind"] in kinds, verdict
    assert 0 < len(verdict["sentence"]) <= 220
    text = page_text(results, [row for arm in arms for row in arm.predictions])
    assert not re.search(r"\b(nan|NaN|None|undefined|Infinity|inf)\b", text), name
    assert verdict["sentence"] in text


def page_text(results: dict[str, Any], rows: Sequence[Prediction]) -> str:
    told = Results(data=results, predictions=columns(rows), examples=example_columns(make_examples(ITEMS)))
    return " ".join(Page(render(told, shipped_sections())).texts["body"][0].split())
