"""Arms beside each other: who can be paired, which claims are made, and what few groups or no difference show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm, t
from support.verdicts import prompt, rows, run, tuned

from harness.scoring.answers import Answers, barred, truncated_cost
from harness.scoring.bootstrap import bootstrap_p, percentile_interval, resampled_means
from harness.scoring.comparisons import Panel, Resamples, compare_all, disagreements, letters, rank
from harness.scoring.contenders import name_contenders
from harness.scoring.facts import ArmFacts
from harness.scoring.fairness import checks
from harness.scoring.results import build
from harness.scoring.statistics import holm, mcnemar, n_for_80_power, smallest_difference, tango, wilson


def panel(columns: Mapping[str, Sequence[int]], resamples: Resamples | None = None) -> Panel:
    right = np.array(list(columns.values()), dtype=np.bool_).T
    return Panel(names=tuple(columns), right=right, resamples=resamples)


def table(both: int, only_a: int, only_b: int, neither: int) -> dict[str, list[int]]:
    return {
        "a": [1] * both + [1] * only_a + [0] * only_b + [0] * neither,
        "b": [1] * both + [0] * only_a + [1] * only_b + [0] * neither,
    }


def test_a_comparison_by_hand() -> None:
    line = panel(table(50, 30, 10, 10)).compare("a", "b", 0.02)
    assert line == {
        "a": "a", "b": "b", "metric": "accuracy", "primary": False, "difference": 0.2, "ci": list(tango(30, 10, 100)),
        "mcnemar_p": mcnemar(30, 10), "p_adjusted": None, "only_a_right": 30, "only_b_right": 10,
        "n_for_80_power": n_for_80_power(0.02, 0.4), "ci_method": "Tango score interval", "p": mcnemar(30, 10),
        "p_method": "McNemar mid-p", "n": 100, "groups": None, "design_effect": 1.0, "discordance": 0.4,
        "smallest_difference": smallest_difference(100, 0.4), "decisive": True, "within_margin": False,
        "not_worse": ["a"], "claimed": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "margin", "within", "not_worse"),
    [((500, 5, 5, 490), 0.02, True, ["a", "b"]), ((500, 5, 5, 490), 0.005, False, []),
     ((500, 30, 5, 465), 0.02, False, ["a"]), ((500, 5, 30, 465), 0.02, False, ["b"])],
)  # fmt: skip
def test_what_the_margin_says(
    counts: tuple[int, int, int, int], margin: float, within: bool, not_worse: list[str]
) -> None:
    line = panel(table(*counts)).compare("a", "b", margin)
    assert (line["within_margin"], line["not_worse"]) == (within, not_worse)


def test_where_the_primary_decides_others_are_claimed_by_holm() -> None:
    columns = {**table(50, 30, 5, 15), "c": [1] * 60 + [0] * 40, "d": [1] * 79 + [0] * 21}
    lines = compare_all(panel(columns), ("a", "b"), ["a", "b", "d"], 0.02)
    assert [(line["a"], line["b"]) for line in lines] == [
        ("a", "b"), ("a", "c"), ("a", "d"), ("b", "c"), ("b", "d"), ("d", "c"),
    ]  # fmt: skip
    assert [line["primary"] for line in lines] == [True] + [False] * 5
    first, others = lines[0], lines[1:]
    assert (first["p_adjusted"], first["claimed"]) == (first["p"], True)
    adjusted = holm([line["p"] for line in others])
    assert [line["p_adjusted"] for line in others] == adjusted
    assert [line["claimed"] for line in others] == [p < 0.05 for p in adjusted]
    assert {line["claimed"] for line in others} == {True, False}


def test_where_the_primary_does_not_decide_nothing_is_claimed() -> None:
    columns = {**table(50, 8, 6, 36), "c": [0] * 100}
    lines = compare_all(panel(columns), ("a", "b"), ["a", "b", "unknown"], 0.02)
    assert [(line["a"], line["b"], line["claimed"], line["p_adjusted"]) for line in lines] == [
        ("a", "b", False, None), ("a", "c", False, None), ("b", "c", False, None),
    ]  # fmt: skip
    without = compare_all(panel(columns), None, ["c"], 0.02)
    assert [(line["a"], line["b"], line["primary"]) for line in without] == [("c", "a", False), ("c", "b", False)]


def test_ranks_letters_and_disagreements() -> None:
    columns = {"a": [1] * 90 + [0] * 10, "b": [1] * 88 + [0] * 12, "c": [1] * 40 + [0] * 60, "d": [1] * 38 + [0] * 62}
    both = panel(columns)
    assert rank(["a", "b", "c", "d"], both, 0.02) == {"a": 1, "b": 1, "c": 3, "d": 3}
    assert rank(["a", "outside", "c"], both, 0.02) == {"a": 1, "outside": 2, "c": 3}
    assert letters(28) == [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "AA", "AB"]
    assert len(set(letters(26 + 26**2))) == 26 + 26**2
    assert disagreements(both) == 52
    assert disagreements(panel({"a": [1, 0]})) == 0
    assert disagreements(panel({"a": [1, 0, 1], "b": [0, 0, 0]})) == 2


def test_groups_without_any_mistake_count_once_each() -> None:
    drawn = Resamples(groups=7, means=np.ones((50, 2)))
    every = panel({"a": [1] * 20, "b": [0] * 20}, drawn)
    assert every.accuracy_interval("a") == (wilson(7, 7), "Wilson score interval over groups")
    assert every.accuracy_interval("b")[0] == wilson(0, 7)
    equal = panel({"a": [1, 0] * 10, "b": [1, 0] * 10}, drawn).compare("a", "b", 0.02)
    assert (equal["ci"], equal["ci_method"]) == (list(tango(0, 0, 7)), "Tango score interval over groups")
    assert (equal["p_method"], equal["groups"], equal["design_effect"]) == ("McNemar mid-p", 7, 1.0)


def test_a_single_group_promises_no_power() -> None:
    """One group tells nothing of how much groups vary: its interval is everything, and no difference can be shown."""
    columns = {"a": [1] * 30 + [0] * 10, "b": [1] * 20 + [0] * 20}
    told = ("smallest_difference", "n_for_80_power", "design_effect")
    for groups in (1, 2):
        means = np.tile([0.75, 0.5], (50, 1)) + np.linspace(-0.1, 0.1, 50)[:, None] * [groups - 1, 1 - groups]
        line = panel(columns, Resamples(groups=groups, means=means)).compare("a", "b", 0.02)
        assert [line[key] is None for key in told] == [groups == 1] * 3
        assert groups > 1 or line["ci"] == [-1.0, 1.0]


def test_groups_decide_by_what_was_resampled() -> None:
    means = np.random.default_rng(1).normal([0.8, 0.6], 0.03, size=(4000, 2))
    sided = panel({"a": [1] * 80 + [0] * 20, "b": [1] * 60 + [0] * 40}, Resamples(groups=12, means=means))
    line = sided.compare("a", "b", 0.02)
    gap = means[:, 0] - means[:, 1]
    assert line["ci"] == pytest.approx(list(percentile_interval(gap, 12)))
    assert line["p"] == pytest.approx(bootstrap_p(gap, 12))
    assert line["mcnemar_p"] == mcnemar(20, 0)
    assert line["design_effect"] == pytest.approx(float(np.var(gap)) / ((0.2 - 0.2**2) / 100))
    assert (line["ci_method"], line["p_method"]) == (
        "clustered bootstrap, 10,000 resamples of groups", "clustered bootstrap",
    )  # fmt: skip
    interval, method = sided.accuracy_interval("a")
    assert (interval, method) == (pytest.approx(percentile_interval(means[:, 0], 12)), line["ci_method"])
    lucky = Resamples(groups=12, means=np.full((50, 2), [0.8, 0.6]))
    assert replace(sided, resamples=lucky).compare("a", "b", 0.02)["design_effect"] == 1.0


def test_shares_stay_between_nothing_and_all() -> None:
    wide = Resamples(groups=2, means=np.array([[-0.5, 1.5], [1.5, -0.5]] * 50))
    few = panel({"a": [1, 1, 0, 1], "b": [0, 1, 1, 0]}, wide)
    assert few.accuracy_interval("a")[0] == (0.0, 1.0)
    assert few.compare("a", "b", 0.02)["ci"] == [-1.0, 1.0]


@pytest.mark.parametrize(("groups", "level"), [(2, 0.6), (3, 0.8), (5, 0.95), (30, 0.95)])
def test_few_groups_widen_the_interval_to_students(groups: int, level: float) -> None:
    """The expanded percentile interval of normal means, s/√n wide with n in the denominator, is Student's own."""
    means = norm.ppf((np.arange(20_000) + 0.5) / 20_000) * math.sqrt((groups - 1) / groups)
    half = t.ppf(0.5 + level / 2, groups - 1)
    assert percentile_interval(means, groups, level) == pytest.approx((-half, half), rel=0.01)
    shifted = means + 1.2
    assert bootstrap_p(shifted, groups) == pytest.approx(2 * t.sf(1.2, groups - 1), rel=0.02)


