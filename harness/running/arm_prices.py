"""What an arm's model and its training cost, as the scoring takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.execution.answers import Answered
from harness.experiment import LOCAL, Arm
from harness.prices import BATCH, Prices
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
        known = {**_kinds(prices, endpoint, model), **known}
    return Price(**known) if known else None


def price_shares(prices: Prices, arm: Arm, answers: Sequence[Answered]) -> dict[str, float] | None:
    """Returns what each kind of token of an arm's answers cost, as a share of its price at once.

    `None` where all were bought at once, or no price is known. The few that are tried at once beside a batch weigh by
    their tokens.
    """
    bought = [(one.entry.tier, one.prediction) for one in answers if one.entry is not None and one.entry.error is None]
    shares = batch_shares(prices, arm.endpoint, arm)
    if shares is None or not any(tier == BATCH for tier, _ in bought):
        return None
    given = _part([(tier, row.input_tokens) for tier, row in bought])
    made = _part([(tier, row.output_tokens) for tier, row in bought])
    return {
        kind: 1 - (made if kind in ("output", "reasoning") else given) * (1 - share) for kind, share in shares.items()
    }


def batch_shares(prices: Prices, endpoint: str | None, arm: Arm) -> dict[str, float] | None:
    """Returns what each kind of token costs in a batch, as a share of its price at once; `None` where none is known."""
    if endpoint in (None, LOCAL) or arm.model is None:
        return None
    at_once, batch = (_kinds(prices, str(endpoint), arm.model, tier) for tier in ("", BATCH))
    return {kind: batch[kind] / usd for kind, usd in at_once.items() if usd} or None


def _part(tokens: Sequence[tuple[str, int | None]]) -> float:
    """Returns the part of tokens that were bought in a batch, from the tier and the number of each answer's."""
    total = sum(number or 0 for _, number in tokens)
    return sum(number or 0 for tier, number in tokens if tier == BATCH) / total if total else 1.0


def _kinds(prices: Prices, endpoint: str, model: str, tier: str = "") -> dict[str, float]:
    """Returns prices for a million tokens of a short request; nothing where the model has none."""
    kinds = {
        "input": Usage(input=1000),
        "cached_input": Usage(input=1000, cached=1000),
        "cache_write": Usage(input=1000, cache_write=1000),
        "output": Usage(output=1000),
        "reasoning": Usage(output=1000, reasoning=1000),
    }
    known = {name: prices.request_usd(endpoint, model, usage, tier) for name, usage in kinds.items()}
    return {name: usd * 1000 for name, usd in known.items() if usd is not None}
