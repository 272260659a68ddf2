"""Confidence gates and cascades, against counts by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import make_examples, make_run

from harness.scoring.answers import Answers
from harness.scoring.confidence import LEAST, confidence, curve, gate, share_interval, threshold
from harness.scoring.facts import ArmFacts, Decision
from harness.scoring.results import build
from harness.scoring.statistics import tango, wilson
from harness.types import Prediction, Status

Sure = Sequence[tuple[float | None, bool]]
"""Confidence and whether the answer is right, for each item."""


def rows(sure: Sure, name: str = "x", cost: float | None = None, first: int = 0) -> tuple[Prediction, ...]:
    return tuple(
        Prediction(
            arm=name,
            example_id=f"{first + place:05}",
            expected="yes",
            predicted="yes" if right else "no",
            status=Status.ANSWERED,
            response="yes" if right else "no",
            confidence=confident,
            cost_usd=cost,
        )
        for place, (confident, right) in enumerate(sure)
    )


def arm(name: str, family: str, test: Sure, validation: Sure = (), **facts: Any) -> ArmFacts:
    cost = facts.pop("cost", None)
    return ArmFacts(
        name=name,
        family=family,
        predictions=rows(test, name, cost),
        validation=rows(validation, name, first=50_000),
        validation_accuracy=sum(right for _, right in validation) / len(validation) if validation else None,
        **facts,
    )


def results(arms: Sequence[ArmFacts], **changes: Any) -> dict[str, Any]:
    n = len(arms[0].predictions)
    run = replace(make_run(make_examples(0)), n_test=n, labels=("no", "yes"), **changes)
    found = build(run, arms)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_threshold_lets_most_through_at_the_wanted_precision() -> None:
    sure = np.array([0.9] * 18 + [0.8] * 10 + [0.7] * 10)
    right = np.array([True] * 18 + [True] * 8 + [False] * 2 + [True] * 2 + [False] * 8)
    assert threshold(sure, right, 0.99) == 0.9
    assert threshold(sure, right, 0.9) == 0.8  # 26 of 28
    assert threshold(sure, right, 0.5) == 0.7
    assert threshold(sure, ~right, 0.9) is None
    assert threshold(sure[: LEAST - 1], right[: LEAST - 1], 0.9) is None  # too few to show anything
    assert threshold(np.zeros(0), np.zeros(0, dtype=np.bool_), 0.9) is None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.2, 0.5, 0.51, 0.9, 1.0]), st.booleans()), max_size=60), st.data())
def test_no_lower_threshold_would_do(items: list[tuple[float, bool]], data: st.DataObject) -> None:
    wanted = data.draw(st.sampled_from([0.5, 0.9, 0.95]))
    sure, right = np.array([s for s, _ in items]), np.array([r for _, r in items], dtype=np.bool_)
    found = threshold(sure, right, wanted)
    able = [
        level
        for level in sorted({s for s, _ in items if s >= 0})
        if (taken := sure >= level).sum() >= LEAST and right[taken].mean() >= wanted - 1e-12
    ]
    assert found == (able[0] if able else None)


def test_gate_counts_on_the_test_split() -> None:
    sure, right = np.array([0.9, 0.9, 0.8, 0.4, -1.0]), np.array([True, False, True, True, True])
    found = gate(sure, right, 0.95, 0.8, None)
    assert (found["coverage"], found["accepted"], found["precision"]) == (0.6, 3, pytest.approx(2 / 3))
    assert found["coverage_ci"] == wilson(3, 5)
    assert found["precision_ci"] == wilson(2, 3)
    nobody = gate(sure, right, 0.95, 0.99, None)
    assert (nobody["coverage"], nobody["accepted"], nobody["precision"], nobody["precision_ci"]) == (0, 0, None, None)
    assert gate(sure, right, 0.95, None, None)["coverage"] is None
    assert gate(np.zeros(0), np.zeros(0, dtype=np.bool_), 0.95, 0.8, None)["coverage"] is None


def test_groups_widen_the_interval_and_single_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    codes = np.repeat(np.arange(60), 5)
    hits = np.repeat(rng.random(60) < 0.7, 5)
    every = np.ones(300, dtype=np.bool_)
    low, high = share_interval(hits, every, codes) or (0, 0)
    alone = wilson(int(hits.sum()), 300)
    assert low < alone[0] < alone[1] < high
    assert high - low == pytest.approx((alone[1] - alone[0]) * math.sqrt(5), rel=0.1)
    assert share_interval(every, every, codes) == wilson(60, 60)
    spread = share_interval(rng.random(300) < 0.7, every, np.arange(300)) or (0, 0)
    assert spread[1] - spread[0] == pytest.approx(alone[1] - alone[0], rel=0.05)


def test_curve_is_cumulative_and_short() -> None:
    assert curve(np.array([0.9, 0.9, 0.5, -1.0]), np.array([True, False, True, True])) == [[0.5, 0.5], [0.75, 2 / 3]]
    many = curve(np.linspace(0.1, 1, 4_000), np.arange(4_000) % 2 == 0)
    assert len(many) <= 50
    assert many[-1] == [1.0, 0.5]
    assert [point[0] for point in many] == sorted(point[0] for point in many)
    assert curve(np.zeros(0), np.zeros(0, dtype=np.bool_)) == []


@pytest.mark.parametrize(
    ("predictions", "reason"),
    [
        ((), "no answers"),
        (rows([(None, True)] * 3), "its answers carry no confidence"),
        (rows([(math.nan, True), (1.5, True), (-0.2, False)]), "its answers carry no confidence"),
        (tuple(replace(row, status=Status.UNPARSED, predicted=None) for row in rows([(0.9, True)])), "no readable"),
    ],
)
def test_arms_without_confidence_say_why(predictions: tuple[Prediction, ...], reason: str) -> None:
    found = confidence(Answers.of(ArmFacts(name="x", family="other", predictions=predictions)), (), None)
    assert found["available"] is False
    assert reason in found["reason"]
    assert found["gates"] == found["curve"] == []


def test_without_validation_there_is_a_curve_but_no_threshold() -> None:
    found = confidence(Answers.of(arm("x", "other", [(0.9, True)] * 5)), (), None)
    assert found["available"] is True
    assert "thresholds = true in [verdict]" in found["reason"]  # what would change it
    mute = confidence(
        Answers.of(arm("x", "other", [(0.9, True)] * 5)), arm("x", "other", [(None, True)]).predictions, None
    )
    assert mute["reason"] == "no threshold: no confidence in the answers to validation"
    assert [line["threshold"] for line in found["gates"]] == [None, None, None]
    assert found["curve"] == [[1.0, 1.0]]


VALIDATION = [(0.9, True)] * 20 + [(0.4, False)] * 10 + [(0.4, True)] * 10
SMALL = [(0.9, True)] * 50 + [(0.9, False)] * 2 + [(0.4, True)] * 20 + [(0.4, False)] * 28
LARGE = [(None, True)] * 90 + [(None, False)] * 10


def test_a_cascade_is_what_the_arms_said() -> None:
    small = arm("small", "classical", SMALL, VALIDATION, local=True)
    large = arm("large", "few-shot", LARGE, [(None, True)] * 40, cost=0.002)
    lines = results([small, large])["cascades"]
    assert {tuple(line["stages"]) for line in lines} == {("small", "large")}
    assert [line["wanted"] for line in lines] == [0.9, 0.95, 0.99]
    line = lines[0]
    assert line["thresholds"] == [0.9]
    assert line["shares"] == [1.0, 0.48]
    # the first 52 are kept by the small arm (50 right), of the others the large one has items 52 to 89 right
    assert line["accuracy"] == pytest.approx((50 + 38) / 100)
    assert line["accuracy_ci"] == list(wilson(88, 100))
    assert line["cost_per_1k_usd"] == pytest.approx(0.48 * 2.0)
    assert (line["against"], line["difference"]) == ("large", pytest.approx(-0.02))
    assert line["difference_ci"] == pytest.approx(tango(0, 2, 100))
    assert line["simulated"] is False


def test_a_person_ends_a_cascade_where_its_price_is_given() -> None:
    small = arm("small", "classical", SMALL, VALIDATION, local=True)
    assert results([small])["cascades"] == []
    line = results([small], decision=Decision(review_usd=0.5))["cascades"][0]
    assert line["stages"] == ["small", "a person"]
    assert line["accuracy"] == pytest.approx(0.98)
    assert line["cost_per_1k_usd"] == pytest.approx(0.48 * 500)
    assert line["against"] == "small"


def test_three_stages_take_their_threshold_from_what_reaches_them() -> None:
    small = arm("small", "classical", SMALL, VALIDATION, local=True)
    # Sure of everything, and right on what the small arm keeps: of what reaches it only half
    told = [(0.8, True)] * 20 + [(0.95, True)] * 10 + [(0.5, False)] * 10
    tuned = arm("tuned", "fine-tuned", [(0.95, True)] * 80 + [(0.5, False)] * 20, told, cost=0.0005)
    large = arm("large", "few-shot", LARGE, [(None, True)] * 40, cost=0.002)
    lines = {(*line["stages"], line["wanted"]): line for line in results([large, tuned, small])["cascades"]}
    line = lines["small", "tuned", "large", 0.95]
    assert line["thresholds"] == [0.9, 0.95]
    assert line["shares"] == [1.0, 0.48, 0.2]
    assert line["accuracy"] == pytest.approx((50 + 28 + 10) / 100)
    assert line["cost_per_1k_usd"] == pytest.approx(0.48 * 0.5 + 0.2 * 2.0)
    assert ("tuned", "large", 0.95) in lines
    assert lines["tuned", "large", 0.95]["thresholds"] == [0.8]


def test_a_stage_without_price_leaves_the_cost_open_and_without_validation_there_is_no_cascade() -> None:
    small = arm("small", "classical", SMALL, VALIDATION, local=True)
    large = arm("large", "few-shot", LARGE)
    assert all(line["cost_per_1k_usd"] is None for line in results([small, large])["cascades"])
    assert results([replace(small, validation=()), large])["cascades"] == []


def test_grouped_cascades_are_resampled_by_group() -> None:
    small = arm("small", "classical", SMALL, VALIDATION, local=True)
    large = arm("large", "few-shot", LARGE, cost=0.002)
    groups = {f"{place:05}": f"g{place // 10}" for place in range(100)}
    line = results([small, large], groups=groups)["cascades"][0]
    assert "bootstrap" in line["ci_method"]
    assert line["accuracy_ci"][0] < wilson(88, 100)[0]


@pytest.mark.parametrize("n", [0, 1])
def test_almost_no_items_are_no_reason_to_fail(n: int) -> None:
    small = arm("small", "classical", [(0.9, True)] * n, VALIDATION, local=True)
    large = arm("large", "few-shot", [(0.5, True)] * n, cost=0.002)
    found = results([small, large], decision=Decision(review_usd=1.0))
    assert all(len(line["shares"]) == len(line["stages"]) for line in found["cascades"])
