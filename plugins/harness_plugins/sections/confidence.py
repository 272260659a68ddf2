"""What arms can answer alone, and what cascades of them come to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.blocks import Axis, Block, Cell, Chart, Point, Results, Series, Table, Text
from harness.report import cells
from harness.report.arms import Arm, ranked
from harness.report.facts import Data, arm_named, by_arm, contenders, cost_measure, tags
from harness.words import noted, say, say_n

SHOWN = 0.95
"""Wanted precision of the cascades that are shown at once; the others are folded."""
DRAWN = 2
"""Arms whose calibration is drawn, the contenders first."""
BINS, LEAST = 10, 10
"""Bins of the calibration at most, and answers of each at least."""
CLOSE = 0.02
"""Confidence that differs from accuracy by less is close to it."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Risk and coverage of each arm whose answers carry a confidence, gates, and cascades."""

    name: ClassVar[str] = "confidence"
    title: ClassVar[str] = noted("Confidence")
    order: ClassVar[int] = 560

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the curve, the gates and the cascades, and the arms for which there are none."""
        data = results.data
        able = [arm for arm in ranked(data) if (arm.get("confidence") or {}).get("available")]
        if able:
            yield _chart(able)
        calibration = _calibration(results, able)
        if calibration is not None:
            yield calibration
        gates = [arm for arm in able if arm["confidence"]["n_validation"]]
        if gates:
            yield from _gates(gates)
        yield from _cascades(data)
        yield from _absent(data, able)


def _chart(able: Sequence[Arm]) -> Chart:
    series = tuple(
        Series(
            arm=arm["name"],
            points=tuple(Point(x=coverage, y=precision) for coverage, precision in arm["confidence"]["curve"]),
            line=True,
        )
        for arm in able
    )
    return Chart(
        title=_finding(able),
        subtitle=say(
            "Share of right answers among the surest ones of {n} test items, from the most confident on.",
            n=cells.span(arm.get("n") for arm in able),
        ),
        x=Axis(title=say("Share of items answered"), unit="share", low=0, high=1),
        y=Axis(title=say("Precision"), unit="share", high=1),
        series=series,
    )


def _finding(able: Sequence[Arm]) -> str:
    """States the widest coverage at the precision that is shown."""
    gates = [(line, arm["name"]) for arm in able for line in arm["confidence"]["gates"] if line["wanted"] == SHOWN]
    known = [(line["coverage"], name) for line, name in gates if line["coverage"] is not None]
    if not known:
        return say("Surer answers, fewer items")
    coverage, name = max(known)
    return say(
        "Set for {precision} precision, {arm} answers {coverage} of items alone",
        precision=numbers.percent(SHOWN, 0),
        arm=name,
        coverage=numbers.percent(coverage, 0),
    )


def _calibration(results: Results, able: Sequence[Arm]) -> Chart | None:
    """Holds the confidence of the contenders' answers against how often these are right."""
    answers = by_arm(results.predictions, "confidence", "expected", "predicted")
    known = {arm["name"]: _known(answers.get(arm["name"], ())) for arm in able}
    first = [arm["name"] for arm in contenders(results.data) if arm is not None]
    order = sorted(known, key=lambda name: first.index(name) if name in first else len(first))
    drawn = [name for name in order if len(known[name]) >= 2 * LEAST][:DRAWN]
    if not drawn:
        return None
    series = tuple(
        Series(arm=name, points=tuple(_bin(part) for part in _parts(known[name])), line=True)
        for name in sorted(drawn, key=list(known).index)
    )
    return Chart(
        title=_sureness(drawn[0], known[drawn[0]]),
        subtitle=say(
            "Share of right answers by their mean confidence, in bins of as many answers each; answers: {arms}. Bars: "
            "95% CI. Dashed: as often right as sure.",
            arms="; ".join(f"{name} {numbers.count(len(known[name]))}" for name in drawn),
        ),
        x=Axis(title=say("Confidence"), unit="share", high=1),
        y=Axis(title=say("Right"), unit="share", high=1),
        series=series,
        diagonal=True,
        bounds=say("95% CI"),
    )


def _known(rows: Sequence[tuple[Any, ...]]) -> list[tuple[float, bool]]:
    """Returns confidence and rightness of the answers that have a confidence, the least sure first."""
    return sorted(
        (sure, expected == predicted)
        for sure, expected, predicted in rows
        if sure is not None and 0 <= sure <= 1 and predicted is not None
    )


