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
        """Yields the verdict's differences, all comparisons, what training taught, and what varies beside the items."""
        data = results.data
        entries = [entry for entry in data.get("comparisons") or () if entry.get("metric", "accuracy") == "accuracy"]
        if entries:
            yield from _compared(data, entries)
        yield from _relabelled(data)
        yield from _gains(data)
        yield from _varied(data)
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


def _relabelled(data: Data) -> Iterable[Block]:
    """Shows results before and after labels were corrected, in a copy that `harness relabel` made."""
    found = data.get("relabel")
    if not found:
        return
    rows = tuple(
        (
            _arm(data, line["arm"]),
            numbers.percent(line["before"]),
            numbers.percent(line["after"]),
            numbers.points(None if line["change"] is None else line["change"]),
        )
        for line in found["arms"]
    )
    titles = ("Before", "After", "Change")
    columns = (Column(title="Arm", head=True), *(Column(title=title, numeric=True) for title in titles))
    caption = f"Accuracy before and after {numbers.counted(found['corrected'], 'label')} were corrected. "
    yield Table(caption=f"{caption}Before: {found['verdict']['before']}", columns=columns, rows=rows)


def _gains(data: Data) -> Iterable[Block]:
    """Splits what training gained into form, shares of the labels, and task."""
    lines = [line for line in data.get("decomposition") or () if line.get("format") is not None]
    if not lines:
        return
    rows = tuple(
        (
            _arm(data, line["a"]),
            _arm(data, line["b"]),
            numbers.points(line["difference"]),
            Cell(text=numbers.points(line["format"]), note=_recovered(line["recovered"])),
            numbers.points(line["prior"]),
            numbers.points(line["task"]),
        )
        for line in lines
    )
    titles = ("Gain", "Form", "Label shares", "Task")
    columns = (
        Column(title="Trained", head=True),
        Column(title="Prompt"),
        *(Column(title=title, numeric=True) for title in titles),
    )
    caption = (
        "What training taught. Form: had the prompt been as right on the items that it left without a readable answer. "
        "Label shares: had it known how often each label occurs in train. Task: the rest."
    )
    yield Table(caption=caption, columns=columns, rows=rows)


def _recovered(items: int) -> str:
    return f"{numbers.counted(items, 'item')} made readable" if items else ""


VARIED = {  # beside the test items, of which every interval speaks
    "shot-draw": "the draw of shots",
    "training-seed": "the training seed",
    "repeats": "repeated asking",
}


def _varied(data: Data) -> Iterable[Block]:
    """Says what the experiment varied and what it did not; with several draws or seeds, how much they matter."""
    run = data.get("run") or {}
    varied, fixed = (
        [VARIED[name] for name in run.get(key) or () if name in VARIED] for key in ("varied", "not_varied")
    )
    if run.get("varied"):
        also = f" This experiment also varied {_listed(varied)}." if varied else ""
        rest = f" It did not vary {_listed(fixed, 'or')}." if fixed else ""
        yield Text(text=f"Intervals say how figures move with other test items.{also}{rest}")
    lines = [line for line in data.get("variation") or () if line.get("sd_between") is not None]
    if not lines:
        return
    rows = tuple(
        (
            _arm(data, line["of"]),
            f"{numbers.count(len(line['arms']))} {line['what']}s",
            numbers.percent(line["mean"]),
            numbers.points(line["sd_between"], signed=False),
            numbers.points(line["sd_sample"], signed=False),
            numbers.percent(line["share_between"], 0),
        )
        for line in lines
    )
    titles = ("Tested", "Mean accuracy", "SD by draw or seed", "SD by test items", "Due to draw or seed")
    columns = (Column(title="Arm", head=True), *(Column(title=title, numeric=True) for title in titles))
    yield Table(
        caption="How far one accuracy moves with another draw or seed, and with other test items.",
        columns=columns,
        rows=rows,
    )


def _listed(names: Sequence[str], word: str = "and") -> str:
    return f"{', '.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else names[0]


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
