"""What training takes beside the price of a request: once (the investment), and again each month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.scoring.answers import Figures
from harness.scoring.costs import Arm, number, price_of
from harness.scoring.facts import Decision
from harness.types import TUNED

HOURS_PER_MONTH = 730.5
"""365.25 days of 24 hours, in twelve parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a run knows of money beside its arms."""

    choices: Sequence[Mapping[str, Any]] = ()
    """`results.json["choices"]`: what was tried on validation, and what it cost."""
    ledger: Mapping[str, Any] = field(default_factory=dict)
    """`results.json["ledger"]`: what the run has spent."""
    n_train: int | None = None
    """Training examples."""

    @classmethod
    def of(cls, results: Mapping[str, Any]) -> Spent:
        """Takes it from results, also from older ones that lack parts of it."""
        rows = (results.get("data") or {}).get("rows_out") or {}
        return cls(choices=results.get("choices") or (), ledger=results.get("ledger") or {}, n_train=rows.get("train"))

    def search(self, arm: Arm, training: float | None, unit: str) -> float | None:
        """Returns what the choice of an arm's settings took beside the training that won.

        Args:
            arm: The arm.
            training: What that training took.
            unit: `usd` or `machine_s`.
        """
        total, candidates = self.searched(arm, unit)
        return candidates if total is None else max(0.0, total - (training or 0.0))

    def searched(self, arm: Arm, unit: str) -> tuple[float | None, float | None]:
        """Returns what the choice of an arm's settings took in all, and what is known of its candidates' answers."""
        choice = next((each for each in self.choices if each.get("arm") == arm["name"]), None)
        if choice is None:
            return None, None
        each = "cost_usd" if unit == "usd" else "seconds"
        candidates = _known([candidate.get(each) for candidate in choice.get("candidates") or ()])
        return number(choice.get("usd" if unit == "usd" else "seconds")), candidates

    def asking(self, arm: Arm) -> float | None:
        """Returns what this run has spent on answers; those of the choice of the arm's settings are its search."""
        spent = number(self.ledger.get("spent_usd"))
        if spent is None:
            return None
        search = next((each for each in self.choices if each.get("arm") == arm["name"]), {})
        billed = number(search.get("billed_usd"))
        if billed is None:  # not said by earlier versions
            billed = _known([each.get("cost_usd") for each in search.get("candidates") or ()])
        return max(0.0, spent - (number(self.ledger.get("training_usd")) or 0.0) - (billed or 0.0))


def investment(arm: Arm, decision: Decision, spent: Spent, unit: str) -> list[Figures]:
    """Returns what an arm took before its first request: lines of `name`, `usd`, `machine_s` and `counted`.

    Counted is what training causes: the job, the search for its settings, jobs that failed, set-up, labels. What the
    run spent on asking is counted only if `decision` says so. Time of people has no seconds of a machine.
    """
    if arm["family"] not in TUNED:
        return []
    money = unit == "usd"
    training = training_of(arm, unit)
    labels = decision.labelling_usd
    if labels is None and decision.label_usd is not None and spent.n_train is not None:
        labels = decision.label_usd * spent.n_train
    hours = decision.setup_hours * decision.hour_usd
    lines: list[tuple[str, float | None, bool]] = [
        ("training", training, True),
        ("search", spent.search(arm, training, unit), True),
        ("failed jobs", number(arm.get("failed_training_usd")) if money else None, True),
        ("setup", hours or None, money),
        ("labelling", labels, money),
        ("evaluation", spent.asking(arm) if money else None, decision.count_evaluation),
    ]
    people = ("setup", "labelling")
    return [
        {
            "name": name,
            "usd": amount if money or name in people else None,
            "machine_s": amount if not money and name not in people else None,
            "counted": counted and amount is not None,
        }
        for name, amount, counted in lines
        if amount is not None or name == "training"
    ]


def fixed_cost(lines: Sequence[Figures], unit: str) -> float | None:
    """Returns the sum of what counts, `None` where the training itself is not known."""
    if not lines or lines[0][unit] is None:
        return None
    return float(sum(line[unit] for line in lines if line["counted"]))


def training_of(arm: Arm, unit: str) -> float | None:
    """Returns what an arm's training took, in dollars or in seconds of this machine."""
    return number(arm["training_cost_usd" if unit == "usd" else "training_s"])


def recurring(arm: Arm, decision: Decision, unit: str) -> list[Figures]:
    """Returns what keeping an arm takes each month whatever it is asked: lines of `name`, `usd` and `machine_s`.

    Upkeep, retraining (the job again, without search) and `hosting_usd_per_month` are the trained arm's; a price for
    the hour of deployment is that of any model.
    """
    money, tuned = unit == "usd", arm["family"] in TUNED
    price = price_of(arm)
    hosting = (price.hosting_hour or 0.0) * HOURS_PER_MONTH if price is not None and money else 0.0
    lines = [("hosting", hosting + (decision.hosting_usd_per_month if tuned and money else 0.0))]
    if tuned:
        again = decision.retrainings_per_year / 12 * (training_of(arm, unit) or 0.0)
        by_hand = decision.upkeep_hours_per_month * decision.hour_usd if money else 0.0
        lines += [("upkeep", by_hand), ("retraining", again)]
    return [
        {"name": name, "usd": amount if money else None, "machine_s": None if money else amount}
        for name, amount in lines
        if amount
    ]


def monthly_cost(lines: Sequence[Figures], unit: str) -> float:
    """Returns the sum of `recurring`."""
    return float(sum(line[unit] for line in lines))


def monthly_more(tuned: Arm, other: Arm, decision: Decision, unit: str) -> float:
    """Returns what the trained arm takes each month beside its requests, less what the other does."""
    mine, its = (monthly_cost(recurring(arm, decision, unit), unit) for arm in (tuned, other))
    return mine - its


def _known(values: Sequence[Any]) -> float | None:
    """Returns the sum of what is known."""
    known = [float(value) for value in values if value is not None]
    return sum(known) if known else None
