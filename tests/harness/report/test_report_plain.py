"""The verdict in plain words: each rule's sentence from constructed figures."""

from __future__ import annotations

from typing import Any

import pytest

from harness.blocks import Results
from harness.report.complete import completed
from harness.report.gaps import ANSWERS, gaps
from harness.report.plain import advice, compared, price, right, sentences
from harness.report.untested import untested
from harness.report.verdict import tiles

Data = dict[str, Any]


def data(kind: str | None = "win", unit: str = "usd", **parts: Any) -> Data:
    key = "cost_per_1k_usd" if unit == "usd" else "machine_s_per_1k"
    shared = {"n": 200, "accuracy": 0.9, "accuracy_ci": [0.85, 0.94], "latency_s": {"p95": 0.25}}
    known = {
        "run": {"n_test": 200, "labels": ["a", "b"], "dataset": {"name": "reviews.csv"}},
        "arms": [{"name": "t", **shared, key: 1.5}, {"name": "p", **shared, "accuracy": 0.8, key: 30.0}],
        "comparisons": [{"a": "t", "b": "p", "metric": "accuracy", "primary": True, "difference": 0.1,
                         "ci": [0.04, 0.16], "decisive": True, "within_margin": False}],
        "verdict": {"kind": kind, "arm": "t", "against": "p"},
    }  # fmt: skip
    return {**known, **parts}


def without(made: Data, *keys: str) -> Data:
    return {**made, "arms": [{key: arm[key] for key in arm if key not in keys} for arm in made["arms"]]}


def line(**changes: Any) -> list[dict[str, Any]]:
    return [{**data()["comparisons"][0], **changes}]


def paid(**changes: Any) -> list[dict[str, Any]]:
    return [{"arm": "t", "against": "p", "unit": "usd", "fixed": 40.0, "requests": 9000, **changes}]


def test_what_was_compared() -> None:
    assert compared(data()) == (
        "2 ways of giving each text of reviews.csv one of 2 labels were compared, on the same 200 examples, which had "
        "been kept aside for it."
    )
    alone = compared({"run": {"name": "run", "n_test": 9}, "arms": [{"name": "t", "n": 9}, {"name": "p"}]})
    assert alone == (
        "One way of giving each text of run one of 0 labels was tried, on 9 examples that had been kept aside for it."
    )
    assert all(sentences({}))


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ({}, ": hardly by luck, for the lead very likely lies between +4.0 and +16.0 points."),
        (
            {"decisive": False, "within_margin": True},
            ": as good as equal, for the lead very likely lies between +4.0 and +16.0 points.",
        ),
        ({"decisive": False}, ": that may well be luck, for the lead can be anything between +4.0 and +16.0 points."),
        ({"ci": None}, "."),
    ],
)
def test_who_is_right_how_often(changes: Data, end: str) -> None:
    assert right(data(comparisons=line(**changes))) == f"t was right on 90.0% of them, p on 80.0%{end}"


def test_who_is_right_alone_or_not_at_all() -> None:
    one = {**data(), "arms": data()["arms"][:1]}
    assert right(one) == (
        "t was right on 90.0% of them; on all texts of this kind the share very likely lies between 85.0% and 94.0%."
    )
    assert right(without(one, "accuracy_ci")) == "t was right on 90.0% of them."
    assert right(without(one, "accuracy")) == "Nothing has been answered, so nobody knows yet who is right how often."
    turned = {**data(), "verdict": {"kind": "tie", "arm": "p", "against": "t"}}
    assert right(turned).startswith("t was right on 90.0% of them, p on 80.0%: hardly by luck")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (
            data(),
            (
                "A thousand answers cost $1.50 from t and $30.00 from p; all but the slowest 5% came within 250 ms and "
                "250 ms."
            ),
        ),
        (
            data(unit="s"),
            (
                "A thousand answers keep this machine busy for 1.5 s with t and for 30 s with p; all but the "
                "slowest 5% came within 250 ms and 250 ms."
            ),
        ),
        (without(data(), "latency_s"), "A thousand answers cost $1.50 from t and $30.00 from p."),
        (
            without(data(unit="s"), "latency_s"),
            "A thousand answers keep this machine busy for 1.5 s with t and for 30 s with p.",
        ),
        (
            without(data(), "cost_per_1k_usd"),
            (
                "All but the slowest 5% of the answers came within 250 ms from t and within 250 ms from p; what they "
                "cost is not known for both."
            ),
        ),
        (without(data(), "cost_per_1k_usd", "latency_s"), "What both cost and how fast they are was not measured."),
        (
            data(arms=[without(data(), "cost_per_1k_usd", "latency_s")["arms"][0], data()["arms"][1]]),
            "What they cost and how fast they are is not known for both of them.",
        ),
        ({}, "What they cost and how fast they are is not known."),
    ],
)
def test_what_answers_cost(made: Data, said: str) -> None:
    assert price(made) == said


