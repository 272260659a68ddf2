"""What a request costs under an assumption: in tokens and prices, in seconds of this machine, and in errors.

Everything is computed from the arms of `results.json`, so that it can be computed anew under other assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from harness.scoring.answers import CACHEABLE_TOKENS, Figures
from harness.scoring.facts import Decision, Price

SAME = {"usd": 0.005, "machine_s": 0.05}
"""Relative differences below this count as none: half a percent of a bill; of measured seconds a twentieth, for the
same work repeated on the same machine varies by as much."""
NEGLIGIBLE = {"usd": 0.0, "machine_s": 1.0}
"""Two costs of 1,000 requests below this count as the same: a millisecond a request decides nothing."""
DEFAULT = "default"
"""The key of `error_usd` that holds for the labels that are not named."""

Arm: TypeAlias = Mapping[str, Any]
"""An arm of `results.json`."""


def price_of(arm: Arm) -> Price | None:
    """Returns the price of an arm's model; keys of another version are left out."""
    known = arm["price"]
    return None if known is None else Price(**{each.name: known.get(each.name) for each in fields(Price)})


def as_bought(arm: Arm, price: Price) -> Price:
    """Returns what tokens cost as the arm's were bought, at a price that is one at once: in a batch, a share of it."""
    shares = arm.get("price_shares")  # not in results of earlier versions
    if not shares:
        return price
    return replace(price, **{kind: usd if usd is None else usd * shares.get(kind, 1.0)
                             for kind, usd in price.by_kind.items()})  # fmt: skip


def usd_per_1k(arm: Arm, decision: Decision) -> float | None:
    """Returns the dollars for 1,000 requests, with the cache-hit rate that `decision` assumes.

    The assumption applies to prompts that providers cache and to models with a price for cached tokens.
    """
    price = price_of(arm)
    if not assumed_cached(arm, decision) or price is None:
        return number(arm["cost_per_1k_usd"])
    return priced(arm, price, decision.cache_hit)


def assumed_cached(arm: Arm, decision: Decision) -> bool:
    """Whether the assumed cache-hit rate applies to the arm."""
    price = price_of(arm)
    return (
        decision.cache_hit is not None and price is not None and price.cached_input is not None and cacheable(arm) > 0
    )


def cacheable(arm: Arm) -> float:
    """Returns the mean prompt tokens of a request that a provider could cache: those of long enough prompts."""
    tokens = number(arm["input_tokens_mean"]) or 0.0
    known = number(arm.get("cacheable_tokens_mean"))
    return known if known is not None else tokens if tokens >= CACHEABLE_TOKENS else 0.0


def priced(arm: Arm, price: Price, cache_hit: float | None = None) -> float | None:
    """Returns the dollars for 1,000 requests from mean tokens: prices are linear in tokens, so the means suffice.

    Args:
        arm: The arm.
        price: Its model's price at once.
        cache_hit: Share of the cacheable tokens that comes out of the cache; the others are written to it. `None`: as
            in the run, where what was written is not known and counts as plain input.
    """
    fresh, output = number(arm["input_tokens_mean"]), number(arm["output_tokens_mean"])
    if fresh is None or output is None or price.input is None or price.output is None:
        return None
    cached, written = number(arm["cached_tokens_mean"]) or 0.0, 0.0
    if cache_hit is not None:
        cached, written = cache_hit * cacheable(arm), (1 - cache_hit) * cacheable(arm)
    reasoning = number(arm.get("reasoning_tokens_mean")) or 0.0
    bought = as_bought(arm, price)
    return float(
        tokens_usd(bought, fresh=fresh, cached=cached, written=written, output=output, reasoning=reasoning) * 1000
    )


def tokens_usd(price: Price, *, fresh: Any, cached: Any, written: Any, output: Any, reasoning: Any) -> Any:
    """Returns dollars for tokens, numbers or arrays: `fresh` are all prompt tokens, `output` all generated ones."""
    each = {kind: usd or 0.0 for kind, usd in price.by_kind.items()}
    spent = (fresh - cached - written) * each["input"] + cached * each["cached_input"] + written * each["cache_write"]
    return (spent + (output - reasoning) * each["output"] + reasoning * each["reasoning"]) / 1_000_000


def errors_usd_per_1k(arm: Arm, decision: Decision) -> float | None:
    """Returns what the wrong answers to 1,000 requests are expected to cost, each by the label it should have had.

    Unparsed and failed answers are errors. `None` where no cost is assumed, or where nothing was answered.
    """
    table = arm.get("confusion")
    if decision.error_usd is None or table is None or not arm["n"]:
        return None
    wrong = sum(n * error_usd(decision, label) for n, label in zip(missed(table), table["labels"], strict=True))
    return wrong / float(arm["n"]) * 1000


def missed(table: Mapping[str, Any]) -> list[int]:
    """Returns how many answers were wrong, unparsed or failed, by the label that they should have had.

    Args:
        table: `confusion` of an arm.
    """
    lost = zip(table["counts"], table["unparsed"], table["failed"], strict=True)
    return [sum(row) - row[place] + unparsed + failed for place, (row, unparsed, failed) in enumerate(lost)]


