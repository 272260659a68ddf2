"""Intervals of what was measured on validation: items of one group are no independent evidence there either."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.execution.answers import Answered
from harness.outcome import choice_record, curve_record
from harness.scoring.confidence import share_interval
from harness.scoring.statistics import wilson
from harness.types import Example, Prediction, Status

CODES = np.repeat(np.arange(6), 5)
RIGHT = CODES % 3 > 0
ITEMS = [Example(fields={"text": str(n)}, label="a", id=str(n), group=f"user {CODES[n]}") for n in range(30)]


def answers() -> list[Answered]:
    return [
        Answered(
            prediction=Prediction(
                arm="x", example_id=one.id, expected="a", predicted="a" if right else "b", status=Status.ANSWERED
            ),
            entry=None,
        )
        for one, right in zip(ITEMS, RIGHT, strict=True)
    ]


@pytest.mark.parametrize("grouped", [True, False])
def test_candidates_and_points_of_curves_have_the_intervals_of_their_groups(grouped: bool) -> None:
    items = ITEMS if grouped else [Example(fields=one.fields, label="a", id=one.id) for one in ITEMS]
    groups = {one.id: one.group for one in items if one.group is not None}
    ready = SimpleNamespace(model="m", seconds=None, usd=None, tokens=None, refusal=None)
    tried: Any = SimpleNamespace(settings={"shots.k": 2}, answers=answers(), ready=ready)
    spot = SimpleNamespace(kind="shots", x=2, run=1, items=items)
    point: Any = SimpleNamespace(spot=spot, answers=answers(), ready=None, reason=None)
    everything = np.ones(30, dtype=np.bool_)
    expected = share_interval(RIGHT, everything, CODES) if grouped else wilson(20, 30)
    candidate = choice_record._candidate(tried, 0.0, None, groups)
    assert candidate["accuracy_ci"] == pytest.approx(expected)
    assert curve_record._point(point, 0.0)["accuracy_ci"] == pytest.approx(expected)


def test_an_item_without_an_answer_leaves_the_cost_of_the_others_known() -> None:
    rows = [replace(each, prediction=replace(each.prediction, cost_usd=0.5)) for each in answers()]
    rows[0] = replace(rows[0], prediction=replace(rows[0].prediction, status=Status.FAILED, cost_usd=None))
    ready = SimpleNamespace(model="m", seconds=None, usd=None, tokens=None, refusal=None)
    tried: Any = SimpleNamespace(settings={"shots.k": 2}, answers=rows, ready=ready)
    spot = SimpleNamespace(kind="shots", x=2, run=1, items=ITEMS)
    point: Any = SimpleNamespace(spot=spot, answers=rows, ready=None, reason=None)
    assert choice_record._candidate(tried, 0.0, None, None)["cost_usd"] == 14.5
    assert curve_record._point(point, 0.0)["cost_usd"] == 14.5
