"""What an arm's model and its training cost, as the scoring takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.experiment import LOCAL, Arm
from harness.prices import Prices
from harness.running.arm_training import Trained
from harness.types import Usage


def unpriced(prices: Prices, arm: Arm) -> tuple[str, str] | None:
    """Returns the model that an arm answers with, or is trained from, and what to write where it has no price."""
    endpoint, model = arm.endpoint, arm.model
    base = arm.base if model is None else None
    if endpoint in (None, LOCAL) or prices.known(endpoint, str(model), base=base):
        return None
    if not base:
        return str(model), f'give input and output in [prices."{model}"]: USD for a million tokens'
    root = prices.root(base)
    wanted = f'training in [prices."{root}"], input and output in [prices."ft:{root}"]'
    return root, f"give {wanted}: USD for a million tokens"


def failed_usd(jobs: Sequence[tuple[str, str, int]], prices: Prices, arm: str) -> float | None:
    """Returns what the jobs of an arm that came to nothing were billed; `None` where nothing is known of that.

    Args:
        jobs: Arm, base model and trained tokens of each such job of the run.
        prices: The run's prices.
        arm: The arm's name.
    """
    billed = [prices.training_usd(base, tokens) for name, base, tokens in jobs if name == arm]
    return sum(usd for usd in billed if usd is not None) or None


def training_usd(ready: Trained, endpoint: str | None, hour: float | None) -> float | None:
    """Returns what an arm's training cost: on this machine its time, where that has a price."""
    if endpoint == LOCAL and hour is not None and ready.seconds is not None:
        return ready.seconds / 3600 * hour
    return ready.usd


def price_of(prices: Prices, endpoint: str | None, arm: Arm) -> Any:
    """Returns the `Price` of an arm's model, `None` where none applies or is known."""
    from harness.scoring.facts import Price

    model = arm.model
    if endpoint in (None, LOCAL) or model is None:
        return None
    table = prices.table(model)
    known = {} if table is None else {name: getattr(table, name) for name in Price.__dataclass_fields__}
    if known.get("input") is None or known.get("output") is None:
        known = {name: value for name, value in known.items() if value is not None}
        known = {**_listed_price(prices, endpoint, model), **known}
    return Price(**known) if known else None


def _listed_price(prices: Prices, endpoint: str, model: str) -> dict[str, float]:
    """Returns a list's prices for a million tokens of a short request; nothing where the list lacks the model."""
    kinds = {
        "input": Usage(input=1000),
        "cached_input": Usage(input=1000, cached=1000),
        "cache_write": Usage(input=1000, cache_write=1000),
        "output": Usage(output=1000),
        "reasoning": Usage(output=1000, reasoning=1000),
    }
    listed = {name: prices.request_usd(endpoint, model, usage) for name, usage in kinds.items()}
    return {name: usd * 1000 for name, usd in listed.items() if usd is not None}
