"""The decision over the horizon: what is saved each month and in all, and when training breaks even."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from harness.scoring.answers import Figures
from harness.scoring.costs import Arm, Bills, errors_usd_per_1k, number, usd_per_1k
from harness.scoring.facts import Decision
from harness.scoring.flips import Stake, flip_points
from harness.scoring.investment import Spent, fixed_cost, investment, monthly_cost, monthly_more, recurring
from harness.scoring.savings import Savings

DAYS_PER_MONTH = 365.25 / 12
VOLUMES = (1_000, 10_000, 100_000, 1_000_000)
FARTHEST_MONTHS = 1200
"""No date is given beyond a hundred years."""
PROJECTED = ("monthly_saving", "total_saving", "months_to_break_even", "break_even_date", "break_even_chance")
"""What is known of a monthly volume, `None` where it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The trained arm against the opponent that matters, and what is assumed."""

    line: Figures
    """Its payback."""
    stake: Stake
    bills: Bills
    savings: Savings | None
    today: str

    def project(self, volume: float | None) -> Figures:
        """Projects one monthly volume over the horizon."""
        found: Figures = {"requests_per_month": volume, **dict.fromkeys(PROJECTED)}
        if volume is None or self.bills.unit is None:
            return found
        # Savings that mean nothing are none
        monthly = volume * self.bills.counted / 1000 - self.stake.monthly
        found["monthly_saving"] = monthly
        found["total_saving"] = monthly * self.stake.months - self.stake.fixed
        if monthly > 0:
            found["months_to_break_even"] = self.stake.fixed / monthly
            found["break_even_date"] = _after(self.today, self.stake.fixed / monthly)
        found["break_even_chance"] = self._chance(volume)
        return found

    def _chance(self, volume: float) -> float | None:
        """Returns the share of resamples in which training is paid back within the horizon."""
        if self.savings is None or self.bills.unit != "usd":
            return None
        samples = self.savings.samples(self.line["arm"], self.line["against"])
        if samples is None or not len(samples) or not self.stake.months:
            return None if self.stake.months else 0.0
        if self.bills.level:
            samples = np.zeros(1)
        totals = (volume * samples / 1000 - self.stake.monthly) * self.stake.months - self.stake.fixed
        return float(np.mean(totals > 0))


def decide(
    arms: Sequence[Arm],
    table: Sequence[Figures],
    decision: Decision,
    today: str,
    savings: Savings | None = None,
    spent: Spent | None = None,
) -> Figures:
    """Returns the decision over the horizon, against the incumbent (without one: the best prompt).

    Args:
        arms: The arms of `results.json`.
        table: What `paybacks` returned.
        decision: Assumptions.
        today: ISO date on which the training is paid for.
        savings: For chances and intervals.
        spent: What the run knows of the investment beside the training.
    """
    main = next((line for role in ("incumbent", "best-prompt") for line in table if line["role"] == role), None)
    named = {arm["name"]: arm for arm in arms}
    shutdown: str | None = named[main["arm"]]["shutdown_date"] if main else None
    left = _months_until(shutdown, today)
    months = decision.horizon_months if left is None else min(decision.horizon_months, max(left, 0.0))
    case = _case(main, named, decision, months, today, savings)
    volume = decision.requests_per_month
    now = case.project(volume) if case else dict.fromkeys(PROJECTED)
    return {
        "requests_per_month": volume,
        "horizon_months": decision.horizon_months,
        "monthly_saving": now["monthly_saving"],
        "total_saving": now["total_saving"],
        "break_even_date": now["break_even_date"],
        "shutdown_date": shutdown,
        "flip_points": flip_points(case.stake) if case else [],
        "table": _table(main, case),
        "unit": main["unit"] if main else None,
        "arm": main["arm"] if main else None,
        "against": main["against"] if main else None,
        "role": main["role"] if main else None,
        "months": months,
        "months_until_shutdown": left,
        "months_to_break_even": now["months_to_break_even"],
        "break_even_chance": now["break_even_chance"],
        "pays": None if now["total_saving"] is None else now["total_saving"] > 0,
        "monthly_upkeep": case.stake.monthly if case else None,
        "recurring": _recurring(main, named, decision),
        "totals": [_total(arm, decision, months, savings, spent or Spent()) for arm in arms if arm["n"]],
    }


def _case(
    main: Figures | None,
    named: Mapping[str, Arm],
    decision: Decision,
    months: float,
    today: str,
    savings: Savings | None,
) -> Case | None:
    """Returns what can be projected: nothing where a part of the costs is not known."""
    if main is None or main["fixed"] is None or main["saving_per_1k"] is None:
        return None
    tuned, other, unit = named[main["arm"]], named[main["against"]], main["unit"]
    stake = Stake(
        tuned=tuned,
        other=other,
        decision=decision,
        fixed=main["fixed"],
        monthly=monthly_more(tuned, other, decision, unit),
        months=months,
    )
    return Case(line=main, stake=stake, bills=Bills.of(tuned, other, decision), savings=savings, today=today)


def _table(main: Figures | None, case: Case | None) -> list[Figures]:
    if main is None:
        return []
    nothing = dict.fromkeys(PROJECTED)
    return [case.project(float(v)) if case else {"requests_per_month": float(v), **nothing} for v in VOLUMES]


def _recurring(main: Figures | None, named: Mapping[str, Arm], decision: Decision) -> list[Figures]:
    """Returns the monthly costs of both arms, beside those of requests."""
    if main is None:
        return []
    sides = named[main["arm"]], named[main["against"]]
    return [{"arm": arm["name"], **line} for arm in sides for line in recurring(arm, decision, main["unit"])]


def _total(arm: Arm, decision: Decision, months: float, savings: Savings | None, spent: Spent) -> Figures:
    """Returns what an arm would take over the horizon: investment, requests, errors and what recurs."""
    usd, seconds = usd_per_1k(arm, decision), number(arm["machine_s_per_1k"])
    unit = "usd" if usd is not None else "machine_s" if seconds is not None else None
    each = usd if unit == "usd" else seconds
    errors = errors_usd_per_1k(arm, decision)
    lines = investment(arm, decision, spent, unit or "usd")
    fixed = fixed_cost(lines, unit or "usd") if lines else 0.0
    monthly = monthly_cost(recurring(arm, decision, unit or "usd"), unit or "usd")
    volume, total = decision.requests_per_month, None
    if each is not None and fixed is not None and volume is not None:
        wrong = errors if errors is not None and unit == "usd" else 0.0
        total = fixed + (volume * (each + wrong) / 1000 + monthly) * months
    interval = None if savings is None else savings.errors_interval(arm["name"])
    return {
        "arm": arm["name"],
        "unit": unit,
        "per_1k": each,
        "errors_per_1k": errors,
        "errors_ci": None if interval is None else list(interval),
        "fixed": fixed,
        "monthly": monthly,
        "months": months,
        "total": total,
    }


def _months_until(day: str | None, today: str) -> float | None:
    return None if day is None else (day_of(day) - day_of(today)).days / DAYS_PER_MONTH


def _after(today: str, months: float) -> str | None:
    """Returns the date `months` after `today`; `None` beyond a hundred years."""
    if months > FARTHEST_MONTHS:
        return None
    return (day_of(today) + timedelta(days=math.ceil(months * DAYS_PER_MONTH))).isoformat()


def day_of(text: str) -> date:
    """Returns the day, in UTC, of an ISO date or moment."""
    moment = datetime.fromisoformat(text)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
