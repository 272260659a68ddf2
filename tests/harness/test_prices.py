"""Prices: the experiment's first, then published ones; never a guess."""

from __future__ import annotations

import pytest
from genai_prices import Usage as Theirs
from genai_prices import calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.experiment.file import PriceTable
from harness.prices import FINE_TUNED, Prices
from harness.types import Usage

OPENAI = "https://api.openai.com/v1"
LISTED = Prices(own={}, urls={"proxy": "http://127.0.0.1:1/v1"})


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


@pytest.mark.parametrize(
    ("snapshot", "base"),
    [
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("gpt-3.5-turbo-1106", "gpt-3.5-turbo"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("babbage-002", "babbage-002"),  # a version of three digits is part of the name
    ],
)
def test_a_snapshot_has_the_price_of_its_model(snapshot: str, base: str) -> None:
    made = prices()
    usage = Usage(input=1000, output=10)
    dated = made.request_usd("api", f"ft:{snapshot}:org::abc", usage)
    assert dated is not None
    assert dated == made.request_usd("api", f"ft:{base}:org::abc", usage)
    assert made.training_usd(snapshot, 2_000_000) == made.training_usd(base, 2_000_000)
    assert made.known("api", "", base=snapshot)


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


def test_each_kind_of_token_has_its_price() -> None:
    table = PriceTable(input=2.0, cached_input=0.5, cache_write=2.5, output=8.0, reasoning=10.0, batch=0.4)
    usage = Usage(input=1000, cached=400, cache_write=100, output=50, reasoning=30)
    # 500 × 2 + 400 × 0.5 + 100 × 2.5 + 20 × 8 + 30 × 10 = 1910 millionths
    made = prices(mine=table)
    assert made.request_usd("api", "mine", usage) == pytest.approx(0.00191)
    assert made.request_usd("api", "mine", usage, "batch") == pytest.approx(0.4 * 0.00191)
    assert made.batch_source("api", "mine") == "the experiment's prices"
    plain = prices(mine=PriceTable(input=2.0, output=8.0))
    assert plain.request_usd("api", "mine", usage) == pytest.approx(0.0024)
    assert plain.request_usd("api", "mine", usage, "batch") == pytest.approx(0.0012)
    assert plain.batch_source("api", "mine").startswith("assumed: 0.5")
    # the list has a batch price of this model, but the experiment's own price goes first
    own = prices(**{"gpt-4.1-mini": PriceTable(input=2.0, output=8.0)})
    assert own.request_usd("api", "gpt-4.1-mini", usage, "batch") == pytest.approx(0.0012)
    assert own.batch_source("api", "gpt-4.1-mini").startswith("assumed: 0.5")


def test_a_batch_costs_what_the_list_says() -> None:
    usage = Usage(input=1_000_000, cached=1_000_000)
    listed = prices()
    # The list halves input and output of this model in a batch, and leaves cached input as it is.
    assert listed.request_usd("api", "gpt-4.1-mini", usage, "batch") == listed.request_usd("api", "gpt-4.1-mini", usage)
    assert listed.request_usd("api", "gpt-4.1-mini", Usage(output=1000), "batch") == pytest.approx(0.0008)
    assert "genai-prices" in listed.batch_source("api", "gpt-4.1-mini")
    assert listed.request_usd("api", "ft:gpt-4.1-mini:org::1", Usage(output=1000), "batch") == pytest.approx(0.0016)
    own = prices(**{"gpt-4.1-mini": PriceTable(batch=0.9)})
    assert own.request_usd("api", "gpt-4.1-mini", Usage(output=1000), "batch") == pytest.approx(0.9 * 0.0016)
    assert own.request_usd("api", "gpt-4.1-mini", Usage(output=1000)) == pytest.approx(0.0016)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-4.1-mini", "gpt-5-mini"])
def test_a_batch_price_that_the_list_does_not_apply_is_none(model: str) -> None:
    """Azure's models are OpenAI's in the list, whose batch price it has and leaves out at Azure's address."""
    azure = Prices(own={}, urls={"azure": "https://my-resource.openai.azure.com/openai/v1", "api": OPENAI})
    usage = Usage(input=1_000_000, output=1_000_000)
    at_once = azure.request_usd("azure", model, usage)
    assert at_once is not None
    assert azure.request_usd("azure", model, usage, "batch") == pytest.approx(at_once / 2)
    assert azure.batch_source("azure", model).startswith("assumed: 0.5")
    assert azure.batch_source("api", model).startswith("genai-prices")


@pytest.mark.parametrize(
    "model", ["deepseek-r1:8b", "deepseek-r1:latest", "deepseek-r1", "command-r:35b", "gpt-4o-mini-by-us", "gpt-4o:tag"]
)
def test_a_model_of_ones_own_server_has_no_providers_price(model: str) -> None:
    usage = Usage(input=1000, output=10)
    assert LISTED.request_usd("proxy", model, usage) is None
    own = Prices(own={model: PriceTable(input=1.0, output=1.0)}, urls=LISTED.urls)
    assert own.request_usd("proxy", model, usage) == pytest.approx(0.00101)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-4.1-mini", "gpt-4o-mini-2024-07-18", "gpt-4-0613", "gpt-3.5-turbo-0125", "claude-sonnet-4-5-20250929",
        "claude-3-5-haiku-latest", "claude-3-5-haiku-20241022", "gemini-2.0-flash-001", "mistral-large-latest",
    ],
)  # fmt: skip
def test_behind_a_proxy_a_model_keeps_its_name_and_its_price(model: str) -> None:
    assert LISTED.request_usd("proxy", model, Usage(input=1000, output=10)) is not None


