"""Accuracy against what it costs and against how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness.report.arms import Arm, ranked
from harness.report.blocks import Axis, Block, Chart, Point, Results, Series, Text
from harness.report.charts.xy import frontier
from harness.report.facts import Data, cost_measure


@dataclass(frozen=True, kw_only=True)
class TradeOffs:
    """Two charts with the Pareto front: nothing above and left of it exists."""

    name: ClassVar[str] = "trade-offs"
    title: ClassVar[str] = "Trade-offs"
    order: ClassVar[int] = 200

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a chart for each quantity that at least two arms have."""
        data = results.data
        measure = cost_measure(data)
        unit = "Cost per 1,000 requests" if measure.unit == "usd" else "Machine time per 1,000 requests"
        cost = _chart(data, measure.of, Axis(title=unit, unit=measure.unit, log=True), "cheapest")
        if cost is not None:
            yield cost
        latency = _chart(data, _p95, Axis(title="p95 latency", unit="ms", log=True), "fastest")
        if latency is not None:
            yield latency
        absent = [arm["name"] for arm in ranked(data) if measure.of(arm) is None and arm.get("accuracy") is not None]
        what = "a price" if measure.unit == "usd" else "machine time"
        if absent and cost is not None:
            yield Text(text=f"Not in the first chart, for want of {what}: {', '.join(absent)}.")


def _p95(arm: Arm) -> float | None:
    value = (arm.get("latency_s") or {}).get("p95")
    return None if value is None else float(value)


def _chart(data: Data, quantity: Callable[[Arm], float | None], axis: Axis, least: str) -> Chart | None:
    series, spots = [], []
    for arm in ranked(data):
        x, y = quantity(arm), arm.get("accuracy")
        if x is None or y is None:
            continue
        low, high = arm.get("accuracy_ci") or (None, None)
        series.append(Series(arm=arm["name"], points=(Point(x=x, y=y, low=low, high=high),)))
        spots.append((x, y, arm["name"]))
    if len(series) < 2:
        return None
    return Chart(
        title=_finding([name for _, _, name in frontier(spots)], least),
        subtitle="Up and left is better. Dashed: Pareto front. Bars: 95% CI.",
        x=axis,
        y=Axis(title="Accuracy, 95% CI", unit="share"),
        series=tuple(series),
        frontier=True,
    )


def _finding(front: list[str], least: str) -> str:
    if len(front) == 1:
        return f"{front[0]} is both the {least} and the most accurate"
    between = f"; {', '.join(front[1:-1])} between" if 2 < len(front) <= 4 else ""
    return f"{front[0]} is the {least}, {front[-1]} the most accurate{between}"


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the trade-offs."""
    return [TradeOffs]
