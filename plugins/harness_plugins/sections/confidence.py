"""What arms can answer alone, and what cascades of them come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.arms import Arm, ranked
from harness.report.blocks import Axis, Block, Cell, Chart, Column, Point, Results, Series, Table, Text
from harness.report.facts import Data, arm_named, cost_measure, tags

SHOWN = 0.95
"""Wanted precision of the cascades that are shown at once; the others are folded."""


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """Risk and coverage of each arm whose answers carry a confidence, gates, and cascades."""

    name: ClassVar[str] = "confidence"
    title: ClassVar[str] = "Confidence"
    order: ClassVar[int] = 560

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the curve, the gates and the cascades, and the arms for which there are none."""
        data = results.data
        able = [arm for arm in ranked(data) if (arm.get("confidence") or {}).get("available")]
        if able:
            yield _chart(able)
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
        subtitle="Share of right answers among the surest ones of the test items, from the most confident on.",
        x=Axis(title="Share of items answered", unit="share", low=0, high=1),
        y=Axis(title="Precision", unit="share", high=1),
        series=series,
    )


def _finding(able: Sequence[Arm]) -> str:
    """States the widest coverage at the precision that is shown."""
    gates = [(line, arm["name"]) for arm in able for line in arm["confidence"]["gates"] if line["wanted"] == SHOWN]
    known = [(line["coverage"], name) for line, name in gates if line["coverage"] is not None]
    if not known:
        return "Surer answers, fewer items"
    coverage, name = max(known)
    return (
        f"Set for {numbers.percent(SHOWN, 0)} precision, {name} answers {numbers.percent(coverage, 0)} of items alone"
    )


def _gates(arms: Sequence[Arm]) -> Iterable[Table]:
    """Yields the gates at the precision that is shown, and the others folded."""
    lines = [(arm, line) for arm in arms for line in arm["confidence"]["gates"]]
    shown = [(arm, line) for arm, line in lines if line["wanted"] == SHOWN]
    caption = (
        f"What arms answer alone where {numbers.percent(SHOWN, 0)} are to be right. Thresholds are from validation; "
        "both shares are of the test split, where precision can turn out lower."
    )
    yield _gate_table(shown, caption, folded=False)
    rest = [pair for pair in lines if pair not in shown]
    if rest:
        yield _gate_table(rest, "The same at other precisions", folded=True)


def _gate_table(pairs: Sequence[tuple[Arm, Mapping[str, Any]]], caption: str, *, folded: bool) -> Table:
    titles = ("Wanted", "Confidence from", "Answered alone (95% CI)", "Right of these (95% CI)")
    columns = (Column(title="Arm", head=True), *(Column(title=title, numeric=True) for title in titles))
    rows = tuple(
        (
            _arm(arm),
            numbers.percent(line["wanted"], 0),
            numbers.decimal(line["threshold"]),
            _share(line["coverage"], line["coverage_ci"]),
            _share(line["precision"], line["precision_ci"]),
        )
        for arm, line in pairs
    )
    return Table(caption=caption, columns=columns, rows=rows, folded=folded)


def _share(value: float | None, ci: Sequence[float] | None) -> Cell:
    return Cell(text=numbers.percent(value), note=numbers.percent_interval(ci[0], ci[1]) if ci else "")


def _cascades(data: Data) -> Iterable[Table]:
    lines = data.get("cascades") or ()
    shown = [line for line in lines if line["wanted"] == SHOWN]
    caption = (
        "Cascades, replayed from the stored answers: each arm keeps what it is sure of, by thresholds from validation, "
        "and passes the rest on."
    )
    if shown:
        yield _table(data, shown, f"{caption} Wanted of what is kept: {numbers.percent(SHOWN, 0)} right.", folded=False)
    rest = [line for line in lines if line not in shown]
    if rest:
        title = f"{numbers.counted(len(rest), 'cascade')} at other precisions" if shown else caption
        yield _table(data, rest, title, folded=bool(shown))


def _table(data: Data, lines: Sequence[Mapping[str, Any]], caption: str, *, folded: bool) -> Table:
    measure = cost_measure(data)
    columns = (
        Column(title="Cascade", head=True),
        Column(title="Kept at", numeric=True),
        Column(title="Asked in turn", numeric=True),
        Column(title="Accuracy (95% CI)", numeric=True),
        Column(title="Against its last arm", numeric=True),
        Column(title=measure.title, numeric=True),
        Column(title="That arm alone", numeric=True),
    )
    rows = []
    for line in lines:
        low, high = line["difference_ci"]
        last = arm_named(data, line["against"])
        rows.append(
            (
                Cell(text=" → ".join(line["stages"]), tags=("simulated",) if line["simulated"] else ()),
                numbers.percent(line["wanted"], 0),
                " → ".join(numbers.percent(share, 0) for share in line["shares"]),
                Cell(text=numbers.percent(line["accuracy"]), note=numbers.percent_interval(*line["accuracy_ci"])),
                Cell(
                    text=f"{line['against']} {numbers.points(line['difference'])}",
                    note=numbers.points_interval(low, high),
                ),
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
        said = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())
        yield Text(text=f"Not available: {said}.")


def _arm(arm: Arm) -> Cell:
    return Cell(text=arm["name"], arm=arm["name"], tags=tags(arm))


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares confidence gates and cascades."""
    return [Confidence]
