"""Whether training pays back, after how many requests, and what would change that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.blocks import Axis, Block, Cell, Chart, Column, Mark, Point, Results, Series, Table, Text, Unit
from harness.report import cells, flip_points
from harness.report.facts import (
    Data,
    amount,
    arm_named,
    contenders,
    cost_measure,
    never_paid_back,
    paid_back_after,
    payback,
    with_monthly,
)
from harness.words import noted, say, say_n


@dataclass(frozen=True, kw_only=True)
class Payback:
    """The crossing of two bills, the same against every opponent, and what each arm takes over the horizon."""

    name: ClassVar[str] = "payback"
    title: ClassVar[str] = noted("Payback")
    order: ClassVar[int] = 300

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the chart of the verdict's pair, a table of all pairs, and what holds for the decision's pair."""
        data = results.data
        entries = data.get("payback") or []
        if not entries:
            return
        pair = [arm["name"] for arm in contenders(data) if arm is not None]
        main = payback(data, pair) or entries[0]
        chart = _chart(data, main)
        if chart is None:
            yield Text(text=_why_not(main))
        else:
            yield chart
        yield _table(data, entries, half=chart is not None)
        decision = data.get("decision") or {}
        if decision.get("arm") is not None and decision.get("requests_per_month") is not None:
            yield from _horizon(data, decision)


def _why_not(entry: Mapping[str, Any]) -> str:
    """Says why there is no crossing of two bills."""
    names = {"arm": entry["arm"], "against": entry["against"]}
    saving = entry.get("saving_per_1k")
    if saving is None:
        return say("What a request costs is not known for {arm} and {against} in the same unit.", **names)
    if entry.get("requests") == 0:
        return say("{arm} took nothing before its first request, so there is nothing to pay back.", **names)
    if saving < 0:
        more = amount(-saving, entry.get("unit"))
        if entry.get("unit") == "usd":
            return say("1,000 requests of {arm} cost {more} more than those of {against}.", more=more, **names)
        return say("1,000 requests of {arm} take {more} more machine time than those of {against}.", more=more, **names)
    monthly = entry.get("monthly")
    if monthly is not None and entry.get("requests") is not None and paid_back_after(entry) is None:
        return say(
            "{volume} requests of {arm} a month save no more than the {amount} that it takes each month beside them.",
            amount=amount(monthly.get("cost"), entry.get("unit")),
            volume=numbers.count(monthly["requests_per_month"]), **names,
        )  # fmt: skip
    if saving > 0 and entry.get("fixed") is None:
        return say("What the training of {arm} cost is not known.", **names)
    return say("A request of {arm} saves nothing that matters against one of {against}.", **names)


def _chart(data: Data, entry: Mapping[str, Any]) -> Chart | None:
    tuned, other = arm_named(data, entry["arm"]), arm_named(data, entry["against"])
    requests, fixed, saving = paid_back_after(entry), entry.get("fixed"), entry.get("saving_per_1k")
    if tuned is None or other is None or not requests or fixed is None or not saving:
        return None
    dear = _dear(data, entry, cost_measure(data).of(other))
    if dear is None:
        return None
    money = entry["unit"] == "usd"
    unit: Unit = "usd" if money else "s"
    end, slope = requests * 3.0, dear / 1000
    # What recurs each month is a part of each request at the volume that is given
    cheap = slope - (saving / 1000 if entry.get("monthly") is None else fixed / requests)
    lines = (
        Series(arm=entry["against"], points=(Point(x=0, y=0), Point(x=end, y=slope * end)), line=True),
        Series(arm=entry["arm"], points=(Point(x=0, y=fixed), Point(x=end, y=fixed + cheap * end)), line=True),
    )
    what = say("Cumulative cost") if money else say("Cumulative time of this machine")
    shown = numbers.count(requests)
    return Chart(
        title=_finding(requests, with_monthly(entry), money=money),
        subtitle=_method(entry, what, errors=money and entry.get("error_saving_per_1k") is not None),
        x=Axis(title=say("Requests"), unit="requests", low=0, high=end),
        y=Axis(title=what, unit=unit, low=0),
        series=lines,
        marks=(
            Mark(
                x=requests,
                y=slope * requests,
                text=say_n(requests, "pays back at {n} request", "pays back at {n} requests", n=shown),
            ),
        ),
    )