@pytest.mark.parametrize(
    ("unit", "lacking", "said"),
    [
        ("usd", (), "A thousand answers cost $1.50; all but the slowest 5% came within 250 ms."),
        ("s", (), "A thousand answers keep this machine busy for 1.5 s; all but the slowest 5% came within 250 ms."),
        (
            "usd",
            ("cost_per_1k_usd",),
            "All but the slowest 5% of its answers came within 250 ms; what they cost is not known.",
        ),
        ("usd", ("latency_s",), "A thousand answers cost $1.50; how fast they are was not measured."),
        (
            "s",
            ("latency_s",),
            "A thousand answers keep this machine busy for 1.5 s; how fast they are was not measured.",
        ),
        ("usd", ("cost_per_1k_usd", "latency_s"), "What its answers cost and how fast they are was not measured."),
    ],
)
def test_what_answers_of_one_arm_cost(unit: str, lacking: tuple[str, ...], said: str) -> None:
    made = data(unit=unit)
    assert price(without({**made, "arms": made["arms"][:1]}, *lacking)) == said


def test_one_arm_without_times_has_none_in_its_tiles() -> None:
    made = without({**data(), "arms": data()["arms"][:1]}, "latency_s")
    assert [(tile.value, tile.detail) for tile in tiles(made)][2:] == [("$1.50", ""), ("–", "not measured")]


COST = {"cost_per_extra_correct": 0.25, "cost": {"unit": "usd"}}
MONTHLY = {"cost": 100.0, "requests_per_month": 10_000, "requests": None}
VOLUME = {"quantity": "requests_per_month", "value": 119_074.0, "above": "t", "below": "p", "unit": "requests"}
FLIP = {"arm": "t", "against": "p", "months": 12.0, "flip_points": [VOLUME]}
ENOUGH = (
    "use t if you expect more than 119,074 requests a month over 12 months; with fewer its training and what it takes "
    "each month are not paid for, and p costs less."
)
POWER = {"n": 200, "n_for_80_power": 4000}


