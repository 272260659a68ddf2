"""What the shipped sections say, and when they say nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sklearn.metrics import f1_score
from support.cli import ROOT
from support.report import make_results, shipped_sections, text_of, with_choices

from harness.blocks import Callout, Cell, Chart, Code, Dots, Intervals, Matrix, Results, Table, Text
from harness.terms import remark
from harness.words import speaking
from harness_plugins.sections.choices import Choices
from harness_plugins.sections.confidence import Confidence
from harness_plugins.sections.errors import DOTS, Errors, f1_by_label
from harness_plugins.sections.payback import Payback
from harness_plugins.sections.quality import Quality
from harness_plugins.sections.reproduce import Reproduce
from harness_plugins.sections.results import SHIPPED, Leaderboard
from harness_plugins.sections.samples import Samples
from harness_plugins.sections.significance import Significance
from harness_plugins.sections.speed import Speed
from harness_plugins.sections.tradeoffs import TradeOffs

ALL = (Leaderboard, TradeOffs, Payback, Choices, Significance, Confidence, Errors, Speed, Samples, Quality, Reproduce)


def column(table: Table, title: str) -> list[str | Cell]:
    place = [entry.title for entry in table.columns].index(title)
    return [row[place] for row in table.rows]


def only(section: Any, results: Results, kind: type) -> list[Any]:
    return [block for block in section.blocks(results) if type(block) is kind]


def test_all_are_installed_with_title_and_order() -> None:
    shipped = {type(section) for section in shipped_sections()}
    assert set(ALL) <= shipped
    assert len({section.order for section in ALL}) == len({section.title for section in ALL}) == len(ALL)


@pytest.mark.parametrize("section", ALL)
def test_of_empty_results_nothing_is_told(section: Callable[[], Any]) -> None:
    told = {"data": [Text], "reproduce": [Table]}  # that there are no checks, and what fixes the result
    found = section().blocks(Results(data={"schema": 1}))
    assert [type(block) for block in found] == told.get(section().name, [])


def test_slices_are_a_table_each_with_every_value_and_all() -> None:
    results = make_results(arms=8)
    [column_of_slices] = results.data["slices"]
    table = only(Errors(), results, Table)[-1]
    first, second = results.data["verdict"]["arm"], results.data["verdict"]["against"]
    heads = [entry.title for entry in table.columns]
    assert heads[:4] == ["country", "Examples", first, second]
    assert len(heads) == 6
    assert "4 other arms have no column" in table.caption
    assert [text_of(row[0]) for row in table.rows] == [part["value"] for part in column_of_slices["values"]] + ["All"]
    assert [row[1] for row in table.rows] == [str(part["n"]) for part in column_of_slices["values"]] + ["200"]
    for row, part in zip(table.rows, column_of_slices["values"], strict=False):
        [line] = [line for line in part["arms"] if line["arm"] == first]
        assert text_of(row[2]) == f"{100 * line['accuracy']:.1f}%"
        assert row[2].note.startswith(f"{100 * line['accuracy_ci'][0]:.1f}")
    [arm] = [arm for arm in results.data["arms"] if arm["name"] == first]
    assert text_of(table.rows[-1][2]) == f"{100 * arm['accuracy']:.1f}%"


def test_slices_without_a_value_or_a_name_of_their_own() -> None:
    def rest(data: dict[str, Any]) -> None:
        values = data["slices"][0]["values"]
        values[0]["value"] = ""
        values[1] |= {"value": None, "others": 3}
        data["arms"][1]["imported"] = True

    results = make_results(arms=2, change=rest)
    table = only(Errors(), results, Table)[-1]
    assert [text_of(row[0]) for row in table.rows][:2] == ["(no value)", "3 other values"]
    assert f"{results.data['arms'][1]['name']} (imported)" in [entry.title for entry in table.columns]


def test_leaderboard_is_sorted_and_complete() -> None:
    results = make_results(arms=8)
    [table] = only(Leaderboard(), results, Table)
    arms = sorted(results.data["arms"], key=lambda arm: (-arm["accuracy"], arm["name"]))
    assert [text_of(cell) for cell in column(table, "Arm")] == [arm["name"] for arm in arms]
    assert [text_of(cell) for cell in column(table, "Rank")] == [str(arm["rank"]) for arm in arms]
    assert table.rows[table.highlight][1].arm == results.data["verdict"]["arm"]
    best = [cell.text for cell in column(table, "Accuracy (95% CI)") if isinstance(cell, Cell) and cell.strong]
    assert best == [f"{arms[0]['accuracy'] * 100:.1f}%"]
    [mock] = [cell for cell in column(table, "Arm") if isinstance(cell, Cell) and cell.text == "mock"]
    assert mock.tags == ("simulated",)


def test_another_training_is_no_draw() -> None:
    data = json.loads(json.dumps(make_results(arms=4).data))
    names = {arm["name"]: arm for arm in data["arms"]}
    names["tuned"]["of"], names["8-shot"]["of"] = "first", "other"
    table = next(iter(Leaderboard().blocks(Results(data=data))))
    notes = {cell.arm: cell.note for cell in column(table, "Arm")}
    assert (notes["tuned"], notes["8-shot"]) == ("another seed of first", "another draw of other")


def test_figures_of_others_metrics_are_shown_by_their_names() -> None:
    results = make_results(arms=2)
    first, second = results.data["arms"]
    first["metrics"] |= {"words <b>": 12.3456, "gap": None}
    second["metrics"] |= {"gap": 0.00012345}
    board, table = only(Leaderboard(), results, Table)
    assert [entry.title for entry in table.columns] == ["Arm", "gap", "words <b>"]
    cells = {text_of(row[0]): [text_of(cell) for cell in row[1:]] for row in table.rows}
    assert cells == {first["name"]: ["–", "12.3"], second["name"]: ["0.000123", "–"]}
    assert len(board.rows) == 2


def test_what_ships_is_no_further_metric() -> None:
    [published] = (ROOT / "reports").glob("demo-*/results.json")
    arms = json.loads(published.read_text(encoding="utf-8"))["arms"]
    assert {name for arm in arms for name in arm["metrics"]} == SHIPPED


def test_leaderboard_counts_lost_answers() -> None:
    results = make_results(arms=6)
    [said] = only(Leaderboard(), results, Text)
    for arm in results.data["arms"]:
        assert (f"{arm['name']}: " in said.text) == bool(arm["unparsed"] or arm["failed"])


def test_cost_falls_back_to_machine_time() -> None:
    def local(data: dict[str, Any]) -> None:
        for place, arm in enumerate(data["arms"], start=1):
            arm["cost_per_1k_usd"], arm["machine_s_per_1k"] = None, float(place)

    results = make_results(arms=3, change=local)
    first, second = only(TradeOffs(), results, Chart)
    assert (first.x.unit, second.x.unit) == ("s", "ms")
    [table] = only(Leaderboard(), results, Table)
    costs = {
        text_of(arm): text_of(cost)
        for arm, cost in zip(column(table, "Arm"), column(table, "Machine time per 1k"), strict=True)
    }
    assert costs == {"tuned": "1.0 s", "8-shot": "2.0 s", "zero-shot": "3.0 s"}


def test_tradeoff_needs_two_arms_and_names_the_absent() -> None:
    assert only(TradeOffs(), make_results(arms=1), Chart) == []
    [said] = only(TradeOffs(), make_results(arms=6), Text)
    assert "tf-idf" in said.text
    assert "8-shot" not in said.text


def test_payback_lines_cross_at_the_requests() -> None:
    results = make_results()
    [chart] = only(Payback(), results, Chart)
    entry = results.data["payback"][0]
    [mark] = chart.marks
    assert mark.x == entry["requests"]
    for series in chart.series:
        (x0, y0), (x1, y1) = ((point.x, point.y) for point in series.points)
        at = y0 + (y1 - y0) * (mark.x - x0) / (x1 - x0)
        assert at == pytest.approx(mark.y, rel=0.01)


def test_payback_that_never_comes_gives_the_reason() -> None:
    def never(data: dict[str, Any]) -> None:
        for entry in data["payback"]:
            entry.update(requests=None, saving_per_1k=-1.0, reason="A request of tuned costs 12% more.", ci=None)

    results = make_results(change=never)
    assert only(Payback(), results, Chart) == []
    [said] = only(Payback(), results, Text)
    assert said.text == "1,000 requests of tuned cost $1.00 more than those of 8-shot."
    table, *_ = only(Payback(), results, Table)
    assert "never" in [text_of(cell) for row in table.rows for cell in row]


def test_choices_show_what_was_tried_and_what_was_chosen() -> None:
    results = make_results(change=with_choices)
    [figure] = only(Choices(), results, Intervals)
    [table] = only(Choices(), results, Table)
    assert [row.text for row in figure.rows] == ["72.0%", "71.0%", "62.0%", "61.0%"]
    assert [row[0] for row in table.rows] == ["✓", "", "", ""]
    assert [entry.title for entry in table.columns] == ["Chosen", "k", "draw", "Accuracy", "Unparsed"]
    assert figure.rows[0].label == "✓ k 8, draw 2"


def test_choices_show_what_they_cost_and_which_checkpoints_were_tried() -> None:
    def trained(data: dict[str, Any]) -> None:
        one = {"n": 50, "accuracy_ci": [0.6, 0.9], "unparsed": 0, "failed": 0, "cost_usd": 0.25, "seconds": 30.0}
        job = {"training_usd": 1.5, "training_s": 600.0}
        data["choices"] = [
            {
                "arm": "tuned", "chosen": {"backend.n_epochs": 3, "checkpoint": 24}, "tried": 3, "combinations": 40,
                "skipped": 3, "why_skipped": {"usd": 2, "seconds": 1}, "usd": 3.75, "seconds": 1290.0,
                "budget": {"trials": 6, "usd": 4.0, "seconds": None},
                "candidates": [
                    {"settings": {"backend.n_epochs": 1}, "accuracy": 0.7, **one, **job},
                    {"settings": {"backend.n_epochs": 3}, "accuracy": 0.75, **one, **job},
                    {"settings": {"backend.n_epochs": 3, "checkpoint": 24}, "accuracy": 0.8, **one},
                ],
            }
        ]  # fmt: skip

    results = make_results(change=trained)
    [table] = only(Choices(), results, Table)
    assert [entry.title for entry in table.columns] == ["Chosen", "n_epochs", "checkpoint", "Accuracy", "Cost", "Time"]
    assert [row[2] for row in table.rows] == ["24", "final", "final"]
    assert [row[4] for row in table.rows] == ["$0.25", "$1.75", "$1.75"]
    assert table.rows[0][0] == "✓"
    [said] = only(Choices(), results, Text)
    assert said.text.startswith("tuned: This choice took $3.75 and 22 min, training included.")
    assert "3 of 40 combinations" in said.text
    assert said.text.endswith("Left out for its budget: 2 for want of dollars, 1 for want of time.")


def test_differences_are_turned_to_the_arm_they_speak_of() -> None:
    results = make_results(arms=4)
    figures = only(Significance(), results, Intervals)
    accuracy = {arm["name"]: arm["accuracy"] for arm in results.data["arms"]}
    assert len(figures) == 2
    for figure, name in zip(figures, ("tuned", "8-shot"), strict=True):
        for row in figure.rows:
            assert row.value == pytest.approx(accuracy[name] - accuracy[row.arm])
            assert row.low <= row.value <= row.high


def test_grouped_examples_show_the_p_that_decides() -> None:
    results = make_results(n=150, arms=3, groups=True)
    table = only(Significance(), results, Table)[0]
    assert [entry.title for entry in table.columns][4:] == ["By group", "McNemar", "Adjusted"]
    assert "clustered bootstrap" in table.caption
    plain = only(Significance(), make_results(n=150, arms=3), Table)[0]
    assert [entry.title for entry in plain.columns][4:] == ["McNemar", "Adjusted"]


def test_f1_is_that_of_scikit_learn() -> None:
    results = make_results(n=150)
    table = results.predictions
    rows = zip(table["arm"], table["expected"], table["predicted"], strict=True)
    pairs = [(e, p) for arm, e, p in rows if arm == "8-shot"]
    labels = sorted({expected for expected, _ in pairs})
    reference = f1_score([e for e, _ in pairs], [p or "no label" for _, p in pairs], labels=labels, average=None)
    assert [f1_by_label(pairs)[label] for label in labels] == pytest.approx(list(reference))


def test_confusion_counts_every_example_once() -> None:
    results = make_results(n=150)
    for matrix in only(Errors(), results, Matrix):
        assert sum(map(sum, matrix.counts)) == 150
        assert set(matrix.rows) <= set(matrix.columns)


@pytest.mark.parametrize(("size", "shown"), [(60, 60), (150, 150), (200, 61)])
def test_many_labels_are_all_shown_and_very_many_are_folded(size: int, shown: int) -> None:
    results = make_results(n=400, arms=2)
    n = len(results.predictions["arm"])
    expected = tuple(f"label {k % size:03}" for k in range(n))
    predicted = tuple(f"label {(k * 7) % size if k % 3 else k % size:03}" for k in range(n))
    many = Results(data=results.data, predictions={**results.predictions, "expected": expected, "predicted": predicted})
    for matrix in only(Errors(), many, Matrix):
        assert len(matrix.rows) == shown
        assert sum(map(sum, matrix.counts)) == 400
        assert (matrix.folded in matrix.rows) == (size > 150)
    [dots] = only(Errors(), many, Dots)
    assert len(dots.rows) == DOTS


def test_mistakes_add_up() -> None:
    results = make_results(n=200)
    table, _ = only(Errors(), results, Table)
    data = results.predictions
    for name in ("tuned", "8-shot"):
        rows = zip(data["arm"], data["expected"], data["predicted"], strict=True)
        wrong = sum(arm == name and e != p for arm, e, p in rows)
        assert sum(int(text_of(cell)) for cell in column(table, name)) == wrong


def test_latency_leaves_out_reused_answers() -> None:
    results = make_results(arms=2)
    names = results.predictions["arm"]
    latency = tuple(None if name == "8-shot" else 0.5 for name in names)
    some = Results(data=results.data, predictions={**results.predictions, "latency_s": latency})
    [chart] = only(Speed(), some, Chart)
    assert [series.arm for series in chart.series] == ["tuned"]
    assert {point.x for point in chart.series[0].points} == {0.5}


def test_service_waiting_and_retries_are_told_apart() -> None:
    def slow(data: dict[str, Any]) -> None:
        arm, other = data["arms"][0], data["arms"][1]
        arm["latency_s"] = {"p50": 0.25, "p95": 0.5, "p99": 0.5}
        arm["queue_s"] = {"p50": 1.5, "p95": 3.0, "p99": 3.0}
        arm["retry_s"] = {"p50": 6.0, "p95": 7.0, "p99": 7.0}
        arm["retried"], arm["faults"] = 12, {"rate-limit": 30, "server-error": 1}
        other["first_token_s"] = {"p50": 0.02, "p95": 0.03, "p99": 0.03}

    results = make_results(arms=2, change=slow)
    waits = only(Speed(), results, Table)[0]
    name = results.data["arms"][0]["name"]
    place = [text_of(cell) for cell in column(waits, "Arm")].index(name)
    shown = [text_of(column(waits, title)[place]) for title in ("Service", "Waiting", "Retried", "In retries")]
    assert shown == ["250 ms / 500 ms", "1,500 ms / 3,000 ms", "12 of 200", "6,000 ms / 7,000 ms"]
    assert sorted(text_of(cell) for cell in column(waits, "First token")) == ["20 ms / 30 ms", "–"]
    assert "taken over" not in waits.caption
    [said] = only(Speed(), results, Text)
    assert said.text == f"Attempts that failed, in the whole run: {name}: 30 rate-limit, 1 server-error."
    plain = only(Speed(), make_results(arms=2), Table)[0]
    assert "First token" not in [entry.title for entry in plain.columns]


def test_nobody_knows_how_often_an_imported_arm_was_asked() -> None:
    data = json.loads(json.dumps(make_results(arms=4).data))
    data["arms"][0]["imported"] = True
    (waits,) = (each for each in only(Speed(), Results(data=data), Table) if "Where the time went" in each.caption)
    told = dict(zip(map(text_of, column(waits, "Arm")), map(text_of, column(waits, "Retried")), strict=True))
    assert [name for name, text in told.items() if text == "–"] == [data["arms"][0]["name"]]


def test_answers_that_were_taken_over_are_counted_where_times_are_shown() -> None:
    def some(data: dict[str, Any]) -> None:
        data["arms"][0]["reused"] = 40

    def everything(data: dict[str, Any]) -> None:
        for arm in data["arms"]:
            arm["reused"], arm["timed"] = 200, 0

    [table, _] = only(Speed(), make_results(arms=2, change=some), Table)
    assert "40 answers were taken over from other runs: they have no times here and are left out." in table.caption
    [said] = only(Speed(), make_results(arms=2, change=everything), Text)
    assert said.text.startswith("400 answers were taken over")


def test_stability_is_shown_where_items_were_asked_again() -> None:
    def again(data: dict[str, Any]) -> None:
        entry = {"agreement": 0.9, "flip_rate": 0.06, "accuracy": [0.85, 0.83, 0.86], "accuracy_sd": 0.0153}
        first, second, third = (arm["name"] for arm in data["arms"])
        data["repeats"] = [
            {"arm": first, "repeats": 3, "n": 198, "left_out": 2, "reason": None, **entry},
            {"arm": second, "repeats": 1, "n": 200, "left_out": 0, "reason": "deterministic", "accuracy": [0.5]},
            {"arm": third, "repeats": 1, "n": 200, "left_out": 0, "reason": "not-asked", "accuracy": [0.5]},
        ]

    results = make_results(arms=3, change=again)
    table = only(Significance(), results, Table)[-1]
    first, second, _ = (arm["name"] for arm in results.data["arms"])
    assert [text_of(cell) for cell in table.rows[0]] == [first, "3", "90.0%", "6.0%", "83.0–86.0%", "1.53 points"]
    assert len(table.rows) == 1
    assert "(2 items)" in table.caption
    [said] = [text for text in only(Significance(), results, Text) if text.text.startswith("Asked once")]
    assert said.text == f"Asked once, because they always answer the same: {second}."
    assert not [text for text in only(Significance(), make_results(arms=3), Text) if text.text.startswith("Asked once")]
    alone = Results(data={**results.data, "comparisons": [], "decomposition": []})
    assert len(only(Significance(), alone, Table)) == 1


def test_checks_that_failed_come_first() -> None:
    def checks(data: dict[str, Any]) -> None:
        data["checks"] += [
            {"kind": "leak", "level": "error", "message": "It leaks.", "figures": {"n": 3, "of": {"a": 1, "b": 0.25}}}
        ]

    results = make_results(n=50, change=checks)
    calls = only(Quality(), results, Callout)
    assert [call.level for call in calls] == ["error", "warning"]
    [table, counts] = only(Quality(), results, Table)
    assert [text_of(line[-1]) for line in table.rows] == ["leak", "class-balance", "exact-leak"]
    assert [line[0] for line in table.rows] == ["✗ error", "! warning", "✓ ok"]
    assert sum(int(text_of(line[1])) for line in counts.rows[:-1]) == int(text_of(counts.rows[-1][1])) == 50


def test_simulated_arms_say_so_beside_leaked_items() -> None:
    results = make_results(arms=2)
    first, second = results.data["arms"]
    first |= {"accuracy_without_leaks": 0.5, "simulated": True}
    second |= {"accuracy_without_leaks": 0.6, "simulated": False}
    table = next(one for one in only(Quality(), results, Table) if "stand in train" in one.caption)
    assert {cell.text: cell.tags for cell in (row[0] for row in table.rows) if isinstance(cell, Cell)} == {
        first["name"]: (remark("simulated"),),
        second["name"]: (),
    }


def test_texts_that_are_stored_by_field_stand_beside_rows_worth_a_look() -> None:
    results = make_results(n=60, arms=2)
    ids, texts = results.examples["id"], results.examples["text"]
    item = {"id": ids[3], "score": 0.5, "note": ""}
    ranked = [{"title": "Outliers", "explanation": "Far from all others.", "n": 1, "items": [item]}]
    results = replace(
        results,
        data={**results.data, "data": {"ranked": ranked}},
        examples={"id": ids, "fields": tuple({"text": text} for text in texts)},
    )
    table = only(Quality(), results, Table)[-1]
    assert column(table, "Text") == [texts[3]]


def test_reproduce_has_command_seed_fingerprint_and_date_of_prices() -> None:
    results = make_results()
    [command] = only(Reproduce(), results, Code)
    facts, arms = only(Reproduce(), results, Table)
    assert command.text == "harness run experiment.toml"
    known = dict(facts.rows)
    assert known["Seed"] == "7"
    assert known["Prices of"] == "2026-11-01"
    assert known["Fingerprint"] == results.data["run"]["dataset"]["fingerprint"]
    assert len(arms.rows) == 6


def test_confidence_shows_gates_and_cascades() -> None:
    results = make_results(n=300, arms=6)
    chart, calibration = only(Confidence(), results, Chart)
    assert calibration.diagonal
    assert [series.arm for series in chart.series] == [arm["name"] for arm in sorted_arms(results)]
    assert all(0 <= point.y <= 1 for series in chart.series for point in series.points)
    gates, others, *cascades = only(Confidence(), results, Table)
    assert others.folded
    names = [text_of(cell) for cell in column(gates, "Arm")]
    assert len(names) == 6
    for place, title in enumerate(("Answered alone (95% CI)", "Right of these (95% CI)")):
        key = ("coverage", "precision")[place]
        for name, cell in zip(names, column(gates, title), strict=True):
            found = next(arm for arm in results.data["arms"] if arm["name"] == name)["confidence"]["gates"][1]
            assert text_of(cell) == ("–" if found[key] is None else f"{found[key] * 100:.1f}%")
    shown = [line for line in results.data["cascades"] if line["wanted"] == 0.95]
    assert [text_of(cell) for cell in column(cascades[0], "Cascade")] == [" → ".join(line["stages"]) for line in shown]
    assert cascades[1].folded
    assert not only(Confidence(), results, Text)


def test_simulated_cascades_are_marked_in_the_language_of_the_page() -> None:
    def simulate(data: dict[str, Any]) -> None:
        for line in data["cascades"]:
            line["simulated"] = True

    results = make_results(n=300, arms=6, change=simulate)
    with speaking("ko"):
        shown = [cell for table in only(Confidence(), results, Table) for row in table.rows for cell in row]
        marked = {cell.tags for cell in shown if isinstance(cell, Cell) and "→" in cell.text}
        assert marked == {(remark("simulated"),)}
        assert remark("simulated") != "simulated"


def test_arms_without_confidence_are_not_available() -> None:
    def forget(data: dict[str, Any]) -> None:
        for arm in data["arms"]:
            arm["confidence"] = {"available": False, "reason": "none", "n_validation": None, "gates": [], "curve": []}
        data["cascades"] = []

    [text] = Confidence().blocks(make_results(arms=2, change=forget))
    assert isinstance(text, Text)
    assert text.text == "Not available: tuned, 8-shot (none)."


def test_significance_says_what_training_taught_and_what_varied() -> None:
    results = make_results(n=200, arms=10)  # the last two are further draws of the first ones
    tables = only(Significance(), results, Table)
    gains = next(table for table in tables if table.caption.startswith("What training taught"))
    [line] = [line for line in results.data["decomposition"] if line["a"] == results.data["contenders"]["a"]]
    assert text_of(column(gains, "Gain")[0]) == f"{line['difference'] * 100:+.1f} points"
    spread = next(table for table in tables if table.caption.startswith("How far one accuracy moves"))
    assert [text_of(cell) for cell in column(spread, "Tested")] == ["2 seeds", "2 draws"]
    said = [block.text for block in only(Significance(), results, Text)]
    assert any(
        "also varied the draw of shots and the training seed. On the test items the run did not vary repeated asking"
        in s
        for s in said
    )
    said = [block.text for block in only(Significance(), make_results(arms=2), Text)]
    assert any(
        "On the test items the run did not vary the draw of shots, the training seed or repeated asking." in s
        for s in said
    )


def sorted_arms(results: Results) -> list[Any]:
    return sorted(results.data["arms"], key=lambda arm: (-arm["accuracy"], arm["name"]))
