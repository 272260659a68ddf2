"""Learning curves and shot curves on one axis: what each accuracy costs in use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from harness import numbers
from harness.blocks import Axis, Chart, Mark, Point, Series, Unit
from harness.report import flip_points
from harness.report.facts import Data
from harness.words import say, say_n

VOLUME = 100_000
"""Requests over which a training is spread where the decision names no volume."""

Curve = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """A quantity in which training and requests are counted together; tokens know no training."""

    unit: Unit
    training: str
    answers: str

    def of(self, curve: Curve, point: Mapping[str, Any], volume: float) -> float | None:
        """Returns what the training of a point and `volume` requests take, or the tokens of a request."""
        asked = point.get(self.answers)
        if asked is None or self.unit == "tokens":
            return None if asked is None else float(asked)
        trained = point.get(self.training) if curve["kind"] == "learning" else 0.0
        items = curve.get("n_items") or 0
        if self.unit == "usd":  # nobody knows what failed items were billed: they are in no sum
            items -= point.get("failed") or 0
        return None if trained is None or not items else float(trained + asked / items * volume)


MEASURES = (
    _Measure(unit="usd", training="training_usd", answers="cost_usd"),
    _Measure(unit="s", training="training_s", answers="seconds"),
    _Measure(unit="tokens", training="", answers="input_tokens_mean"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spot:
    """One size of a training set or number of shots: what it takes and how right it is."""

    x: int
    cost: float
    mean: float
    low: float | None
    high: float | None


Line = tuple[Curve, list[_Spot]]


def together(data: Data, learning: Sequence[Curve], shots: Sequence[Curve]) -> Chart | None:
    """Returns both kinds of curve over one axis of cost; `None` where one kind or every common quantity is missing."""
    curves = _over_the_same([curve for curve in (*learning, *shots) if curve.get("summary")])
    if not curves:
        return None
    here = {arm["name"] for arm in data.get("arms") or () if arm.get("local")}
    for measure in MEASURES:
        if measure.unit == "s" and not all(curve["arm"] in here for curve in curves):
            continue  # others' machines: how long they took is no cost
        lines = [(curve, _spots(curve, measure, volume(data))) for curve in curves]
        if all(spots for _, spots in lines):
            return _chart(data, lines, measure)
    return None


def _over_the_same(curves: Sequence[Curve]) -> list[Curve]:
    """Returns those that were asked about the same items, as many as both kinds have; none where there are no such.

    Samples of one size are the same items (`choose.items`). Accuracies over others are not held against each other.
    """
    for items in sorted({curve.get("n_items") or 0 for curve in curves}, reverse=True):
        alike = [curve for curve in curves if (curve.get("n_items") or 0) == items]
        if {curve["kind"] for curve in alike} == {"learning", "shots"}:
            return alike
    return []


def volume(data: Data) -> float:
    """Returns the requests of the decision's horizon, else `VOLUME`."""
    decision = data.get("decision") or {}
    monthly, months = decision.get("requests_per_month"), decision.get("horizon_months")
    return float(monthly * months) if monthly and months else float(VOLUME)


def _spots(curve: Curve, measure: _Measure, requests: float) -> list[_Spot]:
    """Returns a curve's measured sizes, the smallest first; nothing where one of them has no cost."""
    spots = []
    for line in curve["summary"]:
        points = [point for point in curve["points"] if point["x"] == line["x"] and point.get("accuracy") is not None]
        costs = [measure.of(curve, point, requests) for point in points]
        known = [cost for cost in costs if cost is not None]
        if not known or len(known) < len(costs):
            return []
        low, high = line.get("low"), line.get("high")
        if low is None and len(points) == 1:
            low, high = points[0].get("accuracy_ci") or (None, None)
        cost = math.fsum(known) / len(known)
        spots.append(_Spot(x=line["x"], cost=cost, mean=line["mean"], low=low, high=high))
    return spots


def _chart(data: Data, lines: Sequence[Line], measure: _Measure) -> Chart:
    series = tuple(
        Series(
            arm=str(curve["arm"]),
            points=tuple(Point(x=spot.cost, y=spot.mean, low=spot.low, high=spot.high) for spot in spots),
            line=True,
        )
        for curve, spots in lines
    )
    titles = {
        "usd": say("Dollars for training and requests"),
        "s": say("Machine time for training and requests"),
        "tokens": say("Input tokens per request"),
    }
    return Chart(
        title=_finding(lines),
        subtitle=f"{_subtitle(data, lines, measure)} {_bars()}",
        x=Axis(title=titles[measure.unit], unit=measure.unit, log=True),
        y=Axis(title=say("Accuracy on validation"), unit="share"),
        series=series,
        marks=tuple(_crossings(lines)),
        bounds=say("Lowest to highest"),
    )


def _bars() -> str:
    return say("Bars: from the lowest to the highest seed or draw; of one alone, 95% CI.")


def _subtitle(data: Data, lines: Sequence[Line], measure: _Measure) -> str:
    items = numbers.count(max(curve.get("n_items") or 0 for curve, _ in lines))
    if measure.unit == "tokens":
        return say("Accuracy on {n} validation examples by the input tokens of a request.", n=items)
    decision = data.get("decision") or {}
    if decision.get("requests_per_month") and decision.get("horizon_months"):
        return say(
            "Accuracy on {n} validation examples by what training and {requests} requests a month over {months} take.",
            n=items,
            requests=numbers.count(decision["requests_per_month"]),
            months=flip_points.months(decision["horizon_months"]),
        )
    return say(
        "Accuracy on {n} validation examples by what training and {requests} requests take.",
        n=items,
        requests=numbers.count(VOLUME),
    )


def _finding(lines: Sequence[Line]) -> str:
    """Says whether training comes to what the best prompt comes to, and for more or for less."""
    prompts = [(spot, str(curve["arm"])) for curve, spots in lines if curve["kind"] == "shots" for spot in spots]
    trained = [(spot, str(curve["arm"])) for curve, spots in lines if curve["kind"] == "learning" for spot in spots]
    best, name = max(prompts, key=lambda pair: (pair[0].mean, -pair[0].cost))
    prompt = say_n(best.x, "{arm} with {n} shot", "{arm} with {n} shots", arm=name, n=numbers.count(best.x))
    able = [(spot.cost, spot.x, arm) for spot, arm in trained if spot.mean >= best.mean]
    if not able:
        return say("No training that was tried is as accurate as {prompt}", prompt=prompt)
    cost, size, arm = min(able)
    values = {"arm": arm, "n": numbers.count(size), "prompt": prompt}
    if cost < best.cost:
        return say("{arm} with {n} examples is at least as accurate as {prompt}, and takes less", **values)
    return say("{arm} with {n} examples is at least as accurate as {prompt}, but takes no less", **values)


def _crossings(lines: Sequence[Line]) -> Iterator[Mark]:
    """Yields where learning curves pass the best prompt: between two sizes, cost goes with log2 of the size."""
    for curve, spots in lines:
        found = curve.get("crossing") or {}
        if found.get("kind") != "between" or not found.get("n"):
            continue
        for first, second in pairwise(spots):
            if first.x <= found["n"] <= second.x:
                share = math.log2(found["n"] / first.x) / math.log2(second.x / first.x)
                cost = first.cost + share * (second.cost - first.cost)
                text = say("passes {prompt}", prompt=found["against"])
                yield Mark(x=cost, y=found["accuracy"], text=text)
                break
