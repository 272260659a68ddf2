"""Which price applies: the experiment's, a published one, or none; never another model's."""

from __future__ import annotations

import pytest

from harness.experiment.file import PriceTable
from harness.prices import FINE_TUNED, Prices
from harness.types import Usage

OPENAI = {"openai": "https://api.openai.com/v1", "own": "http://127.0.0.1:1/v1"}


def prices(**own: PriceTable) -> Prices:
    return Prices(own=own, urls=OPENAI)


def test_the_experiments_price_wins_over_the_list() -> None:
    table = PriceTable(input=1.0, cached_input=0.5, output=2.0)
    own = Prices(own={"gpt-4.1-mini": table}, urls=OPENAI)
    assert own.request_usd("openai", "gpt-4.1-mini", Usage(input=1000, cached=400, output=10)) == pytest.approx(
        (600 * 1.0 + 400 * 0.5 + 10 * 2.0) / 1e6
    )


def test_a_listed_model_is_priced_for_each_request() -> None:
    assert prices().request_usd("openai", "gpt-4.1-mini", Usage(input=1_000_000)) == pytest.approx(0.4)


def test_cached_tokens_cost_the_full_price_where_there_is_no_other() -> None:
    own = Prices(own={"m": PriceTable(input=3.0, output=1.0)}, urls=OPENAI)
    assert own.request_usd("own", "m", Usage(input=10, cached=10)) == pytest.approx(30 / 1e6)


def test_a_fine_tuned_model_never_gets_its_bases_price() -> None:
    base = Prices(own={"llama": PriceTable(input=1.0, output=1.0)}, urls=OPENAI)
    assert base.request_usd("own", "ft:llama:team::1", Usage(input=10, output=1)) is None
    named = Prices(own={"ft:llama": PriceTable(input=2.0, output=2.0)}, urls=OPENAI)
    assert named.request_usd("own", "ft:llama:team::1", Usage(input=10, output=1)) == pytest.approx(22 / 1e6)


def test_a_trained_model_is_known_by_its_base_whatever_its_name() -> None:
    own = Prices(own={"ft:llama": PriceTable(input=2.0, output=2.0)}, urls=OPENAI, trained={"team/abc": "llama"})
    assert own.request_usd("own", "team/abc", Usage(input=10, output=1)) == pytest.approx(22 / 1e6)


@pytest.mark.parametrize("model", ["ft:gpt-4.1-mini:org::1", "ft:gpt-4.1-mini-2025-04-14:org::1"])
def test_published_prices_of_fine_tuned_models(model: str) -> None:
    training, given, cached, output = FINE_TUNED["gpt-4.1-mini"]
    table = prices().table(model)
    assert table is not None
    assert (table.training, table.input, table.cached_input, table.output) == (training, given, cached, output)


def test_training_is_priced_by_billed_tokens() -> None:
    assert prices().training_usd("babbage-002", 2_833_557) == pytest.approx(1.13, abs=0.005)  # a published bill
    assert prices().training_usd("nobody-knows", 1000) is None
    assert prices().training_usd("babbage-002", None) is None


def test_what_is_known() -> None:
    assert prices().known("openai", "gpt-4.1-mini")
    assert not prices().known("own", "nobody-knows")
    assert prices().known("own", "", base="gpt-4.1-mini")
    assert not prices().known("own", "", base="nobody-knows")
    assert not Prices(own={"nobody-knows": PriceTable(training=1.0)}, urls=OPENAI).known("own", "", base="nobody-knows")


def test_the_local_endpoint_has_no_token_price() -> None:
    assert prices().request_usd("local", "gpt-4.1-mini", Usage(input=10, output=1)) is None
    assert Prices(own={"local": PriceTable(hour=0.5)}, urls=OPENAI).hour_usd() == 0.5
