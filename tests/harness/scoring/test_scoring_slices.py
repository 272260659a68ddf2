"""Accuracy in parts of the test items: the parts are all of them, and each figure is that of its own rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import ARMS, make_arm, make_examples, make_run

from harness.scoring.facts import ArmFacts, RunFacts
from harness.scoring.results import build
from harness.scoring.slices import MOST
from harness.scoring.statistics import wilson

COUNTRIES = ("de", "fr", "kr", "us", "")


def made(n: int, seed: int, values: int, *, groups: bool = False) -> tuple[RunFacts, list[ArmFacts]]:
    draw = np.random.default_rng(seed)
    examples = make_examples(n, seed, groups)
    told = {
        example.id: {"country": COUNTRIES[draw.integers(len(COUNTRIES))], "shop": f"shop {draw.integers(values)}"}
        for example in examples
    }
    arms = [make_arm(arm, examples, seed) for arm in ARMS[:3]]
    return make_run(examples, slices=told), arms


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10**6), st.integers(1, 60), st.booleans())
def test_parts_are_all_items_and_each_figure_is_that_of_its_rows(n: int, seed: int, values: int, groups: bool) -> None:
    run, arms = made(n, seed, values, groups=groups)
    columns = build(run, arms)["slices"]
    assert [column["name"] for column in columns] == ["country", "shop"]
    for column in columns:
        parts = column["values"]
        of = {item: told[column["name"]] for item, told in run.slices.items()}
        named = [part["value"] for part in parts if part["value"] is not None]
        assert len(named) == min(MOST, len(set(of.values())))
        assert sum(part["n"] for part in parts) == run.n_test
        sizes = [part["n"] for part in parts if part["value"] is not None]
        assert sizes == sorted(sizes, reverse=True)
        for part in parts:
            inside = {item for item, value in of.items() if (value if value in named else None) == part["value"]}
            assert len(inside) == part["n"] > 0
            assert part["others"] == (len(set(of.values())) - MOST if part["value"] is None else None)
            assert [line["arm"] for line in part["arms"]] == [arm.name for arm in arms]
            for line, arm in zip(part["arms"], arms, strict=True):
                right = sum(row.predicted == row.expected for row in arm.predictions if row.example_id in inside)
                assert line["n"] == part["n"]
                assert line["accuracy"] == right / part["n"]
                low, high = line["accuracy_ci"]
                assert 0 <= low <= line["accuracy"] <= high <= 1
                if not groups:
                    assert (low, high) == pytest.approx(wilson(right, part["n"]))


def test_groups_make_intervals_wider() -> None:
    run, arms = made(400, 3, 4)
    assert run.groups is None
    wide = replace(run, groups={item: str(place // 20) for place, item in enumerate(run.slices)})
    # Whole groups are right or wrong
    same = [replace(row, predicted=row.expected if int(wide.groups[row.example_id]) % 3 else None)  # type: ignore[index]
            for row in arms[0].predictions]  # fmt: skip
    arm = replace(arms[0], predictions=tuple(same))

    def widths(facts: RunFacts) -> list[float]:
        column = build(facts, [arm])["slices"][0]
        return [high - low for part in column["values"] for low, high in [part["arms"][0]["accuracy_ci"]]]

    alone, together = widths(run), widths(wide)
    assert all(clustered > 1.5 * simple for simple, clustered in zip(alone, together, strict=True))
    assert build(wide, [arm])["slices"][0]["ci_method"] == "Wilson score interval, by the design effect of groups"


def test_the_order_of_items_and_arms_without_answers_change_nothing() -> None:
    run, arms = made(50, 5, 30)
    turned = replace(run, slices=dict(reversed(run.slices.items())))
    columns = build(run, arms)["slices"]
    assert build(turned, [replace(arm, predictions=arm.predictions[::-1]) for arm in arms])["slices"] == columns
    silent = [*arms[:2], replace(arms[2], predictions=())]
    for column, whole in zip(build(run, silent)["slices"], columns, strict=True):
        for part, other in zip(column["values"], whole["values"], strict=True):
            assert part == {**other, "arms": other["arms"][:2]}


@pytest.mark.parametrize("told", [{}, None])
def test_without_slices_there_is_nothing(told: dict[str, str] | None) -> None:
    run, arms = made(20, 1, 3)
    assert build(replace(run, slices={} if told is None else dict.fromkeys(run.slices, told)), arms)["slices"] == []