def test_p_is_never_below_what_the_resamples_show() -> None:
    least = bootstrap_p(np.ones(999), 40)
    expected = 2 * t.cdf(norm.ppf(1 / 1000) / math.sqrt(40 / 39), 39)
    assert least == pytest.approx(expected)
    assert bootstrap_p(np.zeros(10), 5) == 1.0
    assert bootstrap_p(np.array([-1.0, 0.0, 0.0, 1.0]), 5) == 1.0


def test_few_kinds_of_groups_are_drawn_by_kind() -> None:
    """Groups that hold the same are interchangeable: the draws differ, their distribution does not."""
    right = np.array([1.0, 0.0] * 200)
    codes = np.arange(400)
    means = resampled_means(right, codes, seed=1, resamples=4000)[:, 0]
    assert means.mean() == pytest.approx(0.5, abs=0.002)
    assert means.std() == pytest.approx(0.5 / 20, rel=0.05)
    unlike = resampled_means(right + np.linspace(0, 1e-9, 400), codes, seed=1, resamples=4000)[:, 0]
    assert unlike.std() == pytest.approx(0.5 / 20, rel=0.05)
    assert np.array_equal(means, resampled_means(right, codes, seed=1, resamples=4000)[:, 0])


def answers(wrong: Sequence[int], unparsed: int = 0, n: int = 30) -> Answers:
    return Answers.of(ArmFacts(name="x", family="other", predictions=rows("x", wrong, n=n, unparsed=unparsed)))


