"""The examples that `docs/how-to/decide.md` works out by hand, to the digit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from support.results import make_run

from harness.numbers import count, percent, usd
from harness.scoring.costs import Bills
from harness.scoring.facts import ArmFacts, Decision, Price
from harness.scoring.payback import _requests
from harness.scoring.results import build
from harness.types import Prediction, Status

GUIDE = (Path(__file__).parents[3] / "docs" / "how-to" / "decide.md").read_text(encoding="utf-8")
N = 50


def price(name: str) -> Price:
    """Reads a row of the guide's price table."""
    (cells,) = re.findall(rf"^\| {name} \| (.*) \|$", GUIDE, re.MULTILINE)
    figures = [None if cell == "–" else float(cell) for cell in cells.split(" | ")]
    return Price(input=figures[0], cached_input=figures[1], output=figures[2], training=figures[3])


def arm(name: str, family: str, tokens: int, cost: Price, wrong: int) -> ArmFacts:
    each = (tokens * (cost.input or 0) + 5 * (cost.output or 0)) / 1_000_000
    rows = tuple(
        Prediction(
            arm=name,
            example_id=f"{number:03d}",
            expected="a",
            predicted="b" if number < wrong else "a",
            status=Status.ANSWERED,
            input_tokens=tokens,
            output_tokens=5,
            cached_tokens=0,
            cost_usd=each,
        )
        for number in range(N)
    )
    training = 715_000 * 3 * cost.training / 1_000_000 if cost.training else None
    return ArmFacts(
        name=name, family=family, model=name, predictions=rows, price=cost, training_cost_usd=training, shots=8
    )


def worked(opponent: str = "prompted", **decision: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    arms = [arm("trained", "fine-tuned", 340, price("trained"), 2), arm(opponent, "few-shot", 2000, price(opponent), 2)]
    run = make_run([], labels=("a", "b"), n_test=N, checks=(), decision=Decision(**decision))
    results = build(run, arms)
    return results["payback"][-1], results["decision"]


def bold(text: str) -> bool:
    return f"**{text}**" in GUIDE.replace("\n", " ")


@pytest.mark.parametrize("cache_hit", [None, 0.0])
def test_without_prompt_caching(cache_hit: float | None) -> None:
    entry, decision = worked(cache_hit=cache_hit, requests_per_month=20_000)
    assert (entry["requests"], entry["ci"]) == (16_500, [16_500, 16_500])
    assert entry["fixed"] == pytest.approx(21.45, abs=1e-12)
    assert entry["saving_per_1k"] == pytest.approx(1.30, abs=1e-12)
    assert bold(f"{count(entry['requests'])} requests")
    assert bold(usd(entry["fixed"]))
    assert bold(usd(decision["total_saving"]))
    volume = next(p["value"] for p in decision["flip_points"] if p["quantity"] == "requests_per_month")
    assert volume == pytest.approx(1375)
    assert bold(f"{count(volume)} requests")


def test_with_it() -> None:
    entry, decision = worked(cache_hit=0.7, requests_per_month=20_000)
    assert (entry["requests"], entry["ci"]) == (195_000, [195_000, 195_000])
    assert (entry["cache_hit"], entry["cache_hit_run"]) == (0.7, 0.0)
    assert entry["saving_per_1k"] == pytest.approx(0.11, abs=1e-12)
    assert bold(f"{count(entry['requests'])} requests")
    assert bold(usd(decision["total_saving"]))
    assert decision["break_even_chance"] == 1.0
    share = next(p for p in decision["flip_points"] if p["quantity"] == "cache_hit")
    assert (share["above"], share["below"]) == ("prompted", "trained")
    assert bold(percent(share["value"]))


def test_never_against_a_newer_model() -> None:
    entry, decision = worked("newer")
    assert (entry["requests"], entry["ci"]) == (None, None)
    assert entry["saving_per_1k"] == pytest.approx(0.202 - 0.72)
    assert entry["reason"] == "A request of trained costs 256% more than one of newer."
    assert bold("never")
    assert not [p for p in decision["flip_points"] if p["quantity"] == "requests_per_month"]


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ((2.0, 1.0), "A request of tuned takes 100% more machine time than one of classical."),
        ((68.0, 0.1), "A request of tuned takes 680 times as much machine time as one of classical."),
    ],
)
def test_how_much_more_a_request_takes(prices: tuple[float, float], said: str) -> None:
    bills = Bills(unit="machine_s", prices=prices, errors=None)
    assert _requests(60.0, bills, {"name": "tuned"}, {"name": "classical"}) == (None, said)
