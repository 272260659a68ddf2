"""What the section on training shows, and when it shows nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support.report import make_results, with_training

from harness.blocks import Cell, Chart, Results, Table, Text
from harness.report.page import render
from harness_plugins.sections.training import POINTS, Training


def blocks(change: Any = with_training, **options: Any) -> list[Any]:
    return list(Training().blocks(make_results(n=40, change=change, **{"arms": 8, **options})))


def column(table: Table, title: str) -> list[str]:
    place = [entry.title for entry in table.columns].index(title)
    return [cell.text if isinstance(cell, Cell) else cell for cell in (row[place] for row in table.rows)]


def test_losses_are_drawn_for_each_trained_arm() -> None:
    first, second, table = blocks()
    assert isinstance(first, Chart)
    assert isinstance(second, Chart)
    assert isinstance(table, Table)
    assert [series.arm for series in first.series] == ["on train", "tuned"]
    assert first.title == "Loss of tuned on validation is lowest at step 150 of 300: 1.19, in the end 1.40"
    assert second.title == "Loss of tuned small on validation is lowest at the end: 0.367"
    assert all(len(series.points) <= POINTS for series in first.series)
    assert first.subtitle == (
        "Cross-entropy of a token, in colour on validation and in grey on train. On train, points are means of 13 "
        "steps."
    )
    assert "mean" not in second.subtitle
    assert [(point.x, point.y) for point in second.series[1].points][:2] == [(1.0, 2.2), (2.0, 1.1)]
    assert column(table, "Arm") == ["tuned", "tuned small"]
    assert column(table, "Tokens") == ["283,355", "283,355"]
    assert column(table, "Rate ×") == ["1.8", "1.8"]
    assert column(table, "Steps") == ["300", "6"]
    assert column(table, "Shut down on") == ["2027-01-14"] * 2
    assert table.rows[1][2].tags == ("taken over",)


def test_windows_keep_the_mean() -> None:
    first = blocks()[0]
    assert isinstance(first, Chart)

    def change(data: dict[str, Any]) -> None:
        with_training(data)
        steps.extend(data["training"][0]["steps"])

    steps: list[dict[str, float]] = []
    blocks(change)
    points = first.series[0].points
    assert points[0].y == pytest.approx(sum(step["train_loss"] for step in steps[:13]) / 13)
    assert points[0].x == pytest.approx(7.0)
    assert points[-1].x == pytest.approx(sum(step["step"] for step in steps[299:]) / len(steps[299:]))


def test_a_refused_training_is_told_without_a_figure() -> None:
    def refused(data: dict[str, Any]) -> None:
        with_training(data)
        del data["training"][1:]
        data["training"][0] |= {
            "job": None, "model": None, "status": "refused", "seconds": None, "trained_tokens": None, "steps": [],
            "checkpoints": [], "n_steps": None, "reason": "the endpoint openai refused to train: 403",
        }  # fmt: skip

    table, text = blocks(refused)
    assert isinstance(table, Table)
    assert column(table, "Became") == ["refused"]
    assert "Time" not in [entry.title for entry in table.columns]
    assert text == Text(text="tuned: the endpoint openai refused to train: 403")


def test_train_loss_alone_and_single_steps() -> None:
    def change(data: dict[str, Any]) -> None:
        with_training(data)
        data["training"][0]["steps"] = [{"step": 1, "train_loss": 2.0}, {"step": 2, "train_loss": 0.5}]
        data["training"][1]["steps"] = [{"step": 1, "train_loss": 2.0, "valid_loss": 1.0}]

    first, table = blocks(change)
    assert first.title == "Loss of tuned on train goes from 2.00 to 0.500"
    assert isinstance(table, Table)


@pytest.mark.parametrize("data", [{}, {"training": None}, {"training": []}, {"training": [{"arm": "x"}]}])
def test_little_or_nothing_raises_nothing(data: dict[str, Any]) -> None:
    found = list(Training().blocks(Results(data={"schema": 1, **data})))
    assert len(found) == len(data.get("training") or ())


def test_the_page_comes_from_the_results_alone() -> None:
    results = make_results(arms=8, n=40, change=with_training)
    page = render(results, [Training()])
    assert "Loss of tuned on validation" in page
    alone = render(Results(data=results.data), [Training()])
    assert [text.partition("<section")[2] for text in (page, alone)] == [page.partition("<section")[2]] * 2