def test_who_is_no_opponent() -> None:
    assert barred(answers(range(20)), 3) is None  # just as often right as by chance
    assert barred(answers(range(21)), 3) == "below-chance"
    assert barred(answers(range(21)), 1) is None
    assert barred(answers([], unparsed=15), 3) is None  # just half
    assert barred(answers([], unparsed=16), 3) == "unanswered"
    assert barred(answers([], n=0), 3) is None


def test_the_leader_is_compared_with_all_contender_or_not() -> None:
    star = ArmFacts(name="star", family="other", predictions=rows("star", range(5), 0.001))
    poor = ArmFacts(name="poor", family="other", predictions=rows("poor", range(300), 0.001))
    results = build(run(), [tuned(range(50)), prompt(range(91)), star, poor])
    pairs = [(line["a"], line["b"]) for line in results["comparisons"]]
    assert pairs[0] == ("small", "large")
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in [("small", "large"), ("small", "star"), ("small", "poor"), ("large", "star"),
                                     ("large", "poor"), ("star", "poor")]
    }  # fmt: skip
    partial = replace(star, predictions=star.predictions[:-1])
    fewer = build(run(), [tuned(range(50)), prompt(range(91)), partial, poor])
    assert not any("star" in (line["a"], line["b"]) for line in fewer["comparisons"])
    line = next(arm for arm in fewer["arms"] if arm["name"] == "star")
    assert (line["complete"], line["accuracy_ci"]) == (False, pytest.approx(list(wilson(994, 999))))


def arm(name: str, family: str, **changes: Any) -> dict[str, Any]:
    known = {"name": name, "family": family, "n": 9, "validation_accuracy": None, "cost_per_1k_usd": None,
             "machine_s_per_1k": None, "barred": None, "mode": None, "max_tokens": None, "truncated": 0}  # fmt: skip
    return {**known, **changes}


def test_contenders_by_validation_then_cost_then_seconds_then_name() -> None:
    def best(*prompts: dict[str, Any]) -> tuple[str, str]:
        found = name_contenders([arm("t", "fine-tuned"), *prompts])
        assert (found["a"], found["among"]) == ("t", [1, len(prompts)])
        return found["b"], found["chosen_on"]

    p, q = arm("p", "few-shot"), arm("q", "zero-shot")
    assert best(p) == ("p", "only arms")
    assert best(q, p) == ("p", "cost and name")
    assert best(p, {**q, "validation_accuracy": 0.5}) == ("q", "cost and name")
    assert best({**p, "validation_accuracy": 0.4}, {**q, "validation_accuracy": 0.5}) == ("q", "validation")
    assert best(p, {**q, "cost_per_1k_usd": 5.0}) == ("q", "cost and name")
    assert best({**p, "cost_per_1k_usd": 6.0}, {**q, "cost_per_1k_usd": 5.0}) == ("q", "cost and name")
    assert best({**p, "machine_s_per_1k": 6.0}, {**q, "machine_s_per_1k": 5.0}) == ("q", "cost and name")
    assert best({**p, "machine_s_per_1k": 6.0}, q) == ("p", "cost and name")


def test_contenders_without_a_side() -> None:
    gone = name_contenders([arm("t", "fine-tuned", n=0), arm("p", "few-shot"), arm("o", "other")])
    assert gone == {"a": None, "b": "p", "chosen_on": "only arms", "among": [0, 1]}
    others = [arm("o", "other", validation_accuracy=0.9), arm("t", "fine-tuned", validation_accuracy=0.5),
              arm("u", "classical", validation_accuracy=0.1)]  # fmt: skip
    assert name_contenders(others) == {"a": "t", "b": "o", "chosen_on": "validation", "among": [3]}
    assert name_contenders(others[:2])["chosen_on"] == "only arms"
    assert name_contenders(others[:1]) == {"a": "o", "b": None, "chosen_on": "only arms", "among": [1]}


