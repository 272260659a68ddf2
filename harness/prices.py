"""What a request and a training cost: the experiment's own prices first, then published lists; never a guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, TypeAlias

from harness.experiment import LOCAL, Experiment
from harness.experiment.file import PriceTable
from harness.tokens import undated
from harness.types import Usage

MILLION = 1_000_000
BATCH = "batch"
"""The tier of requests that are bought as a batch."""
USUAL_BATCH = 0.5
"""What a request costs in a batch, as a share of its price at once, where neither experiment nor list says."""

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

_EDITION = re.compile(r"-(\d{4}-\d\d-\d\d|\d{8}|\d{4}|00\d|latest)$")
"""What tells one edition of a model from the others: -2024-07-18, -20250929, -0613, -001, -latest."""

Rate: TypeAlias = Callable[[Usage], float]
"""Tokens of one request → USD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flat:
    """A rate that is linear in the tokens: USD for a token of each kind, and for the request itself."""

    input: float
    cached: float
    cache_write: float
    output: float
    reasoning: float
    request: float = 0.0

    def __call__(self, usage: Usage) -> float:
        fresh = usage.input - usage.cached - usage.cache_write
        read = fresh * self.input + usage.cached * self.cached + usage.cache_write * self.cache_write
        made = (usage.output - usage.reasoning) * self.output + usage.reasoning * self.reasoning
        return self.request + read + made


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
    _rates: dict[tuple[str, str, str, str | None], Rate | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, experiment: Experiment) -> Prices:
        """Returns the prices of an experiment; no model of it has been trained yet."""
        return cls(
            own=experiment.prices,
            urls={name: table.base_url for name, table in experiment.endpoints.items()},
            trained={model: one.base for model, one in experiment.continued.items()},
        )

    def request_usd(self, endpoint: str, model: str, usage: Usage, tier: str = "") -> float | None:
        """Returns what one request costs, or `None` where no price is known.

        Each request is priced on its own: lists have tiers by a request's length.

        Args:
            endpoint: The endpoint's name.
            model: The model's id.
            usage: Its tokens.
            tier: What it is bought as: at once, or ``batch``.
        """
        key = (endpoint, model, tier, self.trained.get(model))
        if key not in self._rates:
            self._rates[key] = self._rate(endpoint, model, tier)
        rate = self._rates[key]
        return None if rate is None else rate(usage)

    def _rate(self, endpoint: str, model: str, tier: str) -> Rate | None:
        table = self.table(model)
        share = 1.0 if tier != BATCH else None if table is None else table.batch
        own = _own(table, USUAL_BATCH if share is None else share)
        if own is not None:
            return own
        if endpoint == LOCAL or model.startswith("ft:") or model in self.trained:
            return None
        return _listed(model, self.urls.get(endpoint), share)

    def table(self, model: str) -> PriceTable | None:
        """Returns a flat price: the experiment's, or the published one of a fine-tuned model.

        `[prices."ft:BASE"]` prices every model that was trained from BASE.
        """
        if model in self.own:
            return self.own[model]
        base = self.root(model)
        if base == model:
            return None
        own = self.own.get(f"ft:{base}")
        listed = FINE_TUNED.get(undated(base))
        if own is not None or listed is None:
            return own
        training, given, cached, output = listed
        return PriceTable(input=given, cached_input=cached, output=output, training=training)

    def root(self, model: str) -> str:
        """Returns the base model with which the training of a model began; itself where it was not fine-tuned."""
        seen: set[str] = set()
        while model in self.trained and model not in seen:
            seen.add(model)
            model = self.trained[model]
        return told_base(model)

    def known(self, endpoint: str, model: str, *, base: str | None = None) -> bool:
        """Whether requests to a model, or to one that is yet to be trained from `base`, have a price."""
        if base is not None:
            return self.table(f"ft:{self.root(base)}") is not None and self.training_usd(base, 1) is not None
        return self.request_usd(endpoint, model, Usage(input=1, output=1)) is not None

    def batch_source(self, endpoint: str, model: str) -> str:
        """Returns where the price of a request in a batch comes from."""
        table = self.table(model)
        if table is not None and table.batch is not None:
            return "the experiment's prices"
        if _own(table, USUAL_BATCH) is None and _lists_batch(model, self.urls.get(endpoint)):
            return f"genai-prices {version('genai-prices')}"
        return f"assumed: {USUAL_BATCH:g} of the price at once, as no list has it"

    def training_usd(self, base: str, tokens: int | None) -> float | None:
        """Returns what training cost, or `None` where tokens or price are not known.

        Args:
            base: The base model's id.
            tokens: Billed tokens: those of all epochs together.
        """
        if tokens is None:
            return None
        base = self.root(base)
        own = self.own.get(base)
        if own is not None and own.training is not None:
            return tokens * own.training / MILLION
        listed = FINE_TUNED.get(undated(base))
        return tokens * listed[0] / MILLION if listed else None

    def hour_usd(self) -> float | None:
        """Returns what an hour of the local endpoint's machine costs, where the experiment says."""
        local = self.own.get(LOCAL)
        return local.hour if local else None

    @staticmethod
    def sources() -> str:
        """Returns where prices come from, with dates."""
        return f"genai-prices {version('genai-prices')}; fine-tuned models {FINE_TUNED_DATE}"


