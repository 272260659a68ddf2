"""Which differences can be told from chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.arms import ranked
from harness.report.blocks import Axis, Block, Cell, Column, Interval, Intervals, Results, Table, Text
from harness.report.facts import Data, arm_named, comparison, contenders, tags


@dataclass(frozen=True, kw_only=True)
class Significance:
    """Paired differences with their intervals, and the counts behind them."""

    name: ClassVar[str] = "significance"
    title: ClassVar[str] = "Significance"
    order: ClassVar[int] = 500

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the differences to the arm that the verdict speaks of, all comparisons, and how stable answers are."""
        data = results.data
        entries = [entry for entry in data.get("comparisons") or () if entry.get("metric", "accuracy") == "accuracy"]
        if entries:
            yield from _compared(data, entries)
        yield from _stability(data)


def _compared(data: Data, entries: list[Mapping[str, Any]]) -> Iterable[Block]:
    first, second = contenders(data)
    for arm in (first, second):
        figure = None if arm is None else _differences(data, arm["name"])
        if figure is not None and (arm is first or len(figure.rows) > 1):
            yield figure
    ours = [entry for entry in entries if first is None or first["name"] in (entry["a"], entry["b"])]
    caption = (
        "Only one right: test examples that the first arm alone and the second alone got right. The primary "
        "comparison decides; others are claimed only where it does, adjusted by Holm."
    )
    if any(entry.get("groups") for entry in entries):
        caption += " By group: p of the clustered bootstrap, which decides; McNemar's takes examples as independent."
    if ours:
        yield _table(data, ours, caption)
    rest = [entry for entry in entries if entry not in ours]
    if rest:
        yield _table(data, rest, f"{numbers.count(len(rest))} more comparisons", folded=True)


def _differences(data: Data, name: str) -> Intervals | None:
    rows, method = [], ""
    for arm in ranked(data):
        entry = comparison(data, name, arm["name"])
        if entry is None or entry.get("difference") is None:
            continue
        low, high = entry.get("ci") or (None, None)
        method = str(entry.get("ci_method") or method)
        rows.append(
            Interval(
                label=arm["name"],
                arm=arm["name"],
                value=entry["difference"],
                low=low,
                high=high,
                text=numbers.number(entry["difference"] * 100, 1, signed=True),
            )
        )
    if not rows:
        return None
    margin = (data.get("verdict") or {}).get("margin")
    band = f" Shaded: the margin of {numbers.points(margin, signed=False)}." if margin else ""
    return Intervals(
        title=_finding(name, rows),
        subtitle=f"Accuracy of {name} minus accuracy of the other, paired{f', {method}' if method else ''}."
        f" Bars: 95% CI.{band}",
        axis=Axis(title=f"Lead of {name}, points", unit="points"),
        rows=tuple(rows),
        reference=0.0,
        margin=margin,
    )


def _finding(name: str, rows: list[Interval]) -> str:
    ahead = [row for row in rows if row.low is not None and row.low > 0]
    behind = [row for row in rows if row.high is not None and row.high < 0]
    if len(ahead) == len(rows):
        return f"{name} leads every other arm" if len(rows) > 1 else f"{name} leads {rows[0].label}"
    if behind:
        return f"{name} is behind {behind[0].label}" + (f" and {len(behind) - 1} more" if len(behind) > 1 else "")
    level = [row.label for row in rows if row not in ahead]
    shown = ", ".join(level[:2]) + (f" and {len(level) - 2} more" if len(level) > 2 else "")
    return f"{name} cannot be told apart from {shown}"


def _table(data: Data, entries: list[Mapping[str, Any]], caption: str, *, folded: bool = False) -> Table:
    rows: list[tuple[str | Cell, ...]] = []
    grouped = any(entry.get("groups") for entry in entries)
    for entry in entries:
        low, high = entry.get("ci") or (None, None)
        rows.append(
            (
                _arm(data, entry["a"]),
                _arm(data, entry["b"]),
                Cell(
                    text=numbers.points(entry.get("difference")),
                    note=numbers.points_interval(low, high) if low is not None else "",
                    tags=("primary",) if entry.get("primary") else (),
                ),
                f"{numbers.count(entry.get('only_a_right'))} : {numbers.count(entry.get('only_b_right'))}",
                *([numbers.p_value(entry.get("p"))] if grouped else []),
                numbers.p_value(entry.get("mcnemar_p")),
                numbers.p_value(entry.get("p_adjusted")),
            )
        )
    columns = (
        Column(title="Arm", head=True),
        Column(title="Against"),
        Column(title="Difference (95% CI)", numeric=True),
        Column(title="Only one right", numeric=True),
        *([Column(title="By group", numeric=True)] if grouped else []),
        Column(title="McNemar", numeric=True),
        Column(title="Adjusted", numeric=True),
    )
    return Table(caption=caption, columns=columns, rows=tuple(rows), folded=folded)


def _stability(data: Data) -> Iterable[Block]:
    """Says how far an arm agrees with itself, where the test items were asked several times."""
    entries = data.get("repeats") or ()
    asked = [entry for entry in entries if (entry.get("repeats") or 0) > 1]
    rows = tuple(
        (
            _arm(data, entry["arm"]),
            numbers.count(entry["repeats"]),
            numbers.percent(entry.get("agreement")),
            numbers.percent(entry.get("flip_rate")),
            _span(entry.get("accuracy") or ()),
            numbers.points(entry.get("accuracy_sd"), 2, signed=False),
        )
        for entry in asked
    )
    if rows:
        titles = ("Asked", "Same label each time", "Two askings differ", "Accuracy", "Standard deviation")
        columns = (Column(title="Arm", head=True), *(Column(title=title, numeric=True) for title in titles))
        caption = (
            "Answer stability: every test item asked several times; the figures elsewhere are those of the first time."
        )
        lost = sum(entry.get("left_out") or 0 for entry in asked)
        if lost:
            caption += f" Labels are not compared where an answer is missing ({numbers.counted(lost, 'item')})."
        yield Table(caption=caption, columns=columns, rows=rows)
    same = [entry["arm"] for entry in entries if entry.get("reason") == "deterministic"]
    if same:
        yield Text(text=f"Asked once, because they always answer the same: {', '.join(same)}.")


def _span(accuracy: Sequence[float]) -> str:
    if not accuracy:
        return numbers.MISSING
    return numbers.percent_interval(min(accuracy), max(accuracy))


def _arm(data: Data, name: str) -> Cell:
    return Cell(text=name, arm=name, tags=tags(arm_named(data, name) or {}))


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the comparisons."""
    return [Significance]
