"""Prices: the experiment's first, then published ones; never a guess."""

from __future__ import annotations

import pytest

from harness.experiment_file import PriceTable
from harness.prices import FINE_TUNED, Prices
from harness.types import Usage

OPENAI = "https://api.openai.com/v1"


def prices(**own: PriceTable) -> Prices:
    return Prices(
        own={name.replace("_", "-"): table for name, table in own.items()}, urls={"api": OPENAI, "local": None}
    )


def test_own_prices_by_hand() -> None:
    table = PriceTable(input=2.0, cached_input=0.5, output=8.0)
    # (1000 - 400) × 2 + 400 × 0.5 + 50 × 8 = 1800 millionths
    assert prices(mine=table).request_usd("api", "mine", Usage(input=1000, cached=400, output=50)) == pytest.approx(
        0.0018
    )
    without = PriceTable(input=2.0, output=8.0)
    assert prices(mine=without).request_usd("api", "mine", Usage(input=1000, cached=400, output=50)) == pytest.approx(
        0.0024
    )


def test_own_prices_win_over_published_ones_and_zero_is_a_price() -> None:
    free = PriceTable(input=0, output=0)
    assert prices(**{"gpt-4.1-mini": free}).request_usd("api", "gpt-4.1-mini", Usage(input=1000, output=50)) == 0.0
    listed = prices().request_usd("api", "gpt-4.1-mini", Usage(input=1_000_000))
    assert listed == pytest.approx(0.40)


def test_an_incomplete_own_price_is_no_price_for_an_unknown_model() -> None:
    assert prices(mine=PriceTable(input=2.0)).request_usd("api", "mine", Usage(input=10, output=1)) is None
    assert prices().request_usd("api", "a-model-nobody-lists", Usage(input=10, output=1)) is None
    assert prices().request_usd("local", "gpt-4.1-mini", Usage(input=10, output=1)) is None


@pytest.mark.parametrize("base", sorted(FINE_TUNED))
def test_fine_tuned_models_have_prices_of_their_own(base: str) -> None:
    training, given, cached, output = FINE_TUNED[base]
    made = prices()
    for name in (f"ft:{base}:org::abc", f"ft:{base}-2025-04-14:org:suffix:abc"):
        cost = made.request_usd("api", name, Usage(input=1000, cached=500, output=10))
        each = cached if cached is not None else given
        assert cost == pytest.approx((500 * given + 500 * each + 10 * output) / 1e6)
    assert made.training_usd(base, 2_000_000) == pytest.approx(2 * training)


def test_a_fine_tuned_model_never_gets_its_base_models_price() -> None:
    made = prices(mine=PriceTable(input=2.0, output=8.0, training=3.0))
    assert made.request_usd("api", "ft:mine:org::abc", Usage(input=10, output=1)) is None
    assert made.request_usd("api", "ft:nobody:org::abc", Usage(input=10, output=1)) is None
    assert made.training_usd("mine", 1_000_000) == pytest.approx(3.0)
    assert made.training_usd("nobody", 1_000_000) is None
    assert made.training_usd("mine", None) is None


def test_hour_and_sources() -> None:
    assert prices(local=PriceTable(hour=1.5)).hour_usd() == 1.5
    assert prices().hour_usd() is None
    assert "genai-prices" in Prices.sources()
