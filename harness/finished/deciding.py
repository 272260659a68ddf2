"""Verdict and payback anew, under other assumptions, from what a run has stored: nothing is sent, nothing written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from harness.errors import UsageError, nearest
from harness.experiment import LOCAL
from harness.experiment.error_costs import require_labels
from harness.numbers import MISSING, count, duration, number, percent, usd
from harness.runs import RunFolder
from harness.scoring.costs import DEFAULT, price_of
from harness.scoring.facts import Decision, Price

PER_1K = "per_1k"
"""The price of 1,000 requests, of an arm that does not pay for tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line assumes otherwise than the run."""

    settings: Mapping[str, float | str] = field(default_factory=dict)
    """Fields of `Decision`."""
    error_usd: tuple[str, ...] = ()
    """`X` for every wrong answer, `LABEL=X` for those where that label was right."""
    prices: tuple[str, ...] = ()
    """`MODEL.KEY=X`; an arm's name stands for its model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was stored, and what follows now."""

    before: Mapping[str, Any]
    now: Mapping[str, Any]
    changed: tuple[tuple[str, Any, Any], ...]
    """Assumption, as it was, as it is."""

    @property
    def sentence(self) -> str:
        """The verdict's sentence now."""
        return str(self.now["verdict"]["sentence"])

    def as_dict(self) -> dict[str, Any]:
        """Returns the new parts of `results.json`, and what was changed."""
        return {
            "changed": [{"assumption": name, "before": before, "now": now} for name, before, now in self.changed],
            "payback": self.now["payback"],
            "decision": self.now["decision"],
            "verdict": self.now["verdict"],
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Returns a table: what, as it was, as it is now; assumptions that changed first."""
        sides = _outcome(self.before), _outcome(self.now)
        lines = [(name, _written(before), _written(now)) for name, before, now in self.changed]
        was = {key: text for key, _, text in sides[0]}
        return lines + [(name, was.get(key, MISSING), text) for key, name, text in sides[1]]


def decide(folder: RunFolder, wanted: Wanted) -> Decided:
    """Decides anew.

    Raises:
        UsageError: An arm, label, model or key that is not there, or a figure that cannot be.
        DataError: The run has no results.
    """
    from harness.report.reading import load
    from harness.scoring.judging import assumptions, rejudge
    from harness.scoring.savings import requests_by_arm

    stored = load(folder.path)
    before = stored.data
    old = assumptions(before)
    new = _decision(old, wanted, before)
    prices, repriced = _prices(wanted.prices, before)
    requests = requests_by_arm(stored.predictions) if stored.predictions else {}
    grouped = zip(stored.examples.get("id", ()), stored.examples.get("group", ()), strict=False)
    groups = {str(name): str(group) for name, group in grouped if group is not None}
    now = rejudge(before, new, prices, requests, groups)
    changed = [
        (each.name, was, is_)
        for each in fields(Decision)
        if (was := getattr(old, each.name)) != (is_ := getattr(new, each.name))
    ]
    return Decided(before=before, now=now, changed=(*changed, *repriced))


def _decision(old: Decision, wanted: Wanted, results: Mapping[str, Any]) -> Decision:
    names = [arm["name"] for arm in results["arms"]]
    incumbent = wanted.settings.get("incumbent")
    if incumbent is not None and incumbent not in names:
        raise UsageError(f'--incumbent {incumbent}: there is no arm "{incumbent}"; {nearest(str(incumbent), names)}')
    new = replace(old, **wanted.settings)  # type: ignore[arg-type]
    if wanted.error_usd:
        new = replace(new, error_usd=_error_usd(wanted.error_usd, old.error_usd, results["run"]["labels"]))
    return new


def _error_usd(
    given: Sequence[str], old: Mapping[str, float] | float | None, labels: Sequence[str]
) -> Mapping[str, float] | float:
    """Reads `X` and `LABEL=X`; what is not named stays as it was."""
    costs: dict[str, float] = {}
    for text in given:
        label, equals, amount = text.rpartition("=")
        costs[label if equals else DEFAULT] = _amount(f"--error-usd {text}", amount)
    if set(costs) == {DEFAULT}:
        return costs[DEFAULT]
    kept = dict(old) if isinstance(old, Mapping) else {DEFAULT: old or 0.0}
    costs = {**kept, **costs}
    require_labels(costs, labels, "--error-usd")
    return costs


def _amount(where: str, text: str) -> float:
    """Reads dollars.

    Raises:
        UsageError: It is no number, not finite, or negative.
    """
    try:
        amount = float(text)
    except ValueError:
        raise UsageError(f'{where}: "{text}" is no number') from None
    if not 0 <= amount < float("inf"):
        raise UsageError(f"{where}: dollars are 0 or more")
    return amount


def _prices(given: Sequence[str], results: Mapping[str, Any]) -> tuple[Any, list[tuple[str, Any, Any]]]:
    """Reads `MODEL.KEY=X` into what replaces the prices of a run, and what that changes."""
    from harness.scoring.judging import Repricing

    arms = {arm["name"]: arm for arm in results["arms"]}
    models = {str(arm["model"]): arm for arm in results["arms"] if arm["model"] and not arm["local"]}
    found: dict[str, Price] = {}
    changed: list[tuple[str, Any, Any]] = []
    hour, per_1k = None, dict[str, float]()
    for text in given:
        where = f"--price {text}"
        left, _, amount = text.rpartition("=")
        name, _, key = left.rpartition(".")
        if not name or not amount:
            raise UsageError(f"{where}: MODEL.KEY=X is expected, such as gpt-4.1-mini.input=0.40")
        if name == LOCAL:
            hour = _hour(where, key, amount, results)
            changed.append(("local.hour", _hour_before(results), hour))
            continue
        if key == PER_1K:
            per_1k[name] = _per_1k(where, name, amount, arms)
            changed.append((left, arms[name]["cost_per_1k_usd"], per_1k[name]))
            continue
        model = name if name in models else str(arms[name]["model"]) if name in arms else name
        if model not in models:
            raise UsageError(f"{where}: no arm pays for {name}; {nearest(name, [*models, LOCAL])}")
        keys = [each.name for each in fields(Price)]
        if key not in keys:
            raise UsageError(f'{where}: a price has no "{key}"; {nearest(key, keys)}')
        price = found.get(model) or price_of(models[model]) or Price()
        found[model] = replace(price, **{key: _amount(where, amount)})
        changed.append((f"{model}.{key}", getattr(price, key), getattr(found[model], key)))
    for model, price in found.items():
        if price.input is None or price.output is None:
            raise UsageError(f"--price: {model} has no price yet", "give both input and output")
    return Repricing(models=found, hour_usd=hour, per_1k=per_1k), changed


def _per_1k(where: str, name: str, amount: str, arms: Mapping[str, Mapping[str, Any]]) -> float:
    if name not in arms:
        raise UsageError(f'{where}: there is no arm "{name}"; {nearest(name, [*arms])}')
    if arms[name]["price"] is not None:
        raise UsageError(f"{where}: {name} pays for tokens", f"give {name}.input and {name}.output")
    return _amount(where, amount)


def _hour(where: str, key: str, amount: str, results: Mapping[str, Any]) -> float:
    from harness.scoring.judging import on_this_machine

    if key != "hour":
        raise UsageError(f'{where}: this machine has no price "{key}"; there is hour')
    if not any(on_this_machine(arm) for arm in results["arms"]):
        raise UsageError(f"{where}: no arm of this run answers on a local endpoint")
    return _amount(where, amount)


def _hour_before(results: Mapping[str, Any]) -> float | None:
    """Returns what an hour of this machine cost in the run: what requests cost there, for the time that they took."""
    from harness.scoring.judging import on_this_machine

    known = (
        (arm["cost_per_1k_usd"], arm["machine_s_per_1k"])
        for arm in results["arms"]
        if on_this_machine(arm) and arm["price"] is None
    )
    return next((cost / seconds * 3600 for cost, seconds in known if cost is not None and seconds), None)


def _outcome(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns what a reader looks for first, of the pair that the decision is about: key, its name, and in words."""
    from harness.report.facts import paid_back_after

    decision = results["decision"]
    money = decision["unit"] != "machine_s"
    amount = usd if money else duration
    entry = next((line for line in results["payback"] if line["role"] == decision["role"]), None)
    found = [("verdict", "verdict", str(results["verdict"]["kind"]))]
    if entry is None:
        return found
    pair = f"{entry['arm']} against {entry['against']}"
    ci = entry["ci"] if paid_back_after(entry) == entry["requests"] else None
    found += [
        ("fixed", "invested", amount(entry["fixed"])),
        ("saving_per_1k", "saved per 1,000 requests", amount(entry["saving_per_1k"])),
        ("requests", f"requests to pay back ({pair})", _requests(entry)),
        ("ci", "95% interval", _interval(ci)),
    ]
    if decision["requests_per_month"] is not None:
        found += [
            ("monthly_saving", "saved a month", amount(decision["monthly_saving"])),
            ("total_saving", f"saved in {number(decision['months'], 1)} months", amount(decision["total_saving"])),
            ("break_even_date", "breaks even on", str(decision["break_even_date"] or MISSING)),
            ("break_even_chance", "chance of it in time", percent(decision.get("break_even_chance"), 0)),
        ]
    return found


def _requests(entry: Mapping[str, Any]) -> str:
    from harness.report.facts import never_paid_back, paid_back_after, with_monthly

    after, monthly = paid_back_after(entry), with_monthly(entry)
    told = count(after) if after is not None else "never" if never_paid_back(entry) else "not known"
    return f"{told}, {monthly}" if monthly else told


def _interval(ci: Sequence[int | None] | None) -> str:
    if not ci:
        return MISSING
    return f"{count(ci[0])} to {count(ci[1]) if ci[1] is not None else 'never'}"


def _written(value: Any) -> str:
    """Writes an assumption."""
    if isinstance(value, Mapping):
        return ", ".join(f"{label} {each:g}" for label, each in value.items())
    return MISSING if value is None else f"{value:,.12g}" if isinstance(value, int | float) else str(value)