def told_base(model: str) -> str:
    """Returns the base model that a model's name tells: that of `ft:BASE:…`, or itself."""
    return model.split(":")[1] if model.startswith("ft:") else model


def _own(table: PriceTable | None, share: float) -> _Flat | None:
    """Returns the rate of a table, `None` where it lacks `input` or `output`."""
    if table is None or table.input is None or table.output is None:
        return None
    given, output = table.input * share / MILLION, table.output * share / MILLION

    def of(price: float | None, default: float) -> float:
        return default if price is None else price * share / MILLION

    return _Flat(
        input=given,
        cached=of(table.cached_input, given),
        cache_write=of(table.cache_write, given),
        output=output,
        reasoning=of(table.reasoning, output),
    )


def _listed(model: str, url: str | None, share: float | None) -> Rate | None:
    """Returns the rate of the published list, `None` where it does not have the model.

    Args:
        model: The model's id.
        url: The endpoint's base URL.
        share: What the list's price at once is multiplied by; `None`: the list's batch price, else half.
    """
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    found = _found(model, url)
    if found is None:
        return None
    where, entry = found
    context = {"processing": BATCH} if share is None and _has_batch(model, where) else None
    factor = share if share is not None else 1.0 if context else USUAL_BATCH

    def rate(usage: Usage) -> float:
        theirs = Theirs(
            input_tokens=usage.input,
            cache_read_tokens=usage.cached,
            cache_write_tokens=usage.cache_write,
            output_tokens=usage.output,
            output_reasoning_tokens=usage.reasoning,
        )
        return factor * float(calc_price(theirs, model_ref=model, price_context=context, **where).total_price)

    return rate if _varies(entry, context) else _flattened(rate)


def _flattened(rate: Rate) -> _Flat:
    """Measures a linear rate: asking the list for each request would cost more than sending the request."""
    request = rate(Usage())

    def each(**tokens: int) -> float:
        return (rate(Usage(**tokens)) - request) / MILLION

    return _Flat(
        request=request,
        input=each(input=MILLION),
        cached=each(input=MILLION, cached=MILLION),
        cache_write=each(input=MILLION, cache_write=MILLION),
        output=each(output=MILLION),
        reasoning=each(output=MILLION, reasoning=MILLION),
    )


def _found(model: str, url: str | None) -> tuple[dict[str, Any], Any] | None:
    """Finds a model in the published list: how it is asked for, and its entry."""
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    ways: list[dict[str, Any]] = [{"provider_api_url": url}, {}]  # behind a proxy a model keeps its name
    for where in ways:
        try:
            entry = calc_price(Theirs(), model_ref=model, **where).model
        except LookupError:
            continue
        if where or _is_named(model, entry.id):
            return where, entry
    return None


def _is_named(model: str, listed: str) -> bool:
    """Whether a model of an address that the list does not know has a listed name, but for a date.

    By itself the list takes the beginning of a name for the whole: deepseek-r1:8b on this machine for DeepSeek's R1.
    """
    return ":" not in model and _EDITION.sub("", model.lower()) == _EDITION.sub("", listed.lower())


def _lists_batch(model: str, url: str | None) -> bool:
    found = _found(model, url)
    return found is not None and _has_batch(model, found[0])


def _has_batch(model: str, where: Mapping[str, Any]) -> bool:
    """Whether the list makes a batch cost anything else than its requests at once.

    It knows the batch prices of entries that it then does not apply: those a provider borrows from another one (Azure).
    """
    from genai_prices import Usage as Theirs
    from genai_prices import calc_price

    usage = Theirs(input_tokens=MILLION, output_tokens=MILLION)
    batch, at_once = (
        calc_price(usage, model_ref=model, price_context=context, **where).total_price
        for context in ({"processing": BATCH}, None)
    )
    return bool(batch != at_once)


def _varies(entry: Any, context: Mapping[str, str] | None) -> bool:
    """Whether a price depends on a request's length, or on the time of day."""
    from genai_prices.types import TieredPrices, TimeOfDateConstraint

    timed = [each.constraint for each in entry.price_variants or ()]
    timed += [each.constraint for each in entry.prices] if isinstance(entry.prices, list) else []
    prices = vars(entry.get_prices(datetime.now(UTC), context)).values()
    return any(isinstance(price, TieredPrices) for price in prices) or any(
        isinstance(constraint, TimeOfDateConstraint) for constraint in timed
    )
