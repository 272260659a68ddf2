"""What the payback section says of investment, horizon and flip points."""

from __future__ import annotations

from typing import Any

import pytest
from support.report import columns, example_columns, words
from support.results import ARMS, make_arm, make_examples, make_run

from harness import numbers
from harness.blocks import Cell, Chart, Results, Table
from harness.scoring.facts import Decision
from harness.scoring.results import build
from harness_plugins.sections.payback import Payback

EXAMPLES = make_examples(120)


def page(**decision: Any) -> tuple[dict[str, Any], list[Any]]:
    arms = [make_arm(arm, EXAMPLES) for arm in ARMS[:4]]
    data = build(make_run(EXAMPLES, decision=Decision(**decision)), arms)
    predictions = columns([row for arm in arms for row in arm.predictions])
    results = Results(data=data, predictions=predictions, examples=example_columns(EXAMPLES))
    return data, list(Payback().blocks(results))


def tables(blocks: list[Any]) -> list[Table]:
    return [block for block in blocks if isinstance(block, Table)]


def test_without_a_volume_each_opponent_is_held_against() -> None:
    data, blocks = page()
    (pairs,) = tables(blocks)
    assert [row[0] for row in words(pairs)] == [
        "Which is", "Invested", "Saved per 1,000 requests", "Prompt tokens found cached", "Paid back after",
    ]  # fmt: skip
    assert data["decision"]["requests_per_month"] is None


def test_a_volume_gives_the_horizon_and_each_arm_in_all() -> None:
    data, blocks = page(
        requests_per_month=15_000, setup_hours=2, hour_usd=50, error_usd=0.5, cache_hit=0.25, hosting_usd_per_month=20
    )
    pairs, horizon, totals = tables(blocks)
    told = {row[0]: row[1] for row in words(pairs)}
    assert (told["Training"], told["Set-up by hand"], told["Invested"]) == ("$1.13", "$100.00", "$101.13")
    assert told["… of which on errors"] == numbers.usd(data["payback"][-1]["error_saving_per_1k"])
    assert told["Prompt tokens found cached"] == "25%"
    (cached,) = (row for row in pairs.rows if row[0] == "Prompt tokens found cached")
    assert isinstance(cached[1], Cell)
    assert cached[1].note.startswith("assumed; ")
    assert words(horizon)[0] == ["Recurs each month beside requests", "$20.00"]
    amounts = [line["total"] for line in data["decision"]["totals"] if line["unit"] == "usd"]
    assert [row[-1] for row in words(totals)][: len(amounts)] == [numbers.usd(each) for each in sorted(amounts)]
    assert "Their errors" in [column.title for column in totals.columns]


@pytest.mark.parametrize("volume", [None, 15_000, 50_000_000])
def test_what_recurs_each_month_is_a_part_of_when_training_is_paid_back(volume: float | None) -> None:
    data, blocks = page(requests_per_month=volume, hosting_usd_per_month=3_000)
    entry = data["payback"][-1]
    told = next(row for row in tables(blocks)[0].rows if row[0] == "Paid back after")[1]
    assert isinstance(told, Cell)
    (chart,) = [block.title for block in blocks if isinstance(block, Chart)] or [None]
    if volume is None:
        assert told.note == "monthly costs left out"
        assert str(chart).endswith(f"after {numbers.count(entry['requests'])} requests, monthly costs left out")
    elif volume == 15_000:
        assert (told.text, told.note, chart) == ("never", "at 15,000 requests a month", None)
        assert data["decision"]["monthly_saving"] < 0
        assert "save no more than the $3,000.00 that it takes each month" in blocks[0].text
    else:
        after = entry["monthly"]["requests"]
        assert after > entry["requests"]
        assert after / volume == pytest.approx(entry["fixed"] / data["decision"]["monthly_saving"], rel=0.01)
        assert told.text == f"{numbers.count(after)} requests"
        assert str(chart).endswith(f"after {numbers.count(after)} requests, at 50,000,000 requests a month")


ASSUMED: tuple[dict[str, Any], ...] = (
    {},
    {"error_usd": 0.01},
    {"cache_hit": 0.9},
    {"cache_hit": 0.9, "error_usd": 0.02},
    {"hosting_usd_per_month": 1.0, "requests_per_month": 50_000_000},
)


@pytest.mark.parametrize("decision", ASSUMED)
def test_the_lines_of_the_chart_cross_where_it_says(decision: dict[str, Any]) -> None:
    _, blocks = page(**decision)
    (chart,) = (block for block in blocks if isinstance(block, Chart))
    (mark,) = chart.marks
    for series in chart.series:
        first, last = series.points
        at = first.y + (last.y - first.y) * (mark.x - first.x) / (last.x - first.x)
        assert at == pytest.approx(mark.y, rel=0.01)
        assert last.y >= first.y
