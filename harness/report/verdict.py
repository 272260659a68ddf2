"""The top of the page: what a decision-maker sees in ten seconds. Chosen by rule from the results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import numbers, terms
from harness.blocks import Tile
from harness.report.arms import Arm
from harness.report.facts import (
    Data,
    Measure,
    amount,
    comparison,
    contenders,
    cost_measure,
    latency,
    never_paid_back,
    p_of,
    paid_back_after,
    payback,
    tags,
    with_monthly,
)
from harness.words import say, say_n


def eyebrow(data: Data) -> list[str]:
    """Returns data set, date, size and seed."""
    run = data.get("run") or {}
    parts = [str((run.get("dataset") or {}).get("name") or run.get("name") or "")]
    parts.append(str(run.get("finished") or run.get("started") or "")[:10])
    if run.get("n_test") is not None:
        n = numbers.count(run["n_test"])
        parts.append(say_n(run["n_test"], "{n} test example", "{n} test examples", n=n))
    if run.get("seed") is not None:
        parts.append(say("seed {seed}", seed=run["seed"]))
    return [part for part in parts if part]


def remarks(data: Data) -> list[str]:
    """Returns what must be known before any number is read."""
    run = data.get("run") or {}
    found = [terms.remark("preview")] if run.get("preview") else []
    for remark in ("simulated", "imported"):
        marked = [arm for arm in data.get("arms") or () if arm.get(remark)]
        if marked:
            found.append(terms.remark(remark) if len(marked) == len(data["arms"]) else terms.partly(remark))
    return found


def paragraph(data: Data) -> str:
    """Returns the verdict's evidence in one paragraph; every number in it stands in `results.json`."""
    first, second = contenders(data)
    if first is None:
        return say("No arm has a measured accuracy.")
    said = [_accuracy(first, second)]
    if second is not None:
        against = comparison(data, first["name"], second["name"])
        if against is not None and against.get("difference") is not None:
            said.append(_difference(against))
        said += _cost(data, first, second)
    return " ".join(said)


def _accuracy(arm: Arm, other: Arm | None) -> str:
    low, high = arm.get("accuracy_ci") or (None, None)
    values = {"arm": _marked(arm), "share": numbers.percent(arm.get("accuracy"))}
    if low is not None:
        values["interval"] = numbers.percent_interval(low, high)
    if other is None:
        if low is None:
            return say("{arm} answers {share} of the test examples correctly.", **values)
        return say("{arm} answers {share} of the test examples correctly (95% CI {interval}).", **values)
    values |= {"other": _marked(other), "less": numbers.percent(other.get("accuracy"))}
    if low is None:
        return say("{arm} answers {share} of the test examples correctly; {other} {less}.", **values)
    return say("{arm} answers {share} of the test examples correctly (95% CI {interval}); {other} {less}.", **values)


def _marked(arm: Arm) -> str:
    marks = tags(arm)
    return f"{arm['name']} ({', '.join(marks)})" if marks else str(arm["name"])


def _difference(against: dict[str, Any]) -> str:
    points, parts = numbers.points(against["difference"]), _interval(against)
    p = p_of(against)
    if p is not None:
        parts.append(f"{terms.method(str(against.get('p_method') or 'McNemar'))}: {numbers.p_value(p)}")
    if not parts:
        return say("The difference is {points}.", points=points)
    return say("The difference is {points} ({evidence}).", points=points, evidence="; ".join(parts))


def _interval(against: dict[str, Any]) -> list[str]:
    low, high = against.get("ci") or (None, None)
    return [] if low is None else [say("95% CI {interval}", interval=numbers.points_interval(low, high))]


def _brief(against: dict[str, Any]) -> str:
    p = p_of(against)
    return ", ".join([*_interval(against), *([] if p is None else [numbers.p_value(p).replace(" ", "\u00a0")])])


def _cost(data: Data, first: Arm, second: Arm) -> list[str]:
    measure = cost_measure(data)
    mine, other = measure.of(first), measure.of(second)
    said = []
    if mine is not None and other is not None:
        values = {"arm": first["name"], "cost": measure.write(mine), "other": measure.write(other)}
        if measure.unit == "usd":
            said.append(say("{arm} costs {cost} instead of {other} per 1,000 requests.", **values))
        else:
            said.append(say("{arm} takes {cost} instead of {other} of this machine per 1,000 requests.", **values))
    entry = payback(data, [first["name"], second["name"]])
    if entry is not None and entry.get("requests") is not None:
        said.append(_paid_back(entry))
    return said


def _paid_back(entry: dict[str, Any]) -> str:
    n, after = entry["requests"], paid_back_after(entry)
    values = {"arm": entry["arm"], "against": entry["against"], "requests": numbers.count(after)}
    if entry.get("monthly") is not None:
        return _paid_back_monthly(entry["monthly"], after, values)
    if entry.get("fixed") is None:
        return say_n(
            n,
            "Training of {arm} is paid back after {requests} request against {against}.",
            "Training of {arm} is paid back after {requests} requests against {against}.",
            **values,
        )
    return say_n(
        n,
        "The {invested} of {arm} is paid back after {requests} request against {against}.",
        "The {invested} of {arm} is paid back after {requests} requests against {against}.",
        invested=numbers.invested(entry),
        **values,
    )


