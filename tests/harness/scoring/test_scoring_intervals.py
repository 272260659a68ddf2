"""Intervals of figures that are no means: against plain resampling with the metric plugins, and how often they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.results import ARMS, make_arm, make_examples, make_run

from harness.scoring.answers import Answers
from harness.scoring.bootstrap import percentile_interval, resampled_means
from harness.scoring.facts import ArmFacts
from harness.scoring.intervals import Items, differences, intervals
from harness.scoring.resampling import RESAMPLES, kinds_of, resampled
from harness.scoring.results import build
from harness.scoring.tallies import Tallies, scale_of
from harness.types import Prediction, Row, Rows, Status
from harness_plugins.metrics.balanced_accuracy import BalancedAccuracy
from harness_plugins.metrics.brier import Brier
from harness_plugins.metrics.expected_label import ExpectedLabel
from harness_plugins.metrics.f1 import F1
from harness_plugins.metrics.kappa import QuadraticKappa
from harness_plugins.metrics.log_loss import LogLoss
from harness_plugins.metrics.macro_f1 import MacroF1
from harness_plugins.metrics.mae import Mae
from harness_plugins.metrics.spearman import Spearman

STARS = ("1", "2", "3", "5")
PLUGINS: tuple[Any, ...] = (
    MacroF1(), F1(), BalancedAccuracy(), Mae(), QuadraticKappa(), Spearman(), LogLoss(), Brier(), ExpectedLabel(),
)  # fmt: skip


def drawn(seed: int, n: int, accuracy: float = 0.7) -> list[Prediction]:
    """Draws answers to the same items whatever the accuracy: some unparsed, some with a label that no item has."""
    items, draw = np.random.default_rng(n), np.random.default_rng([seed, n])
    expected = items.choice(STARS[:3], p=[0.5, 0.3, 0.2], size=n)
    rows = []
    for place, label in enumerate(expected.tolist()):
        said = label if draw.random() < accuracy else str(draw.choice(STARS))
        told = draw.dirichlet([6.0 if star == said else 1.0 for star in STARS])
        unparsed = draw.random() < 0.05
        rows.append(
            Prediction(
                arm="x",
                example_id=f"{place:04}",
                expected=label,
                predicted=None if unparsed else said,
                status=Status.UNPARSED if unparsed else Status.ANSWERED,
                probabilities=dict(zip(STARS, told.tolist(), strict=True)),
            )
        )
    return rows


def scored(rows: Sequence[Prediction]) -> dict[str, float | None]:
    told = Rows(
        rows=tuple(
            Row(
                example_id=row.example_id,
                expected=row.expected,
                predicted=row.predicted,
                status=row.status,
                probabilities=row.probabilities,
            )
            for row in rows
        ),
        labels=STARS,
        ordered=True,
    )
    found: dict[str, float | None] = {}
    for plugin in PLUGINS:
        found |= plugin.score(told)
    return found


def items(n: int, groups: Any = None) -> Items:
    codes = np.arange(n) if groups is None else np.asarray(groups)
    return Items(labels=STARS, ordered=True, groups=codes, clustered=groups is not None, seed=7)


def answers(rows: Sequence[Prediction]) -> Answers:
    return Answers.of(ArmFacts(name="x", family="other", predictions=tuple(rows)))


def test_intervals_are_those_of_plain_resampling_with_the_plugins() -> None:
    rows = drawn(1, 150)
    metrics = scored(rows)
    found = intervals(answers(rows), metrics, items(150))
    assert set(found) == {name for name, value in metrics.items() if value is not None}
    rng = np.random.default_rng(3)
    again = [scored([rows[place] for place in rng.integers(150, size=150)]) for _ in range(100)]
    for name, line in found.items():
        values = np.array([each[name] for each in again], dtype=float)
        low, high = line["ci"]
        assert low < metrics[name] < high  # type: ignore[operator]
        assert (high - low) / 3.92 == pytest.approx(values.std(), rel=0.35), name
        assert np.mean((values > low) & (values < high)) > 0.85, name


def test_differences_are_paired() -> None:
    a, b = drawn(1, 400, 0.85), drawn(1, 400, 0.6)
    assert [row.expected for row in a] == [row.expected for row in b]
    metrics = scored(a), scored(b)
    lines = {line["metric"]: line for line in differences(answers(a), answers(b), metrics, items(400))}
    assert set(lines) == {"macro_f1", "balanced_accuracy", "mae", "mae_all"}
    rng = np.random.default_rng(3)
    plugins: tuple[Any, ...] = (MacroF1(),)
    gaps = []
    for _ in range(80):
        places = rng.integers(400, size=400)
        one, other = (_macro(plugins, [rows[place] for place in places]) for rows in (a, b))
        gaps.append(one - other)
    line = lines["macro_f1"]
    assert line["difference"] == pytest.approx(metrics[0]["macro_f1"] - metrics[1]["macro_f1"])  # type: ignore[operator]
    assert (line["ci"][1] - line["ci"][0]) / 3.92 == pytest.approx(np.std(gaps), rel=0.3)
    turned = {line["metric"]: line for line in differences(answers(b), answers(a), metrics[::-1], items(400))}
    for name, line in lines.items():
        assert turned[name]["difference"] == -line["difference"]
        assert turned[name]["ci"] == pytest.approx([-line["ci"][1], -line["ci"][0]], abs=0.02)
    assert lines["mae"]["difference"] < 0 < lines["macro_f1"]["difference"]


def _macro(plugins: Sequence[Any], rows: Sequence[Prediction]) -> float:
    told = [Row(example_id=r.example_id, expected=r.expected, predicted=r.predicted, status=r.status) for r in rows]
    return float(plugins[0].score(Rows(rows=tuple(told), labels=STARS))["macro_f1"])


def test_groups_widen_and_groups_of_one_do_not() -> None:
    few = drawn(5, 60)
    rows = [replace(row, example_id=f"{row.example_id} {copy}") for row in few for copy in range(10)]
    metrics = scored(rows)
    alone = intervals(answers(rows), metrics, items(600))
    once = intervals(answers(few), scored(few), items(60))
    together = intervals(answers(rows), metrics, items(600, np.repeat(np.arange(60), 10)))
    for name, line in together.items():
        assert "clustered" in line["method"] or "groups" in line["method"]
        width, apart = (each[name]["ci"][1] - each[name]["ci"][0] for each in (together, alone))
        assert width > 2.2 * apart, name
        assert width == pytest.approx(once[name]["ci"][1] - once[name]["ci"][0], rel=0.25), name


def test_a_figure_of_another_kind_has_no_interval() -> None:
    rows = drawn(2, 80)
    metrics: Mapping[str, float | None] = {**scored(rows), "macro_f1": 0.5, "ece": 0.1, "own": 0.3, "mae": None}
    found = intervals(answers(rows), metrics, items(80))
    assert not {"macro_f1", "ece", "own", "mae"} & set(found)
    assert "balanced_accuracy" in found
    assert differences(answers(rows), answers(rows), (metrics, metrics), items(80))[0]["metric"] == "balanced_accuracy"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_almost_no_items_give_no_interval_or_a_wide_one(n: int) -> None:
    rows = drawn(4, n)
    for line in intervals(answers(rows), scored(rows), items(n)).values():
        assert np.isfinite(line["ci"]).all()
    one = intervals(answers(rows), scored(rows), items(n, np.zeros(n, dtype=int)))
    assert one == {}


def test_probabilities_that_are_none_have_no_interval() -> None:
    rows = drawn(6, 50)
    rows[3] = replace(rows[3], probabilities={"1": 0.9, "2": 0.9, "3": 0.0, "5": 0.0})
    metrics = scored(rows)
    assert metrics["brier"] is None
    assert not {"brier", "log_loss"} & set(intervals(answers(rows), {**metrics, "brier": 0.2}, items(50)))


def test_kinds_are_told_apart_in_either_way() -> None:
    rng = np.random.default_rng(1)
    for high in (3, 10**6):
        columns = rng.integers(-1, high, size=200), rng.integers(0, high, size=200)
        kinds, codes = kinds_of(*columns)
        assert np.array_equal(kinds[codes], np.column_stack(columns))
        assert len(np.unique(kinds, axis=0)) == len(kinds) == codes.max() + 1


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("kinds", [3, 300])
def test_resampled_counts_are_those_of_drawn_items(groups: int, kinds: int) -> None:
    rng = np.random.default_rng(2)
    of, codes = np.sort(np.arange(600) % kinds), np.arange(600) // groups
    counts = resampled(of, codes, lambda each: each, 1)
    assert counts.shape == (RESAMPLES, kinds)
    assert (counts.sum(axis=1) == 600).all()  # groups are of one size
    values = rng.normal(size=kinds)
    means = counts @ values / 600
    sums = np.bincount(codes, weights=values[of])
    assert means.mean() == pytest.approx(values[of].mean(), abs=4 * means.std() / RESAMPLES**0.5)
    assert means.std() == pytest.approx(sums.std() / groups / len(sums) ** 0.5, rel=0.15)


def test_the_interval_of_macro_f1_holds_the_truth() -> None:
    """150 drawn test sets of 200 items: the interval holds the macro-F1 of a very large one about as often as said."""
    truth = _macro((MacroF1(),), fresh(150, 20_000))
    held = 0
    for seed in range(150):
        rows = fresh(seed, 200)
        found = intervals(answers(rows), {"macro_f1": _macro((MacroF1(),), rows)}, items(200))
        low, high = found["macro_f1"]["ci"]
        held += low <= truth <= high
    assert 0.9 <= held / 150 <= 0.99


def fresh(seed: int, n: int) -> list[Prediction]:
    """Draws items too, not only the answers to them."""
    draw = np.random.default_rng([seed, 77])
    expected = draw.choice(STARS[:3], p=[0.5, 0.3, 0.2], size=n).tolist()
    said = [label if draw.random() < 0.7 else str(draw.choice(STARS)) for label in expected]
    unparsed = draw.random(n) < 0.05
    return [
        Prediction(
            arm="x",
            example_id=f"{place:04}",
            expected=label,
            predicted=None if lost else told,
            status=Status.UNPARSED if lost else Status.ANSWERED,
        )
        for place, (label, told, lost) in enumerate(zip(expected, said, unparsed, strict=True))
    ]


def test_results_have_them() -> None:
    examples = make_examples(200, groups=True)
    results = build(make_run(examples), [make_arm(each, examples) for each in ARMS[:4]])
    for arm in results["arms"]:
        low, high = arm["intervals"]["macro_f1"]["ci"]
        assert low < arm["macro_f1"] < high
        assert arm["intervals"]["macro_f1"]["method"].startswith("clustered bootstrap, 2,000 resamples")
    (line,) = results["differences"]
    primary = next(each for each in results["comparisons"] if each["primary"])
    assert (line["a"], line["b"], line["metric"]) == (primary["a"], primary["b"], "macro_f1")
    named = {arm["name"]: arm["macro_f1"] for arm in results["arms"]}
    assert line["difference"] == pytest.approx(named[line["a"]] - named[line["b"]])
    assert build(make_run(examples), [make_arm(ARMS[0], examples)])["differences"] == []


def test_who_is_not_worse_follows_from_the_interval() -> None:
    examples = make_examples(400)
    results = build(make_run(examples, margin=0.05), [make_arm(each, examples) for each in ARMS[:5]])
    for line in results["comparisons"]:
        low, high = line["ci"]
        assert (line["a"] in line["not_worse"]) == (low > -0.05)
        assert (line["b"] in line["not_worse"]) == (high < 0.05)
        assert line["within_margin"] == (len(line["not_worse"]) == 2)


def test_means_over_probabilities_have_the_bootstrap_s_interval() -> None:
    rows = drawn(5, 40)
    told = [sum((p - (label == row.expected)) ** 2 for label, p in (row.probabilities or {}).items()) for row in rows]
    metrics = {"brier": float(np.mean(told)), "log_loss": -1.0}
    line = intervals(answers(rows), metrics, items(40))
    expected = percentile_interval(resampled_means(told, np.arange(40), 7, 2_000)[:, 0], 40)
    assert line == {
        "brier": {"ci": pytest.approx(list(expected)), "method": "bootstrap, 2,000 resamples of test items"}
    }
    assert intervals(answers(rows), metrics, replace(items(40), ordered=False)) == line
    groups = np.arange(40) // 2
    expected = percentile_interval(resampled_means(told, groups, 7, 2_000)[:, 0], 20)
    grouped = intervals(answers(rows), metrics, items(40, groups))["brier"]
    assert grouped == {"ci": pytest.approx(list(expected)), "method": "clustered bootstrap, 2,000 resamples of groups"}
    assert intervals(answers(rows), metrics, items(40, np.zeros(40, dtype=int))) == {}


def test_with_very_many_items_labels_need_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """There the draws come from a normal distribution, and what is no number without an order is no part of it."""
    rows, unordered = drawn(5, 400), replace(items(400), ordered=False)
    metrics = {name: value for name, value in scored(rows).items() if name in ("brier", "log_loss")}
    by_resample = intervals(answers(rows), metrics, unordered)
    monkeypatch.setattr("harness.scoring.bootstrap.MANY_GROUPS", 400)
    assert by_resample.keys() == {"brier", "log_loss"}
    for name, line in intervals(answers(rows), metrics, unordered).items():
        assert line["ci"] == pytest.approx(by_resample[name]["ci"], rel=0.03)


def test_labels_that_are_not_known_have_no_order() -> None:
    table, kinds, counts = Tallies.of([answers(drawn(5, 12))], (), ordered=True)
    assert (table.values, table.ranks, table.largest) == (None, None, 0.0)
    assert (len(kinds), counts.sum()) == (12, 12)
    assert scale_of(()) == []
    assert scale_of(("low", "5")) == [0.0, 1.0]
    assert scale_of(("2", "10.5")) == [2.0, 10.5]
    assert scale_of(("1", "inf")) == [0.0, 1.0]
