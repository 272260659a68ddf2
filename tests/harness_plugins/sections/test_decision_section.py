"""What the decision says: four plain sentences, the answer by volume, what would change it, what was not tested."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support.report import Page, make_results, with_choices, with_curves, words
from support.results import ARMS, make_arm, make_examples, make_run

from harness import numbers
from harness.blocks import Calculator, Cell, Passage, Results, Table
from harness.report import flip_points, plain
from harness.report.page import render
from harness.report.untested import untested
from harness.scoring.facts import Decision as Assumed
from harness.scoring.judging import assumptions, rejudge
from harness.scoring.results import build
from harness_plugins.sections.decision import Decision

EXAMPLES = make_examples(120)
JARGON = re.compile(r"\b(arm|CI|bootstrap|McNemar|p =|p <|p95|macro|baseline|shots)\b|±", re.IGNORECASE)


def stored(arms: int = 4, **decision: Any) -> dict[str, Any]:
    made = [make_arm(arm, EXAMPLES) for arm in ARMS[:arms]]
    return build(make_run(EXAMPLES, decision=Assumed(**decision)), made)


def blocks_of(data: dict[str, Any]) -> list[Any]:
    return list(Decision().blocks(Results(data=data)))


def passages(data: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    return {block.title: block.sentences for block in blocks_of(data) if isinstance(block, Passage)}


def test_a_winner_in_plain_words() -> None:
    data = stored()
    tuned, shots = data["arms"][:2]
    entry, line = data["payback"][-1], data["comparisons"][0]
    compared, right, price, advice = passages(data)["In plain words"]
    assert compared.startswith(
        "4 ways of giving each text of reviews.csv one of 3 labels were compared, on the same 120"
    )
    low, high = (numbers.number(each * 100, 1, signed=True) for each in line["ci"])
    assert right == (
        f"tuned was right on {numbers.percent(tuned['accuracy'])} of them, 8-shot on "
        f"{numbers.percent(shots['accuracy'])}: hardly by luck, for the lead very likely lies between {low} and {high} "
        "points."
    )
    assert price == (
        f"A thousand answers cost {numbers.usd(tuned['cost_per_1k_usd'])} from tuned and "
        f"{numbers.usd(shots['cost_per_1k_usd'])} from 8-shot; all but the slowest 5% came within "
        f"{numbers.ms(tuned['latency_s']['p95'])} and {numbers.ms(shots['latency_s']['p95'])}."
    )
    assert advice == (
        f"Our advice: use tuned if you expect more than {numbers.count(entry['requests'])} requests in all; with fewer "
        "its training is not paid for, and 8-shot costs less."
    )


ADVICE = {
    "win": "use tuned if you expect",
    "trade-off": "use tuned if being right more often",
    "never-pays": "use tuned; 8-shot would be the choice only if",
    "baseline-suffices": "use tuned, the simpler of the two",
    "tie": "use tuned, which costs less, if you expect",
    "not-enough-data": "decide nothing yet",
    "expires": "train a model that stays available",
    "unavailable": "use 8-shot until the training is possible",
    "invalid": "decide nothing on these figures",
}


@pytest.mark.parametrize("kind", ADVICE)
def test_each_kind_of_verdict_has_its_advice(kind: str) -> None:
    data = stored(2)
    data["verdict"] |= {"kind": kind, "arm": "tuned", "against": "8-shot"}
    assert plain.advice(data).startswith(f"Our advice: {ADVICE[kind]}")
    data["verdict"]["simulated"] = True
    assert "advise nothing" in plain.advice(data)


def test_what_is_dearer_is_worth_what_an_extra_right_answer_is_worth() -> None:
    data = stored(2)
    data["verdict"] |= {"kind": "trade-off", "arm": "tuned", "against": "8-shot"}
    data["comparisons"][0]["cost_per_extra_correct"] = 0.0123
    assert "worth more than $0.01 to you" in plain.advice(data)


@pytest.mark.parametrize(("decisive", "within", "said"), [(False, True, "as good as equal"), (False, False, "be luck")])
def test_how_sure_it_is_follows_the_interval(decisive: bool, within: bool, said: str) -> None:
    data = stored(2)
    data["comparisons"][0] |= {"decisive": decisive, "within_margin": within}
    assert said in plain.right(data)


@pytest.mark.parametrize("arms", [1, 2, 4])
def test_plain_words_have_no_jargon(arms: int) -> None:
    for sentence in passages(stored(arms))["In plain words"]:
        bare = sentence
        for arm in ARMS:
            bare = bare.replace(arm.name, "")
        assert not JARGON.search(bare), sentence


def test_the_volume_asked_for_stands_among_the_others() -> None:
    data = stored(requests_per_month=15_000)
    table = next(block for block in blocks_of(data) if isinstance(block, Table))
    rows = words(table)
    assert [row[0] for row in rows] == ["1,000", "10,000", "15,000", "100,000", "1,000,000"]
    assert table.highlight == 2
    line = data["decision"]["table"][1]
    assert rows[1][1:4] == [
        numbers.usd(line["monthly_saving"]), numbers.usd(line["total_saving"]), line["break_even_date"],
    ]  # fmt: skip
    assert {row[4] for row in rows} == {"tuned"}


def test_costs_less_is_said_of_the_other_arm_where_training_does_not_pay() -> None:
    data = stored(setup_hours=10, hour_usd=100)
    rows = words(next(block for block in blocks_of(data) if isinstance(block, Table)))
    assert [row[4] for row in rows][:1] == ["8-shot"]
    assert rows[0][2].startswith(numbers.MINUS)
    assert rows[-1][4] == "tuned"


@pytest.mark.parametrize(("ahead", "told"), [(1, "1 month"), (2, "2 months"), (1.5, "1.5 months")])
def test_how_far_is_looked_ahead(ahead: float, told: str) -> None:
    data = stored(requests_per_month=150_000, horizon_months=ahead)
    table = flip_points.table(data)
    assert table is not None
    assert words(table)[0][0] == f"Requests a month over {told}"
    assert f"requests a month for {told}, tuned" in flip_points.sentences(data)[0]
    captions = [block.caption for block in blocks_of(data) if isinstance(block, Table)]
    assert any(f"over {told}." in caption for caption in captions)


def test_flip_points_are_said_and_tabled_with_few_digits() -> None:
    data = stored(requests_per_month=15_000, cache_hit=0.5, error_usd=0.002)
    points = {point["quantity"]: point["value"] for point in data["decision"]["flip_points"]}
    said = flip_points.sentences(data)
    table = flip_points.table(data)
    assert table is not None
    assert said[0] == (
        f"Above {numbers.count(points['requests_per_month'])} requests a month for 12 months, tuned costs less in all; "
        "below that, 8-shot."
    )
    times = numbers.significant(points["tuned_price"])
    assert len(times.replace(".", "")) == 3
    assert f"{numbers.usd(points['tuned_cost_per_1k'])}, {times} times what they cost now" in said[1]
    rows = {row[0]: row[1:] for row in words(table)}
    assert len(said) == len(rows) == len([name for name in points if not name.endswith("_price")])
    assert rows["Requests a month over 12 months"][0] == "15,000"
    assert rows["1,000 requests of tuned"][1] == numbers.usd(points["tuned_cost_per_1k"])
    notes = {row[0]: row[2].note for row in table.rows if isinstance(row[2], Cell)}
    assert notes["1,000 requests of tuned"] == f"{times} times"
    data["decision"]["flip_points"] = [
        {"quantity": "error_usd", "value": 0.0072, "above": "tuned", "below": "8-shot", "unit": "usd"}
    ]
    costs = flip_points.table(data)
    assert costs is not None
    turns = costs.rows[0][2]
    assert isinstance(turns, Cell)
    assert (turns.text, turns.note) == ("$0.0072", "")  # dollars of an error are no factor of prices


def test_where_nothing_turns_the_answer_that_is_said() -> None:
    data = stored(2)
    data["decision"]["flip_points"] = []
    assert flip_points.sentences(data)[0].startswith("No other volume, price,")
    data["decision"]["unit"] = data["payback"][-1]["unit"] = data["payback"][0]["unit"] = "machine_s"
    assert flip_points.sentences(data)[0].startswith("At no other volume")
    for entry in data["payback"]:
        entry["fixed"] = None
    assert flip_points.sentences(data) == ["What would change it is not known: what the training of tuned cost is not."]
    for entry in data["payback"]:
        entry["saving_per_1k"] = None
    assert flip_points.sentences(data)[0].startswith("What would change it is not known: the costs of tuned and ")
    assert flip_points.table(data) is None


def test_what_was_not_tested_follows_the_run() -> None:
    data = stored()
    said = "\n".join(untested(data))
    for what in ("Other examples in the prompts", "Another training of the same model", "Asking again"):
        assert what in said
    assert "no search on validation was made for 8-shot, zero-shot." in said
    assert "no search on validation was made for tuned." in said
    assert "no learning curve" in said
    assert "every arm that was prompted wrote free text" in said
    assert "ft:small:1, large alone were asked" in said
    assert "Your load: answers were timed" in said

    data["run"]["not_varied"] = []
    with_choices(data)
    with_curves(data)
    data["arms"][1]["mode"] = "choose"
    data["arms"][2] |= {"n": 0}
    data["relabel"] = {"corrected": 3}
    data["checks"].append({"kind": "split", "level": "ok", "message": "", "figures": {"test_from": "2026-01-01"}})
    less = "\n".join(untested(data))
    assert "What has no answers: zero-shot." in less
    assert "the test examples are the newest ones" in less
    for what in ("Other examples", "Asking again", "made for tuned", "learning curve", "free text", "Wrong labels"):
        assert what not in less
    for arm in data["arms"]:
        arm["latency_s"] = dict.fromkeys(arm["latency_s"])
    assert "Your load" not in "\n".join(untested(data))


def test_one_arm_alone_has_words_and_no_money() -> None:
    data = stored(1)
    said = passages(data)
    assert list(said) == ["In plain words", "Not tested"]
    assert said["In plain words"][0].startswith("One way of giving each text")
    assert said["In plain words"][3].startswith("Our advice: decide nothing yet; there must")
    assert not [block for block in blocks_of(data) if isinstance(block, Table | Calculator)]


def unanswered(data: dict[str, Any]) -> None:
    data["arms"][0] |= {"n": 0, "answered": 0, "accuracy": None, "accuracy_ci": None, "latency_s": None}


def priceless(data: dict[str, Any]) -> None:
    for arm in data["arms"]:
        arm.update(cost_per_1k_usd=None, price=None, machine_s_per_1k=None)
    data |= rejudge(data, assumptions(data))


def bare(data: dict[str, Any]) -> None:
    data["decision"] = {"arm": "tuned", "against": "8-shot"}
    for arm in data["arms"]:
        for key in ("price", "confusion", "machine_s_per_1k", "mode", "local"):
            arm.pop(key)


def blank(data: dict[str, Any]) -> None:
    for key in list(data):
        if key not in ("arms", "schema"):
            del data[key]


@pytest.mark.parametrize("change", [unanswered, priceless, bare, blank])
def test_whatever_is_missing_is_said_in_words(change: Any) -> None:
    results = make_results(n=40, arms=2, change=change)
    page = Page(render(results, [Decision()]))
    text = page.texts["section"][0]
    assert "could not be shown" not in text
    island = "".join(page.texts.get("script", []))
    assert not re.search(r"\b(None|nan|inf|NaN|Infinity|undefined)\b", text.replace(island, ""))


def test_head_carries_the_verdict() -> None:
    results = make_results(n=40, arms=2)
    page = Page(render(results, []))
    sentence = results.data["verdict"]["sentence"]
    found = {}
    attributes = iter(page.attributes)
    for tag, name, value in attributes:
        if tag == "meta" and name in ("property", "name"):
            found[value] = next(attributes)[2]
    assert page.texts["title"] == [sentence] == [found["og:title"]]
    assert found["description"] == found["og:description"] == page.texts[".lead"][0]
    assert (found["og:type"], found["twitter:card"]) == ("article", "summary")
