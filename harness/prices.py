"""What a request and a training cost: the experiment's own prices first, then published lists; never a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from harness.experiment import LOCAL
from harness.experiment_file import PriceTable

MILLION = 1_000_000

# OpenAI's price page, 2026-11-22: USD for a million tokens (training, input, cached input, output). The list of
# genai-prices has neither fine-tuned models nor training. A fine-tuned model never gets its base model's price.
FINE_TUNED_DATE = "2026-11-22"
FINE_TUNED: Mapping[str, tuple[float, float, float | None, float]] = {
    "gpt-4.1": (25.0, 3.0, 0.75, 12.0),
    "gpt-4.1-mini": (5.0, 0.80, 0.20, 3.20),
    "gpt-4.1-nano": (1.50, 0.20, 0.05, 0.80),
    "gpt-4o": (25.0, 3.75, 1.875, 15.0),
    "gpt-4o-mini": (3.0, 0.30, 0.15, 1.20),
    "gpt-3.5-turbo": (8.0, 3.0, None, 6.0),
    "davinci-002": (6.0, 12.0, None, 12.0),
    "babbage-002": (0.40, 1.60, None, 1.60),
}


@dataclass(kw_only=True)
class Prices:
    """Prices by endpoint and model.

    Args:
        own: The experiment's `[prices]`.
        urls: Endpoint name → base URL, by which a provider is known.
        trained: Fine-tuned model → base model, where the name alone does not say so.
    """

    own: Mapping[str, PriceTable]
    urls: Mapping[str, str | None]
    trained: dict[str, str] = field(default_factory=dict)
    _cache: dict[tuple[str, str, int, int, int], float | None] = field(default_factory=dict, repr=False)

    def request_usd(self, endpoint: str, model: str, tokens: tuple[int, int, int]) -> float | None:
        """Returns what one request costs, or `None` where no price is known.

        Each request is priced on its own: lists have tiers by a request's length.

        Args:
            endpoint: The endpoint's name.
            model: The model's id.
            tokens: Input tokens (cached ones included), cached input tokens, output tokens.
        """
        key = (endpoint, model, *tokens)
        if key not in self._cache:
            self._cache[key] = self._request_usd(endpoint, model, *tokens)
        return self._cache[key]

    def _request_usd(self, endpoint: str, model: str, given: int, cached: int, output: int) -> float | None:
        table = self.table(model)
        if table is not None and table.input is not None and table.output is not None:
            cached_price = table.cached_input if table.cached_input is not None else table.input
            return ((given - cached) * table.input + cached * cached_price + output * table.output) / MILLION
        if endpoint == LOCAL or model.startswith("ft:") or model in self.trained:
            return None
        return self._listed(endpoint, model, given, cached, output)

    def table(self, model: str) -> PriceTable | None:
        """Returns a flat price: the experiment's, or the published one of a fine-tuned model.

        `[prices."ft:BASE"]` prices every model that was trained from BASE.
        """
        if model in self.own:
            return self.own[model]
        base = self.trained.get(model) or (model.split(":")[1] if model.startswith("ft:") else None)
        if base is None:
            return None
        own = self.own.get(f"ft:{base}")
        listed = FINE_TUNED.get(_dateless(base))
        if own is not None or listed is None:
            return own
        training, given, cached, output = listed
        return PriceTable(input=given, cached_input=cached, output=output, training=training)

    def known(self, endpoint: str, model: str, *, base: str | None = None) -> bool:
        """Whether requests to a model, or to one that is yet to be trained from `base`, have a price."""
        if base is not None:
            return self.table(f"ft:{base}") is not None and self.training_usd(base, 1) is not None
        return self.request_usd(endpoint, model, (1, 0, 1)) is not None

    def _listed(self, endpoint: str, model: str, given: int, cached: int, output: int) -> float | None:
        from genai_prices import Usage, calc_price

        usage = Usage(input_tokens=given, cache_read_tokens=cached, output_tokens=output)
        try:
            return float(calc_price(usage, model_ref=model, provider_api_url=self.urls.get(endpoint)).total_price)
        except LookupError:
            pass
        try:  # behind a proxy a model keeps its name
            return float(calc_price(usage, model_ref=model).total_price)
        except LookupError:
            return None

    def training_usd(self, base: str, tokens: int | None) -> float | None:
        """Returns what training cost, or `None` where tokens or price are not known.

        Args:
            base: The base model's id.
            tokens: Billed tokens: those of all epochs together.
        """
        if tokens is None:
            return None
        own = self.own.get(base)
        if own is not None and own.training is not None:
            return tokens * own.training / MILLION
        listed = FINE_TUNED.get(_dateless(base))
        return tokens * listed[0] / MILLION if listed else None

    def hour_usd(self) -> float | None:
        """Returns what an hour of the local endpoint's machine costs, where the experiment says."""
        local = self.own.get(LOCAL)
        return local.hour if local else None

    @staticmethod
    def sources() -> str:
        """Returns where prices come from, with dates."""
        return f"genai-prices {version('genai-prices')}; fine-tuned models {FINE_TUNED_DATE}"


def _dateless(model: str) -> str:
    """Returns a model's name without the date of its snapshot: gpt-4.1-mini-2025-04-14 → gpt-4.1-mini."""
    parts = model.split("-")
    return "-".join(parts[:-3]) if len(parts) > 3 and all(part.isdigit() for part in parts[-3:]) else model
