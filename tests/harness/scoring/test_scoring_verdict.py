"""One constructed run for each kind of verdict; sentences hold only what the results hold."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from support.verdicts import N, prompt, rows, run, tuned

from harness import numbers
from harness.scoring.answers import Answers
from harness.scoring.contenders import name_contenders
from harness.scoring.facts import ArmFacts, Decision
from harness.scoring.judging import assumptions, rejudge
from harness.scoring.results import build
from harness.types import Check, Status


def verdict(arms: list[ArmFacts], **changes: Any) -> dict[str, Any]:
    results = build(run(**changes), arms)
    json.dumps(results, allow_nan=False)
    sentence = results["verdict"]["sentence"]
    assert len(sentence) <= 220
    assert sentence.endswith(".")
    assert "  " not in sentence
    unknown = [figure for figure in figures(results, sentence) if figure not in known(results)]
    assert not unknown, f"{unknown} in {sentence!r}"
    return dict(results["verdict"])


def figures(results: dict[str, Any], sentence: str) -> list[str]:
    """Returns the numbers of a sentence; names, confidence level and dates taken out."""
    named = (piece["name"] for piece in results["arms"])
    for name in (*named, "95% CI", results["decision"]["shutdown_date"] or " "):
        sentence = sentence.replace(name, " ")
    return re.findall(r"\d[\d,]*(?:\.\d+)?", sentence)


def known(results: dict[str, Any]) -> set[str]:
    """Returns all that the results' numbers can look like, with the sums that sentences make of them."""
    values = list(leaves(results))
    values += [1 + line["cost"]["change"] for line in results["comparisons"] if line["cost"]["change"] is not None]
    values += [(arm["unparsed"] + arm["failed"]) / arm["n"] for arm in results["arms"] if arm["n"]]
    # Seen from the other arm, a change is another share
    values += [1 / (1 + x) - 1 for x in values if x > -1]
    points = results["decision"]["flip_points"]
    values += [point["value"] / 1e6 for point in points if point["unit"] == "requests"]
    values += [len(results["run"]["labels"]), 1 / len(results["run"]["labels"]), 0.99]
    written: set[str] = set()
    for x in values:
        texts = (numbers.number(x), numbers.number(x, 1), numbers.percent(x), numbers.percent(x, 0), numbers.usd(x))
        written.update(re.sub(r"[^\d.,]", "", text) for text in (*texts, numbers.duration(x).split(" ")[0]))
    return written


