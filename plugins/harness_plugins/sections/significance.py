"""Which differences can be told from chance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers, terms
from harness.blocks import Axis, Block, Cell, Column, Interval, Intervals, Results, Table, Text
from harness.report import cells
from harness.report.arms import ranked
from harness.report.facts import Data, comparison, contenders, on_accuracy
from harness.words import noted, say, say_n
from harness_plugins.sections._variation import listed, stability, varied


@dataclass(frozen=True, kw_only=True)
class Significance:
    """Paired differences with their intervals, and the counts behind them."""

    name: ClassVar[str] = "significance"
    title: ClassVar[str] = noted("Significance")
    order: ClassVar[int] = 500

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the verdict's differences, all comparisons, what training taught, and what varies beside the items."""
        data = results.data
        entries = on_accuracy(data)
        if entries:
            yield from _compared(data, entries)
        yield from _relabelled(data)
        yield from _gains(data)
        yield from varied(data)
        yield from stability(data)


def _compared(data: Data, entries: list[Mapping[str, Any]]) -> Iterable[Block]:
    first, second = contenders(data)
    for arm in (first, second):
        figure = None if arm is None else _differences(data, arm["name"])
        if figure is not None and (arm is first or len(figure.rows) > 1):
            yield figure
    ours = [entry for entry in entries if first is None or first["name"] in (entry["a"], entry["b"])]
    caption = say(
        "Only one right: test examples that the first arm alone and the second alone got right. The primary "
        "comparison decides; others are claimed only where it does, adjusted by Holm."
    )
    if any(entry.get("groups") for entry in entries):
        caption += " " + say(
            "By group: p of the clustered bootstrap, which decides; McNemar's takes examples as independent."
        )
    if ours:
        yield _table(data, ours, caption)
        yield from _not_worse(data, ours)
    rest = [entry for entry in entries if entry not in ours]
    if rest:
        more = say_n(len(rest), "{n} more comparison", "{n} more comparisons", n=numbers.count(len(rest)))
        yield _table(data, rest, more, folded=True)
    yield from _others(data)


def _differences(data: Data, name: str) -> Intervals | None:
    rows, method, sizes = [], "", set()
    for arm in ranked(data):
        entry = comparison(data, name, arm["name"])
        if entry is None or entry.get("difference") is None:
            continue
        low, high = entry.get("ci") or (None, None)
        method = str(entry.get("ci_method") or method)
        sizes.add(entry.get("n") or (data.get("run") or {}).get("n_test"))
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
    subtitle = [
        say("Accuracy of {arm} minus accuracy of the other, paired, {method}.", arm=name, method=terms.method(method))
        if method
        else say("Accuracy of {arm} minus accuracy of the other, paired.", arm=name),
        say("Bars: 95% CI, {n} test examples.", n=numbers.count(sizes.pop()))
        if len(sizes) == 1 and None not in sizes
        else say("Bars: 95% CI."),
        say("Shaded: the margin of {margin}.", margin=numbers.points(margin, signed=False)) if margin else "",
    ]
    return Intervals(
        title=_finding(name, rows),
        subtitle=" ".join(part for part in subtitle if part),
        axis=Axis(title=say("Lead of {arm}, points", arm=name), unit="points"),
        rows=tuple(rows),
        reference=0.0,
        margin=margin,
    )


def _finding(name: str, rows: list[Interval]) -> str:
    ahead = [row for row in rows if row.low is not None and row.low > 0]
    behind = [row for row in rows if row.high is not None and row.high < 0]
    if len(ahead) == len(rows):
        if len(rows) == 1:
            return say("{arm} leads {other}", arm=name, other=rows[0].label)
        return say("{arm} leads every other arm", arm=name)
    if behind:
        return say("{arm} is behind {others}", arm=name, others=_some([row.label for row in behind], 1))
    level = [row.label for row in rows if row not in ahead]
    return say("{arm} cannot be told apart from {others}", arm=name, others=_some(level, 2))


def _some(names: Sequence[str], most: int) -> str:
    shown, rest = ", ".join(names[:most]), len(names) - most
    return say("{names} and {n} more", names=shown, n=numbers.count(rest)) if rest > 0 else shown


def _table(data: Data, entries: list[Mapping[str, Any]], caption: str, *, folded: bool = False) -> Table:
    rows: list[tuple[str | Cell, ...]] = []
    grouped = any(entry.get("groups") for entry in entries)
    for entry in entries:
        low, high = entry.get("ci") or (None, None)
        rows.append(
            (
                cells.named(data, entry["a"]),
                cells.named(data, entry["b"]),
                Cell(
                    text=numbers.points(entry.get("difference")),
                    note=numbers.points_interval(low, high) if low is not None else "",
                    tags=(say("primary"),) if entry.get("primary") else (),
                ),
                f"{numbers.count(entry.get('only_a_right'))} : {numbers.count(entry.get('only_b_right'))}",
                *([numbers.p_value(entry.get("p"))] if grouped else []),
                numbers.p_value(entry.get("mcnemar_p")),
                numbers.p_value(entry.get("p_adjusted")),
            )
        )
    columns = (
        Column(title=say("Arm"), head=True),
        Column(title=say("Against")),
        Column(title=say("Difference (95% CI)"), numeric=True),
        Column(title=say("Only one right"), numeric=True),
        *([Column(title=say("By group"), numeric=True)] if grouped else []),
        Column(title=say("McNemar"), numeric=True),
        Column(title=say("Adjusted"), numeric=True),
    )
    return Table(caption=caption, columns=columns, rows=tuple(rows), folded=folded)


