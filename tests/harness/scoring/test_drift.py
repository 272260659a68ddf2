"""What fresh data says of a verdict: intervals against their sources, pairing by id, the rule behind the sentence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from harness.scoring import drift
from harness.scoring.statistics import wilson
from harness.types import Prediction, Status


def row(name: str, expected: str, predicted: str | None) -> Prediction:
    status = Status.UNPARSED if predicted is None else Status.ANSWERED
    return Prediction(arm="a", example_id=name, expected=expected, predicted=predicted, status=status)


def rows(first: int, right: int, n: int) -> list[Prediction]:
    return [row(f"item {first + number:04d}", "yes", "yes" if number < right else "no") for number in range(n)]


@pytest.mark.parametrize(
    ("old", "new"), [((56, 70), (48, 80)), ((9, 10), (3, 10)), ((10, 10), (20, 20)), ((0, 5), (5, 5))]
)
def test_independent_accuracies_have_newcombes_interval(old: tuple[int, int], new: tuple[int, int]) -> None:
    (right, n), (now, m) = old, new
    change, interval = drift.moved(right / n, wilson(right, n), now / m, wilson(now, m))
    assert change == pytest.approx(now / m - right / n)
    assert interval == pytest.approx(confint_proportions_2indep(now, m, right, n, compare="diff", method="newcomb"))


def test_swapping_old_and_new_turns_the_interval() -> None:
    there = drift.moved(0.8, wilson(80, 100), 0.6, wilson(30, 50))
    back = drift.moved(0.6, wilson(30, 50), 0.8, wilson(80, 100))
    assert back[0] == -there[0]
    assert back[1] == pytest.approx((-there[1][1], -there[1][0]))


def arm(old: list[Prediction], new: list[Prediction]) -> dict[str, object]:
    before = drift.panel_of({"a": old}, len(old), None, 1)
    after = drift.panel_of({"a": new}, len(new), None, 1)
    return drift.arm_drift("a", (before[0]["a"], before[1]), (after[0]["a"], after[1]))


def test_items_of_the_test_are_paired_whatever_their_order() -> None:
    old = rows(0, 80, 100)
    new = [
        row(one.example_id, "yes", "no" if number in range(10, 30) else one.predicted) for number, one in enumerate(old)
    ]
    found = arm(old, new[::-1])
    assert found["how"] == "paired"
    assert found["change"] == pytest.approx(-0.2)
    assert found["drift"]
    paired = found["paired"]
    assert isinstance(paired, dict)
    assert (paired["only_now_right"], paired["only_then_right"]) == (0, 20)
    exact = reference_mcnemar([[60, 20], [0, 20]], exact=True).pvalue
    assert paired["mcnemar_p"] < exact  # the mid-p value lies below the exact one
    assert found["unpaired"] is None


def test_other_items_are_held_against_the_whole_test() -> None:
    found = arm(rows(0, 80, 100), rows(500, 60, 100))
    assert found["how"] == "unpaired"
    assert found["paired"] is None
    expected = confint_proportions_2indep(60, 100, 80, 100, compare="diff", method="newcomb")
    assert found["change_ci"] == pytest.approx(list(expected))
    assert found["drift"]
    assert not arm(rows(0, 80, 100), rows(500, 79, 100))["drift"]


def test_a_corrected_label_judges_both_answers() -> None:
    old = [row("x", "yes", "no"), *rows(1, 9, 10)]
    new = [row("x", "no", "no"), *rows(1, 9, 10)]
    found = arm(old, new)
    assert found["change"] == 0  # the arm says what it said
    assert (found["test_accuracy"], found["accuracy"]) == (pytest.approx(9 / 11), pytest.approx(10 / 11))


def test_label_shift_is_the_chi_square_test_of_two_samples() -> None:
    from scipy.stats import chi2_contingency

    old, new = ["a"] * 50 + ["b"] * 30 + ["c"] * 20, ["a"] * 20 + ["b"] * 40 + ["d"] * 5
    found = drift.label_shift(old, new, ("a", "b", "c"))
    expected = chi2_contingency(np.array([[50, 30, 20, 0], [20, 40, 0, 5]]), correction=False)
    assert found["p"] == pytest.approx(expected.pvalue)
    assert found["unseen"] == {"d": 5}
    assert sum(one["fresh"] for one in found["shares"]) == pytest.approx(1)
    assert drift.label_shift(old, old, ("a", "b", "c"))["distance"] == 0
    assert drift.label_shift(["a"], ["d"], ("a",))["distance"] == 1


def line(difference: float, low: float, high: float, margin: float = 0.02) -> dict[str, object]:
    return {
        "difference": difference,
        "ci": [low, high],
        "decisive": not low <= 0 <= high,
        "within_margin": -margin < low and high < margin,
    }


LEAD, TIE = line(0.1, 0.05, 0.15), line(0.0, -0.01, 0.01)


@pytest.mark.parametrize(
    ("old", "new", "holds"),
    [
        (LEAD, line(0.08, 0.02, 0.14), True),
        (LEAD, line(-0.08, -0.14, -0.02), False),
        (LEAD, line(0.05, -0.05, 0.15), None),
        (LEAD, TIE, False),
        (line(-0.1, -0.15, -0.05), line(-0.08, -0.14, -0.02), True),
        (TIE, TIE, True),
        (TIE, line(0.1, 0.05, 0.15), False),
        (TIE, line(0.01, -0.04, 0.06), None),
        (line(0.05, -0.05, 0.15), LEAD, None),
    ],
)
def test_a_claim_holds_falls_or_stays_open(old: dict[str, object], new: dict[str, object], holds: bool | None) -> None:
    assert drift.ruling(drift.claim_of(old), old, new, 0.02) is holds


def test_each_outcome_has_its_sentence() -> None:
    arms = [{"name": "a", "drift": True, "change": -0.1, "change_ci": [-0.2, -0.05]}]
    duel = {"pair": ["a", "b"], "test": LEAD, "fresh": line(0.08, 0.02, 0.14)}

    def said(holds: bool | None, claim: str | None = "ahead") -> str:
        verdict = {"holds": holds, "claim": claim}
        return drift.sentence({"n": 1200, "arms": arms, "contenders": duel, "verdict": verdict})

    sentences = [said(True), said(False), said(None), said(None, None)]
    assert sentences[0].startswith("The verdict still holds on 1,200 fresh items: a leads b by 8.0 points (")
    assert "+10.0 points on the test" in sentences[0]
    assert "accuracy of a fell by 10.0 points" in sentences[0]
    assert all(one != other for one, other in pairwise(sentences))
    assert "no longer holds" in sentences[1]
    assert "cannot be told" in sentences[2]
    assert "claimed no difference" in sentences[3]
    duel["fresh"] = line(-0.03, -0.06, -0.001)
    assert "a trails b by 3.0 points (95% CI −6.0 to −0.1; +10.0 points on the test)" in said(False)
    duel["fresh"] = line(0.0, -0.02, 0.02)
    assert "a and b are level (95% CI −2.0 to +2.0" in said(None)


@pytest.mark.parametrize("shared", [0, 20, 60, 100])
def test_a_row_of_the_table_is_over_the_same_items(shared: int) -> None:
    """The change is the difference of the two figures beside it, however many of the fresh items stood in the test."""
    old = rows(0, 80, 100)
    again = [row(one.example_id, "yes", "no" if place % 9 == 0 else one.predicted) for place, one in enumerate(old)]
    found = arm(old, [*again[:shared], *rows(500, 70, 100)][:100] if shared else rows(500, 70, 100))
    part = found[str(found["how"])]
    assert isinstance(part, dict)
    assert found["how"] == ("paired" if shared >= 50 else "unpaired")
    assert part["n"] == (shared if shared >= 50 else 100 - shared)
    assert part["after"] - part["before"] == pytest.approx(found["change"])
    heads, shown = drift.table({"arms": [found]})
    told = dict(zip(heads, shown, strict=True))
    assert told["compared"].startswith(f"{part['n']} {'of the test' if shared >= 50 else 'new'}, ")
    change = round(100 * (part["after"] - part["before"]), 1)
    assert float(told["change"].split()[0].replace("−", "-")) == pytest.approx(change, abs=0.05)
    assert abs(float(told["fresh"][:-1]) - float(told["test"][:-1]) - change) <= 0.11
    assert told["all fresh items"].endswith(" of 100")