COUNTS = st.tuples(*(st.integers(0, 400_000),) * 5)


def usage_of(fresh: int, cached: int, written: int, said: int, thought: int) -> Usage:
    given = fresh + cached + written
    return Usage(input=given, cached=cached, cache_write=written, output=said + thought, reasoning=thought)


@pytest.mark.parametrize("tier", ["", "batch"])
@pytest.mark.parametrize("model", ["gpt-4.1-mini", "o3", "claude-sonnet-4-5", "gemini-2.5-pro", "gemini-2.5-flash"])
@settings(max_examples=25)
@given(counts=COUNTS)
def test_listed_prices_are_those_of_the_list(model: str, tier: str, counts: tuple[int, int, int, int, int]) -> None:
    usage = usage_of(*counts)
    theirs = Theirs(
        input_tokens=usage.input, cache_read_tokens=usage.cached, cache_write_tokens=usage.cache_write,
        output_tokens=usage.output, output_reasoning_tokens=usage.reasoning,
    )  # fmt: skip
    context = {"processing": "batch"} if tier else None
    expected = float(calc_price(theirs, model_ref=model, price_context=context).total_price)
    assert LISTED.request_usd("proxy", model, usage, tier) == pytest.approx(expected, rel=1e-9, abs=1e-15)


@given(COUNTS, COUNTS, st.tuples(*(st.floats(0, 100),) * 5))
def test_own_prices_are_linear_and_grow_with_each_kind(
    a: tuple[int, ...], b: tuple[int, ...], usd: tuple[float, ...]
) -> None:
    table = PriceTable(input=usd[0], cached_input=usd[1], cache_write=usd[2], output=usd[3], reasoning=usd[4])
    made = prices(mine=table)

    def cost(counts: tuple[int, ...]) -> float:
        found = made.request_usd("api", "mine", usage_of(*counts))
        assert found is not None
        return found

    both = tuple(x + y for x, y in zip(a, b, strict=True))
    assert cost(both) == pytest.approx(cost(a) + cost(b), rel=1e-9, abs=1e-12)
    assert cost(both) >= max(cost(a), cost(b)) - 1e-9
    assert cost(a) == pytest.approx(sum(n * price for n, price in zip(a, usd, strict=True)) / 1e6, rel=1e-9, abs=1e-12)