def leaves(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def test_the_tuned_arm_wins() -> None:
    said = verdict([tuned(range(50)), prompt(range(91))])
    assert said["kind"] == "win"
    assert (said["arm"], said["against"]) == ("small", "large")
    assert said["sentence"] == (
        "Fine-tuned small wins: 4.1 points more accurate than few-shot large, 90% cheaper per request, "
        "its $86.00 of training paid back after 95,556 requests."
    )


def test_the_tuned_arm_wins_in_seconds_of_this_machine() -> None:
    here = {"local": True}
    arms = [tuned(range(50), usd=None, busy_s=3.8, **here), prompt(range(91), usd=None, busy_s=10.0, **here)]
    said = verdict([replace(arms[0], training_cost_usd=None), arms[1]])
    assert said["sentence"] == (
        "Fine-tuned small wins: 4.1 points more accurate than few-shot large, 62% less machine time per request, "
        "its 85 s of training paid back after 13,710 requests."
    )


def test_a_prompt_can_win_where_costs_are_unknown() -> None:
    said = verdict([tuned(range(91), usd=None), prompt(range(50), usd=None)])
    assert (said["kind"], said["arm"]) == ("win", "large")
    assert said["sentence"] == "Few-shot large wins: 4.1 points more accurate than fine-tuned small."


def test_more_accurate_but_dearer_is_a_trade_off() -> None:
    said = verdict([tuned(range(50), usd=0.00112), prompt(range(91))])
    assert said["kind"] == "trade-off"
    assert said["sentence"] == (
        "Fine-tuned small is 4.1 points more accurate than few-shot large but is 12% dearer per request: "
        "$0.0029 for each extra correct answer."
    )


def test_a_prompt_that_is_better_but_dearer_is_a_trade_off_too() -> None:
    said = verdict([tuned(range(91)), prompt(range(50))])
    assert (said["kind"], said["arm"]) == ("trade-off", "large")
    assert "costs 10.0 times as much per request" in said["sentence"]


@pytest.mark.parametrize("wrong", [range(91), range(51)])
def test_training_never_pays_where_it_gains_and_saves_nothing(wrong: range) -> None:
    said = verdict([tuned(wrong, usd=0.0014), prompt(range(50))])
    assert (said["kind"], said["arm"], said["against"]) == ("never-pays", "large", "small")
    assert "is 40% dearer per request, so its $86.00 of training never pays back." in said["sentence"]
    assert "95% CI" in said["sentence"]


def test_a_cheap_baseline_within_the_margin_suffices() -> None:
    baseline = ArmFacts(
        name="TF-IDF", family="classical", predictions=rows("TF-IDF", range(52)), local=True, busy_s=0.1
    )
    said = verdict([tuned(range(50)), prompt(range(91)), baseline])
    assert (said["kind"], said["arm"], said["against"]) == ("baseline-suffices", "TF-IDF", "small")
    assert said["sentence"].startswith("TF-IDF suffices: within 2.0 points of fine-tuned small (−0.2 points, 95% CI")
    worse = replace(baseline, predictions=rows("TF-IDF", range(80)))
    assert verdict([tuned(range(50)), prompt(range(91)), worse])["kind"] == "win"


def test_a_baseline_that_is_better_says_so() -> None:
    baseline = ArmFacts(
        name="TF-IDF", family="classical", predictions=rows("TF-IDF", range(20)), local=True, busy_s=0.1
    )
    said = verdict([tuned(range(200)), prompt(range(300)), baseline])
    assert said["kind"] == "baseline-suffices"
    assert said["sentence"].startswith("TF-IDF suffices: 18.0 points more accurate than fine-tuned small")


def test_an_arm_whose_requests_failed_is_no_opponent_yet() -> None:
    gone = [replace(row, predicted=None, status=Status.FAILED) for row in rows("large", range(0))[:700]]
    kept = rows("large", range(0))[700:]
    said = verdict([tuned(range(50)), prompt(range(0), predictions=(*gone, *kept))])
    assert (said["kind"], said["arm"], said["against"]) == ("not-enough-data", "small", "large")
    assert said["sentence"].startswith("Not enough data: 700 of 1,000 requests of few-shot large failed; ")


def test_two_arms_that_take_next_to_no_time_cost_the_same() -> None:
    a, b = (
        ArmFacts(name=name, family="classical", predictions=rows(name, wrong), local=True, busy_s=seconds)
        for name, wrong, seconds in (("TF-IDF", range(50), 0.1), ("majority", range(400), 0.0002))
    )
    said = verdict([a, b])
    assert (said["kind"], said["arm"]) == ("win", "TF-IDF")
    assert "times" not in said["sentence"]


def test_a_small_difference_for_certain_is_a_tie() -> None:
    said = verdict([tuned(range(2, 50)), prompt(range(50))])
    assert (said["kind"], said["arm"]) == ("tie", "small")
    assert said["sentence"].startswith(
        "No clear accuracy winner: fine-tuned small leads few-shot large by 0.2 points (95%"
    )
    assert said["sentence"].endswith(
        "is 90% cheaper per request, its $86.00 of training paid back after 95,556 requests."
    )
    level = verdict([tuned(range(50), usd=None), prompt(range(50), usd=None)])
    assert "are level" in level["sentence"]
    assert level["sentence"].endswith("within the margin of 2.0 points.")


def test_a_wide_interval_is_not_enough_data() -> None:
    said = verdict([tuned([*range(100, 160)]), prompt(range(70))])
    assert said["kind"] == "not-enough-data"
    assert said["sentence"].startswith("Not enough data: with 1,000 test items, differences under about ")


def test_a_single_arm_is_not_enough_data() -> None:
    assert verdict([prompt(range(70))])["kind"] == "not-enough-data"
    assert verdict([])["sentence"] == "Not enough data: no arm has answered a test item."
    waiting = verdict([tuned([], predictions=()), prompt(range(70))])
    assert waiting["kind"] == "not-enough-data"
    assert "fine-tuned small has no answers yet" in waiting["sentence"]


def test_a_model_shut_down_before_it_pays_expires() -> None:
    arms = [tuned(range(50), shutdown_date="2027-01-20"), prompt(range(91))]
    said = verdict(arms, decision=Decision(requests_per_month=10_000))
    assert (said["kind"], said["arm"]) == ("expires", "small")
    assert "needs 9.6 months at 10,000 requests a month, but it is shut down 2.0 months after" in said["sentence"]
    assert verdict(arms, decision=Decision(requests_per_month=100_000))["kind"] == "win"
    past = [tuned(range(50), shutdown_date="2026-01-20"), prompt(range(91))]
    assert "comes too late" in verdict(past)["sentence"]


@pytest.mark.parametrize("hosting", [8.9, 9.0, 100.0])
def test_what_recurs_each_month_is_no_way_round_a_shutdown(hosting: float) -> None:
    """Dearer hosting made a model that never pays back a win, for the months to break even are none then."""
    decision = Decision(requests_per_month=10_000, hosting_usd_per_month=hosting)
    shut = verdict([tuned(range(50), shutdown_date="2027-01-20"), prompt(range(91))], decision=decision)
    assert shut["kind"] == "expires"
    assert "never pays back" in shut["sentence"]
    kept = verdict([tuned(range(50)), prompt(range(91))], decision=decision)
    assert kept["kind"] == "win"
    assert ("not paid back at 10,000 requests a month" in kept["sentence"]) == (hosting >= 9)
    # A request that saves nothing is a matter of its price, not of what recurs
    dear = [tuned(range(50), usd=0.00112, shutdown_date="2027-01-20"), prompt(range(91))]
    assert verdict(dear, decision=decision)["kind"] == "trade-off"


def test_a_sentence_goes_on_with_the_volume_above_which_training_would_pay() -> None:
    few = Decision(requests_per_month=1_000, horizon_months=6)
    said = verdict([tuned(range(50)), prompt(range(91))], decision=few)["sentence"]
    assert said.endswith("after 95,556 requests. Training would pay above 15,926 requests a month.")
    enough = replace(few, requests_per_month=20_000)
    assert "would" not in verdict([tuned(range(50)), prompt(range(91))], decision=enough)["sentence"]
    hours = replace(few, setup_hours=20, hour_usd=100, labelling_usd=100)
    said = verdict([tuned(range(50), usd=0.0009), prompt(range(91))], decision=hours)["sentence"]
    assert "its $2,186.00 of investment" in said
    assert said.endswith("Training would pay above 3.6 million requests a month.")
    expired = [tuned(range(50), shutdown_date="2027-01-20"), prompt(range(91))]
    said = verdict(expired, decision=Decision(requests_per_month=10_000))
    assert said["kind"] == "expires"
    assert said["sentence"].endswith("Training would pay above 47,680 requests a month.")


def test_a_sentence_goes_on_with_the_price_or_the_cost_of_errors() -> None:
    said = verdict([tuned(range(91), usd=0.0014), prompt(range(50))])
    assert said["kind"] == "never-pays"
    assert said["sentence"].endswith("never pays back. Training would pay at 71% of the model's price.")
    arms = [tuned(range(50), usd=0.00112), prompt(range(91))]
    assert "would" not in verdict(arms)["sentence"]  # the price of an extra correct answer says it
    said = verdict(arms, decision=Decision(requests_per_month=10_000))
    assert said["kind"] == "trade-off"
    assert said["sentence"].endswith("extra correct answer. Training would pay from $0.02 for an error.")
    paid = verdict(arms, decision=Decision(requests_per_month=10_000, error_usd=0.05))
    assert "would" not in paid["sentence"]


def test_costs_of_errors_can_pay_where_requests_alone_never_do() -> None:
    arms = [tuned(range(0, 150, 3), usd=0.0014), prompt(range(1, 151, 3))]
    assert verdict(arms)["kind"] == "never-pays"
    said = verdict(arms, decision=Decision(error_usd={"b": 1.0, "default": 0.0}))
    assert said["kind"] != "never-pays"


def test_what_would_change_is_said_of_the_verdict_s_own_pair_and_where_there_is_room() -> None:
    few = Decision(requests_per_month=1_000, horizon_months=6, incumbent="zero")
    zero = ArmFacts(
        name="zero",
        family="zero-shot",
        shots=0,
        predictions=rows("zero", range(200), 0.0008),
        validation_accuracy=0.5,
    )
    arms = [tuned(range(50)), prompt(range(91), validation_accuracy=0.9), zero]
    said = verdict(arms, decision=few)
    assert said["against"] == "large"
    assert "would" not in said["sentence"]
    long = "y" * 56
    arms = [tuned(range(50)), prompt(range(91), name=long, predictions=rows(long, range(91), 0.001))]
    said = verdict(arms, decision=replace(few, incumbent=None))
    assert len(said["sentence"]) <= 220
    assert said["sentence"].endswith("after 95,556 requests.")


def test_refused_training_is_unavailable() -> None:
    said = verdict([tuned([], predictions=(), refused=True), prompt(range(91))])
    assert (said["kind"], said["arm"], said["against"]) == ("unavailable", "small", "large")
    assert "few-shot large is right on 90.9% of 1,000 test items" in said["sentence"]
    other = tuned(range(50), name="other", predictions=rows("other", range(50), 0.0001))
    assert verdict([tuned([], predictions=(), refused=True), other, prompt(range(91))])["kind"] == "win"


def test_a_leak_makes_the_run_invalid() -> None:
    leak = Check(kind="exact-leak", level="error", message="12 test examples stand in train.", figures={"examples": 12})
    said = verdict([tuned(range(50)), prompt(range(91))], checks=(leak,))
    assert (said["kind"], said["sentence"]) == ("invalid", "No verdict: 12 test examples stand in train.")
    harmless = replace(leak, level="warning")
    assert verdict([tuned(range(50)), prompt(range(91))], checks=(harmless,))["kind"] == "win"


def test_unequal_items_make_the_run_invalid() -> None:
    few = prompt([], predictions=rows("large", range(91), 0.001)[:-9])
    said = verdict([tuned(range(50)), few])
    assert said["kind"] == "invalid"
    assert "(1,000 and 991 answers to 1,000 items)" in said["sentence"]


def test_an_opponent_below_chance_is_none() -> None:
    said = verdict([tuned(range(50)), prompt(range(700))])
    assert (said["kind"], said["arm"]) == ("invalid", "large")
    assert "is right on 30.0% of items, where guessing among 3 labels gives 33.3%" in said["sentence"]


def test_an_opponent_that_cannot_be_read_is_none() -> None:
    mute = prompt([], predictions=rows("large", range(20), 0.001, unparsed=560))
    said = verdict([tuned(range(50)), mute])
    assert said["kind"] == "invalid"
    assert "leaves 56.0% of 1,000 items without a readable answer" in said["sentence"]


def test_what_is_simulated_says_so_first() -> None:
    said = verdict([tuned(range(50), simulated=True), prompt(range(91))])
    assert said["sentence"].startswith("Simulated: Fine-tuned small wins")
    other = ArmFacts(name="mock", family="mock", simulated=True, predictions=rows("mock", range(200)))
    assert verdict([tuned(range(50)), prompt(range(91)), other])["sentence"].startswith("Fine-tuned small wins")


def test_long_and_odd_names_leave_a_short_sentence() -> None:
    long, odd = "x" * 300, "a\nb\t<b>" + "y" * 200
    arms = [
        tuned(range(50), name=long, predictions=rows(long, range(50), 0.0001)),
        prompt(range(91), name=odd, predictions=rows(odd, range(91), 0.001)),
    ]
    sentence = build(run(), arms)["verdict"]["sentence"]
    assert len(sentence) <= 220
    assert "\n" not in sentence
    assert sentence.endswith("95,556 requests.")


def test_two_arms_of_other_families_contend() -> None:
    arms = [
        ArmFacts(
            name=name, family="other", predictions=rows(name, range(wrong), 0.001), validation_accuracy=1 - wrong / N
        )
        for name, wrong in (("p", 300), ("q", 50), ("r", 120))
    ]
    results = build(run(), arms)
    assert results["contenders"] == {"a": "q", "b": "r", "chosen_on": "validation", "among": [3]}
    assert results["verdict"]["sentence"] == "Q wins: 7.0 points more accurate than r, as cheap per request."


def test_contenders_are_chosen_on_validation_not_on_test() -> None:
    better_on_test = prompt(
        range(40), name="lucky", predictions=rows("lucky", range(40), 0.001), validation_accuracy=0.8
    )
    chosen = prompt(range(91), validation_accuracy=0.9)
    results = build(run(), [tuned(range(50)), better_on_test, chosen])
    assert (results["contenders"]["b"], results["contenders"]["chosen_on"]) == ("large", "validation")
    tied = replace(better_on_test, validation_accuracy=0.9, predictions=rows("lucky", range(40), 0.0005))
    assert build(run(), [tuned(range(50)), tied, chosen])["contenders"]["b"] == "lucky"
    unknown = [replace(arm, validation_accuracy=None) for arm in (better_on_test, chosen)]
    assert build(run(), [tuned(range(50)), *unknown])["contenders"]["chosen_on"] == "cost and name"
    assert name_contenders([]) == {"a": None, "b": None, "chosen_on": "only arms", "among": [0]}


def test_the_verdict_follows_other_assumptions() -> None:
    arms = [tuned(range(50), shutdown_date="2027-01-20"), prompt(range(91))]
    results = build(run(), arms)
    assert results["verdict"]["kind"] == "win"
    assert rejudge(results, Decision(requests_per_month=10_000))["verdict"]["kind"] == "expires"
    assert results["verdict"]["kind"] == "win"
    stored = json.loads(json.dumps(results, allow_nan=False))
    requests = {arm.name: Answers.of(arm) for arm in arms}
    assert rejudge(stored, assumptions(stored), requests=requests) == stored