def error_usd(decision: Decision, label: str) -> float:
    """Returns what a wrong answer costs where `label` was right."""
    cost = decision.error_usd
    if cost is None:
        return 0.0
    return float(cost.get(label, cost.get(DEFAULT, 0.0))) if isinstance(cost, Mapping) else float(cost)


def relation(a: Arm, b: Arm, decision: Decision) -> Figures:
    """Compares what a request of each arm costs: in dollars where both are priced, else in seconds of this machine.

    Returns:
        `unit` (`usd`, `machine_s` or `None` where the two cannot be compared), `a` and `b` for 1,000 requests,
        `change` = a/b − 1, and `cheaper`: `a`, `b`, `same` or `None`.
    """
    for unit, x, y in (
        ("usd", usd_per_1k(a, decision), usd_per_1k(b, decision)),
        ("machine_s", number(a["machine_s_per_1k"]), number(b["machine_s_per_1k"])),
    ):
        if x is None or y is None:
            continue
        cheaper = "same" if same(x, y, unit) else "a" if x < y else "b"
        return {"unit": unit, "a": x, "b": y, "change": x / y - 1 if y else None, "cheaper": cheaper}
    free = "a" if unbilled(a) and usd_per_1k(b, decision) else "b" if unbilled(b) and usd_per_1k(a, decision) else None
    return {"unit": None, "a": None, "b": None, "change": None, "cheaper": free}


def unbilled(arm: Arm) -> bool:
    """Whether nobody sends a bill, whatever others cost: a classical arm on this machine."""
    return arm["family"] == "classical" and bool(arm["local"]) and not arm["cost_per_1k_usd"]


def same(x: float, y: float, unit: str) -> bool:
    """Whether two costs of 1,000 requests differ by less than means anything."""
    most = max(x, y)
    return most < NEGLIGIBLE[unit] or abs(x - y) < SAME[unit] * most or x == y


def economy(a: Arm, b: Arm, difference: float, decision: Decision) -> Figures:
    """Returns what stands beside a difference in accuracy: cost, p95, and the price of an extra correct answer."""
    cost = relation(a, b, decision)
    p95 = a["latency_s"]["p95"], b["latency_s"]["p95"]
    extra = None
    if cost["unit"] and difference and (cost["a"] - cost["b"]) * difference > 0:
        extra = (cost["a"] - cost["b"]) / 1000 / difference
    return {
        "cost": cost,
        "p95_change": p95[0] / p95[1] - 1 if p95[0] is not None and p95[1] else None,
        "cost_per_extra_correct": extra,
    }


def cache_hits(arm: Arm, decision: Decision) -> tuple[float | None, float | None]:
    """Returns the share of an arm's prompt tokens taken to be cached, and the share that was cached in the run."""
    cached, tokens = number(arm["cached_tokens_mean"]), number(arm["input_tokens_mean"])
    measured = cached / tokens if cached is not None and tokens else None
    if decision.cache_hit is None or not tokens:
        return measured, measured
    # Short prompts and models without a price for cached tokens have nothing to gain
    return (decision.cache_hit * cacheable(arm) / tokens if assumed_cached(arm, decision) else 0.0), measured


def number(value: Any) -> float | None:
    """Returns a figure of `results.json` as a float."""
    return None if value is None else float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """What 1,000 requests take of two arms, the trained one first: their price, and their errors where those cost."""

    unit: str | None
    """`usd`, `machine_s`, or `None` where the two cannot be compared."""
    prices: tuple[float, float]
    errors: tuple[float, float] | None
    """USD; `None` where no cost of errors is assumed."""

    @classmethod
    def of(cls, tuned: Arm, other: Arm, decision: Decision) -> Bills:
        """Reads them from two arms of `results.json`."""
        cost = relation(tuned, other, decision)
        wrong = errors_usd_per_1k(tuned, decision), errors_usd_per_1k(other, decision)
        errors = None if wrong[0] is None or wrong[1] is None else (wrong[0], wrong[1])
        return cls(unit=cost["unit"], prices=(cost["a"] or 0.0, cost["b"] or 0.0), errors=errors)

    @property
    def with_errors(self) -> bool:
        """Whether errors count: they cost dollars, which cannot be set against seconds without a price."""
        return self.errors is not None and self.unit == "usd"

    @property
    def totals(self) -> tuple[float, float]:
        """What is held against each other."""
        if self.errors is None or not self.with_errors:
            return self.prices
        return self.prices[0] + self.errors[0], self.prices[1] + self.errors[1]

    @property
    def saving(self) -> float | None:
        """What the trained arm saves, as measured; `None` where the two cannot be compared."""
        return self.totals[1] - self.totals[0] if self.unit else None

    @property
    def level(self) -> bool:
        """Whether the two take the same, as far as that means anything."""
        return self.unit is not None and same(*self.totals, self.unit)

    @property
    def counted(self) -> float:
        """What the trained arm saves; nothing where the two are level."""
        return 0.0 if self.level else self.saving or 0.0
