"""After how many requests training is paid back, against each of up to three opponents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness import numbers
from harness.scoring.answers import Figures
from harness.scoring.costs import Arm, Bills, cache_hits, number, usd_per_1k
from harness.scoring.facts import Decision
from harness.scoring.investment import Spent, fixed_cost, investment, monthly_more, training_of
from harness.scoring.savings import Savings
from harness.types import PROMPTS, TUNED

TIMES = 10.0
"""From here on a ratio is said as "times as much", not in percent."""


def paybacks(
    arms: Sequence[Arm],
    contenders: Mapping[str, Any],
    margin: float,
    decision: Decision,
    savings: Savings | None = None,
    spent: Spent | None = None,
) -> list[Figures]:
    """Returns after how many requests the tuned contender's training is paid back, against up to three opponents.

    `incumbent`: the arm in use today. `cheapest-acceptable`: the cheapest untrained arm that is not less accurate than
    the incumbent (without one: the best prompt) by more than the margin. `best-prompt`: the contender.

    `requests` leaves out what recurs each month, `monthly` counts it.

    Args:
        arms: The arms of `results.json`.
        contenders: `a` and `b`, by name.
        margin: Differences in accuracy below it do not matter.
        decision: Assumptions.
        savings: For intervals.
        spent: What the run knows of the investment beside the training.
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
        _payback(tuned, opponent, role, decision, savings, spent or Spent())
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
    cost = usd_per_1k if usd_per_1k(standard, decision) is not None else lambda arm, _: number(arm["machine_s_per_1k"])
    known = [(cost(arm, decision), arm["name"], arm) for arm in accepted if cost(arm, decision) is not None]
    return min(known, key=lambda line: line[:2])[2] if known else None


def _payback(tuned: Arm, other: Arm, role: str, decision: Decision, savings: Savings | None, spent: Spent) -> Figures:
    bills = Bills.of(tuned, other, decision)
    unit = bills.unit or "usd"
    lines = investment(tuned, decision, spent, unit)
    fixed, saving = fixed_cost(lines, unit), bills.saving
    requests, reason = _requests(fixed, bills, tuned, other)
    interval = savings.interval(tuned["name"], other["name"]) if savings is not None and unit == "usd" else None
    assumed, measured = cache_hits(other, decision)
    return {
        "arm": tuned["name"],
        "against": other["name"],
        "role": role,
        "unit": unit,
        "fixed": fixed,
        "saving_per_1k": saving,
        "requests": requests,
        "ci": _bounds(fixed, interval) if requests and fixed else None,
        "cache_hit": assumed,
        "reason": reason,
        "training": training_of(tuned, unit),
        "setup": sum(line["usd"] for line in lines if line["name"] == "setup" and line["counted"]),
        "investment": lines,
        "saving_ci": None if interval is None else list(interval),
        "price_saving_per_1k": bills.prices[1] - bills.prices[0] if bills.unit else None,
        "error_saving_per_1k": None if bills.errors is None else bills.errors[1] - bills.errors[0],
        "cache_hit_run": measured,
        "monthly": _monthly(monthly_more(tuned, other, decision, unit), fixed, bills, decision),
    }


def _monthly(cost: float, fixed: float | None, bills: Bills, decision: Decision) -> Figures | None:
    """Returns what `requests` leaves out: what recurs each month, and after how many requests both are paid back.

    `requests` is `None` without a volume, and where the volume saves no more than what recurs. `None` where the trained
    arm takes no more each month than the other.
    """
    volume, requests = decision.requests_per_month, None
    if cost <= 0:
        return None
    if volume is not None and fixed is not None and bills.unit is not None:
        saved = volume * bills.counted / 1000 - cost
        requests = _whole(volume * fixed / saved) if saved > 0 else None
    return {"cost": cost, "requests_per_month": volume, "requests": requests}


def _requests(fixed: float | None, bills: Bills, tuned: Arm, other: Arm) -> tuple[int | None, str | None]:
    """Returns the number of requests that pays the fixed cost back, or why there is none."""
    saving, a, b = bills.saving, tuned["name"], other["name"]
    if saving is None:
        return None, f"What a request costs is not known for {a} and {b} in the same unit."
    errors = ", what its errors cost included" if bills.with_errors else ""
    if bills.level:
        return None, f"A request of {a} costs as much as one of {b}{errors}: nothing is saved."
    if saving <= 0:
        mine, its = bills.totals
        more = f" {numbers.percent(mine / its - 1, 0)}" if its else ""
        what = "costs" if bills.unit == "usd" else "takes"
        time = "" if bills.unit == "usd" else " machine time"
        if its and mine / its >= TIMES:
            times = numbers.number(mine / its)
            return None, f"A request of {a} {what} {times} times as much{time} as one of {b}{errors}."
        return None, f"A request of {a} {what}{more} more{time} than one of {b}{errors}."
    if fixed is None:
        return None, f"What the training of {a} cost is not known."
    return _whole(fixed / saving * 1000), None


def _bounds(fixed: float, saving: tuple[float, float] | None) -> list[int | None] | None:
    """Turns the interval of the saving into one of the requests; open above where the saving may be nothing."""
    if saving is None or saving[1] <= 0:
        return None
    low, high = saving
    return [_whole(fixed / high * 1000), _whole(fixed / low * 1000) if low > 0 else None]


def _whole(requests: float) -> int:
    """Rounds up, but not for the last bits of a quotient."""
    return math.ceil(requests * (1 - 1e-12) - 1e-9)
