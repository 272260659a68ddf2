"""What follows from assumptions: economy of each comparison, payback, decision and verdict; again under other ones."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from harness.scoring import searches, verdict
from harness.scoring.answers import Figures, Requests
from harness.scoring.costs import economy, number, price_of, priced
from harness.scoring.facts import Decision, Price
from harness.scoring.investment import Spent
from harness.scoring.payback import paybacks
from harness.scoring.projection import decide
from harness.scoring.savings import Savings
from harness.words import ENGLISH, speaking


@dataclass(frozen=True, slots=True, kw_only=True)
class Repricing:
    """Prices that replace those of a run; tokens stay as they were."""

    models: Mapping[str, Price] = field(default_factory=dict)
    """Model → its whole price at once; arms that bought by the batch pay the same shares of it as in the run."""
    hour_usd: float | None = None
    """USD for an hour of this machine, for arms that a local endpoint answers."""
    per_1k: Mapping[str, float] = field(default_factory=dict)
    """Arm → USD for 1,000 requests, for arms whose price is none of tokens."""


def judge(results: Figures, decision: Decision, requests: Mapping[str, Requests], groups: Mapping[str, str]) -> None:
    """Adds what depends on assumptions to the other parts of `results.json`.

    Args:
        results: Everything else.
        decision: The assumptions.
        requests: Arm → its requests, of arms that answered the same items; none: intervals are `None`.
        groups: Example id → group.
    """
    named = {arm["name"]: arm for arm in results["arms"]}
    run = results["run"]
    for line in results["comparisons"]:
        line |= economy(named[line["a"]], named[line["b"]], line["difference"], decision)
    savings = Savings(arms=named, requests=requests, decision=decision, seed=run["seed"], groups=groups)
    spent = Spent.of(results)
    table = paybacks(results["arms"], results["contenders"], run["margin"], decision, savings, spent)
    results["payback"] = table
    results["decision"] = decide(results["arms"], table, decision, run["finished"], savings, spent)
    results["decision"]["assumptions"] = asdict(decision)
    with speaking(ENGLISH):  # what is stored is English; a page in another language has the rules speak again
        results["verdict"] = verdict.judge(results)


def rejudge(
    results: Mapping[str, Any],
    decision: Decision,
    prices: Repricing | None = None,
    requests: Mapping[str, Requests] | None = None,
    groups: Mapping[str, str] | None = None,
) -> Figures:
    """Computes payback, decision and verdict anew from stored results, under other assumptions.

    Args:
        results: What `build` returned, or the parsed `results.json`.
        decision: All assumptions; those of the run are `assumptions(results)`.
        prices: What replaces the prices that the run paid.
        requests: Arm → its requests (`savings.requests_by_arm`); without them, intervals are `None`.
        groups: Example id → group, where the examples have groups.

    Returns:
        New results; the old ones are left as they are.
    """
    fresh = dict(results)
    fresh["arms"] = [_repriced(arm, prices or Repricing(), results) for arm in results["arms"]]
    fresh["choices"] = [_rechosen(choice, prices or Repricing(), results) for choice in results.get("choices") or ()]
    fresh["comparisons"] = [dict(line) for line in results["comparisons"]]
    complete = {arm["name"] for arm in fresh["arms"] if arm["complete"]}
    paired = {name: each for name, each in (requests or {}).items() if name in complete}
    judge(fresh, decision, paired, groups or {})
    return dict(plain(fresh))


def assumptions(results: Mapping[str, Any]) -> Decision:
    """Returns the assumptions of stored results, of other versions too; what is null or absent is the default."""
    known = (results.get("decision") or {}).get("assumptions") or {}
    return Decision(**{each.name: known[each.name] for each in fields(Decision) if known.get(each.name) is not None})


def _repriced(arm: Mapping[str, Any], prices: Repricing, results: Mapping[str, Any]) -> Figures:
    fresh = dict(arm)
    price = prices.models.get(arm["model"] or "")
    if price is not None:
        before, training = price_of(arm), _new_training(arm, price)
        fresh["price"] = asdict(price)
        if before is None or before.by_kind != price.by_kind:  # else what was billed stands, of which tokens are a part
            fresh |= {"repriced": "tokens", "cost_per_1k_usd": priced(arm, price)}
        if training is not None:
            fresh["training_cost_usd"] = _training(arm, *training, results)
    elif prices.hour_usd is not None and on_this_machine(arm):
        busy, seconds = number(arm["machine_s_per_1k"]), number(arm["training_s"])
        fresh |= {"repriced": "hour", "cost_per_1k_usd": None if busy is None else busy / 3600 * prices.hour_usd}
        if seconds is not None:
            fresh["training_cost_usd"] = seconds / 3600 * prices.hour_usd
    if price is None and arm["name"] in prices.per_1k:
        fresh |= {"repriced": "request", "cost_per_1k_usd": prices.per_1k[arm["name"]]}
    return fresh


def on_this_machine(arm: Mapping[str, Any]) -> bool:
    """Whether a local endpoint answers for the arm, so that the hour of its machine is what it costs."""
    return bool(arm["local"] and arm["model"] and not arm["simulated"])


def _new_training(arm: Mapping[str, Any], price: Price) -> tuple[float, float | None] | None:
    """Returns the price of training and what it was before; `None` where it is none or the same."""
    before = price_of(arm)
    was = None if before is None else before.training
    return None if price.training is None or (before is not None and was == price.training) else (price.training, was)


def _training(arm: Mapping[str, Any], price: float, before: float | None, results: Mapping[str, Any]) -> float | None:
    """Returns what an arm's training costs at another price."""
    tokens = [each.get("trained_tokens") for each in results.get("training") or () if each.get("arm") == arm["name"]]
    known = [each for each in tokens if each is not None]
    return searches.trained_usd(known[-1] if known else None, price, before, arm["training_cost_usd"])


def _rechosen(choice: Mapping[str, Any], prices: Repricing, results: Mapping[str, Any]) -> Figures:
    """Returns what a choice took, under the prices that its arm has now."""
    arm = next((each for each in results["arms"] if each["name"] == choice.get("arm")), None)
    if arm is None:
        return dict(choice)
    price = prices.models.get(arm["model"] or "")
    if price is not None:
        training = _new_training(arm, price)
        return dict(choice) if training is None else searches.at_training_price(choice, *training)
    if prices.hour_usd is not None and on_this_machine(arm):
        return searches.at_hour(choice, prices.hour_usd)
    return dict(choice)


def plain(value: Any) -> Any:
    """Returns the value as JSON knows it: no NaN, no infinity, no tuple, no array scalar."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
