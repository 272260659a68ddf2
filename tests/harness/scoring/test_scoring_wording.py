"""Parts of verdict sentences: each says what the figures are, in dollars, in seconds, and where they are not known."""

from __future__ import annotations

from typing import Any

import pytest

from harness.scoring import wording

Figures = dict[str, Any]


def cost(unit: str | None, a: float | None, b: float | None, cheaper: str | None) -> Figures:
    change = None if a is None or not b else a / b - 1
    return {"cost": {"unit": unit, "a": a, "b": b, "change": change, "cheaper": cheaper}}


def payback(**changes: Any) -> Figures:
    known = {"unit": "usd", "fixed": 86.0, "requests": 95_556, "saving_per_1k": 0.9, "error_saving_per_1k": None}
    return {"monthly": None, **known, **changes}


def monthly(volume: float | None = None, requests: int | None = None) -> Figures:
    return {"cost": 9.0, "requests_per_month": volume, "requests": requests}


def plain(arm: wording.Line) -> str:
    return str(arm["name"])


@pytest.mark.parametrize(
    ("line", "cheaper", "saves"),
    [
        (cost("usd", 1.0, 10.0, "a"), "90% cheaper per request", "is 90% cheaper per request"),
        (
            cost("machine_s", 3.8, 10.0, "a"),
            "62% less machine time per request",
            "needs 62% less machine time per request",
        ),
        (cost(None, None, None, "a"), "at no fee per request", "costs no fee per request"),
        # A saving that is not all is never written as all of it
        (cost("usd", 0.001, 10.0, "a"), "over 99% cheaper per request", "is over 99% cheaper per request"),
        (cost("usd", 0.0, 10.0, "a"), "100% cheaper per request", "is 100% cheaper per request"),
    ],
)  # fmt: skip
def test_what_is_saved(line: Figures, cheaper: str, saves: str) -> None:
    assert wording.cheaper(line) == cheaper
    assert wording.saves(line) == saves


def test_what_is_not_saved() -> None:
    assert wording.cheaper(cost("usd", 1.0, 1.0, "same")) == "as cheap per request"
    assert wording.cheaper(cost("machine_s", 1.0, 1.0, "same")) == "just as much machine time per request"
    said = "both with under a millisecond of machine time per request"  # ten times as much, and nothing for all that
    assert wording.cheaper(cost("machine_s", 0.05, 0.005, "same")) == said
    assert wording.cheaper(cost(None, None, None, None)) == ""
    assert wording.cheaper(cost(None, None, None, "b")) == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (cost("usd", 1.12, 1.0, "b"), "is 12% dearer per request"),
        (cost("usd", 1.99, 1.0, "b"), "is 99% dearer per request"),
        (cost("usd", 2.0, 1.0, "b"), "costs 2.0 times as much per request"),
        (cost("machine_s", 1.12, 1.0, "b"), "takes 12% more machine time per request"),
        (cost("machine_s", 25.0, 10.0, "b"), "takes 2.5 times the machine time per request"),
        (cost("usd", 1.0, 0.0, "b"), "costs more per request"),
        (cost(None, None, None, "b"), "costs more per request"),
        (cost("machine_s", 1.0, 0.0, "b"), "takes more machine time"),
    ],
)
def test_what_costs_more(line: Figures, said: str) -> None:
    assert wording.dearer(line) == said


def test_the_price_of_an_extra_correct_answer() -> None:
    assert wording.each_extra({"cost_per_extra_correct": 0.0029, **cost("usd", 2.0, 1.0, "b")}) == "$0.0029"
    assert wording.each_extra({"cost_per_extra_correct": 8.5, **cost("machine_s", 2.0, 1.0, "b")}) == (
        "8.5 s of machine time"
    )
    assert wording.each_extra({"cost_per_extra_correct": None, **cost("usd", 2.0, 1.0, "b")}) == ""


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "its $86.00 of training paid back after 95,556 requests"),
        ({"error_saving_per_1k": 0.2}, "its $86.00 of training paid back after 95,556 requests, errors counted"),
        # Dollars of errors are not set against seconds
        ({"unit": "machine_s", "error_saving_per_1k": 0.2}, "its 86 s of training paid back after 95,556 requests"),
        ({"requests": None}, "but its $86.00 of training is not paid back"),
        ({"requests": None, "fixed": None}, ""),
        ({"requests": 0}, "with nothing to pay back"),
        ({"requests": 1}, "its $86.00 of training paid back after 1 request"),
        ({"saving_per_1k": None}, ""),
        ({"monthly": monthly()}, "its $86.00 of training paid back after 95,556 requests, monthly costs left out"),
        ({"monthly": monthly(10_000)}, "but its $86.00 of training is not paid back at 10,000 requests a month"),
        (
            {"monthly": monthly(10_050, 860_000), "error_saving_per_1k": 0.2},
            "its $86.00 of training paid back after 860,000 requests at 10,050 a month, errors counted",
        ),
        (
            {"monthly": monthly(), "requests": 1},
            "its $86.00 of training paid back after 1 request, monthly costs left out",
        ),
        (
            {"monthly": monthly(10_050, 1), "requests": 1},
            "its $86.00 of training paid back after 1 request at 10,050 a month",
        ),
        ({"monthly": monthly(), "requests": 0}, "with nothing to pay back, monthly costs left out"),
        ({"monthly": monthly(10_000, 0), "requests": 0}, "with nothing to pay back"),
        (
            {"monthly": monthly(10_000), "requests": 0},
            "but its monthly costs are not made up for at 10,000 requests a month",
        ),
    ],
)
def test_when_training_is_paid_back(changes: Figures, said: str) -> None:
    assert wording.paid_back(payback(**changes)) == said


