"""Whether training pays back, after how many requests, and what would change that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.blocks import Axis, Block, Cell, Chart, Column, Mark, Point, Results, Series, Table, Text, Unit
from harness.report.facts import Data, arm_named, contenders, cost_measure, payback, tags

ROLES = {
    "incumbent": "in use",
    "cheapest-acceptable": "cheapest that is good enough",
    "best-prompt": "best prompt",
}
PARTS = {
    "training": "Training",
    "search": "Search for its settings",
    "failed jobs": "Jobs that failed",
    "setup": "Set-up by hand",
    "labelling": "Labels",
    "evaluation": "Evaluation by this run",
}
QUANTITIES = {
    "requests_per_month": "Requests a month over {months} months",
    "tuned_price": "All prices of {arm}, times",
    "tuned_cost_per_1k": "1,000 requests of {arm}",
    "against_price": "All prices of {against}, times",
    "against_cost_per_1k": "1,000 requests of {against}",
    "cache_hit": "Prompt tokens found cached",
    "error_usd": "A wrong answer",
    "error_usd_factor": "The costs of wrong answers, times",
}


@dataclass(frozen=True, kw_only=True)
class Payback:
    """The crossing of two bills, the same against every opponent, the horizon, and the flip points."""

    name: ClassVar[str] = "payback"
    title: ClassVar[str] = "Payback"
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
            yield Text(text=str(main.get("reason") or "Training saves nothing per request."))
        else:
            yield chart
        yield _table(data, entries, half=chart is not None)
        decision = data.get("decision") or {}
        if decision.get("arm") is not None:
            yield from _horizon(data, decision)
            yield from _flips(decision)


def _write(value: float | None, unit: str | None) -> str:
    return numbers.usd(value) if unit == "usd" else numbers.duration(value)


def _chart(data: Data, entry: Mapping[str, Any]) -> Chart | None:
    tuned, other = arm_named(data, entry["arm"]), arm_named(data, entry["against"])
    requests, fixed, saving = entry.get("requests"), entry.get("fixed"), entry.get("saving_per_1k")
    if tuned is None or other is None or not requests or fixed is None or not saving:
        return None
    dear = _dear(data, entry, cost_measure(data).of(other))
    if dear is None:
        return None
    money = entry["unit"] == "usd"
    unit: Unit = "usd" if money else "s"
    end, slope = requests * 3.0, dear / 1000
    cheap = slope - saving / 1000
    lines = (
        Series(arm=entry["against"], points=(Point(x=0, y=0), Point(x=end, y=slope * end)), line=True),
        Series(arm=entry["arm"], points=(Point(x=0, y=fixed), Point(x=end, y=fixed + cheap * end)), line=True),
    )
    what = "Cumulative cost" if money else "Cumulative time of this machine"
    errors = ", wrong answers at their cost" if money and entry.get("error_saving_per_1k") is not None else ""
    return Chart(
        title=f"Fine-tuning {'costs' if money else 'takes'} less after {numbers.count(requests)} requests",
        subtitle=f"{what}, {_write(fixed, entry['unit'])} invested first{errors}.",
        x=Axis(title="Requests", unit="requests", low=0, high=end),
        y=Axis(title=what, unit=unit, low=0),
        series=lines,
        marks=(Mark(x=requests, y=slope * requests, text=f"pays back at {numbers.count(requests)} requests"),),
    )


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
        roles.setdefault(entry["against"], []).append(ROLES.get(str(entry.get("role")), str(entry.get("role") or "")))
    others = list({entry["against"]: entry for entry in entries}.values())
    rows: list[tuple[str | Cell, ...]] = [
        ("Which is", *(_arm(data, entry["against"], ", ".join(roles[entry["against"]])) for entry in others)),
        *_invested(others),
        ("Invested", *(_write(entry.get("fixed"), entry["unit"]) for entry in others)),
        ("Saved per 1,000 requests", *(_write(entry.get("saving_per_1k"), entry["unit"]) for entry in others)),
    ]
    if any(entry.get("error_saving_per_1k") is not None for entry in others):
        rows.append(("… of which on errors", *(_errors(entry) for entry in others)))
    if any(entry.get("cache_hit") is not None for entry in others):
        rows.append(("Prompt tokens found cached", *(_cached(entry) for entry in others)))
    rows.append(("Paid back after", *(_requests(entry) for entry in others)))
    return Table(
        caption=f"Training {entries[0]['arm']} instead of asking another arm.",
        columns=(Column(title="Quantity"), *(Column(title=f"Against {entry['against']}") for entry in others)),
        rows=tuple(rows),
        half=half,
    )


def _invested(others: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str | Cell, ...]]:
    """Yields the parts of the investment, where there is more than the training."""
    lines = [{line["name"]: line for line in entry.get("investment") or ()} for entry in others]
    names = list(dict.fromkeys(name for one in lines for name in one))
    for name in names if len(names) > 1 else ():
        yield (PARTS.get(name, name), *(_part(one.get(name)) for one in lines))


def _part(line: Mapping[str, Any] | None) -> Cell:
    if line is None:
        return Cell(text=numbers.MISSING)
    unit = "machine_s" if line["usd"] is None else "usd"
    note = "" if line["counted"] or line[unit] is None else "not counted"
    return Cell(text=_write(line[unit], unit), note=note)


def _errors(entry: Mapping[str, Any]) -> Cell:
    counted = entry["unit"] == "usd"
    return Cell(text=numbers.usd(entry.get("error_saving_per_1k")), note="" if counted else "not counted")


def _cached(entry: Mapping[str, Any]) -> Cell:
    assumed, measured = entry.get("cache_hit"), entry.get("cache_hit_run")
    note = "as in the run" if assumed == measured else f"assumed; {numbers.percent(measured, 0)} in the run"
    return Cell(text=numbers.percent(assumed, 0), note="" if assumed is None else note)


def _horizon(data: Data, decision: Mapping[str, Any]) -> Iterator[Table]:
    """Yields what the assumptions about production make of it; without a volume, for several."""
    against = f"Against {decision['against']}"
    months = _months(decision)
    shutdown = f", until the model is shut down on {decision['shutdown_date']}" if decision.get("shutdown_date") else ""
    unit = decision.get("unit")
    if decision.get("requests_per_month") is None:
        lines = [line for line in decision.get("table") or () if line.get("monthly_saving") is not None]
        if lines:
            titles = ("Requests a month", "Saved a month", f"Saved in {months} months", "Breaks even on")
            yield Table(
                caption=f"{against}, by volume, what was invested taken off{shutdown}.",
                columns=tuple(Column(title=title, numeric=place < 3) for place, title in enumerate(titles)),
                rows=tuple(_volume(line, unit) for line in lines),
            )
        return
    volume = numbers.count(decision["requests_per_month"])
    if decision.get("monthly_saving") is not None:
        chance = decision.get("break_even_chance")
        note = "" if chance is None else f"{numbers.percent(chance, 0)} chance within {months} months"
        yield Table(
            caption=f"{against}, at {volume} requests a month over {months} months{shutdown}.",
            columns=(Column(title="Quantity"), Column(title="Amount", numeric=True)),
            rows=(
                ("Recurs each month beside requests", _write(decision.get("monthly_upkeep"), unit)),
                ("Saved a month", _write(decision["monthly_saving"], unit)),
                ("Saved in all, what was invested taken off", _write(decision.get("total_saving"), unit)),
                ("Breaks even on", Cell(text=str(decision.get("break_even_date") or "never"), note=note)),
            ),
            half=True,
        )
    yield from _totals(data, decision, f"at {volume} requests a month over {months} months")


def _volume(line: Mapping[str, Any], unit: str | None) -> tuple[str, ...]:
    return (
        numbers.count(line["requests_per_month"]),
        _write(line["monthly_saving"], unit),
        _write(line["total_saving"], unit),
        str(line["break_even_date"] or ("never" if line["monthly_saving"] <= 0 else numbers.MISSING)),
    )


def _totals(data: Data, decision: Mapping[str, Any], when: str) -> Iterator[Table]:
    """Yields what each arm would take in all."""
    lines = [line for line in decision.get("totals") or () if line["total"] is not None]
    if not lines:
        return
    errors = any(line["errors_per_1k"] is not None for line in lines)
    titles = ["Invested", "1,000 requests", *(["Their errors"] if errors else []), "Each month", "In all"]
    lines.sort(key=lambda line: (line["unit"] != "usd", line["total"], line["arm"]))
    yield Table(
        caption=f"What each arm would take {when}.",
        columns=(Column(title="Arm", head=True), *(Column(title=title, numeric=True) for title in titles)),
        rows=tuple(
            (
                _arm(data, line["arm"], line["arm"]),
                _write(line["fixed"], line["unit"]),
                _write(line["per_1k"], line["unit"]),
                *([_interval(line)] if errors else []),
                _write(line["monthly"], line["unit"]),
                _write(line["total"], line["unit"]),
            )
            for line in lines
        ),
    )


def _interval(line: Mapping[str, Any]) -> Cell:
    low, high = line["errors_ci"] or (None, None)
    note = "" if low is None else f"95% CI {numbers.usd(low)} to {numbers.usd(high)}"
    return Cell(text=numbers.usd(line["errors_per_1k"]), note=note)


def _flips(decision: Mapping[str, Any]) -> Iterator[Table]:
    """Yields at what values the answer changes."""
    points = [point for point in decision.get("flip_points") or () if "unit" in point]
    if not points:
        return
    names = {"arm": decision["arm"], "against": decision["against"], "months": _months(decision)}
    pays = "at any volume" if decision.get("requests_per_month") is None else f"within {names['months']} months"
    yield Table(
        caption=f"What would change the answer, everything else as it is: where training begins to pay {pays}.",
        columns=(Column(title="Quantity"), Column(title="Turns at", numeric=True), Column(title="Training pays")),
        rows=tuple(
            (
                QUANTITIES[point["quantity"]].format(**names) if point["quantity"] in QUANTITIES else point["quantity"],
                _turn(point),
                "above" if point["above"] == decision["arm"] else "below",
            )
            for point in points
        ),
    )


def _months(decision: Mapping[str, Any]) -> str:
    return numbers.number(decision["months"], 0 if float(decision["months"]).is_integer() else 1)


def _turn(point: Mapping[str, Any]) -> str:
    value = point["value"]
    if point["unit"] == "usd":
        return numbers.usd(value)
    if point["unit"] == "share":
        return numbers.percent(value)
    return numbers.count(value) if point["unit"] == "requests" else numbers.number(value, 3)


def _arm(data: Data, name: str, text: str) -> Cell:
    return Cell(text=text, arm=name, tags=tags(arm_named(data, name) or {}))


def _requests(entry: Mapping[str, Any]) -> Cell:
    if entry.get("requests") is None:
        never = entry.get("saving_per_1k") is not None and entry["saving_per_1k"] <= 0
        return Cell(text="never" if never else numbers.MISSING)
    low, high = entry.get("ci") or (None, None)
    interval = f"95% CI {numbers.count(low)} to {numbers.count(high) if high is not None else 'never'}" if low else ""
    return Cell(text=f"{numbers.count(entry['requests'])} requests", note=interval)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the payback."""
    return [Payback]
