"""What the section on curves says in figures, sentences and tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.report import make_results, shipped_sections, with_curves

from harness.blocks import Cell, Chart, Results, Table, Text
from harness.report.charts import data_table
from harness_plugins.sections.curves import Curves


def blocks(results: Results, kind: type) -> list[Any]:
    return [block for block in Curves().blocks(results) if type(block) is kind]


def changed(change: Callable[[dict[str, Any]], None]) -> Results:
    def both(data: dict[str, Any]) -> None:
        with_curves(data)
        change(data)

    return make_results(arms=4, change=both)


def test_it_is_installed_between_the_choices_and_what_follows() -> None:
    assert any(isinstance(section, Curves) for section in shipped_sections())
    assert (Curves.title, Curves.order) == ("Curves", 430)


def test_without_curves_there_is_no_section() -> None:
    assert list(Curves().blocks(make_results())) == []
    assert list(Curves().blocks(Results(data={"schema": 1, "curves": []}))) == []


def test_figures_show_means_ranges_the_best_prompt_and_the_crossing() -> None:
    results = make_results(arms=4, change=with_curves)
    learning, shots, _ = blocks(results, Chart)
    few, tuned = results.data["curves"]
    n = tuned["crossing"]["n"]
    assert learning.title == f"tuned passes 8-shot at about {round(n, -1):.0f} training examples"
    means, prompt = learning.series
    assert [(p.x, p.y, p.low, p.high) for p in means.points] == [
        (line["x"], line["mean"], line["low"], line["high"]) for line in tuned["summary"]
    ]
    assert [(p.x, p.y) for p in prompt.points] == [(32, 0.82), (512, 0.82)]
    assert [(mark.x, mark.y) for mark in learning.marks] == [(n, 0.82)]
    assert learning.x.log
    assert learning.x.ticks == (32, 64, 128, 256, 512)
    assert "Lowest to highest" in [column.title for column in data_table.table(learning).columns]
    best = max(few["summary"], key=lambda line: line["mean"])
    assert shots.title == f"8-shot is best with {best['x']} shots: {best['mean']:.1%}"
    assert [point.x for point in shots.series[0].points] == [0, 1, 2, 4, 8, 16]


def test_sentences_say_how_sure_the_crossing_is_and_how_steep_the_curve() -> None:
    results = make_results(arms=4, change=with_curves)
    (text,) = [block.text for block in blocks(results, Text)]
    low = results.data["curves"][1]["crossing"]["ci"][0]
    assert f"The size at which tuned passes 8-shot lies between {round(low, -1):.0f} and" in text
    assert "95% interval over seeds and examples" in text
    assert f"tuned changes by +{100 * results.data['curves'][1]['fit']['slope']:.1f} points with every doubling" in text


@pytest.mark.parametrize(
    ("found", "title"),
    [
        ({"kind": "below"}, "tuned matches 8-shot with 32 training examples already, the fewest that were tried"),
        ({"kind": "not-reached"}, "tuned does not reach 8-shot with 512 training examples"),
        ({"kind": "between", "n": 180.0, "shots": 1}, "tuned passes 8-shot with 1 shot at about 180 training"),
    ],
)
def test_the_title_says_where_it_passes(found: dict[str, Any], title: str) -> None:
    def change(data: dict[str, Any]) -> None:
        data["curves"][1]["crossing"] |= {"n": None, "ci": [None, None], "reached": 0.03, **found}

    results = changed(change)
    assert blocks(results, Chart)[0].title.startswith(title)
    assert "In 3% of resamples of seeds and examples" in blocks(results, Text)[0].text


def test_without_a_prompt_the_title_says_what_was_reached() -> None:
    results = changed(lambda data: data["curves"][1].update(crossing=None, fit=None))
    chart = blocks(results, Chart)[0]
    assert chart.title.startswith("tuned is right on ")
    assert len(chart.series) == 1
    assert blocks(results, Text) == []


def test_tables_list_every_point_and_why_one_is_missing() -> None:
    def change(data: dict[str, Any]) -> None:
        point = data["curves"][1]["points"][0]
        point |= dict.fromkeys(("accuracy", "accuracy_ci", "training_usd", "training_s", "cost_usd"))
        point["reason"] = "too few examples"
        data["curves"][1]["points"][2]["training_usd"] = None
        data["arms"][1]["simulated"] = True

    learning, shots = blocks(changed(change), Table)
    assert (len(learning.rows), len(shots.rows)) == (15, 16)
    titles = [column.title for column in learning.columns]
    assert titles == ["Arm", "Examples", "Seed", "Accuracy (95% CI)", "Training", "Cost", "Not measured"]
    first = [cell.text if isinstance(cell, Cell) else cell for cell in learning.rows[0]]
    assert first == ["tuned", "32", "0", "–", "–", "–", "too few examples"]
    assert learning.rows[1][5] == "$0.05"  # 32/900 for the training and one cent for the answers
    assert learning.rows[2][5] == "–"  # what the training cost is not known
    assert shots.rows[0][5].startswith("$")
    assert shots.rows[0][0].tags == ("simulated",)
    assert learning.folded


@pytest.mark.parametrize(
    ("local", "unit"), [(True, "s"), (False, "tokens")], ids=["on this machine", "on somebody's machine"]
)
def test_time_is_a_cost_on_this_machine_alone(local: bool, unit: str) -> None:
    def change(data: dict[str, Any]) -> None:
        for arm in data["arms"]:
            arm["local"] = local
        for curve in data["curves"]:
            for point in curve["points"]:
                point |= {"cost_usd": None, "training_usd": None, "seconds": 2.0, "training_s": 60.0}

    assert blocks(changed(change), Chart)[-1].x.unit == unit


def test_what_a_request_costs_is_that_of_an_answered_one() -> None:
    def change(failed: int) -> Callable[[dict[str, Any]], None]:
        def changes(data: dict[str, Any]) -> None:
            for curve in data["curves"]:
                for point in curve["points"]:
                    answered = curve["n_items"] - failed
                    point |= {"cost_usd": 0.01 * answered, "training_usd": 2.0, "failed": failed}

        return changes

    every, some = (blocks(changed(change(failed)), Chart)[-1] for failed in (0, 2))
    assert every.x.unit == "usd"
    costs = [[point.x for series in chart.series for point in series.points] for chart in (every, some)]
    assert costs[1] == pytest.approx(costs[0])


def test_arms_that_were_asked_about_other_items_do_not_stand_on_one_axis() -> None:
    """Samples of one size are the same items; another size is another test."""

    def alike(data: dict[str, Any]) -> None:
        shots, learning = data["curves"]
        data["curves"] += [{**shots, "arm": "zero-shot", "n_items": 7}, {**learning, "arm": "other", "n_items": 9}]

    def apart(data: dict[str, Any]) -> None:
        data["curves"][0]["n_items"] = 7

    assert [series.arm for series in blocks(changed(alike), Chart)[-1].series] == ["tuned", "8-shot"]
    assert len(blocks(changed(apart), Chart)) == 2