def _finding(requests: int, monthly: str, *, money: bool) -> str:
    found = _crossing(requests, money=money)
    return say("{finding}, {monthly}", finding=found, monthly=monthly) if monthly else found


def _crossing(requests: int, *, money: bool) -> str:
    n = numbers.count(requests)
    if money:
        return say_n(
            requests, "Fine-tuning costs less after {n} request", "Fine-tuning costs less after {n} requests", n=n
        )
    return say_n(requests, "Fine-tuning takes less after {n} request", "Fine-tuning takes less after {n} requests", n=n)


def _method(entry: Mapping[str, Any], what: str, *, errors: bool) -> str:
    invested = amount(entry["fixed"], entry["unit"])
    if errors:
        return say("{what}, {invested} invested first, wrong answers at their cost.", what=what, invested=invested)
    return say("{what}, {invested} invested first.", what=what, invested=invested)


def _dear(data: Data, entry: Mapping[str, Any], measured: float | None) -> float | None:
    """Returns what 1,000 requests of the opponent take, under the decision's assumptions."""
    totals = (data.get("decision") or {}).get("totals") or ()
    known = next((line for line in totals if line["arm"] == entry["against"]), None)
    if known is None or known["unit"] != entry["unit"] or known["per_1k"] is None:
        return measured
    return float(known["per_1k"] + (known["errors_per_1k"] or 0.0 if entry["unit"] == "usd" else 0.0))


def _table(data: Data, entries: Sequence[Mapping[str, Any]], *, half: bool) -> Table:
    """Returns one column for each opponent, whatever roles it has."""
    roles: dict[str, list[str]] = {}
    for entry in entries:
        roles.setdefault(entry["against"], []).append(_role(str(entry.get("role") or "")))
    others = list({entry["against"]: entry for entry in entries}.values())
    rows: list[tuple[str | Cell, ...]] = [
        (
            say("Which is"),
            *(cells.named(data, entry["against"], ", ".join(roles[entry["against"]])) for entry in others),
        ),
        *_invested(others),
        (say("Invested"), *(amount(entry.get("fixed"), entry["unit"]) for entry in others)),
        (say("Saved per 1,000 requests"), *(amount(entry.get("saving_per_1k"), entry["unit"]) for entry in others)),
    ]
    if any(entry.get("error_saving_per_1k") is not None for entry in others):
        rows.append((say("… of which on errors"), *(_errors(entry) for entry in others)))
    if any(entry.get("cache_hit") is not None for entry in others):
        rows.append((say("Prompt tokens found cached"), *(_cached(entry) for entry in others)))
    if any(entry.get("monthly") is not None for entry in others):
        rows.append((say("Recurs each month beside requests"), *(_monthly(entry) for entry in others)))
    rows.append((say("Paid back after"), *(_requests(entry) for entry in others)))
    return Table(
        caption=say("Training {arm} instead of asking another arm.", arm=entries[0]["arm"]),
        columns=(
            Column(title=say("Quantity"), head=len(others) > 1),
            *(Column(title=say("Against {arm}", arm=entry["against"])) for entry in others),
        ),
        rows=tuple(rows),
        half=half and len(others) < 3,
    )


def _role(role: str) -> str:
    known = {
        "incumbent": say("in use"),
        "cheapest-acceptable": say("cheapest that is good enough"),
        "best-prompt": say("best prompt"),
    }
    return known.get(role, role)


def _part_name(name: str) -> str:
    known = {
        "training": say("Training"),
        "search": say("Search for its settings"),
        "failed jobs": say("Jobs that failed"),
        "setup": say("Set-up by hand"),
        "labelling": say("Labels"),
        "evaluation": say("Evaluation by this run"),
    }
    return known.get(name, name)


def _invested(others: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str | Cell, ...]]:
    """Yields the parts of the investment, where there is more than the training."""
    lines = [{line["name"]: line for line in entry.get("investment") or ()} for entry in others]
    names = list(dict.fromkeys(name for one in lines for name in one))
    for name in names if len(names) > 1 else ():
        yield (_part_name(name), *(_part(one.get(name)) for one in lines))


def _part(line: Mapping[str, Any] | None) -> Cell:
    if line is None:
        return Cell(text=numbers.MISSING)
    unit = "machine_s" if line["usd"] is None else "usd"
    note = "" if line["counted"] or line[unit] is None else say("not counted")
    return Cell(text=amount(line[unit], unit), note=note)


