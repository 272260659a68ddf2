"""Accuracy against the size of the training set and the number of shots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.blocks import Axis, Block, Cell, Chart, Column, Mark, Point, Results, Series, Table, Text
from harness.report import cells
from harness.words import noted, say, say_n
from harness_plugins.sections._cost_axis import together

FOLDED = 12
"""More points than that are shown only when asked for: the figure has them all."""

Curve = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Learning curves with the size at which training passes the best prompt, and shot curves."""

    name: ClassVar[str] = "curves"
    title: ClassVar[str] = noted("Curves")
    order: ClassVar[int] = 430

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields both kinds of curve, alone and on one axis of cost, what they cannot say, and all points."""
        curves = results.data.get("curves") or ()
        learning = [curve for curve in curves if curve.get("kind") == "learning" and curve.get("points")]
        shots = [curve for curve in curves if curve.get("kind") == "shots" and curve.get("points")]
        for figure in (_learning(learning), _shots(shots), together(results.data, learning, shots)):
            if figure is not None:
                yield figure
        said = [sentence for curve in learning for sentence in _said(curve)]
        if said:
            yield Text(text=" ".join(said))
        if learning:
            yield _table(results, learning, say("Every point of the learning curves. Cost: training and answers."))
        if shots:
            yield _table(results, shots, say("Every point of the shot curves."))


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
            text = say("{n} examples", n=_about(found["n"]))
            marks.append(Mark(x=found["n"], y=found["accuracy"], text=text))
    first = next((curve for curve in drawn if curve.get("crossing")), drawn[0])
    return Chart(
        title=_finding(first),
        subtitle=say(
            "Accuracy on {n} validation examples: mean of the seeds, band from lowest to highest; across, the best "
            "prompt.",
            n=cells.span(curve.get("n_items") for curve in drawn),
        ),
        x=Axis(title=say("Training examples"), log=True, ticks=tuple(float(size) for size in sizes)),
        y=Axis(title=say("Accuracy on validation"), unit="share"),
        series=tuple(series),
        marks=tuple(marks),
        bounds=say("Lowest to highest"),
    )


def _shots(curves: Sequence[Curve]) -> Chart | None:
    drawn = [curve for curve in curves if curve.get("summary")]
    if not drawn:
        return None
    best = max((line["mean"], -line["x"], curve["arm"]) for curve in drawn for line in curve["summary"])
    counts = sorted({line["x"] for curve in drawn for line in curve["summary"]})
    return Chart(
        title=say_n(
            -best[1],
            "{arm} is best with {n} shot: {accuracy}",
            "{arm} is best with {n} shots: {accuracy}",
            arm=best[2],
            n=numbers.count(-best[1]),
            accuracy=numbers.percent(best[0]),
        ),
        subtitle=say(
            "Accuracy on {n} validation examples: mean of the draws, band from the lowest to the highest.",
            n=cells.span(curve.get("n_items") for curve in drawn),
        ),
        x=Axis(title=say("Shots"), log=True, ticks=tuple(float(count) for count in counts)),
        y=Axis(title=say("Accuracy on validation"), unit="share"),
        series=tuple(_mean(curve) for curve in drawn),
        bounds=say("Lowest to highest"),
    )


def _mean(curve: Curve) -> Series:
    points = tuple(
        Point(x=line["x"], y=line["mean"], low=line.get("low"), high=line.get("high")) for line in curve["summary"]
    )
    return Series(arm=str(curve["arm"]), points=points, line=True)


def _finding(curve: Curve) -> str:
    """Says in one sentence where a learning curve passes the best prompt."""
    arm, found, last = curve["arm"], curve.get("crossing"), curve["summary"][-1]
    if not found:
        right = numbers.percent(last["mean"])
        return say("{arm} is right on {share} with {examples}", arm=arm, share=right, examples=_examples(last["x"]))
    prompt = _prompt(found)
    if found["kind"] == "between":
        return say("{arm} passes {prompt} at about {n} training examples", arm=arm, prompt=prompt, n=_about(found["n"]))
    if found["kind"] == "below":
        fewest = _examples(curve["summary"][0]["x"])
        return say(
            "{arm} matches {prompt} with {examples} already, the fewest that were tried",
            arm=arm,
            prompt=prompt,
            examples=fewest,
        )
    return say("{arm} does not reach {prompt} with {examples}", arm=arm, prompt=prompt, examples=_examples(last["x"]))


def _prompt(found: Mapping[str, Any]) -> str:
    shots, arm = found.get("shots"), str(found["against"])
    if shots is None:
        return arm
    return say_n(shots, "{arm} with {n} shot", "{arm} with {n} shots", arm=arm, n=numbers.count(shots))


def _examples(n: int) -> str:
    return say_n(n, "{n} training example", "{n} training examples", n=numbers.count(n))


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
            yield say(
                "In {share} of resamples of seeds and examples, {arm} is at least as accurate as {prompt} with "
                "{examples}.",
                share=numbers.percent(found["reached"], 0),
                arm=arm,
                prompt=_prompt(found),
                examples=_examples(most),
            )
        else:
            yield say(
                "The size at which {arm} passes {prompt} lies between {start} and {end} (95% interval over seeds and "
                "examples).",
                arm=arm,
                prompt=_prompt(found),
                start=say("fewer than {n}", n=numbers.count(fewest)) if low is None else _about(low),
                end=say("more than {n}", n=numbers.count(most)) if high is None else _about(high),
            )
    if line:
        low, high = line["slope_ci"]
        yield say(
            "{arm} changes by {slope} with every doubling of its examples (95% interval {ci}, {n} measurements).",
            arm=arm,
            slope=numbers.points(line["slope"]),
            ci=numbers.points_interval(low, high),
            n=numbers.count(line["n_points"]),
        )


def _table(results: Results, curves: Sequence[Curve], caption: str) -> Table:
    learning = curves[0].get("kind") == "learning"
    points = [(curve, point) for curve in curves for point in curve["points"]]
    money = any(point.get("training_usd") is not None or point.get("cost_usd") is not None for _, point in points)
    reasons = any(point.get("reason") for _, point in points)
    columns = [
        Column(title=say("Arm"), head=True),
        Column(title=say("Examples") if learning else say("Shots"), numeric=True),
        Column(title=say("Seed") if learning else say("Draw"), numeric=True),
        Column(title=say("Accuracy (95% CI)"), numeric=True),
        Column(title=say("Training") if learning else say("Input tokens"), numeric=True),
    ]
    columns += [Column(title=say("Cost"), numeric=True)] if money else []
    columns += [Column(title=say("Not measured"), prose=True)] if reasons else []
    rows = []
    for curve, point in points:
        row: list[str | Cell] = [
            cells.named(results.data, str(curve["arm"])),
            numbers.count(point["x"]),
            numbers.count(point.get("seed") if learning else point.get("draw")),
            cells.share(point.get("accuracy"), point.get("accuracy_ci")),
            numbers.duration(point.get("training_s")) if learning else numbers.count(point.get("input_tokens_mean")),
        ]
        row += [numbers.usd(_cost(point, learning))] if money else []
        row += [say(str(point.get("reason") or ""))] if reasons else []
        rows.append(tuple(row))
    return Table(
        caption=caption,
        columns=tuple(columns),
        rows=tuple(rows),
        folded=len(rows) > FOLDED,
    )


def _cost(point: Mapping[str, Any], learning: bool) -> float | None:
    """Returns what a point has cost, its training included; `None` where a part of it is not known."""
    training, answers = point.get("training_usd") if learning else 0.0, point.get("cost_usd")
    return None if training is None or answers is None else float(training + answers)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the curves."""
    return [Curves]
