"""Money and time: what a request costs, whether training pays back, and over which horizon.

Everything is computed from the arms of `results.json`, so that it can be computed anew under other assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

from harness import numbers
from harness.scoring.answers import Figures
from harness.scoring.contenders import PROMPTS, TUNED
from harness.scoring.facts import Decision, Price

CACHEABLE_TOKENS = 1024
"""Prompts shorter than this are never cached (OpenAI's prompt caching starts at 1,024 tokens)."""
DAYS_PER_MONTH = 365.25 / 12
VOLUMES = (1_000, 10_000, 100_000, 1_000_000)
SAME = {"usd": 0.005, "machine_s": 0.05}
"""Relative differences below this count as none: half a percent of a bill; of measured seconds a twentieth, for the
same work repeated on the same machine varies by as much."""

NEGLIGIBLE = {"usd": 0.0, "machine_s": 1.0}
"""Two costs of 1,000 requests below this count as the same: a millisecond a request decides nothing."""

Arm: TypeAlias = Mapping[str, Any]
SavingInterval: TypeAlias = Callable[[str, str], "tuple[float, float] | None"]
"""Interval of what the first arm saves on 1,000 requests against the second, in USD; `None` where there is none."""


def usd_per_1k(arm: Arm, decision: Decision) -> float | None:
    """Returns the dollars for 1,000 requests, with the cache-hit rate that `decision` assumes.

    The assumption applies to prompts that providers cache and to models with a price for cached tokens.
    """
    tokens, price = arm["input_tokens_mean"], arm["price"]
    if decision.cache_hit is None or price is None or tokens is None or tokens < CACHEABLE_TOKENS:
        return _number(arm["cost_per_1k_usd"])
    if price["cached_input"] is None:
        return _number(arm["cost_per_1k_usd"])
    return priced(arm, Price(**price), decision.cache_hit * tokens)


def priced(arm: Arm, price: Price, cached: float | None = None) -> float | None:
    """Returns the dollars for 1,000 requests from mean tokens: prices are linear in tokens, so the means suffice."""
    fresh, output = arm["input_tokens_mean"], arm["output_tokens_mean"]
    if fresh is None or output is None or price.input is None or price.output is None:
        return None
    cached = (arm["cached_tokens_mean"] or 0.0) if cached is None else cached
    cached_price = price.input if price.cached_input is None else price.cached_input
    return float(((fresh - cached) * price.input + cached * cached_price + output * price.output) / 1000)


def relation(a: Arm, b: Arm, decision: Decision) -> Figures:
    """Compares what a request of each arm costs: in dollars where both are priced, else in seconds of this machine.

    Returns:
        `unit` (`usd`, `machine_s` or `None` where the two cannot be compared), `a` and `b` for 1,000 requests,
        `change` = a/b − 1, and `cheaper`: `a`, `b`, `same` or `None`.
    """
    for unit, x, y in (
        ("usd", usd_per_1k(a, decision), usd_per_1k(b, decision)),
        ("machine_s", _number(a["machine_s_per_1k"]), _number(b["machine_s_per_1k"])),
    ):
        if x is None or y is None:
            continue
        change = x / y - 1 if y else None
        gap = abs(x - y) / max(x, y) if max(x, y) else 0.0
        same = gap < SAME[unit] or max(x, y) < NEGLIGIBLE[unit]
        cheaper = "same" if same else "a" if x < y else "b"
        return {"unit": unit, "a": x, "b": y, "change": change, "cheaper": cheaper}
    # A classical model on this machine sends no bill, whatever the other costs
    free = [arm["family"] == "classical" and arm["local"] and not arm["cost_per_1k_usd"] for arm in (a, b)]
    billed = [usd_per_1k(arm, decision) for arm in (a, b)]
    unbilled = "a" if free[0] and billed[1] else "b" if free[1] and billed[0] else None
    return {"unit": None, "a": None, "b": None, "change": None, "cheaper": unbilled}


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


def paybacks(
    arms: Sequence[Arm], contenders: Arm, margin: float, decision: Decision, interval: SavingInterval | None = None
) -> list[Figures]:
    """Returns after how many requests the tuned contender's training is paid back, against up to three opponents.

    `incumbent`: the arm in use today. `cheapest-acceptable`: the cheapest untrained arm that is not less accurate than
    the incumbent (without one: the best prompt) by more than the margin. `best-prompt`: the contender.
    """
    named = {arm["name"]: arm for arm in arms}
    tuned = named.get(contenders["a"])
    if tuned is None or tuned["family"] not in TUNED:
        return []
    prompt = named.get(contenders["b"])
    prompt = prompt if prompt is not None and prompt["family"] in PROMPTS else None
    incumbent = named.get(decision.incumbent or "")
    opponents = {
        "incumbent": incumbent if incumbent is not None and incumbent["n"] else None,
        "cheapest-acceptable": _cheapest(arms, incumbent or prompt, margin, decision),
        "best-prompt": prompt,
    }
    return [
        _payback(tuned, opponent, role, decision, interval)
        for role, opponent in opponents.items()
        if opponent is not None and opponent["name"] != tuned["name"]
    ]


def _cheapest(arms: Sequence[Arm], standard: Arm | None, margin: float, decision: Decision) -> Arm | None:
    if standard is None or standard["accuracy"] is None:
        return None
    accepted = [
        arm
        for arm in arms
        if arm["family"] not in TUNED and arm["n"] and arm["accuracy"] >= standard["accuracy"] - margin
    ]
    cost = usd_per_1k if usd_per_1k(standard, decision) is not None else lambda arm, _: _number(arm["machine_s_per_1k"])
    known = [(cost(arm, decision), arm["name"], arm) for arm in accepted if cost(arm, decision) is not None]
    return min(known, key=lambda line: line[:2])[2] if known else None


def _payback(tuned: Arm, other: Arm, role: str, decision: Decision, interval: SavingInterval | None) -> Figures:
    cost = relation(tuned, other, decision)
    unit = cost["unit"] or "usd"
    training = _number(tuned["training_cost_usd" if unit == "usd" else "training_s"])
    setup = decision.setup_hours * decision.hour_usd if unit == "usd" else 0.0
    fixed = None if training is None else training + setup
    saving = cost["b"] - cost["a"] if cost["unit"] else None
    requests, reason = _requests(fixed, saving, cost, tuned, other)
    bounds = None
    if requests and fixed and unit == "usd" and decision.cache_hit is None and interval is not None:
        bounds = _bounds(fixed, interval(tuned["name"], other["name"]))
    return {
        "arm": tuned["name"],
        "against": other["name"],
        "role": role,
        "unit": unit,
        "fixed": fixed,
        "saving_per_1k": saving,
        "requests": requests,
        "ci": bounds,
        "cache_hit": _cache_hit(other, decision),
        "reason": reason,
        "training": training,
        "setup": setup,
    }


def _requests(
    fixed: float | None, saving: float | None, cost: Figures, tuned: Arm, other: Arm
) -> tuple[int | None, str | None]:
    """Returns the number of requests that pays the fixed cost back, or why there is none."""
    if saving is None:
        return None, f"What a request costs is not known for {tuned['name']} and {other['name']} in the same unit."
    if cost["cheaper"] == "same":
        return None, f"A request of {tuned['name']} costs as much as one of {other['name']}: nothing is saved."
    if saving <= 0:
        more = "" if cost["change"] is None else f" {numbers.percent(cost['change'], 0)}"
        what = "costs" if cost["unit"] == "usd" else "takes"
        time = "" if cost["unit"] == "usd" else " machine time"
        return None, f"A request of {tuned['name']} {what}{more} more{time} than one of {other['name']}."
    if fixed is None:
        return None, f"What the training of {tuned['name']} cost is not known."
    return math.ceil(fixed / saving * 1000 - 1e-9), None


def _bounds(fixed: float, saving: tuple[float, float] | None) -> list[int | None] | None:
    """Turns the interval of the saving into one of the requests; open above where the saving may be nothing."""
    if saving is None or saving[1] <= 0:
        return None
    low, high = saving
    return [math.ceil(fixed / high * 1000 - 1e-9), math.ceil(fixed / low * 1000 - 1e-9) if low > 0 else None]


def _cache_hit(arm: Arm, decision: Decision) -> float | None:
    """Returns the share of the opponent's prompt tokens taken to be cached: assumed, or else as in the run."""
    if decision.cache_hit is not None:
        tokens = arm["input_tokens_mean"]
        cacheable = arm["price"] is not None and tokens is not None and tokens >= CACHEABLE_TOKENS
        return decision.cache_hit if cacheable and arm["price"]["cached_input"] is not None else 0.0
    cached, tokens = arm["cached_tokens_mean"], arm["input_tokens_mean"]
    return cached / tokens if cached is not None and tokens else None


def decide(arms: Sequence[Arm], table: Sequence[Arm], decision: Decision, today: str) -> Figures:
    """Returns the decision over the horizon, against the incumbent (without one: the best prompt).

    Args:
        arms: The arms of `results.json`.
        table: What `paybacks` returned.
        decision: Assumptions.
        today: ISO date on which the training is paid for.
    """
    main = next((line for role in ("incumbent", "best-prompt") for line in table if line["role"] == role), None)
    shutdown: str | None = next((arm["shutdown_date"] for arm in arms if main and arm["name"] == main["arm"]), None)
    months = decision.horizon_months
    left = _months_until(shutdown, today)
    if left is not None:
        months = min(months, max(left, 0.0))
    horizon = {"months": months, "today": today}
    now = _projection(main, decision, decision.requests_per_month, horizon)
    return {
        "requests_per_month": decision.requests_per_month,
        "horizon_months": decision.horizon_months,
        "monthly_saving": now["monthly_saving"],
        "total_saving": now["total_saving"],
        "break_even_date": now["break_even_date"],
        "shutdown_date": shutdown,
        "flip_points": _flip_points(main, decision, months),
        "table": [_projection(main, decision, float(volume), horizon) for volume in VOLUMES] if main else [],
        "unit": main["unit"] if main else None,
        "arm": main["arm"] if main else None,
        "against": main["against"] if main else None,
        "role": main["role"] if main else None,
        "months": months,
        "months_until_shutdown": left,
        "months_to_break_even": now["months_to_break_even"],
        "monthly_upkeep": _upkeep(main, decision),
    }


def _upkeep(main: Arm | None, decision: Decision) -> float | None:
    """Returns what recurs each month: upkeep by hand (dollars only) and retraining."""
    if main is None or main["training"] is None:
        return None
    hours = decision.upkeep_hours_per_month * decision.hour_usd if main["unit"] == "usd" else 0.0
    return float(hours + decision.retrainings_per_year / 12 * main["training"])


def _projection(main: Arm | None, decision: Decision, volume: float | None, horizon: Mapping[str, Any]) -> Figures:
    """Projects one monthly volume over the horizon."""
    line: Figures = {
        "requests_per_month": volume,
        "monthly_saving": None,
        "total_saving": None,
        "months_to_break_even": None,
        "break_even_date": None,
    }
    upkeep = _upkeep(main, decision)
    if main is None or volume is None or upkeep is None or main["saving_per_1k"] is None or main["fixed"] is None:
        return line
    monthly = volume * main["saving_per_1k"] / 1000 - upkeep
    line["monthly_saving"] = monthly
    line["total_saving"] = monthly * horizon["months"] - main["fixed"]
    # The requests of the payback decide whether it is reached at all: savings in the noise are none
    if monthly > 0 and main["requests"] is not None:
        line["months_to_break_even"] = main["fixed"] / monthly
        line["break_even_date"] = _after(horizon["today"], main["fixed"] / monthly)
    return line


def _flip_points(main: Arm | None, decision: Decision, months: float) -> list[Figures]:
    """Returns where the answer changes: for now the monthly volume above which training pays within the horizon."""
    upkeep = _upkeep(main, decision)
    if main is None or upkeep is None or main["requests"] is None or not months:
        return []
    volume = (main["fixed"] / months + upkeep) / main["saving_per_1k"] * 1000
    return [{"quantity": "requests_per_month", "value": volume, "above": main["arm"], "below": main["against"]}]


def _months_until(day: str | None, today: str) -> float | None:
    return None if day is None else (_day(day) - _day(today)).days / DAYS_PER_MONTH


def _after(today: str, months: float) -> str | None:
    """Returns the date `months` after `today`; `None` beyond a hundred years."""
    if months > 1200:
        return None
    return (_day(today) + timedelta(days=math.ceil(months * DAYS_PER_MONTH))).isoformat()


def _day(text: str) -> date:
    moment = datetime.fromisoformat(text)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
