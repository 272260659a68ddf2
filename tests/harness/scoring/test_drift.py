"""What fresh data says of a verdict: intervals against their sources, pairing by id, the rule behind the sentence."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep

from harness.scoring import comparisons, drift
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


Group = tuple[int, int]
"""Items of a group, and how many of them are right."""


def grouped(first: int, *groups: Group) -> tuple[list[Prediction], dict[str, str]]:
    """Returns answers to groups of items, and the group of each item."""
    found, of = [], {}
    for number, (n, right) in enumerate(groups):
        for one in rows(first, right, n):
            found.append(one)
            of[one.example_id] = f"{first} {number}"
        first += n
    return found, of


@pytest.mark.parametrize("again", [True, False])
def test_whole_groups_that_moved_say_less_than_as_many_items(again: bool) -> None:
    """Of twenty groups of fifteen, two fewer are right: ten points that as many single items would show to be drift."""
    old, then = grouped(0, *[(15, 15)] * 12, *[(15, 0)] * 8)
    new, now = grouped(0 if again else 5000, *[(15, 15)] * 9, *[(15, 0)] * 10, (15, 15))
    before, after = drift.panel_of({"a": old}, 300, then, 1), drift.panel_of({"a": new}, 300, now, 1)
    plain = arm(old, new)
    found = drift.arm_drift("a", (before[0]["a"], before[1]), (after[0]["a"], after[1]), now, 1)
    assert found["change"] == plain["change"] == pytest.approx(-0.1)
    assert (plain["drift"], found["drift"]) == (True, False)
    part = found[str(found["how"])]
    assert part["ci"] == found["change_ci"]
    assert part["groups"] == 20
    if again:
        line = drift.panel_of({"now": new, "then": old}, 300, now, 1)[1].compare("now", "then", 0.0)
        assert found["change_ci"] == line["ci"]
        assert part["mcnemar_p"] == plain["paired"]["mcnemar_p"] == line["mcnemar_p"] < 0.001  # type: ignore[index]
        assert part["ci_method"] == comparisons.CLUSTERED
    else:
        # nothing is shared, so what is held against the test is the interval that stands beside it
        was, is_now = tuple(found["test_accuracy_ci"]), tuple(found["accuracy_ci"])
        assert found["change_ci"] == list(drift.moved(0.6, was, 0.5, is_now)[1])


def test_only_new_items_of_groups_are_held_against_the_test() -> None:
    old, then = grouped(0, *[(10, 10)] * 10)
    new, now = grouped(500, *[(10, 10)] * 6, *[(10, 0)] * 4)
    shared = old[:20]
    after = drift.panel_of({"a": [*shared, *new]}, 120, {**then, **now}, 1)
    before = drift.panel_of({"a": old}, 100, then, 1)
    found = drift.arm_drift("a", (before[0]["a"], before[1]), (after[0]["a"], after[1]), {**then, **now}, 1)
    alone = drift.panel_of({"a": new}, 100, now, 1)[1].accuracy_interval("a")[0]
    apart = found["unpaired"]
    assert (apart["n"], apart["groups"]) == (100, 10)
    assert apart["ci"] == list(drift.moved(1.0, tuple(found["test_accuracy_ci"]), 0.6, alone)[1])
    assert (found["paired"]["n"], found["paired"]["groups"]) == (20, 2)


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


def test_a_label_shift_of_groups_is_told_no_more_often_than_by_chance() -> None:
    """Twenty users of fifteen texts each, whose labels hang together: as independent items, six in ten would shift."""
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(20), 15)

    def sample(first: float = 0.5) -> list[str]:
        leaning = np.where(rng.random(20) < first, 0.9, 0.1)
        return ["a" if each else "b" for each in rng.random(300) < leaning[codes]]

    def shifts(first: float, groups: bool) -> float:
        given = (codes, codes) if groups else (None, None)
        return float(np.mean([drift.label_shift(sample(), sample(first), "ab", given)["p"] < 0.05 for _ in range(200)]))

    assert shifts(0.5, groups=True) < 0.1
    assert shifts(0.5, groups=False) > 0.4
    assert shifts(0.95, groups=True) > 0.6


def test_a_label_shift_of_groups_by_hand() -> None:
    old, new = ["a", "a", "b", "b"] * 5, ["a"] * 12 + ["b"] * 8
    alone = np.arange(20)
    # Groups of one item each differ from no groups by the F for a chi-square alone
    assert drift.label_shift(old, new, "ab", (alone, alone))["p"] == pytest.approx(
        drift.label_shift(old, new, "ab")["p"], rel=0.05
    )
    # All labels of a group alike: a group counts as one item
    fours = np.repeat(np.arange(5), 4)
    assert drift.label_shift(["a"] * 20, ["b"] * 20, "ab", (fours, fours))["p"] == pytest.approx(0.0, abs=0.02)
    assert drift.label_shift(["a"] * 20, ["a"] * 20, "ab", (fours, fours))["p"] == 1
    assert drift.label_shift(["a"] * 20, ["b"] * 20, "ab", (alone * 0, alone * 0))["p"] > 0.1


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


def told(holds: bool | None, claim: str | None, duel: dict[str, object] | None, *arms: dict[str, object]) -> str:
    return drift.sentence({"n": 60, "arms": arms, "contenders": duel, "verdict": {"holds": holds, "claim": claim}})


def test_what_moved_beside_the_contenders_is_left_out() -> None:
    fell = {"name": "a", "drift": True, "change": -0.1, "change_ci": [-0.2, -0.05]}
    rose = {"name": "c", "drift": True, "change": 0.25, "change_ci": [0.1, 0.4]}
    still = {"name": "b", "drift": False, "change": -0.01, "change_ci": [-0.2, 0.1]}
    assert told(None, None, None, fell, rose, still) == (
        "There are no two arms to compare on 60 fresh items; "
        "accuracy of a fell by 10.0 points (95% CI −20.0 to −5.0), "
        "accuracy of c rose by 25.0 points (95% CI +10.0 to +40.0)."
    )
    assert told(None, None, None, still) == "There are no two arms to compare on 60 fresh items."
    duel: dict[str, object] = {"pair": ["a", "b"], "test": LEAD, "fresh": line(0.08, 0.02, 0.14)}
    assert told(True, "ahead", duel, rose, still) == (
        "The verdict still holds on 60 fresh items: a leads b by 8.0 points "
        "(95% CI +2.0 to +14.0; +10.0 points on the test)."
    )
    assert told(None, None, duel) == (
        "The run claimed no difference that could hold or fall; on 60 fresh items a leads b by 8.0 points "
        "(95% CI +2.0 to +14.0; +10.0 points on the test)."
    )
    assert told(None, "ahead", duel).startswith(
        "Whether the verdict holds cannot be told from 60 fresh items: a leads b by 8.0 points ("
    )


def test_what_is_missing_keeps_the_verdict_open() -> None:
    lost = {"name": "a", "n": 1200, "missing": 900, "drift": None, "change": None, "change_ci": None}
    still = {"name": "b", "n": 1200, "missing": 0, "drift": False, "change": 0.0, "change_ci": [-0.1, 0.1]}
    duel: dict[str, object] = {"pair": ["a", "b"], "test": LEAD, "fresh": None}
    assert told(None, "ahead", duel, lost, still) == (
        "Whether the verdict holds cannot be told yet; missing: 900 of 1,200 answers of a."
    )
    assert told(None, None, None, lost) == (
        "There are no two arms to compare on 60 fresh items; missing: 900 of 1,200 answers of a."
    )
    done: dict[str, object] = {"pair": ["b", "c"], "test": LEAD, "fresh": line(0.08, 0.02, 0.14)}
    assert told(True, "ahead", done, lost, still).startswith("The verdict still holds on 60 fresh items: b leads c")


def test_a_line_without_all_answers_tells_no_figure() -> None:
    whole = arm(rows(0, 80, 100), rows(500, 5, 100))
    assert drift.untold(whole, 0) == {**whole, "missing": 0, "simulated": False}
    heads, shown = drift.table({"arms": [drift.untold(whole, 90)]})
    cells = dict(zip(heads, shown, strict=True))
    assert {cells[head] for head in ("compared", "test", "fresh", "change", "95% CI")} == {"–"}
    assert cells["all fresh items"] == "– of 100"


def test_nothing_is_claimed_of_what_is_simulated() -> None:
    fell = arm(rows(0, 80, 100), rows(500, 5, 100))
    made_up = drift.untold(fell, 0, simulated=True)
    assert made_up == {**fell, "drift": None, "missing": 0, "simulated": True}
    assert told(None, None, None, made_up) == "Simulated: There are no two arms to compare on 60 fresh items."
    measured: dict[str, object] = {"pair": ["b", "c"], "test": LEAD, "fresh": line(0.08, 0.02, 0.14)}
    assert told(True, "ahead", measured, made_up).startswith("The verdict still holds on 60 fresh items: b leads c")
    beside: dict[str, object] = {**measured, "pair": ["a", "b"]}
    assert told(None, "ahead", beside, made_up).startswith("Simulated: Whether the verdict holds cannot be told from")
    assert told(None, "ahead", {**beside, "fresh": None}, made_up).startswith("Simulated: Whether the verdict holds ")


def test_where_nothing_was_compared_nothing_is_claimed() -> None:
    assert drift.claim_of(None) is None
    assert drift.claim_of(TIE) == "equal"
    assert drift.claim_of(LEAD) == "ahead"
    assert drift.claim_of(line(0.01, -0.04, 0.06)) is None
    assert drift.ruling("equal", TIE, line(-0.1, -0.15, -0.05), 0.02) is False
    assert drift.ruling("equal", TIE, line(0.04, 0.02, 0.06), 0.02) is None
    assert drift.ruling("equal", TIE, line(-0.04, -0.06, -0.02), 0.02) is None


def test_every_figure_of_an_arm_by_hand() -> None:
    """100 test items of which 20 come again, 4 of these answered otherwise, and 10 new ones."""
    old = rows(0, 80, 100)
    again = [
        row(f"item {place:04d}", "yes", None if place < 3 else "no" if place == 3 else "yes") for place in range(20)
    ]
    found = arm(old, [*again, *rows(500, 6, 10)])
    assert (found["name"], found["how"], found["n"], found["answered"], found["unparsed"]) == ("a", "paired", 30, 27, 3)
    assert (found["test_accuracy"], found["accuracy"]) == (0.8, pytest.approx(22 / 30))
    assert found["test_accuracy_ci"] == pytest.approx(list(wilson(80, 100)))
    assert found["accuracy_ci"] == pytest.approx(list(wilson(22, 30)))
    assert found["paired"] == {
        "n": 20, "groups": None, "before": 1.0, "after": 0.8, "change": -0.2, "ci": found["change_ci"],
        "ci_method": comparisons.TANGO, "only_now_right": 0, "only_then_right": 4, "mcnemar_p": pytest.approx(1 / 16),
    }  # fmt: skip
    assert found["change"] == -0.2
    apart = found["unpaired"]
    assert isinstance(apart, dict)
    assert {name: apart[name] for name in ("n", "n_test", "before", "after")} == {
        "n": 10, "n_test": 100, "before": 0.8, "after": 0.6,
    }  # fmt: skip
    expected = confint_proportions_2indep(6, 10, 80, 100, compare="diff", method="newcomb")
    assert (apart["change"], apart["ci"]) == (pytest.approx(-0.2), pytest.approx(list(expected)))
    heads, shown = drift.table({"arms": [found]})
    assert dict(zip(heads, shown, strict=True)) == {
        "arm": "a", "compared": "20 of the test, paired", "test": "100.0%", "fresh": "80.0%", "change": "−20.0 points",
        "95% CI": shown[5], "all fresh items": "73.3% of 30", "unparsed": "3", "failed": "0",
    }  # fmt: skip


def test_arms_that_left_items_out_have_wilsons_interval() -> None:
    """Their answers cannot be paired with the others', so no panel holds them."""
    before = drift.panel_of({"a": rows(0, 8, 10)}, 12, None, 1)
    after = drift.panel_of({"a": rows(50, 6, 9)}, 10, None, 1)
    assert before[1].names == after[1].names == ()
    found = drift.arm_drift("a", (before[0]["a"], before[1]), (after[0]["a"], after[1]))
    assert found["test_accuracy_ci"] == pytest.approx(list(wilson(8, 10)))
    assert found["accuracy_ci"] == pytest.approx(list(wilson(6, 9)))


def test_an_interval_of_shares_stays_between_minus_one_and_one() -> None:
    lost, gained = arm(rows(0, 2, 2), rows(500, 0, 2)), arm(rows(0, 0, 2), rows(500, 2, 2))
    assert lost["change_ci"][0] == -1.0 == -gained["change_ci"][1]  # type: ignore[index]


def test_shares_of_labels_by_hand() -> None:
    found = drift.label_shift(["a", "a", "b", "a"], ["b", "z", "z", "y", "a"], ("a", "b", "never"))
    assert found["shares"] == [
        {"label": "a", "test": 0.75, "fresh": 0.2},
        {"label": "b", "test": 0.25, "fresh": 0.2},
        {"label": "y", "test": 0.0, "fresh": 0.2},
        {"label": "z", "test": 0.0, "fresh": 0.4},
    ]
    assert found["distance"] == pytest.approx(0.6)
    assert found["unseen"] == {"y": 1, "z": 2}