@pytest.mark.parametrize(
    ("kind", "parts", "said"),
    [
        (
            "win",
            {"payback": paid()},
            (
                "use t if you expect more than 9,000 requests in all; with fewer its training is "
                "not paid for, and p costs less."
            ),
        ),
        ("win", {"payback": paid(monthly=MONTHLY), "decision": FLIP}, ENOUGH),
        ("tie", {"payback": paid(monthly=MONTHLY), "decision": FLIP}, ENOUGH),
        (
            "win",
            {"payback": paid(monthly=MONTHLY), "decision": {**FLIP, "against": "q"}},
            (
                "use t if you ask so much that it makes up for its training and for what it takes each month; if you "
                "ask less, p costs less."
            ),
        ),
        ("win", {"payback": paid(requests=1)}, "use t; its training is paid for by the first request."),
        ("win", {"payback": paid(requests=0)}, "use t; only who cannot train or host a model should stay with p."),
        (
            "win",
            {"payback": paid(requests=None, saving_per_1k=-2.0)},
            "use t if being right more often is worth $40.00 of training to you; if only the cost counts, use p.",
        ),
        (
            "win",
            {"payback": paid(requests=None, saving_per_1k=None)},
            (
                "use t if being right more often is worth $40.00 of training to you; which of the two costs less for a "
                "request is not known."
            ),
        ),
        (
            "win",
            {},
            (
                "use t; p would be the choice only if another model, other data or other prices turned both the "
                "accuracy and the cost."
            ),
        ),
        (
            "win",
            {"comparisons": line(cost={"unit": "usd", "cheaper": "a"})},
            (
                "use t; p would be the choice only if another model, other data or other prices turned both the "
                "accuracy and the cost."
            ),
        ),
        *(
            (
                "win",
                {"comparisons": line(cost={"unit": "machine_s", "cheaper": cheaper})},
                "use t; p would be the choice only if another model or other data made it right as often.",
            )
            for cheaper in ("same", None)
        ),
        (
            "trade-off",
            {"comparisons": line(**COST)},
            "use t if one more right answer is worth more than $0.25 to you; otherwise use p.",
        ),
        ("trade-off", {}, "use t if being right more often is worth its higher cost to you; otherwise use p."),
        (
            "never-pays",
            {},
            (
                "use t; p would be the choice only if it became cheaper, or more often right with other "
                "data or settings."
            ),
        ),
        (
            "baseline-suffices",
            {},
            (
                "use t, the simpler of the two; p is worth a look only if the last bit of accuracy "
                "matters more to you than the cost."
            ),
        ),
        (
            "tie",
            {"payback": paid()},
            (
                "use t, which costs less, if you expect more than 9,000 requests in all; with "
                "fewer its training is not paid for, and p does as well."
            ),
        ),
        (
            "tie",
            {"payback": paid(requests=1)},
            "use t, which costs less; its training is paid for by the first request.",
        ),
        (
            "tie",
            {},
            (
                "either will do, so take what is easier for you to run; a difference that matters to you would "
                "have shown."
            ),
        ),
        (
            "not-enough-data",
            {"comparisons": line(**POWER), "run": {"margin": 0.02}},
            (
                "decide nothing yet and stay with what you use today; it would take about 4,000 test examples to "
                "show a difference of 2.0 points."
            ),
        ),
        (
            "not-enough-data",
            {"comparisons": line(n=200, n_for_80_power=200)},
            "decide nothing yet; label more test examples, and stay with what you use today.",
        ),
        (
            "not-enough-data",
            {"arms": data()["arms"][:1]},
            "decide nothing yet; there must be a second one to compare with.",
        ),
        (
            "expires",
            {"decision": {"shutdown_date": "2027-01-20"}},
            (
                "use p, or train a model that stays available beyond 2027-01-20; t is for those alone who ask so "
                "much that it pays before."
            ),
        ),
        ("expires", {}, "train a model that stays available for longer, and until then use p."),
        ("unavailable", {}, "use p until the training is possible, then run the same command again."),
        (
            "unavailable",
            {"arms": data()["arms"][:1]},
            "ask why the training was refused, mend it, and run the same command again.",
        ),
        ("invalid", {}, "decide nothing on these figures; mend what the verdict names, and run it again."),
    ],
)
def test_what_is_advised(kind: str, parts: Data, said: str) -> None:
    assert advice(data(kind, **parts)) == f"Our advice: {said}"


def test_of_an_arm_whose_requests_failed_nothing_is_known_and_it_is_asked_again() -> None:
    made = data("not-enough-data", comparisons=line(**POWER))
    made["arms"][0] |= {"failed": 2}
    made["arms"][1] |= {"failed": 150, "barred": "unanswered"}
    assert right(made) == (
        "t answered 198 of 200 questions, p 50 of 200; the others failed, so nobody knows yet which of the two is "
        "right more often."
    )
    assert advice(made) == (
        "Our advice: decide nothing yet; run the same command again, which asks p for what has failed."
    )


def test_where_nothing_is_advised() -> None:
    assert advice({}) == "There is no verdict, so there is nothing to advise."
    assert advice({"verdict": {"kind": "win", "simulated": True}}).startswith("These figures are simulated")
    assert advice({"verdict": {"kind": "of a later version"}}) == (
        "What follows is said in the sentence at the top of the page."
    )


def arm(name: str, family: str, **changes: Any) -> dict[str, Any]:
    times = {"p50": 0.5, "p95": 1.0}
    return {"name": name, "family": family, "n": 9, "model": None, "mode": None, "latency_s": times, **changes}


def begin(made: Data) -> list[str]:
    return [sentence.partition(":")[0] for sentence in untested(made)]


UNTIMED = ["Another time or source", "Parts of the data", "Wrong labels"]
LAST = [*UNTIMED, "Your load"]


