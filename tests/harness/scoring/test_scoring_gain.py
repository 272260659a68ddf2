"""What varies with draws and seeds, and what fine-tuning taught."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.results import ARMS, LABELS, make_arm, make_examples, make_run

from harness.scoring import resampling
from harness.scoring.answers import Answers
from harness.scoring.bootstrap import resampled_means
from harness.scoring.decomposition import decompose
from harness.scoring.facts import ArmFacts, RunFacts
from harness.scoring.results import build
from harness.scoring.variance import components, covariance_of_means
from harness.types import Prediction, Status

Said = Sequence[tuple[str, str | None]]


def predictions(said: Said, probabilities: Sequence[Mapping[str, float]] | None = None) -> tuple[Prediction, ...]:
    return tuple(
        Prediction(
            arm="x",
            example_id=f"{place:05}",
            expected=expected,
            predicted=predicted,
            status=Status.UNPARSED if predicted is None else Status.ANSWERED,
            response=predicted or "?",
            probabilities=probabilities[place] if probabilities else None,
        )
        for place, (expected, predicted) in enumerate(said)
    )


def arm(said: Said, probabilities: Sequence[Mapping[str, float]] | None = None, **facts: Any) -> ArmFacts:
    told: dict[str, Any] = {"name": "x", "family": "other", **facts}
    return ArmFacts(predictions=predictions(said, probabilities), **told)


def answers(said: Said, probabilities: Sequence[Mapping[str, float]] | None = None) -> Answers:
    return Answers.of(arm(said, probabilities))


def run(n: int, **changes: Any) -> RunFacts:
    return replace(make_run(make_examples(0)), n_test=n, **changes)


def test_variance_is_that_of_the_two_way_analysis() -> None:
    rng = np.random.default_rng(3)
    n, k = 300, 4
    columns = (rng.normal(size=(n, 1)) + rng.normal(size=(n, k)) + np.array([0.0, 0.3, -0.4, 0.6]) < 0.2).astype(float)
    grand, items, draws = columns.mean(), columns.mean(axis=1), columns.mean(axis=0)
    ms_items = k * ((items - grand) ** 2).sum() / (n - 1)
    ms_draws = n * ((draws - grand) ** 2).sum() / (k - 1)
    ms_rest = ((columns - items[:, None] - draws + grand) ** 2).sum() / ((n - 1) * (k - 1))
    found = components(columns, np.arange(n))
    between, sample = (ms_draws - ms_rest) / n, (ms_items + (k - 1) * ms_rest) / k / n
    assert found["mean"] == pytest.approx(grand, abs=1e-12)
    assert found["sd_between"] == pytest.approx(math.sqrt(between), rel=1e-9)
    assert found["sd_sample"] == pytest.approx(math.sqrt(sample), rel=1e-9)
    assert found["share_between"] == pytest.approx(between / (between + sample), rel=1e-9)


def test_variance_of_draws_is_found_again() -> None:
    rng = np.random.default_rng(5)
    n, k, sd = 500, 5, 0.04
    squares = []
    for _ in range(300):
        hard = rng.uniform(-0.15, 0.15, size=(n, 1))
        columns = (rng.random((n, k)) < 0.75 + hard + rng.normal(0, sd, size=k)).astype(float)
        squares.append(components(columns, np.arange(n))["sd_between"] ** 2)
    assert np.mean(squares) == pytest.approx(sd**2, rel=0.15)


def test_equal_draws_have_no_variance_between_them() -> None:
    column = np.array([1.0, 0, 1, 1, 0, 1, 1, 0])[:, None]
    found = components(np.repeat(column, 3, axis=1), np.arange(8))
    assert found["sd_between"] == 0
    assert found["share_between"] == 0
    assert found["sd_sample"] > 0


def test_groups_widen_what_the_test_items_add_as_the_bootstrap_does() -> None:
    rng = np.random.default_rng(8)
    codes = np.repeat(np.arange(100), 6)
    columns = (np.repeat(rng.normal(size=100), 6)[:, None] + rng.normal(size=(600, 3)) < 0.5).astype(float)
    means = resampled_means(columns, codes, 1, 4_000)
    found = covariance_of_means(columns, codes)
    assert found is not None
    assert found == pytest.approx(np.cov(means.T), rel=0.1)
    alone = covariance_of_means(columns, np.arange(600))
    assert alone == pytest.approx(np.cov(columns.T) / 600, rel=1e-9)
    assert (np.diag(found) > 1.5 * np.diag(alone)).all()


@pytest.mark.parametrize(("n", "k"), [(0, 2), (1, 2), (5, 1), (5, 0)])
def test_too_little_to_split_is_null(n: int, k: int) -> None:
    found = components(np.ones((n, k)), np.arange(n))
    assert found["sd_between"] is found["share_between"] is None


def test_results_name_families_of_draws_and_seeds() -> None:
    examples = make_examples(200)
    made = [ARMS[0], ARMS[1], replace(ARMS[1], name="8-shot#2", accuracy=0.7), replace(ARMS[1], name="8-shot#3")]
    made += [replace(ARMS[0], name="tuned#2")]
    results = build(make_run(examples), [make_arm(each, examples) for each in made])
    draw, seed = results["variation"]
    assert (draw["of"], draw["what"], draw["arms"]) == ("8-shot", "draw", ["8-shot", "8-shot#2", "8-shot#3"])
    assert (seed["of"], seed["what"], seed["arms"]) == ("tuned", "seed", ["tuned", "tuned#2"])
    accuracy = {line["name"]: line["accuracy"] for line in results["arms"]}
    assert draw["mean"] == pytest.approx(np.mean([accuracy[name] for name in draw["arms"]]))
    assert draw["sd_between"] > 0.02
    assert results["run"]["varied"] == ["test-items", "shot-draw", "training-seed"]
    assert results["run"]["not_varied"] == ["repeats"]


def test_what_was_not_varied_is_said() -> None:
    examples = make_examples(60)
    results = build(make_run(examples), [make_arm(each, examples) for each in ARMS[:2]])
    assert results["variation"] == []
    assert results["run"]["not_varied"] == ["shot-draw", "training-seed", "repeats"]
    results = build(make_run(examples), [make_arm(ARMS[3], examples)])
    assert results["run"]["not_varied"] == ["repeats"]


def test_what_was_varied_elsewhere_is_not_known() -> None:
    examples = make_examples(60)
    tuned, prompt = (replace(make_arm(each, examples), imported=True, shots=None) for each in ARMS[:2])
    assert build(make_run(examples), [tuned, prompt])["run"]["not_varied"] == []
    asked = make_arm(ARMS[1], examples)
    assert build(make_run(examples), [tuned, asked])["run"]["not_varied"] == ["shot-draw", "repeats"]


def test_an_unfinished_draw_stays_out() -> None:
    examples = make_examples(50)
    facts = [make_arm(each, examples) for each in (ARMS[1], replace(ARMS[1], name="8-shot#2"))]
    facts[1] = replace(facts[1], predictions=facts[1].predictions[:20])
    (line,) = build(make_run(examples), facts)["variation"]
    assert line["arms"] == ["8-shot"]
    assert line["sd_between"] is None


# Gain decomposition


def test_unparsed_answers_that_training_mended_are_form() -> None:
    prompt = answers([("a", "a"), ("a", "a"), ("b", "b"), ("b", "a"), ("a", None), ("b", None)])
    tuned = answers([("a", "a"), ("a", "a"), ("b", "b"), ("b", "b"), ("a", "a"), ("b", "b")])
    found = decompose(tuned, prompt, {"a": 0.5, "b": 0.5}, ("a", "b"))
    assert found["difference"] == pytest.approx(0.5)
    assert found["recovered"] == 2
    assert found["format"] == pytest.approx(2 / 6 * 3 / 4)
    assert found["format"] + found["prior"] + found["task"] == pytest.approx(found["difference"], abs=1e-12)


def test_prior_from_probabilities_is_the_adjusted_argmax() -> None:
    # The prompt takes "a" for more probable (0.8125 on average) than it is: divided by that, 0.6 becomes less than
    # 0.4 / 0.1875, 0.85 does not become less than 0.15 / 0.1875: two of four wrong answers are mended
    told = [{"a": 0.6, "b": 0.4}] * 2 + [{"a": 0.9, "b": 0.1}] * 4 + [{"a": 0.85, "b": 0.15}] * 2
    said: list[tuple[str, str | None]] = [("b", "a")] * 2 + [("a", "a")] * 4 + [("b", "a")] * 2 + [("a", None)] * 8
    tuned = answers([(expected, expected) for expected, _ in said])
    found = decompose(tuned, answers(said, [*told, *told]), {"a": 0.5, "b": 0.5}, ("a", "b"))
    assert found["prior"] == 2 / 16
    assert found["format"] == 8 / 16 * 4 / 8
    assert found["task"] == 12 / 16 - 2 / 16 - 4 / 16
    assert found["prior_method"] == "probabilities"


def test_prior_by_chance_is_what_a_simulation_finds() -> None:
    said: list[tuple[str, str | None]] = [("a", "a")] * 20 + [("b", "a")] * 60 + [("b", "b")] * 10 + [("a", "b")] * 10
    prior = {"a": 0.3, "b": 0.7}
    found = decompose(answers([(e, e) for e, _ in said]), answers(said), prior, ("a", "b"))
    rng = np.random.default_rng(1)
    keep = 0.3 / 0.8  # "a" is said on 80 of 100 items
    gains = []
    for _ in range(4000):
        new = ["b" if p == "a" and rng.random() > keep else p for _, p in said]
        gains.append(sum(n == e for n, (e, _) in zip(new, said, strict=True)) - 30)
    assert found["prior"] == pytest.approx(np.mean(gains) / 100, abs=0.003)
    assert found["prior_method"] == "chance"


def test_a_tie_leaves_the_prompt_s_own_answer() -> None:
    said = [("a", "b"), ("a", "b")]
    found = decompose(answers(said), answers(said, [{"a": 0.5, "b": 0.5}] * 2), {"a": 0.5, "b": 0.5}, ("a", "b"))
    assert (found["prior"], found["prior_method"]) == (0.0, "probabilities")


def test_probabilities_that_are_none_are_not_used() -> None:
    said = [("a", "a"), ("b", "a"), ("b", "b")]
    for broken in ({"a": 0.9, "b": 0.9}, {"a": math.nan, "b": 0.1}, {"a": 1.0}, {"a": -0.1, "b": 1.1}):
        found = decompose(answers(said), answers(said, [broken] * 3), {"a": 0.5, "b": 0.5}, ("a", "b"))
        assert found["prior_method"] == "chance"


def test_without_a_prior_its_part_is_null_and_the_rest_is_the_task() -> None:
    found = decompose(answers([("a", "a"), ("b", "b")]), answers([("a", "a"), ("b", None)]), {}, ("a", "b"))
    assert found["prior"] is found["prior_method"] is None
    assert found["task"] == pytest.approx(found["difference"] - found["format"])
    assert found["reason"]


def test_a_prompt_without_any_answer_has_no_parts() -> None:
    found = decompose(answers([("a", "a")]), answers([("a", None)]), {"a": 1.0}, ("a",))
    assert found["difference"] == 1
    assert found["format"] is found["prior"] is found["task"] is None
    assert decompose(answers([]), answers([]), {"a": 1.0}, ("a",))["difference"] is None


label = st.sampled_from(LABELS)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(label, st.none() | label | st.just("other"), st.none() | label), min_size=1, max_size=40),
    st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_parts_always_sum_to_the_difference(items: list[tuple[str, str | None, str | None]], raw: list[float]) -> None:
    prior = {name: value / sum(raw) for name, value in zip(LABELS, raw, strict=True)}
    prompt, tuned = answers([(e, p) for e, p, _ in items]), answers([(e, t) for e, _, t in items])
    found = decompose(tuned, prompt, prior, LABELS)
    if found["format"] is None:
        assert found["reason"]
        return
    assert found["format"] >= 0
    assert found["prior"] >= 0
    total = found["format"] + found["prior"] + found["task"]
    assert total == pytest.approx(found["difference"], abs=1e-12)


def test_results_split_the_gain_of_each_tuned_arm_over_the_best_prompt() -> None:
    examples = make_examples(150)
    made = [make_arm(each, examples) for each in (ARMS[0], ARMS[1], ARMS[2], ARMS[6])]
    results = build(make_run(examples, prior={"negative": 0.3, "neutral": 0.2, "positive": 0.5}), made)
    first, second = results["decomposition"]
    assert (first["a"], first["b"]) == (results["contenders"]["a"], results["contenders"]["b"])
    assert second["b"] == first["b"]
    (primary,) = [line for line in results["comparisons"] if line["primary"]]
    assert first["difference"] == pytest.approx(primary["difference"], abs=1e-12)
    assert build(make_run(examples), made[1:3])["decomposition"] == []


# Intervals of the parts


def drawn(n: int, seed: int, *, told: bool) -> tuple[list[Prediction], list[Prediction]]:
    """Draws a prompt that likes one label too much and leaves some answers unreadable, and a tuned arm."""
    draw = np.random.default_rng(seed)
    names, likes = np.array(LABELS), np.array([0.7, 0.15, 0.15])
    expected = draw.choice(names, p=[0.2, 0.3, 0.5], size=n).tolist()
    weights = [draw.dirichlet(likes * 8 + 2 * (names == label)) for label in expected]
    said: list[tuple[str, str | None]] = [
        (label, None if draw.random() < 0.1 else str(names[each.argmax()]))
        for label, each in zip(expected, weights, strict=True)
    ]
    given = [dict(zip(LABELS, each.tolist(), strict=True)) for each in weights] if told else None
    tuned = [(label, label if draw.random() < 0.9 else str(draw.choice(names))) for label in expected]
    return list(predictions(tuned)), list(predictions(said, given))


PRIOR = {"negative": 0.2, "neutral": 0.3, "positive": 0.5}


def parts(tuned: Sequence[Prediction], prompt: Sequence[Prediction], **more: Any) -> dict[str, Any]:
    sides = [Answers.of(ArmFacts(name="x", family="other", predictions=tuple(rows))) for rows in (tuned, prompt)]
    return decompose(sides[0], sides[1], PRIOR, LABELS, **more)


@pytest.mark.parametrize("told", [True, False])
def test_intervals_of_the_parts_are_those_of_plain_resampling(told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    tuned, prompt = drawn(300, 2, told=told)
    found = parts(tuned, prompt, seed=3)
    assert found["prior_method"] == ("probabilities" if told else "chance")
    assert found["prior"] > 0.02
    assert found["ci_method"] == "bootstrap, 2,000 resamples of test items"
    monkeypatch.setattr(resampling, "FEWEST", 2)
    monkeypatch.setattr(resampling, "RESAMPLES", 2)  # what follows needs the parts alone
    rng = np.random.default_rng(1)
    again = []
    for _ in range(80):
        places = rng.integers(300, size=300)
        # The same item may be drawn again: under a name of its own
        sides = [[replace(rows[at], example_id=f"{k:05}") for k, at in enumerate(places)] for rows in (tuned, prompt)]
        again.append(parts(*sides))
    for part in ("format", "prior", "task"):
        values = np.array([each[part] for each in again])
        low, high = found[f"{part}_ci"]
        assert low <= found[part] <= high
        assert (high - low) / 3.92 == pytest.approx(values.std(), rel=0.35), part
        assert np.mean((values >= low) & (values <= high)) > 0.88, part


def test_groups_widen_the_intervals_of_the_parts() -> None:
    few = drawn(60, 4, told=False)
    many = [[replace(row, example_id=f"{row.example_id} {k}") for row in rows for k in range(8)] for rows in few]
    alone, together = parts(*many), parts(*many, groups=np.repeat(np.arange(60), 8))
    assert together["ci_method"].startswith("clustered bootstrap")
    for part in ("format", "prior", "task"):
        assert alone[part] == together[part]
        widths = [each[f"{part}_ci"][1] - each[f"{part}_ci"][0] for each in (alone, together)]
        assert widths[1] > 2 * widths[0]


def test_parts_that_are_not_known_have_no_interval() -> None:
    one = decompose(answers([("positive", "positive")]), answers([("positive", "neutral")]), PRIOR, LABELS)
    assert one["format_ci"] is one["prior_ci"] is one["task_ci"] is one["ci_method"] is None
    without = decompose(answers([("a", "a"), ("b", "b")]), answers([("a", "a"), ("b", None)]), {}, ("a", "b"))
    assert without["prior_ci"] is None
    assert without["task_ci"] is not None
    mute = decompose(answers([("a", "a")] * 3), answers([("a", None)] * 3), {"a": 1.0}, ("a",))
    assert mute["format_ci"] is mute["task_ci"] is None
