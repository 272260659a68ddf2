"""Accuracy against what it costs and against how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers
from harness.blocks import Axis, Block, Chart, Point, Results, Series, Text
from harness.report.arms import Arm, ranked
from harness.report.facts import Data, cost_measure, latency
from harness.words import noted, say

SHOWN = 4
"""Arms of a front that a title names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Titles:
    """What a chart's title says of the arms on its front."""

    both: str
    """Of one that is best in both quantities."""
    between: str
    ends: str


CHEAPEST = _Titles(
    both=noted("{arm} is both the cheapest and the most accurate"),
    between=noted("{first} is the cheapest, {last} the most accurate; {rest} between"),
    ends=noted("{first} is the cheapest, {last} the most accurate"),
)
FASTEST = _Titles(
    both=noted("{arm} is both the fastest and the most accurate"),
    between=noted("{first} is the fastest, {last} the most accurate; {rest} between"),
    ends=noted("{first} is the fastest, {last} the most accurate"),
)


@dataclass(frozen=True, kw_only=True)
class TradeOffs:
    """Two charts with the Pareto front: nothing above and left of it exists."""

    name: ClassVar[str] = "trade-offs"
    title: ClassVar[str] = noted("Trade-offs")
    order: ClassVar[int] = 200

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a chart for each quantity that at least two arms have."""
        data = results.data
        measure = cost_measure(data)
        money = measure.unit == "usd"
        title = say("Cost per 1,000 requests") if money else say("Machine time per 1,000 requests")
        cost = _chart(data, measure.of, Axis(title=title, unit=measure.unit, log=True), CHEAPEST)
        if cost is not None:
            yield cost
        speed = _chart(data, latency, Axis(title=say("p95 latency"), unit="ms", log=True), FASTEST)
        if speed is not None:
            yield speed
        absent = [arm["name"] for arm in ranked(data) if measure.of(arm) is None and arm.get("accuracy") is not None]
        if absent and cost is not None:
            names = ", ".join(absent)
            yield Text(
                text=say("Not in the first chart, for want of a price: {arms}.", arms=names)
                if money
                else say("Not in the first chart, for want of machine time: {arms}.", arms=names)
            )


def _chart(data: Data, quantity: Callable[[Arm], float | None], axis: Axis, titles: _Titles) -> Chart | None:
    series, spots, sizes = [], [], set()
    for arm in ranked(data):
        x, y = quantity(arm), arm.get("accuracy")
        if x is None or y is None:
            continue
        low, high = arm.get("accuracy_ci") or (None, None)
        series.append(Series(arm=arm["name"], points=(Point(x=x, y=y, low=low, high=high),)))
        spots.append((x, y, arm["name"]))
        sizes.add(arm.get("n"))
    if len(series) < 2:
        return None
    subtitle = say("Up and left is better. Dashed: Pareto front. Bars: 95% CI.")
    if len(sizes) == 1 and None not in sizes:
        subtitle = say(
            "Up and left is better. Dashed: Pareto front. Bars: 95% CI, {n} test examples.",
            n=numbers.count(sizes.pop()),
        )
    from harness.report.charts.xy import frontier

    return Chart(
        title=_finding([name for _, _, name in frontier(spots)], titles),
        subtitle=subtitle,
        x=axis,
        y=Axis(title=say("Accuracy, 95% CI"), unit="share"),
        series=tuple(series),
        frontier=True,
    )


def _finding(front: Sequence[str], titles: _Titles) -> str:
    first, *between, last = front if len(front) > 1 else (front[0], front[0])
    if len(front) == 1:
        return say(titles.both, arm=first)
    if between and len(front) <= SHOWN:
        return say(titles.between, first=first, last=last, rest=", ".join(between))
    return say(titles.ends, first=first, last=last)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the trade-offs."""
    return [TradeOffs]