def test_what_was_not_tried() -> None:
    assert begin({}) == UNTIMED
    fixed = {"run": {"not_varied": ["shot-draw", "training-seed", "repeats"]}, "arms": [arm("m", "classical")]}
    assert begin(fixed) == [
        "Other examples in the prompts", "Another training of the same model", "Asking again", *LAST,
    ]  # fmt: skip
    drawn = [{"candidates": [{"settings": {"shots.draw": draw}} for draw in draws]} for draws in ((1,), (1, 2, 2))]
    assert "the best on validation where several were tried" in untested({**fixed, "choices": drawn})[0]
    assert "with a single draw" in untested({**fixed, "choices": drawn[:1]})[0]
    zero = {"candidates": [{"settings": {"shots.k": 0}}, {"settings": {"shots.k": 4, "shots.draw": 1}}]}
    assert "with a single draw" in untested({**fixed, "choices": [zero]})[0]  # without shots there is no draw
    arms = [arm("t", "fine-tuned", model="m"), arm("p", "few-shot", model="m"), arm("p#2", "few-shot", of="p"),
            arm("gone", "zero-shot", n=0)]  # fmt: skip
    assert untested({"arms": arms})[:5] == [
        "What has no answers: gone.",
        "A better prompt: no search on validation was made for p.",
        "Other training settings: no search on validation was made for t.",
        "Other models: m alone was asked.",
        "More or fewer training examples: no learning curve was measured.",
    ]
    searched = {"arms": arms[:2], "choices": [{"arm": "p"}, {"arm": "t"}], "curves": [{"kind": "learning"}]}
    assert untested(searched)[0] == "Other models: m alone was asked."
    assert begin(searched)[1:] == LAST


def test_what_was_tried_elsewhere_is_not_known() -> None:
    arms = [arm("t", "fine-tuned", imported=True), arm("p", "few-shot", imported=True)]
    assert begin({"arms": arms}) == UNTIMED


def test_what_was_looked_at_is_not_named() -> None:
    looked = {
        "arms": [arm("m", "classical")],
        "slices": ["x"],
        "relabel": {"n": 1},
        "checks": [{"kind": "x"}, {"kind": "split", "figures": {"test_from": 1}}],
    }
    assert begin(looked) == ["Another source, and what comes later", "Your load"]
    names = [arm(name, "other", model=f"m{place}") for place, name in enumerate("abcde")]
    assert untested({"arms": names[:4]})[0] == "Other models: m0, m1, m2 and 1 other alone were asked."
    assert untested({"arms": names})[0] == "Other models: m0, m1, m2 and 2 others alone were asked."


@pytest.mark.parametrize(
    ("modes", "said"),
    [
        (["generate"], "every arm that was prompted wrote free text, and its label was read out of that."),
        (["choose", "choose"], "of every arm that was prompted the most probable label was taken."),
        (["schema"], "every arm that was prompted was held to a schema that allows labels alone."),
    ],
)
def test_another_way_of_answering(modes: list[str], said: str) -> None:
    made = {"arms": [arm(str(place), "other", mode=mode) for place, mode in enumerate(modes)]}
    assert untested(made)[0] == f"Another way of answering: {said}"


@pytest.mark.parametrize("modes", [["generate", "choose"], [None], ["odd"]])
def test_ways_that_differ_or_are_not_known_are_not_named(modes: list[str | None]) -> None:
    made = {"arms": [arm(str(place), "other", mode=mode) for place, mode in enumerate(modes)]}
    assert begin(made) == LAST


def test_what_has_no_answers_says_why() -> None:
    arms = [arm("t", "fine-tuned", n=0), arm("r", "fine-tuned", n=0, refused=True), arm("p", "few-shot", answered=0,
            unparsed=0), arm("q", "few-shot", n=0), arm("ok", "few-shot", answered=9, unparsed=0)]  # fmt: skip
    found = {"arms": arms, "training": [{"arm": "t", "reason": "no quota."}, {"arm": "r"}], "run": {"id": "x"}}
    said = [note.text for note in gaps(Results(data=found), found)]
    assert said[:2] == [
        "t has no answers. Its training came to nothing: no quota.",
        "r has no answers: its training was refused.",
    ]
    assert said[2].startswith("p has no answers: none of its 9 items was answered.")
    assert "`harness show x --failed` lists the attempts" in said[2]
    published = Results(data=found, predictions=dict.fromkeys(ANSWERS, ()))  # without the keys to the journal
    assert gaps(published, found)[2].text == "p has no answers: none of its 9 items was answered."
    assert said[3] == "q was not asked: the same command goes on where it stopped."
    assert not any(text.startswith("ok ") for text in said)
    assert gaps(Results(data={}), {})[0].text.startswith("This run has no arms with results yet")


@pytest.mark.parametrize(
    ("given", "kept"),
    [([0.1, 0.2], [0.1, 0.2]), ([0.1, None], None), ("ab", None), ([0.1], None), ([10**400, 0.2], None), (None, None)],
)
def test_bounds_that_are_none_are_left_out(given: object, kept: object) -> None:
    made = completed({"arms": [{"name": "t", "family": "other", "accuracy_ci": given}]}).data
    assert made["arms"][0]["accuracy_ci"] == kept