def found(arms: Sequence[dict[str, Any]], chosen_on: str = "validation", among: Sequence[int] = (1, 1),
          choices: Sequence[dict[str, Any]] = ()) -> dict[str, dict[str, Any]]:  # fmt: skip
    named = {"a": "t", "b": "p", "chosen_on": chosen_on, "among": list(among)}
    return {check.kind: dict(check.figures) for check in checks(arms, named, choices, 3)}


def test_a_prompt_had_its_chance_or_not() -> None:
    both = [arm("t", "fine-tuned"), arm("p", "few-shot")]
    assert found(both) == {"prompt-without-search": {"prompt": "p", "tuned": "t", "settings": 1}}
    named = {"a": "t", "b": "p", "chosen_on": "validation", "among": [1, 1]}
    assert [check.advice for check in checks(both, named, (), 3)] == [
        "Let it choose on validation: [arms.choose] with shots.k, shots.draw, or other instructions."
    ]
    assert found(both, among=(1, 2)) == {}
    assert "prompt-without-search" in found(both, "cost and name", (1, 2))
    one = [{"arm": "p", "candidates": [{}]}, {"arm": "t", "candidates": [{}] * 4}]
    assert found(both, choices=one)["prompt-without-search"]["settings"] == 4
    assert found(both, choices=[{"arm": "p", "candidates": [{}] * 2}]) == {}
    assert "prompt-without-search" in found(both, choices=[{"arm": "p", "candidates": None}])
    assert found([arm("t", "classical"), both[1]]) == found([both[0], arm("p", "other")]) == found(both[:1]) == {}


def test_ways_and_limits_of_answering() -> None:
    t_, p = arm("t", "fine-tuned", mode="choose"), arm("p", "few-shot", mode="generate")
    assert found([t_, p], among=(1, 2))["answer-modes-differ"] == {"modes": {"choose": ["t"], "generate": ["p"]}}
    for other in (arm("o", "other", mode="schema"), arm("z", "zero-shot", mode="schema", n=0),
                  arm("z", "zero-shot", mode=None), arm("z", "zero-shot", mode="odd")):  # fmt: skip
        assert "answer-modes-differ" not in found([p, other])
    cut = [arm("t", "fine-tuned", mode="generate", max_tokens=5, truncated=2),
           arm("p", "few-shot", mode="schema", max_tokens=9, truncated=1)]  # fmt: skip
    assert found(cut)["token-limits-differ"] == {"limits": {"t": 5, "p": 9}, "truncated": 3}
    assert "token-limits-differ" not in found([cut[0], {**cut[1], "mode": "choose"}])
    assert "token-limits-differ" not in found([cut[0], {**cut[1], "n": 0}])
    assert [
        check.advice
        for check in checks([t_, p], {"a": "t", "b": "p", "chosen_on": "validation", "among": [1, 2]}, (), 3)
    ] == ["Give all arms the same answer = …, where they can."]
    weak = arm("w", "other", barred="below-chance", accuracy=0.1, unparsed=2, failed=3)
    assert found([weak])["barred-opponent"] == {
        "arm": "w", "reason": "below-chance", "n": 9, "accuracy": 0.1, "lost": 5, "labels": 3,
    }  # fmt: skip


def test_what_the_token_limit_cut_has_a_cost_or_none() -> None:
    made = rows("x", [], 0.25, n=4)
    cut = [replace(row, truncated=place < 2) for place, row in enumerate(made)]
    facts = ArmFacts(name="x", family="other", predictions=tuple(cut))
    assert truncated_cost(Answers.of(facts)) == 0.5
    unknown = replace(facts, predictions=(replace(cut[0], cost_usd=None), *cut[1:]))
    assert truncated_cost(Answers.of(unknown)) is None
    assert truncated_cost(Answers.of(replace(facts, predictions=made))) is None


def test_what_was_found_elsewhere_is_passed_on() -> None:
    found = build(run(ledger={"spent_usd": 1.5}, data={"rows_out": {"train": 9}}), [prompt(range(70))])
    assert (found["ledger"], found["data"]) == ({"spent_usd": 1.5}, {"rows_out": {"train": 9}})
    assert build(run(), [prompt(range(70))])["ledger"] is None
    refused = build(run(), [tuned([], predictions=(), refused=True)])
    assert refused["verdict"]["sentence"] == "Training was refused, so fine-tuned small cannot be judged."
