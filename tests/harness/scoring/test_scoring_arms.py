"""Figures of one arm, and of runs at their edges: by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.results import make_run
from support.verdicts import prompt, rows, run, tuned

from harness.scoring.answers import Answers, confusion, cost_per_request, counts, per_class, probabilities, usage
from harness.scoring.confidence import gate, share_interval
from harness.scoring.curves import Measured, fit
from harness.scoring.facts import ArmFacts, Decision
from harness.scoring.intervals import Items, differences, intervals
from harness.scoring.results import build
from harness.scoring.statistics import wilson
from harness.scoring.variance import covariance_of_means, varied
from harness.types import Prediction, Status


def made(*said: str | None, **more: list[Any]) -> ArmFacts:
    """Answers to items that expect "1", "2", "3" and so on in turn; "!" failed, None was unparsed."""
    found = []
    for place, label in enumerate(said):
        status = Status.FAILED if label == "!" else Status.UNPARSED if label is None else Status.ANSWERED
        found.append(
            Prediction(
                arm="x", example_id=str(place), expected="123"[place % 3], predicted=None if label == "!" else label,
                status=status, **{name: values[place] for name, values in more.items()},
            )
        )  # fmt: skip
    return ArmFacts(name="x", family="few-shot", predictions=tuple(found))


def test_classes_by_hand() -> None:
    answers = Answers.of(made("1", "2", "1", "1", None, "!", "z"))
    assert counts(answers) == {"n": 7, "answered": 5, "unparsed": 1, "failed": 1}
    table = confusion(answers, ("1", "2", "3"))
    assert table == {
        "labels": ["1", "2", "3", "z"],
        "counts": [[2, 0, 0, 1], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
        "unparsed": [0, 1, 0, 0],
        "failed": [0, 0, 1, 0],
    }
    assert per_class(table) == [
        {"label": "1", "support": 3, "predicted": 3, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3},
        {"label": "2", "support": 2, "predicted": 1, "precision": 1.0, "recall": 0.5, "f1": 2 / 3},
        {"label": "3", "support": 2, "predicted": 0, "precision": None, "recall": 0.0, "f1": 0.0},
        {"label": "z", "support": 0, "predicted": 1, "precision": 0.0, "recall": None, "f1": None},
    ]


def test_tokens_and_costs_are_means_of_what_is_known() -> None:
    more: dict[str, list[Any]] = {
        "input_tokens": [1023, 1024, None], "output_tokens": [1, 2, 6], "cached_tokens": [None, None, None],
        "reasoning_tokens": [0, None, 3], "cost_usd": [0.25, 0.5, None],
    }  # fmt: skip
    assert usage(Answers.of(made("1", "2", "!", **more))) == {
        "input_tokens_mean": 1023.5, "output_tokens_mean": 3.0, "cached_tokens_mean": None,
        "reasoning_tokens_mean": 1.5, "cacheable_tokens_mean": 512.0,
    }  # fmt: skip
    assert cost_per_request(Answers.of(made("1", "2", "!", **more))) == 0.375
    assert cost_per_request(Answers.of(made("1", "2", None, **more))) is None


def arm_of(facts: ArmFacts, **changes: Any) -> dict[str, Any]:
    n = len(facts.predictions)
    results = build(replace(make_run([]), n_test=n, labels=("1", "2", "3"), **changes), [facts])
    return dict(results["arms"][0])


def test_accuracy_without_what_leaked_and_by_the_strict_parser() -> None:
    facts = made("1", "2", "1", "1", strict=["1", None, "1", "1"])
    assert arm_of(facts)["accuracy_strict"] == 0.5
    assert arm_of(replace(facts, metrics={"accuracy_strict": 0.75}))["accuracy_strict"] == 0.75
    assert arm_of(made("1", "2"))["accuracy_strict"] is None
    assert arm_of(facts)["accuracy_without_leaks"] is None
    assert arm_of(facts, leaked=frozenset({"2"}))["accuracy_without_leaks"] == 1.0
    assert arm_of(facts, leaked=frozenset({"0", "1"}))["accuracy_without_leaks"] == 0.5
    assert arm_of(facts, leaked=frozenset("0123"))["accuracy_without_leaks"] is None
    assert arm_of(facts, leaked=frozenset({"elsewhere"}))["accuracy_without_leaks"] is None


def test_answers_at_most_one_off() -> None:
    answers = Answers.of(made("1", "1", "1", "3", None, "2"))  # off by 0, 1, 2, 2, unread, 1
    items = Items(labels=("1", "2", "3"), ordered=True, groups=np.arange(6), clustered=False, seed=7)
    assert set(intervals(answers, {"off_by_one": 0.5}, items)) == {"off_by_one"}
    assert intervals(answers, {"off_by_one": 0.4}, items) == {}
    assert intervals(answers, {"off_by_one": 0.5}, replace(items, ordered=False)) == {}
    two = replace(items, groups=np.array([0, 0, 0, 1, 1, 1]), clustered=True)
    assert set(intervals(answers, {"off_by_one": 0.5}, two)) == {"off_by_one"}
    metrics = {"mae": 1.2}
    assert [line["metric"] for line in differences(answers, answers, (metrics, metrics), two)] == ["mae"]
    one = replace(two, groups=np.zeros(6, dtype=np.intp))
    assert intervals(answers, {"off_by_one": 0.5}, one) == {}
    assert differences(answers, answers, (metrics, metrics), one) == []


def test_a_covariance_takes_two_groups() -> None:
    columns = np.array([[1.0], [0.0], [0.0], [0.0]])
    found = covariance_of_means(columns, np.array([0, 0, 1, 1]))
    assert found is not None
    # Totals of the gaps to the mean are ±1/2; G / (G − 1) · Σ / n²
    assert found.tolist() == [[pytest.approx(2 * 0.5 / 16)]]
    assert covariance_of_means(columns, np.zeros(4, dtype=np.intp)) is None
    assert covariance_of_means(np.zeros((0, 1)), np.zeros(0, dtype=np.intp)) is None


@pytest.mark.parametrize(
    ("repeats", "where"),
    [
        ([], 1),
        ([{"accuracy": [0.5], "reason": "not-asked"}], 1),
        ([{"accuracy": [0.5, 0.6], "reason": None}, {"accuracy": [0.5], "reason": "deterministic"}], 0),
        ([{"accuracy": [0.5], "reason": "deterministic"}], None),
    ],
)
def test_asking_again_is_varied_or_not_or_cannot_matter(repeats: list[dict[str, Any]], where: int | None) -> None:
    lists = varied([made("1")], run(repeats=tuple(repeats)))
    assert [name for name in (0, 1) if "repeats" in lists[name]] == ([] if where is None else [where])


def test_a_line_says_through_how_many_points_it_goes() -> None:
    points = [
        Measured(x=x, run=number, right={"a": y}) for number in (1, 2) for x, y in ((100, 0.5), (200, 0.6), (400, 0.7))
    ]
    found = fit(points)
    assert found is not None
    assert (found["n_points"], found["n_sizes"]) == (6, 3)
    assert (found["slope"], found["slope_se"]) == (pytest.approx(0.1), pytest.approx(0.0, abs=1e-9))
    assert fit(points[:2]) is None


def test_hardly_any_items_still_make_a_sentence() -> None:
    few = run(n_test=2)
    arms = [
        replace(facts, predictions=rows(facts.name, wrong, n=2))
        for facts, wrong in ((tuned([]), []), (prompt([]), [1]))
    ]
    sentence = build(few, arms)["verdict"]["sentence"]
    assert sentence.startswith(
        "Not enough data: with 2 test items; fine-tuned small leads few-shot large by 50.0 points"
    )


def test_a_model_that_is_shut_down_on_the_day_comes_too_late() -> None:
    arms = [tuned(range(50), shutdown_date="2026-11-20"), prompt(range(91))]
    results = build(run(decision=Decision(requests_per_month=10_000)), arms)
    assert results["verdict"]["sentence"] == ("Fine-tuned small comes too late: its model was shut down on 2026-11-20.")


GATE = ("coverage", "coverage_ci", "accepted", "precision", "precision_ci")


def test_confidence_has_all_its_keys_whatever_is_known() -> None:
    sure, right = np.array([0.9, 0.4]), np.array([True, False])
    for edge in (None, 0.5):
        assert set(gate(sure, right, 0.9, edge, None)) == {"wanted", "threshold", *GATE}
    for facts, reason in ((made(), "no answers"), (made(None, "!"), "no readable answer"),
                          (made("1"), "its answers carry no confidence")):  # fmt: skip
        assert arm_of(facts)["confidence"] == {
            "available": False, "reason": reason, "n_validation": None, "gates": [], "curve": [],
        }  # fmt: skip


def test_groups_count_by_the_design_effect_of_their_ratio() -> None:
    """Three groups of 4, 2 and 2 with 4, 0 and 1 hits: by the formula of a ratio's variance between clusters."""
    codes, hits = np.repeat([0, 1, 2], [4, 2, 2]), np.array([1, 1, 1, 1, 0, 0, 1, 0], dtype=np.bool_)
    share, gaps = 5 / 8, np.array([4 - 4 * 5 / 8, 0 - 2 * 5 / 8, 1 - 2 * 5 / 8])
    effect = (3 / 2 * float(gaps @ gaps) / 64) / (share * (1 - share) / 8)
    assert effect > 1
    found = share_interval(hits, np.ones(8, dtype=np.bool_), codes)
    assert found == pytest.approx(wilson(5 / effect, 8 / effect))


def test_a_probability_may_be_nothing() -> None:
    told = made("1", "2", probabilities=[{"1": 1.0, "2": 0.0}, {"1": 0.25, "2": 0.75}]).predictions
    found = probabilities(told, ("1", "2"))
    assert found is not None
    assert found.tolist() == [[1.0, 0.0], [0.25, 0.75]]
    for broken in ({"1": 1.1, "2": -0.1}, {"1": 1.0}, {"1": 0.5, "2": 0.4}, None):
        assert probabilities([told[0], replace(told[1], probabilities=broken)], ("1", "2")) is None


def test_what_a_single_item_or_arm_leaves_open() -> None:
    assert "test-items" in varied([made("1")], run(n_test=1))[1]
    assert "test-items" in varied([made("1")], run(n_test=2))[0]
    poor, good = (ArmFacts(name=name, family="other", predictions=rows(name, range(wrong)))
                  for name, wrong in (("a", 400), ("b", 50)))  # fmt: skip
    gone = [tuned([], predictions=()), prompt([], predictions=())]
    results = build(run(), [*gone, poor, good])
    assert (results["verdict"]["kind"], results["verdict"]["arm"]) == ("not-enough-data", "b")
