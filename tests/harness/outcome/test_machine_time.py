from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.execution.answers import Answered
from harness.journal import Entry
from harness.outcome.machine_time import busy_seconds, clocked, machine_seconds, spans
from harness.types import Prediction, Status

MOMENTS = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 3))
SPANS = st.lists(st.tuples(MOMENTS, MOMENTS).map(lambda pair: (min(pair), max(pair))), max_size=8)


def union(spans: list[tuple[float, float]]) -> float:
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def test_an_arm_alone_gets_the_time_in_which_it_was_busy() -> None:
    assert machine_seconds({"a": [(0, 2), (1, 3), (5, 6)]}) == {"a": 4}


def test_shared_moments_are_divided_by_requests_under_way() -> None:
    seconds = machine_seconds({"a": [(0, 4), (0, 4), (0, 4)], "b": [(2, 6)]})
    assert seconds["a"] == pytest.approx(2 + 2 * 3 / 4)
    assert seconds["b"] == pytest.approx(2 * 1 / 4 + 2)


def test_nobody_asked_nothing() -> None:
    assert machine_seconds({"a": [], "b": []}) == {"a": 0, "b": 0}


@given(st.dictionaries(st.sampled_from("abc"), SPANS, max_size=3))
def test_the_shares_add_up_to_the_busy_time(by_arm: dict[str, list[tuple[float, float]]]) -> None:
    everything = [span for spans in by_arm.values() for span in spans]
    assert sum(machine_seconds(by_arm).values()) == pytest.approx(union(everything), abs=1e-6)


def answered(*entries: Entry) -> Answered:
    row = Prediction(arm="a", example_id="1", expected="x", predicted="x", status=Status.ANSWERED)
    return Answered(prediction=row, entry=entries[0], further=entries[1:])


def entry(started: float, **changes: Any) -> Entry:
    given = {"key": "k", "arm": "a", "endpoint": "local", "body": {}, "started": started, "service_s": 2.0}
    return Entry(**{**given, **changes})


def test_an_answer_takes_what_all_its_requests_do() -> None:
    answers = [answered(entry(0.0), entry(1.0)), answered(entry(10.0), entry(20.0))]
    assert len(clocked(answers)) == 2
    assert busy_seconds({"a": answers}) == {"a": 3.0 + 4.0}


def test_what_has_no_times_has_no_seconds() -> None:
    elsewhere = entry(0.0, endpoint="hosted", reused="before")
    assert busy_seconds({"a": [answered(entry(0.0))], "b": [answered(elsewhere)], "c": []}) == {"a": 2.0}


@pytest.mark.parametrize(
    ("endpoint", "reused", "counted"),
    [("local", "before", True), ("", "before", True), ("hosted", "before", False), ("hosted", None, True)],
)
def test_answers_taken_over_count_where_this_machine_gave_them(
    endpoint: str, reused: str | None, counted: bool
) -> None:
    taken = entry(5.0, endpoint=endpoint, reused=reused)
    assert spans([answered(taken)]) == ([(5.0, 7.0)] if counted else [])