def _parts(known: Sequence[tuple[float, bool]]) -> Iterator[Sequence[tuple[float, bool]]]:
    """Cuts answers into bins of equal number."""
    number = min(BINS, len(known) // LEAST)
    for n in range(number):
        yield known[round(n * len(known) / number) : round((n + 1) * len(known) / number)]


def _bin(part: Sequence[tuple[float, bool]]) -> Point:
    from harness.scoring.statistics import wilson  # brings scipy

    right = sum(hit for _, hit in part)
    low, high = wilson(right, len(part))
    return Point(x=math.fsum(sure for sure, _ in part) / len(part), y=right / len(part), low=low, high=high)


def _sureness(name: str, known: Sequence[tuple[float, bool]]) -> str:
    """States whether an arm is surer than it is right: in the mean, by more than chance and a point or two."""
    from harness.scoring.statistics import wilson

    right = sum(hit for _, hit in known)
    mean, (low, high) = math.fsum(sure for sure, _ in known) / len(known), wilson(right, len(known))
    if mean > max(high, right / len(known) + CLOSE):
        return say("{arm} is surer than it is right", arm=name)
    if mean < min(low, right / len(known) - CLOSE):
        return say("{arm} is more often right than it is sure", arm=name)
    return say("On the whole, {arm} is as often right as it is sure", arm=name)


def _gates(arms: Sequence[Arm]) -> Iterable[Table]:
    """Yields the gates at the precision that is shown, and the others folded."""
    lines = [(arm, line) for arm in arms for line in arm["confidence"]["gates"]]
    shown = [(arm, line) for arm, line in lines if line["wanted"] == SHOWN]
    caption = say(
        "What arms answer alone where {precision} are to be right. Thresholds are from validation; both shares are of "
        "the test split, where precision can turn out lower.",
        precision=numbers.percent(SHOWN, 0),
    )
    yield _gate_table(shown, caption, folded=False)
    rest = [pair for pair in lines if pair not in shown]
    if rest:
        yield _gate_table(rest, say("The same at other precisions"), folded=True)


def _gate_table(pairs: Sequence[tuple[Arm, Mapping[str, Any]]], caption: str, *, folded: bool) -> Table:
    titles = (say("Wanted"), say("Confidence from"), say("Answered alone (95% CI)"), say("Right of these (95% CI)"))
    columns = cells.heads(say("Arm"), *titles)
    rows = tuple(
        (
            cells.arm(arm),
            numbers.percent(line["wanted"], 0),
            numbers.decimal(line["threshold"]),
            cells.share(line["coverage"], line["coverage_ci"]),
            cells.share(line["precision"], line["precision_ci"]),
        )
        for arm, line in pairs
    )
    return Table(caption=caption, columns=columns, rows=rows, folded=folded)


def _cascades(data: Data) -> Iterable[Table]:
    lines = data.get("cascades") or ()
    shown = [line for line in lines if line["wanted"] == SHOWN]
    caption = say(
        "Cascades, replayed from the stored answers: each arm keeps what it is sure of, by thresholds from validation, "
        "and passes the rest on."
    )
    if shown:
        wanted = say("Wanted of what is kept: {precision} right.", precision=numbers.percent(SHOWN, 0))
        yield _table(data, shown, f"{caption} {wanted}", folded=False)
    rest = [line for line in lines if line not in shown]
    if rest:
        more = say_n(
            len(rest),
            "{n} cascade at other precisions",
            "{n} cascades at other precisions",
            n=numbers.count(len(rest)),
        )
        yield _table(data, rest, more if shown else caption, folded=bool(shown))


def _table(data: Data, lines: Sequence[Mapping[str, Any]], caption: str, *, folded: bool) -> Table:
    measure = cost_measure(data)
    titles = (say("Kept at"), say("Asked in turn"), say("Accuracy (95% CI)"), say("Against its last arm"))
    columns = cells.heads(say("Cascade"), *titles, measure.title, say("That arm alone"))
    rows = []
    for line in lines:
        last = arm_named(data, line["against"])
        rows.append(
            (
                Cell(text=" → ".join(line["stages"]), tags=tags(line)),
                numbers.percent(line["wanted"], 0),
                " → ".join(numbers.percent(share, 0) for share in line["shares"]),
                cells.share(line["accuracy"], line["accuracy_ci"]),
                Cell(text=numbers.points(line["difference"]), note=numbers.points_interval(*line["difference_ci"])),
                measure.write(measure.of(line)),
                measure.write(measure.of(last)) if last is not None else numbers.MISSING,
            )
        )
    return Table(caption=caption, columns=columns, rows=tuple(rows), folded=folded)


def _absent(data: Data, able: Sequence[Arm]) -> Iterable[Text]:
    """Names the arms that have no confidence, and those that have no threshold."""
    reasons: dict[str, list[str]] = {}
    for arm in ranked(data):
        found = arm.get("confidence") or {}
        if found.get("reason") and (arm not in able or not found["n_validation"]):
            reasons.setdefault(str(found["reason"]), []).append(str(arm["name"]))
    if reasons:
        said = "; ".join(f"{', '.join(names)} ({say(reason)})" for reason, names in reasons.items())
        yield Text(text=say("Not available: {arms}.", arms=said))


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares confidence gates and cascades."""
    return [Confidence]