def _paid_back_monthly(monthly: dict[str, Any], n: int | None, values: dict[str, str]) -> str:
    """Says it of an arm that takes something each month beside its requests."""
    if monthly.get("requests_per_month") is None:
        return say_n(
            n or 0,
            "What {arm} takes each month left out, it is paid back after {requests} request against {against}.",
            "What {arm} takes each month left out, it is paid back after {requests} requests against {against}.",
            **values,
        )
    values["volume"] = numbers.count(monthly["requests_per_month"])
    if n is None:
        return say("At {volume} requests a month {arm} is never paid back against {against}.", **values)
    return say(
        "At {volume} requests a month {arm} is paid back after {requests} of them against {against}, with what it "
        "takes each month.", **values,
    )  # fmt: skip


def tiles(data: Data) -> tuple[Tile, ...]:
    """Returns the four tiles: accuracy, cost, p95 latency, payback; of one arm alone where there is no opponent."""
    first, second = contenders(data)
    if first is None:
        return ()
    measure = cost_measure(data)
    if second is None:
        return _alone(first, measure)
    gap = comparison(data, first["name"], second["name"]) or {}
    difference = gap.get("difference")
    if difference is None and first.get("accuracy") is not None and second.get("accuracy") is not None:
        difference = first["accuracy"] - second["accuracy"]
    evidence = _brief(gap) or _against(numbers.percent(first.get("accuracy")), numbers.percent(second.get("accuracy")))
    waits = latency(first), latency(second)
    return (
        Tile(label=say("Accuracy"), value=numbers.points(difference), detail=evidence),
        _change(measure.title, measure.of(first), measure.of(second), measure.write),
        _change(say("p95 latency"), waits[0], waits[1], numbers.ms),
        _payback(data, first, second),
    )


def _against(mine: str, other: str) -> str:
    return say("{mine} against {other}", mine=mine, other=other)


def _change(label: str, mine: float | None, other: float | None, write: Callable[[float | None], str]) -> Tile:
    if mine is None or other is None:
        detail = say("not measured") if mine is None and other is None else _against(write(mine), write(other))
        return Tile(label=label, value=numbers.MISSING, detail=detail)
    value = numbers.change(mine / other - 1) if other else numbers.MISSING
    return Tile(label=label, value=value, detail=say("{mine} instead of {other}", mine=write(mine), other=write(other)))


def _payback(data: Data, first: Arm, second: Arm) -> Tile:
    entry, label = payback(data, [first["name"], second["name"]]), say("Payback")
    if entry is None:
        return Tile(label=label, value=numbers.MISSING, detail=say("nothing was trained"))
    n, monthly = paid_back_after(entry), with_monthly(entry)
    if monthly:
        never = say("Never")
        value = never if n is None else say_n(n, "{n} request", "{n} requests", n=numbers.count(n))
        return Tile(label=label, value=value, detail=monthly)
    if n is None:
        value = say("Never") if never_paid_back(entry) else numbers.MISSING
        return Tile(label=label, value=value, detail=_why(data, entry))
    value = say_n(n, "{n} request", "{n} requests", n=numbers.count(n))
    if entry.get("fixed") is None:
        return Tile(label=label, value=value, detail=say("against {arm}", arm=entry["against"]))
    return Tile(label=label, value=value, detail=say("for {invested}", invested=numbers.invested(entry)))


def _why(data: Data, entry: dict[str, Any]) -> str:
    """Says in a few words why nothing is paid back."""
    saving = entry.get("saving_per_1k")
    if saving is None:
        return say("costs are not known in one unit")
    cost = (comparison(data, entry["arm"], entry["against"]) or {}).get("cost") or {}
    if saving < 0 and cost.get("cheaper") != "same":
        return say("{amount} more per 1,000 requests", amount=amount(-saving, entry.get("unit")))
    if saving and entry.get("fixed") is None:
        return say("what training cost is not known")
    return say("a request saves nothing")


def _alone(arm: Arm, measure: Measure) -> tuple[Tile, ...]:
    low, high = arm.get("accuracy_ci") or (None, None)
    interval = "" if low is None else say("95% CI {interval}", interval=numbers.percent_interval(low, high))
    counts = {"answered": numbers.count(arm.get("answered")), "n": numbers.count(arm.get("n"))}
    wait = latency(arm, "p50")
    median = say("not measured") if wait is None else say("median {wait}", wait=numbers.ms(wait))
    return (
        Tile(label=say("Accuracy"), value=numbers.percent(arm.get("accuracy")), detail=interval),
        Tile(
            label=say("Macro-F1"),
            value=numbers.decimal(arm.get("macro_f1")),
            detail=say("{answered} of {n} answered", **counts),
        ),
        Tile(label=measure.title, value=measure.write(measure.of(arm)), detail=""),
        Tile(label=say("p95 latency"), value=numbers.ms(latency(arm)), detail=median),
    )
