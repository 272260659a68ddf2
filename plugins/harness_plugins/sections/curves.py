"""Accuracy against the size of the training set and the number of shots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.blocks import Axis, Block, Cell, Chart, Column, Mark, Point, Results, Series, Table, Text
from harness.report.facts import tags

FOLDED = 12
"""More points than that are shown only when asked for: the figure has them all."""

Curve = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Learning curves with the size at which training passes the best prompt, and shot curves."""

    name: ClassVar[str] = "curves"
    title: ClassVar[str] = "Curves"
    order: ClassVar[int] = 430

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a figure and a table for each kind of curve that has points."""
        curves = results.data.get("curves") or ()
        learning = [curve for curve in curves if curve.get("kind") == "learning" and curve.get("points")]
        shots = [curve for curve in curves if curve.get("kind") == "shots" and curve.get("points")]
        for figure in (_learning(learning), _shots(shots)):
            if figure is not None:
                yield figure
        said = [sentence for curve in learning for sentence in _said(curve)]
        if said:
            yield Text(text=" ".join(said))
        for of, caption in ((learning, "learning curves"), (shots, "shot curves")):
            if of:
                yield _table(results, of, caption)


def _learning(curves: Sequence[Curve]) -> Chart | None:
    drawn = [curve for curve in curves if curve.get("summary")]
    if not drawn:
        return None
    sizes = sorted({line["x"] for curve in drawn for line in curve["summary"]})
    series = [_mean(curve) for curve in drawn]
    marks, told = [], set()
    for curve in drawn:
        found = curve.get("crossing")
        if not found:
            continue
        if (found["against"], found["accuracy"]) not in told and len(sizes) > 1:
            ends = (Point(x=sizes[0], y=found["accuracy"]), Point(x=sizes[-1], y=found["accuracy"]))
            series.append(Series(arm=found["against"], points=ends, line=True))
        told.add((found["against"], found["accuracy"]))
        if found["kind"] == "between":
            marks.append(Mark(x=found["n"], y=found["accuracy"], text=f"{_about(found['n'])} examples"))
    first = next((curve for curve in drawn if curve.get("crossing")), drawn[0])
    return Chart(
        title=_finding(first),
        subtitle=f"{_measured(drawn)}: mean of the seeds, band from lowest to highest; across, the best prompt.",
        x=Axis(title="Training examples", log=True, ticks=tuple(float(size) for size in sizes)),
        y=Axis(title="Accuracy on validation", unit="share"),
        series=tuple(series),
        marks=tuple(marks),
        bounds="Lowest to highest",
    )


def _shots(curves: Sequence[Curve]) -> Chart | None:
    drawn = [curve for curve in curves if curve.get("summary")]
    if not drawn:
        return None
    best = max((line["mean"], -line["x"], curve["arm"]) for curve in drawn for line in curve["summary"])
    counts = sorted({line["x"] for curve in drawn for line in curve["summary"]})
    return Chart(
        title=f"{best[2]} is best with {numbers.counted(-best[1], 'shot')}: {numbers.percent(best[0])}",
        subtitle=f"{_measured(drawn)}: mean of the draws, band from the lowest to the highest.",
        x=Axis(title="Shots", log=True, ticks=tuple(float(count) for count in counts)),
        y=Axis(title="Accuracy on validation", unit="share"),
        series=tuple(_mean(curve) for curve in drawn),
        bounds="Lowest to highest",
    )


def _mean(curve: Curve) -> Series:
    points = tuple(
        Point(x=line["x"], y=line["mean"], low=line.get("low"), high=line.get("high")) for line in curve["summary"]
    )
    return Series(arm=str(curve["arm"]), points=points, line=True)


def _measured(curves: Sequence[Curve]) -> str:
    """Says on how many examples the curves were measured."""
    items = sorted({curve.get("n_items") or 0 for curve in curves})
    return f"Accuracy on {' or '.join(numbers.count(n) for n in items)} validation examples"


def _finding(curve: Curve) -> str:
    """Says in one sentence where a learning curve passes the best prompt."""
    arm, found, last = curve["arm"], curve.get("crossing"), curve["summary"][-1]
    if not found:
        return f"{arm} is right on {numbers.percent(last['mean'])} with {_examples(last['x'])}"
    prompt = _prompt(found)
    if found["kind"] == "between":
        return f"{arm} passes {prompt} at about {_about(found['n'])} training examples"
    if found["kind"] == "below":
        return f"{arm} matches {prompt} with {_examples(curve['summary'][0]['x'])} already, the fewest that were tried"
    return f"{arm} does not reach {prompt} with {_examples(last['x'])}"


def _prompt(found: Mapping[str, Any]) -> str:
    shots = found.get("shots")
    return str(found["against"]) + ("" if shots is None else f" with {numbers.counted(shots, 'shot')}")


def _examples(n: int) -> str:
    return numbers.counted(n, "training example")


def _about(n: float) -> str:
    """Writes a number of examples with the two digits that an interpolation is worth."""
    digits = max(len(str(int(n))) - 2, 0)
    return numbers.count(round(n, -digits))


def _said(curve: Curve) -> Iterable[str]:
    """Yields what a figure cannot say of a learning curve: how sure the crossing is, and the slope."""
    arm, found, line = curve["arm"], curve.get("crossing"), curve.get("fit")
    if curve.get("summary") and found and found.get("ci") is not None:
        low, high = found["ci"]
        fewest, most = curve["summary"][0]["x"], curve["summary"][-1]["x"]
        if low is None and high is None:
            yield (
                f"In {numbers.percent(found['reached'], 0)} of resamples of seeds and examples, {arm} is at least as "
                f"accurate as {_prompt(found)} with {_examples(most)}."
            )
        else:
            start = f"fewer than {numbers.count(fewest)}" if low is None else _about(low)
            end = f"more than {numbers.count(most)}" if high is None else _about(high)
            yield (
                f"The size at which {arm} passes {_prompt(found)} lies between {start} and {end} (95% interval over "
                "seeds and examples)."
            )
    if line:
        low, high = line["slope_ci"]
        yield (
            f"{arm} changes by {numbers.points(line['slope'])} with every doubling of its examples "
            f"(95% interval {numbers.points_interval(low, high)}, {numbers.count(line['n_points'])} points)."
        )


def _table(results: Results, curves: Sequence[Curve], caption: str) -> Table:
    remarks = {arm["name"]: tags(arm) for arm in results.data.get("arms") or ()}
    learning = caption == "learning curves"
    points = [(curve, point) for curve in curves for point in curve["points"]]
    money = any(point.get("training_usd") is not None or point.get("cost_usd") is not None for _, point in points)
    reasons = any(point.get("reason") for _, point in points)
    columns = [
        Column(title="Arm", head=True),
        Column(title="Examples" if learning else "Shots", numeric=True),
        Column(title="Seed" if learning else "Draw", numeric=True),
        Column(title="Accuracy (95% CI)", numeric=True),
    ]
    columns += [Column(title="Training", numeric=True)] if learning else [Column(title="Input tokens", numeric=True)]
    columns += [Column(title="Cost", numeric=True)] if money else []
    columns += [Column(title="Not measured", prose=True)] if reasons else []
    rows = []
    for curve, point in points:
        row: list[str | Cell] = [
            Cell(text=str(curve["arm"]), arm=str(curve["arm"]), tags=remarks.get(curve["arm"], ())),
            numbers.count(point["x"]),
            numbers.count(point.get("seed") if learning else point.get("draw")),
            _accuracy(point),
            numbers.duration(point.get("training_s")) if learning else numbers.count(point.get("input_tokens_mean")),
        ]
        row += [numbers.usd(_cost(point))] if money else []
        row += [point.get("reason") or ""] if reasons else []
        rows.append(tuple(row))
    spent = " Cost: training and answers." if money and learning else ""
    return Table(
        caption=f"Every point of the {caption}.{spent}",
        columns=tuple(columns),
        rows=tuple(rows),
        folded=len(rows) > FOLDED,
    )


def _accuracy(point: Mapping[str, Any]) -> Cell:
    low, high = point.get("accuracy_ci") or (None, None)
    note = "" if low is None else numbers.percent_interval(low, high)
    return Cell(text=numbers.percent(point.get("accuracy")), note=note)


def _cost(point: Mapping[str, Any]) -> float | None:
    parts = [cost for cost in (point.get("training_usd"), point.get("cost_usd")) if cost is not None]
    return sum(parts) if parts else None


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the curves."""
    return [Curves]
