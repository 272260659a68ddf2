"""`results.json`: the promised keys, invariants, references."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from support.results import ARMS, LABELS, example_results, make_arm, make_examples, make_run

from harness.errors import HarnessError
from harness.scoring.comparisons import Panel, letters
from harness.scoring.facts import ArmFacts
from harness.scoring.results import build
from harness.types import Prediction, Status

PROMISED = {
    "": "schema run checks arms comparisons choices curves repeats payback decision verdict",
    "run": "name id started finished seed n_test preview dataset labels command",
    "arms": "name family model of shots n answered unparsed failed simulated imported accuracy accuracy_strict "
    "accuracy_ci macro_f1 mae mae_all off_by_one input_tokens_mean output_tokens_mean cached_tokens_mean "
    "reasoning_tokens_mean cost_per_1k_usd training_cost_usd training_s latency_s truncated truncated_cost_usd "
    "tokens_estimated reused attempts faults barred",
    "comparisons": "a b metric primary difference ci mcnemar_p p_adjusted only_a_right only_b_right n_for_80_power",
    "payback": "arm against role unit fixed saving_per_1k requests ci cache_hit reason",
    "decision": "requests_per_month horizon_months monthly_saving total_saving break_even_date shutdown_date "
    "flip_points table",
    "verdict": "kind arm against sentence",
}


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize(("n", "arms"), [(200, 6), (40, 1), (0, 2), (1, 2), (2, 3)])
def test_every_promised_key_is_there_and_nothing_is_not_a_number(n: int, arms: int, groups: bool) -> None:
    results, predictions, examples = example_results(n=n, arms=arms, groups=groups)
    assert (len(predictions), len(examples)) == (n * arms, n)
    for part, keys in PROMISED.items():
        value = results[part] if part else results
        for entry in value if isinstance(value, list) else [value]:
            assert not set(keys.split()) - set(entry), part
    assert set(results["run"]["dataset"]) == {"name", "fingerprint"}
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_what_the_run_has_recorded_is_handed_on() -> None:
    examples = make_examples(20)
    recorded: dict[str, Any] = {
        name: (
            {"arm": f"{name} 1", "accuracy": [], "reason": None},
            {"arm": f"{name} 2", "accuracy": [], "reason": None},
        )
        for name in ("choices", "curves", "training", "repeats")
    }
    results = build(make_run(examples, **recorded), [make_arm(ARMS[0], examples)])
    assert {name: tuple(results[name]) for name in recorded} == recorded


def test_the_same_facts_in_any_order_give_the_same_results() -> None:
    examples = make_examples(120, groups=True)
    facts = [make_arm(arm, examples) for arm in ARMS[:5]]
    run = make_run(examples)
    shuffled = []
    for arm in facts:
        rows = list(arm.predictions)
        random.Random(arm.name).shuffle(rows)
        shuffled.append(replace(arm, predictions=tuple(rows)))
    results = build(run, facts)
    assert build(run, shuffled) == results
    turned = build(run, facts[::-1])
    assert turned["verdict"] == results["verdict"]
    assert {arm["name"]: arm for arm in turned["arms"]} == {arm["name"]: arm for arm in results["arms"]}
    assert sorted(map(str, turned["comparisons"])) == sorted(map(str, results["comparisons"]))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40).flatmap(
        lambda n: st.lists(
            st.tuples(
                *[st.lists(st.sampled_from([*LABELS, "unparsed", "failed"]), min_size=n, max_size=n) for _ in range(2)],
                st.lists(st.sampled_from(LABELS), min_size=n, max_size=n),
            ),
            min_size=1,
            max_size=1,
        )
    )
)
def test_states_sum_and_swapping_the_arms_negates(data: list[Any]) -> None:
    answers_a, answers_b, expected = data[0]
    facts = [_facts(name, answers, expected) for name, answers in (("a", answers_a), ("b", answers_b))]
    panel = build(make_run([], n_test=len(expected)), facts)
    for arm, answers in zip(panel["arms"], (answers_a, answers_b), strict=True):
        assert arm["answered"] + arm["unparsed"] + arm["failed"] == arm["n"] == len(expected)
        assert arm["accuracy"] == pytest.approx(accuracy_score(expected, answers))
        assert arm["accuracy_ci"][0] <= arm["accuracy"] <= arm["accuracy_ci"][1]
        table = arm["confusion"]
        total = sum(map(sum, table["counts"])) + sum(table["unparsed"]) + sum(table["failed"])
        assert total == arm["n"]
    line = panel["comparisons"][0]
    by_name = {arm["name"]: arm["accuracy"] for arm in panel["arms"]}
    assert line["difference"] == pytest.approx(by_name[line["a"]] - by_name[line["b"]])
    assert line["ci"][0] <= line["difference"] <= line["ci"][1]
    assert line["only_a_right"] - line["only_b_right"] == round(line["difference"] * len(expected))


def test_comparisons_turn_with_the_arms() -> None:
    right = np.random.default_rng(4).random((90, 2)) < [0.9, 0.7]
    panel = Panel(names=("a", "b"), right=right)
    one, other = panel.compare("a", "b", 0.02), panel.compare("b", "a", 0.02)
    assert other["difference"] == -one["difference"]
    assert other["ci"] == [-one["ci"][1], -one["ci"][0]]
    assert (other["p"], other["n_for_80_power"]) == (one["p"], one["n_for_80_power"])


def test_classes_agree_with_scikit_learn() -> None:
    results, predictions, _ = example_results(n=300, arms=3)
    for arm in results["arms"]:
        rows = [row for row in predictions if row.arm == arm["name"]]
        expected = [row.expected for row in rows]
        predicted = [row.predicted or "none" for row in rows]
        table = confusion_matrix(expected, predicted, labels=[*LABELS, "none"])[:3]
        assert np.array_equal(np.array(arm["confusion"]["counts"]), table[:, :3])
        lost = np.array(arm["confusion"]["unparsed"]) + np.array(arm["confusion"]["failed"])
        assert np.array_equal(lost, table[:, 3])
        reference = precision_recall_fscore_support(expected, predicted, labels=LABELS, zero_division=0)
        for number, line in enumerate(arm["per_class"]):
            mine = (line["precision"], line["recall"], line["f1"], line["support"])
            assert mine == pytest.approx(tuple(column[number] for column in reference))


def test_latency_and_cost_leave_out_what_was_not_measured() -> None:
    rows = (
        Prediction(arm="a", example_id="1", expected="x", predicted="x", status=Status.ANSWERED, cost_usd=0.002,
                   latency_s=0.5, input_tokens=10),
        Prediction(arm="a", example_id="2", expected="x", predicted="x", status=Status.ANSWERED, cost_usd=0.004,
                   reused=True, input_tokens=20),
        Prediction(arm="a", example_id="3", expected="x", predicted=None, status=Status.FAILED),
    )  # fmt: skip
    facts = ArmFacts(name="a", family="few-shot", predictions=rows)
    (arm,) = build(make_run([], n_test=3), [facts])["arms"]
    assert arm["cost_per_1k_usd"] == pytest.approx(3.0)
    assert arm["latency_s"] == {"p50": 0.5, "p95": 0.5, "p99": 0.5}
    assert (arm["input_tokens_mean"], arm["cached_tokens_mean"], arm["reused"]) == (15.0, None, 1)
    unpriced = replace(facts, predictions=(replace(rows[0], cost_usd=None), *rows[1:]))
    assert build(make_run([], n_test=3), [unpriced])["arms"][0]["cost_per_1k_usd"] is None


def test_groups_widen_the_interval_and_decide() -> None:
    """40 groups of 10 whose items all arms get right or wrong together: 400 items say no more than 40."""
    ids = [f"{number:03d}" for number in range(400)]
    groups = {key: key[:2] for key in ids}
    bad = {"a": range(0), "b": range(20)}
    facts = [
        _facts(name, ["unparsed" if int(key[:2]) in bad[name] or int(key) % 7 == 0 else "positive" for key in ids],
               ["positive"] * 400, ids)
        for name in ("a", "b")
    ]  # fmt: skip
    plain = build(make_run([], n_test=400), facts)
    clustered = build(make_run([], n_test=400, groups=groups), facts)
    widths = [line["comparisons"][0]["ci"][1] - line["comparisons"][0]["ci"][0] for line in (plain, clustered)]
    assert widths[1] > 2 * widths[0]
    line = clustered["comparisons"][0]
    assert line["ci_method"].startswith("clustered bootstrap")
    assert line["p_method"] == "clustered bootstrap"
    assert line["design_effect"] > 4
    alone = plain["comparisons"][0]
    assert line["n_for_80_power"] == pytest.approx(line["design_effect"] * alone["n_for_80_power"], rel=0.001)
    assert line["smallest_difference"] > 2 * alone["smallest_difference"]
    assert line["mcnemar_p"] == plain["comparisons"][0]["mcnemar_p"] < line["p"]
    assert clustered["run"]["groups"] == 40
    assert clustered["arms"][0]["ci_method"].startswith("clustered bootstrap")
    assert build(make_run([], n_test=400, groups=groups), facts) == clustered


def test_groups_without_a_difference_claim_no_certainty() -> None:
    facts = [_facts(name, ["positive"] * 50, ["positive"] * 50) for name in ("a", "b")]
    groups = {f"{number:04d}": str(number // 10) for number in range(50)}
    results = build(make_run([], n_test=50, groups=groups), facts)
    low, high = results["comparisons"][0]["ci"]
    assert low == -high < -0.3
    assert results["arms"][0]["accuracy_ci"][0] < 0.7
    assert results["verdict"]["kind"] == "not-enough-data"


def test_only_where_the_primary_decides_are_others_claimed() -> None:
    results, _, _ = example_results(n=400, arms=6)
    first, *others = results["comparisons"]
    assert first["primary"]
    assert first["p_adjusted"] == first["p"] < 0.05
    assert not any(line["primary"] for line in others)
    assert all(line["p_adjusted"] >= line["p"] for line in others)
    assert any(line["claimed"] for line in others)
    small, _, _ = example_results(n=25, arms=6)
    assert not small["comparisons"][0]["decisive"]
    assert all(line["p_adjusted"] is None and not line["claimed"] for line in small["comparisons"])


def test_arms_that_cannot_be_told_apart_share_a_rank() -> None:
    results, _, _ = example_results(n=400, arms=8)
    ordered = sorted(results["arms"], key=lambda arm: arm["letter"])
    assert [arm["accuracy"] for arm in ordered] == sorted((arm["accuracy"] for arm in ordered), reverse=True)
    assert [arm["letter"] for arm in ordered] == list("ABCDEFGH")
    ranks = [arm["rank"] for arm in ordered]
    assert ranks[0] == 1
    assert ranks == sorted(ranks)
    for place, rank in enumerate(ranks, start=1):
        assert rank == place or rank == ranks[place - 2]
    assert len(set(ranks)) < len(ranks)


def test_what_is_no_fair_opponent_is_marked() -> None:
    few = _facts("few", ["positive"] * 3 + ["neutral"] * 7, ["positive"] * 10)
    chance = _facts("chance", ["positive"] * 4 + ["neutral"] * 6, ["positive"] * 10)
    mute = _facts("mute", ["positive"] * 4 + ["unparsed"] * 3 + ["failed"] * 3, ["positive"] * 10)
    half = _facts("half", ["positive"] * 5 + ["unparsed"] * 5, ["positive"] * 10)
    arms = build(make_run([], n_test=10), [few, chance, mute, half])["arms"]
    assert [arm["barred"] for arm in arms] == ["below-chance", None, "unanswered", None]


def test_letters_go_on_after_z() -> None:
    assert letters(28)[25:] == ["Z", "AA", "AB"]
    assert len(set(letters(500))) == 500


def test_two_answers_to_one_example_are_refused() -> None:
    arm = _facts("a", ["positive"] * 2, ["positive"] * 2, ["same", "same"])
    with pytest.raises(HarnessError, match="two answers to example 'same'"):
        build(make_run([], n_test=2), [arm])


def test_arms_of_one_name_are_refused() -> None:
    arm = _facts("a", ["positive"], ["positive"])
    with pytest.raises(HarnessError, match="two arms"):
        build(make_run([], n_test=1), [arm, arm])


def test_labels_outside_the_set_are_counted_not_lost() -> None:
    arm = _facts("a", ["positive", "other", "zzz"], ["positive", "positive", "strange"])
    (line,) = build(make_run([], n_test=3), [arm])["arms"]
    assert line["confusion"]["labels"] == [*LABELS, "other", "strange", "zzz"]
    assert line["accuracy"] == pytest.approx(1 / 3)


def test_equal_arms_are_seldom_told_apart() -> None:
    """Six arms of one true accuracy, contenders chosen on validation: the primary decides in at most 5% of runs."""
    rng = np.random.default_rng(8)
    decided = 0
    for _ in range(600):
        hardness = rng.beta(6, 2, size=300)
        right = rng.random((300, 6)) < hardness[:, None]
        validation = rng.binomial(100, 0.75, size=6)
        a, b = int(validation[:3].argmax()), 3 + int(validation[3:].argmax())
        panel = Panel(names=tuple("abcdef"), right=right)
        decided += panel.compare("abcdef"[a], "abcdef"[b], 0.02)["decisive"]
    assert decided / 600 <= 0.05 + 0.018


def _facts(name: str, answers: list[str], expected: list[str], ids: list[str] | None = None) -> ArmFacts:
    states = {"unparsed": Status.UNPARSED, "failed": Status.FAILED}
    rows = tuple(
        Prediction(
            arm=name,
            example_id=ids[number] if ids else f"{number:04d}",
            expected=label,
            predicted=None if answer in states else answer,
            status=states.get(answer, Status.ANSWERED),
        )
        for number, (answer, label) in enumerate(zip(answers, expected, strict=True))
    )
    assert Counter(row.expected for row in rows) == Counter(expected)
    return ArmFacts(name=name, family="other", predictions=rows)


def test_where_the_time_went_is_told_apart() -> None:
    examples = make_examples(40)
    facts = make_arm(ARMS[0], examples)
    rows = [
        replace(
            row, latency_s=None if place < 10 else 0.3, queue_s=None if place < 10 else place / 10,
            retry_s=None if place < 10 else 2.0 if place < 14 else 0.0, first_token_s=0.1 if place >= 20 else None,
            reused=place < 10,
        )
        for place, row in enumerate(facts.predictions)
    ]  # fmt: skip
    made = replace(facts, predictions=tuple(rows), faults={"rate-limit": 4})
    results = build(make_run(examples), [made, make_arm(ARMS[1], examples)])
    arm, other = results["arms"]
    assert (arm["timed"], arm["retried"], arm["reused"]) == (30, 4, 10)
    assert arm["latency_s"]["p50"] == 0.3
    assert arm["queue_s"]["p50"] == pytest.approx(np.percentile([place / 10 for place in range(10, 40)], 50))
    assert arm["retry_s"] == {"p50": 2.0, "p95": 2.0, "p99": 2.0}  # not 0, though most needed none
    assert arm["first_token_s"] == {"p50": 0.1, "p95": 0.1, "p99": 0.1}
    assert arm["faults"] == {"rate-limit": 4}
    assert (other["first_token_s"], other["retried"], other["faults"]) == (None, 0, {})
    assert other["retry_s"] == {"p50": None, "p95": None, "p99": None}
