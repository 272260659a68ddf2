"""What the decision depends on, as plain figures: enough to compute it again elsewhere, under other assumptions.

The page's calculator reads these and applies the formulas of `costs`, `investment`, `payback` and `projection`; nothing
here is a result of them. A test holds the two to each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from harness.scoring.answers import Figures
from harness.scoring.costs import NEGLIGIBLE, SAME, Arm, cacheable, error_usd, missed, number, price_of
from harness.scoring.facts import Decision
from harness.scoring.investment import HOURS_PER_MONTH, Spent, investment
from harness.scoring.judging import assumptions, on_this_machine
from harness.scoring.projection import DAYS_PER_MONTH, FARTHEST_MONTHS, day_of
from harness.types import TUNED

CONSTANTS: Mapping[str, Any] = {
    "same": SAME,
    "negligible": NEGLIGIBLE,
    "hours_per_month": HOURS_PER_MONTH,
    "days_per_month": DAYS_PER_MONTH,
    "farthest_months": FARTHEST_MONTHS,
}


def coefficients(results: Mapping[str, Any]) -> Figures | None:
    """Returns what a decision between training and asking depends on; `None` where there is nothing to decide.

    Args:
        results: `results.json`, of an older version too: what it lacks is `None`.

    Returns:
        `arm` (the trained contender), `against` (the opponent of the stored decision), `arms` by name with tokens,
        prices, misses and investment, `assumed` (what the run assumed), and `constants`.
    """
    decision = results.get("decision") or {}
    named = {str(arm["name"]): arm for arm in results.get("arms") or () if arm.get("n")}
    tuned, against = decision.get("arm"), decision.get("against")
    if tuned not in named or against not in named:
        return None
    assumed, spent = assumptions(results), Spent.of(results)
    return {
        "arm": tuned,
        "against": against,
        "arms": {name: _arm(arm, assumed, spent) for name, arm in named.items()},
        "assumed": {
            "requests_per_month": number(assumed.requests_per_month),
            "horizon_months": number(assumed.horizon_months),
            "cache_hit": number(assumed.cache_hit),
            "error_usd": None if isinstance(assumed.error_usd, Mapping) else number(assumed.error_usd),
            "by_label": isinstance(assumed.error_usd, Mapping),
        },
        "months_until_shutdown": number(decision.get("months_until_shutdown")),
        "today": _today((results.get("run") or {}).get("finished")),
        "constants": dict(CONSTANTS),
    }


def _today(finished: Any) -> str | None:
    """Returns the day on which the training is taken to be paid for."""
    try:
        return day_of(finished).isoformat()
    except (TypeError, ValueError):
        return None


def _arm(arm: Arm, assumed: Decision, spent: Spent) -> Figures:
    known = {"machine_s_per_1k": None, "price": None, **arm}
    price, priceable = price_of(known), not arm.get("local") and arm.get("model")
    wrong, wrong_usd = _wrong(arm, assumed)
    return {
        "accuracy": number(arm.get("accuracy")),
        "n": int(arm["n"]),
        "wrong": wrong,
        "wrong_usd": wrong_usd,
        "usd_per_1k": number(arm.get("cost_per_1k_usd")),
        "machine_s_per_1k": number(known["machine_s_per_1k"]),
        "here": on_this_machine({"local": False, "simulated": False, **arm}),
        "model": str(arm["model"]) if priceable and price is not None else None,
        "price": None if price is None else asdict(price),
        "price_shares": arm.get("price_shares"),
        "tokens": {
            "input": number(arm.get("input_tokens_mean")),
            "output": number(arm.get("output_tokens_mean")),
            "cached": number(arm.get("cached_tokens_mean")) or 0.0,
            "reasoning": number(arm.get("reasoning_tokens_mean")) or 0.0,
            "cacheable": cacheable({"input_tokens_mean": None, **arm}),
        },
        **(_trained(known, assumed, spent) if arm.get("family") in TUNED else {"trained": None}),
    }


def _trained(arm: Arm, assumed: Decision, spent: Spent) -> Figures:
    """Returns what an arm took before its first request and what recurs, by what prices change in it."""
    known = {"training_cost_usd": None, "training_s": None, **arm}
    lines = investment(known, assumed, spent, "usd")
    rest = [line["usd"] for line in lines if line["counted"] and line["name"] not in ("training", "search")]
    return {
        "trained": {
            "usd": number(known["training_cost_usd"]),
            "machine_s": number(known["training_s"]),
            "search": {unit: dict(zip(("total", "known"), spent.searched(known, unit), strict=True)) for unit in SAME},
            "rest_usd": float(sum(rest)),
            "by_hand_usd": assumed.upkeep_hours_per_month * assumed.hour_usd,
            "hosting_usd": assumed.hosting_usd_per_month,
            "retrainings_per_year": assumed.retrainings_per_year,
        }
    }


def _wrong(arm: Arm, assumed: Decision) -> tuple[int | None, float | None]:
    """Returns how many answers were wrong, unparsed and failed ones included; and, costs by label, what they cost."""
    table = arm.get("confusion")
    if not table or not all(table.get(part) for part in ("labels", "counts", "unparsed", "failed")):
        return None, None
    wrong = missed(table)
    if not isinstance(assumed.error_usd, Mapping):
        return sum(wrong), None
    weighed = sum(n * error_usd(assumed, label) for n, label in zip(wrong, table["labels"], strict=True))
    return sum(wrong), float(weighed)