def _not_worse(data: Data, entries: Sequence[Mapping[str, Any]]) -> Iterable[Text]:
    """Says which arms are no worse than another one, where they are not shown to lead it."""
    margin = (data.get("run") or {}).get("margin") or 0.0
    shown: dict[str, list[str]] = {}
    for entry in entries:
        if not entry.get("ci"):
            continue
        low, high = entry["ci"]
        for name, other, leads in ((entry["a"], entry["b"], low > 0), (entry["b"], entry["a"], high < 0)):
            if name in (entry.get("not_worse") or ()) and not leads:
                shown.setdefault(name, []).append(other)
    for name, others in shown.items():
        yield Text(
            text=say(
                "{arm} is shown not to be worse than {others}: less accurate by {margin} at most, if at all.",
                arm=name,
                others=listed(others),
                margin=numbers.points(margin, signed=False),
            )
        )


def _metrics() -> dict[str, str]:
    """Returns the figures beside accuracy by which the contenders are compared."""
    return {
        "macro_f1": say("Macro-F1"),
        "balanced_accuracy": say("Balanced accuracy"),
        "mae": say("Mean error"),
        "mae_all": say("Mean error, a missing label counted as the worst"),
    }


def _others(data: Data) -> Iterable[Table]:
    """Compares the contenders by other figures than accuracy."""
    names = _metrics()
    lines = [line for line in data.get("differences") or () if line["metric"] in names and line.get("ci")]
    if not lines:
        return
    rows = []
    for line in lines:
        share = line["metric"] == "balanced_accuracy"
        value, (low, high) = line["difference"], line["ci"]
        said = numbers.points(value) if share else numbers.number(value, 3, signed=True)
        bounds = [numbers.number(bound, 3, signed=True) for bound in (low, high)]
        note = numbers.points_interval(low, high) if share else numbers.span(*bounds)
        rows.append(
            (
                names[line["metric"]],
                cells.named(data, line["a"]),
                cells.named(data, line["b"]),
                Cell(text=said, note=note),
            )
        )
    columns = (
        Column(title=say("Figure"), head=True),
        Column(title=say("Arm")),
        Column(title=say("Against")),
        Column(title=say("Difference (95% CI)"), numeric=True),
    )
    caption = say("The contenders by other figures; intervals: {method}.", method=terms.method(lines[0]["ci_method"]))
    yield Table(caption=caption, columns=columns, rows=tuple(rows))


def _relabelled(data: Data) -> Iterable[Block]:
    """Shows results before and after labels were corrected, in a copy that `harness relabel` made."""
    found = data.get("relabel")
    if not found:
        return
    rows = tuple(
        (
            cells.named(data, line["arm"]),
            numbers.percent(line["before"]),
            numbers.percent(line["after"]),
            numbers.points(line["change"]),
        )
        for line in found["arms"]
    )
    titles = (say("Before"), say("After"), say("Change"))
    columns = cells.heads(say("Arm"), *titles)
    caption = say_n(
        found["corrected"],
        "Accuracy before and after {n} label was corrected. Before: {verdict}",
        "Accuracy before and after {n} labels were corrected. Before: {verdict}",
        n=numbers.count(found["corrected"]),
        verdict=found["verdict"]["before"],
    )
    yield Table(caption=caption, columns=columns, rows=rows)


def _gains(data: Data) -> Iterable[Block]:
    """Splits what training gained into form, shares of the labels, and task."""
    lines = [line for line in data.get("decomposition") or () if line.get("format") is not None]
    if not lines:
        return
    rows = tuple(
        (
            cells.named(data, line["a"]),
            cells.named(data, line["b"]),
            numbers.points(line["difference"]),
            _part(line, "format", _recovered(line["recovered"])),
            _part(line, "prior"),
            _part(line, "task"),
        )
        for line in lines
    )
    titles = (say("Gain"), say("Form"), say("Label shares"), say("Task"))
    columns = (
        Column(title=say("Trained"), head=True),
        Column(title=say("Prompt")),
        *(Column(title=title, numeric=True) for title in titles),
    )
    caption = say(
        "What training taught. Form: had the prompt been as right on the items that it left without a readable answer. "
        "Label shares: had it known how often each label occurs in train. Task: the rest."
    )
    if any(line.get("task_ci") for line in lines):
        caption += " " + say("In small figures: 95% CI.")
    yield Table(caption=caption, columns=columns, rows=rows)


def _part(line: Mapping[str, Any], name: str, remark: str = "") -> Cell:
    """Writes a part of a gain with its interval, in points, and a remark."""
    low, high = line.get(f"{name}_ci") or (None, None)
    bounds = numbers.points_interval(low, high) if low is not None else ""
    return Cell(text=numbers.points(line[name]), note="; ".join(filter(None, (bounds, remark))))


def _recovered(items: int) -> str:
    return say_n(items, "{n} item made readable", "{n} items made readable", n=numbers.count(items)) if items else ""


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the comparisons."""
    return [Significance]