def test_training_whose_cost_is_not_known() -> None:
    assert wording.training(None) == wording.training(payback(fixed=None)) == "its training"
    assert wording.training(payback(unit="machine_s", fixed=85.0)) == "its 85 s of training"


def test_who_leads() -> None:
    line = {"difference": 0.041, "ci": [0.01, 0.072]}
    assert wording.lead(line, "x", "y") == "x leads y by 4.1 points (95% CI +1.0 to +7.2)"
    assert wording.lead(line, "x") == "x leads by 4.1 points (95% CI +1.0 to +7.2)"
    level = {"difference": 0.0, "ci": [-0.01, 0.01]}
    assert wording.lead(level, "x", "y") == "x and y are level (95% CI −1.0 to +1.0)"
    assert wording.lead(level, "x") == "x is level (95% CI −1.0 to +1.0)"
    assert wording.gap({"difference": -0.004, "ci": [-0.012, 0.004]}) == "−0.4 points, 95% CI −1.2 to +0.4"
    assert wording.more_accurate(line, "y") == "4.1 points more accurate than y"


def test_one_arm_alone() -> None:
    arm = {"name": "x", "accuracy": 0.909, "n": 1000, "accuracy_ci": [0.8897, 0.9254]}
    assert wording.right_on(arm, plain) == "x is right on 90.9% of 1,000 test items (95% CI 89.0–92.5%)"


@pytest.mark.parametrize(
    ("volume", "said"),
    [(95_556.0, "95,556"), (999_999.0, "999,999"), (999_999.5, "1.0 million"), (2_849_000.0, "2.8 million")],
)
def test_a_volume(volume: float, said: str) -> None:
    assert wording.about(volume) == said


@pytest.mark.parametrize(
    ("name", "family", "said"),
    [
        ("small", "fine-tuned", "fine-tuned small"),
        ("tuned", "fine-tuned", "tuned"),
        ("8-shot", "few-shot", "8-shot"),
        ("Zero Shot", "zero-shot", "Zero Shot"),
        ("large", "few-shot", "few-shot large"),
        ("shot", "fine-tuned", "fine-tuned shot"),
        ("fast", "mock", "fast"),
        ("TF-IDF", "classical", "TF-IDF"),
        ("mine", "other", "mine"),
        (" two\n words ", "few-shot", "few-shot two words"),
    ],
)
def test_how_an_arm_is_called(name: str, family: str, said: str) -> None:
    assert wording.naming(80)({"name": name, "family": family}) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [("eleven-char", "eleven-char"), ("twelve-chars", "twelve-cha…"), ("ninechars and more", "ninechars…")],
)
def test_a_long_name_loses_its_end(name: str, said: str) -> None:
    assert wording.naming(11)({"name": name, "family": "other"}) == said


def test_a_sentence_is_made_short_by_its_names_first() -> None:
    name = "n" * 60
    asked: list[int] = []

    def write(longest: int) -> str:
        asked.append(longest)
        return f"{name[:longest]}  wins\nover {name[:longest]}."

    assert wording.compose(write, 100) == f"{name[:40]} wins over {name[:40]}."
    assert asked == [80, 56, 40]
    exact = wording.compose(lambda _: "x" * 30, 30)
    assert exact == "x" * 30
    assert wording.compose(lambda _: "one two three " + "x" * 40, 15) == "one two three…"
    assert wording.compose(lambda _: "x" * 40, 15) == "x" * 14 + "…"


def test_a_sentence_starts_with_a_capital() -> None:
    assert wording.start("fine-tuned X wins") == "Fine-tuned X wins"
    assert wording.start("") == ""