def _errors(entry: Mapping[str, Any]) -> Cell:
    counted = entry["unit"] == "usd"
    return Cell(text=numbers.usd(entry.get("error_saving_per_1k")), note="" if counted else say("not counted"))


def _cached(entry: Mapping[str, Any]) -> Cell:
    assumed, measured = entry.get("cache_hit"), entry.get("cache_hit_run")
    if assumed is None:
        return Cell(text=numbers.MISSING)
    if assumed == measured:
        return Cell(text=numbers.percent(assumed, 0), note=say("as in the run"))
    note = say("assumed; {share} in the run", share=numbers.percent(measured, 0))
    return Cell(text=numbers.percent(assumed, 0), note=note)


def _monthly(entry: Mapping[str, Any]) -> str:
    return amount((entry.get("monthly") or {}).get("cost"), entry["unit"])


def _horizon(data: Data, decision: Mapping[str, Any]) -> Iterator[Table]:
    """Yields what the volume that was asked for comes to, and what each arm would take in all."""
    unit, when = decision.get("unit"), flip_points.months(decision["months"])
    volume = numbers.count(decision["requests_per_month"])
    if decision.get("monthly_saving") is not None:
        chance = decision.get("break_even_chance")
        note = _chance(numbers.percent(chance, 0), when) if flip_points.open_chance(chance) else ""
        yield Table(
            caption=say(
                "{arm} against {against}, at {volume} requests a month over {months}.",
                arm=decision["arm"], against=decision["against"], volume=volume, months=when,
            ),
            columns=(Column(title=say("Quantity")), Column(title=say("Amount"), numeric=True)),
            rows=(
                (say("Recurs each month beside requests"), amount(decision.get("monthly_upkeep"), unit)),
                (say("Saved a month"), amount(decision["monthly_saving"], unit)),
                (say("Saved in all, what was invested taken off"), amount(decision.get("total_saving"), unit)),
                (say("Breaks even on"), Cell(text=flip_points.break_even(decision), note=note)),
            ),
            half=True,
        )  # fmt: skip
    yield from _totals(data, decision, {"volume": volume, "months": when})


def _chance(chance: str, months: str) -> str:
    return say("{chance} chance within {months}", chance=chance, months=months)


def _totals(data: Data, decision: Mapping[str, Any], when: Mapping[str, str]) -> Iterator[Table]:
    """Yields what each arm would take in all."""
    lines = [line for line in decision.get("totals") or () if line["total"] is not None]
    if not lines:
        return
    errors = any(line["errors_per_1k"] is not None for line in lines)
    their = [say("Their errors")] if errors else []
    titles = [say("Invested"), say("1,000 requests"), *their, say("Each month"), say("In all")]
    lines.sort(key=lambda line: (line["unit"] != "usd", line["total"], line["arm"]))
    yield Table(
        caption=say("What each arm would take at {volume} requests a month over {months}.", **when),
        columns=cells.heads(say("Arm"), *titles),
        rows=tuple(
            (
                cells.named(data, line["arm"]),
                amount(line["fixed"], line["unit"]),
                amount(line["per_1k"], line["unit"]),
                *([_interval(line)] if errors else []),
                amount(line["monthly"], line["unit"]),
                amount(line["total"], line["unit"]),
            )
            for line in lines
        ),
    )


def _interval(line: Mapping[str, Any]) -> Cell:
    low, high = line["errors_ci"] or (None, None)
    note = "" if low is None else say("95% CI {interval}", interval=numbers.span(numbers.usd(low), numbers.usd(high)))
    return Cell(text=numbers.usd(line["errors_per_1k"]), note=note)


def _requests(entry: Mapping[str, Any]) -> Cell:
    n, monthly = paid_back_after(entry), with_monthly(entry)
    if n is None:
        return Cell(text=say("never") if never_paid_back(entry) else numbers.MISSING, note=monthly)
    if monthly:
        return Cell(text=say_n(n, "{n} request", "{n} requests", n=numbers.count(n)), note=monthly)
    low, high = entry.get("ci") or (None, None)
    most = numbers.count(high) if high is not None else say("never")
    interval = say("95% CI {interval}", interval=numbers.span(numbers.count(low), most)) if low is not None else ""
    return Cell(text=say_n(n, "{n} request", "{n} requests", n=numbers.count(n)), note=interval)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the payback."""
    return [Payback]
