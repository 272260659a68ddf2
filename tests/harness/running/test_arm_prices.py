"""What tokens cost as they were bought: of a batch, as shares of the price at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.execution.answers import Answered
from harness.experiment.file import PriceTable
from harness.journal import Entry
from harness.prices import Prices
from harness.running.arm_prices import price_shares
from harness.types import Prediction, Status

PRICES = Prices(
    own={"mine": PriceTable(input=2.0, output=8.0, batch=0.4), "free": PriceTable(input=0.0, output=1.0)},
    urls={"api": "https://api.openai.com/v1", "local": None},
)


def answer(tier: str, given: int = 10, made: int = 1, error: str | None = None) -> Answered:
    prediction = Prediction(
        arm="a", example_id="x", expected="y", predicted=None, status=Status.ANSWERED, input_tokens=given,
        output_tokens=made,
    )  # fmt: skip
    return Answered(
        prediction=prediction, entry=Entry(key="k", arm="a", endpoint="api", body={}, error=error, tier=tier)
    )


def shares(model: str | None, *answers: Answered, endpoint: str | None = "api") -> dict[str, float] | None:
    arm: Any = SimpleNamespace(model=model, endpoint=endpoint)
    return price_shares(PRICES, arm, answers)


def test_what_was_bought_at_once_has_no_shares() -> None:
    unasked = Answered(prediction=answer("").prediction, entry=None)
    assert shares("mine", answer(""), answer("batch", error="400"), unasked) is None
    assert shares("mine") is None
    assert shares("mine", answer("batch"), endpoint="local") is None
    assert shares(None, answer("batch"), endpoint=None) is None
    assert shares("a-model-nobody-lists", answer("batch")) is None


def test_a_batch_costs_its_share() -> None:
    known = shares("mine", answer("batch"), answer("batch"))
    assert known == pytest.approx(dict.fromkeys(("input", "cached_input", "cache_write", "output", "reasoning"), 0.4))
    assert (shares("free", answer("batch")) or {})["output"] == pytest.approx(0.5)
    # The list halves input and output of this model in a batch, and leaves cached input as it is.
    listed = shares("gpt-4.1-mini", answer("batch")) or {}
    assert (listed["input"], listed["cached_input"], listed["output"]) == pytest.approx((0.5, 1.0, 0.5))


def test_the_few_that_were_tried_at_once_weigh_by_their_tokens() -> None:
    known = shares("mine", answer("", given=100, made=1), *[answer("batch", given=100, made=3)] * 3) or {}
    assert known["input"] == known["cached_input"] == pytest.approx((1 + 3 * 0.4) / 4)
    assert known["output"] == known["reasoning"] == pytest.approx((1 + 9 * 0.4) / 10)
