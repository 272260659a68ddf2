"""What several sections ask of `results.json`. Absent keys are what is not known."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import numbers, terms
from harness.blocks import Columns, Unit
from harness.report.arms import Arm, ranked
from harness.words import say

Data = Mapping[str, Any]
"""The content of `results.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The quantity in which this run counts what a request costs."""

    key: str
    unit: Unit

    @property
    def title(self) -> str:
        """How the quantity is called."""
        return say("Cost per 1,000 requests") if self.unit == "usd" else say("Machine time per 1,000")

    @property
    def brief(self) -> str:
        """How a narrow column calls it."""
        return say("Cost per 1k") if self.unit == "usd" else say("Machine time per 1k")

    def of(self, arm: Arm) -> float | None:
        """Returns an arm's figure, `None` where there is none."""
        value = arm.get(self.key)
        return None if value is None else float(value)

    def write(self, value: float | None) -> str:
        """Writes a figure with its unit."""
        return amount(value, self.unit)


def amount(value: float | None, unit: str | None) -> str:
    """Writes dollars where the unit is `usd`, else seconds of a machine as a duration."""
    return numbers.usd(value) if unit == "usd" else numbers.duration(value)


DOLLARS = Measure(key="cost_per_1k_usd", unit="usd")
MACHINE = Measure(key="machine_s_per_1k", unit="s")


def cost_measure(data: Data) -> Measure:
    """Returns dollars where any arm has a price, else seconds of this machine."""
    priced = any(arm.get(DOLLARS.key) is not None for arm in data.get("arms") or ())
    timed = any(arm.get(MACHINE.key) is not None for arm in data.get("arms") or ())
    return MACHINE if timed and not priced else DOLLARS


def arm_named(data: Data, name: str | None) -> Arm | None:
    """Returns the entry of one arm."""
    return next((arm for arm in data.get("arms") or () if arm["name"] == name), None)


def contenders(data: Data) -> tuple[Arm | None, Arm | None]:
    """Returns the arm that the verdict speaks of and the one it is held against."""
    verdict = data.get("verdict") or {}
    first, second = arm_named(data, verdict.get("arm")), arm_named(data, verdict.get("against"))
    if first is None or second is None:
        primary: Data = next((entry for entry in data.get("comparisons") or () if entry.get("primary")), {})
        a, b = arm_named(data, primary.get("a")), arm_named(data, primary.get("b"))
        if a is not None and b is not None:
            first, second = (a, b) if first is None or first is a else (first, a if first is b else second)
    if first is None:
        measured = [arm for arm in ranked(data) if arm.get("accuracy") is not None]
        first = measured[0] if measured else None
    return first, second


def on_accuracy(data: Data) -> list[Data]:
    """Returns the comparisons of arms on accuracy."""
    return [entry for entry in data.get("comparisons") or () if entry.get("metric", "accuracy") == "accuracy"]


def comparison(data: Data, a: str, b: str) -> dict[str, Any] | None:
    """Returns the comparison of two arms on accuracy, turned so that its difference is accuracy(a) − accuracy(b)."""
    for entry in on_accuracy(data):
        if (entry["a"], entry["b"]) == (a, b):
            return dict(entry)
        if (entry["a"], entry["b"]) == (b, a):
            ci, gap = entry.get("ci"), entry.get("difference")
            return {
                **entry,
                "a": a,
                "b": b,
                "difference": None if gap is None else -gap,
                "ci": None if not ci else [-ci[1], -ci[0]],
                "only_a_right": entry.get("only_b_right"),
                "only_b_right": entry.get("only_a_right"),
            }
    return None


def payback(data: Data, names: Sequence[str]) -> dict[str, Any] | None:
    """Returns the payback entry that concerns these arms: both of them, else the first arm of them that has one."""
    entries = data.get("payback") or ()
    both = [entry for entry in entries if {entry["arm"], entry["against"]} == set(names)]
    mine = [entry for name in names for entry in entries if entry["arm"] == name]
    return next((dict(entry) for entry in [*both, *mine]), None)


def paid_back_after(entry: Mapping[str, Any]) -> int | None:
    """Returns after how many requests training is paid back; with what recurs each month where a volume is given."""
    monthly = entry.get("monthly") or {}
    at_volume = monthly.get("requests_per_month") is not None and entry.get("requests") is not None
    found: int | None = (monthly if at_volume else entry).get("requests")
    return found


def never_paid_back(entry: Mapping[str, Any]) -> bool:
    """Whether it is known that training is never paid back; otherwise it is, or costs are not known."""
    if paid_back_after(entry) is not None:
        return False
    saving = entry.get("saving_per_1k")
    return entry.get("requests") is not None or (saving is not None and (saving <= 0 or entry.get("fixed") is not None))


def with_monthly(entry: Mapping[str, Any]) -> str:
    """Says of which monthly costs `paid_back_after` speaks; nothing where training alone is to be paid back."""
    monthly = entry.get("monthly")
    if monthly is None or entry.get("requests") is None:
        return ""
    if monthly.get("requests_per_month") is None:
        return say("monthly costs left out")
    return say("at {volume} requests a month", volume=numbers.count(monthly["requests_per_month"]))


def tags(arm: Arm) -> tuple[str, ...]:
    """Returns the remarks without which an arm's numbers must not be shown."""
    return tuple(terms.remark(remark) for remark in ("simulated", "imported") if arm.get(remark))


def by_arm(predictions: Columns, *columns: str) -> dict[str, list[tuple[Any, ...]]]:
    """Returns arm → rows of the wanted columns; a column that is missing yields `None`."""
    names = predictions.get("arm") or ()
    wanted = [predictions.get(column) or (None,) * len(names) for column in columns]
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, *row in zip(names, *wanted, strict=True):
        found.setdefault(str(name), []).append(tuple(row))
    return found


def labels_among(data: Data, present: Collection[str]) -> list[str]:
    """Returns those labels that are present: the run's in their order, then others that were found, sorted."""
    given = [str(label) for label in (data.get("run") or {}).get("labels") or ()]
    return [label for label in given if label in present] + sorted(set(present) - set(given))


def latency(arm: Arm, share: str = "p95") -> float | None:
    """Returns how long an arm's answers took at most, in seconds: half of them (`p50`), or all but 5% (`p95`)."""
    value = (arm.get("latency_s") or {}).get(share)
    return None if value is None else float(value)


def p_of(entry: Data) -> float | None:
    """Returns the p value by which a comparison decides; results of early versions have McNemar's alone."""
    p: float | None = entry.get("p")
    return entry.get("mcnemar_p") if p is None else p
