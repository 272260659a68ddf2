"""Whether training pays back, and after how many requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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


@dataclass(frozen=True, kw_only=True)
class Payback:
    """The crossing of two bills, and the same against every opponent."""

    name: ClassVar[str] = "payback"
    title: ClassVar[str] = "Payback"
    order: ClassVar[int] = 300

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the chart of the verdict's pair and a table of all pairs."""
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


def _write(value: float | None, unit: str) -> str:
    return numbers.usd(value) if unit == "usd" else numbers.duration(value)


def _chart(data: Data, entry: Mapping[str, Any]) -> Chart | None:
    tuned, other = arm_named(data, entry["arm"]), arm_named(data, entry["against"])
    requests, fixed, saving = entry.get("requests"), entry.get("fixed"), entry.get("saving_per_1k")
    if tuned is None or other is None or not requests or fixed is None or not saving:
        return None
    measure = cost_measure(data)
    dear = measure.of(other)
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
    return Chart(
        title=f"Fine-tuning {'costs' if money else 'takes'} less after {numbers.count(requests)} requests",
        subtitle=f"{what}, {_write(fixed, entry['unit'])} of training included.",
        x=Axis(title="Requests", unit="requests", low=0, high=end),
        y=Axis(title=what, unit=unit, low=0),
        series=lines,
        marks=(Mark(x=requests, y=slope * requests, text=f"pays back at {numbers.count(requests)} requests"),),
    )


def _table(data: Data, entries: Sequence[Mapping[str, Any]], *, half: bool) -> Table:
    """Returns one column for each opponent, whatever roles it has."""
    roles: dict[str, list[str]] = {}
    for entry in entries:
        roles.setdefault(entry["against"], []).append(ROLES.get(str(entry.get("role")), str(entry.get("role") or "")))
    others = list({entry["against"]: entry for entry in entries}.values())
    decision = data.get("decision") or {}
    rows: list[tuple[str | Cell, ...]] = [
        ("Which is", *(_arm(data, entry["against"], ", ".join(roles[entry["against"]])) for entry in others)),
        ("Training, with set-up", *(_write(entry.get("fixed"), entry["unit"]) for entry in others)),
        ("Saved per 1,000 requests", *(_write(entry.get("saving_per_1k"), entry["unit"]) for entry in others)),
        ("Paid back after", *(_requests(entry) for entry in others)),
    ]
    for title, text in _projection(decision):
        rows.append((title, *(text if entry["against"] == decision.get("against") else "" for entry in others)))
    columns = (Column(title="Quantity"), *(Column(title=f"Against {entry['against']}") for entry in others))
    return Table(
        caption=f"Training {entries[0]['arm']} instead of asking another arm.",
        columns=columns,
        rows=tuple(rows),
        half=half,
    )


def _projection(decision: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns what the assumptions about production make of it."""
    volume, unit = decision.get("requests_per_month"), str(decision.get("unit") or "usd")
    if volume is None or decision.get("monthly_saving") is None:
        return []
    horizon = numbers.number(decision.get("months", decision.get("horizon_months")))
    found = [
        (f"Saved a month at {numbers.count(volume)} requests", _write(decision["monthly_saving"], unit)),
        (f"Saved in {horizon} months, training paid", _write(decision.get("total_saving"), unit)),
        ("Breaks even on", str(decision.get("break_even_date") or numbers.MISSING)),
    ]
    if decision.get("shutdown_date"):
        found.append(("Model shut down on", str(decision["shutdown_date"])))
    return found


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
