"""Where the contenders go wrong: by label, and what they take for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers
from harness.report.arms import ranked
from harness.report.blocks import Axis, Block, Column, Dot, DotRow, Dots, Matrix, Results, Table
from harness.report.facts import by_arm, contenders

SHOWN = 18
"""Labels of a matrix; the others, the least confused ones, are folded into one."""
NONE = "(no label)"
MISTAKES = 8
"""Rows of the table of mistakes."""


@dataclass(frozen=True, kw_only=True)
class Errors:
    """F1 by label for the two contenders, and their confusion matrices."""

    name: ClassVar[str] = "errors"
    title: ClassVar[str] = "Errors"
    order: ClassVar[int] = 600

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields nothing where there are no predictions."""
        answers = by_arm(results.predictions, "expected", "predicted")
        names = [arm["name"] for arm in contenders(results.data) if arm is not None and arm["name"] in answers]
        if len(names) < 2:
            names += [
                arm["name"] for arm in ranked(results.data) if arm["name"] in answers and arm["name"] not in names
            ]
        names = names[:2]
        if not names:
            return
        present = {expected for expected, _ in answers[names[0]]}
        given = [str(label) for label in (results.data.get("run") or {}).get("labels") or ()]
        labels = [label for label in given if label in present] + sorted(present - set(given))
        yield _by_label(names, answers, labels)
        yield _mistakes(names, answers)
        for name in names:
            yield _confusion(name, answers[name], labels)


def _by_label(names: Sequence[str], answers: dict[str, list[tuple[str, str | None]]], labels: Sequence[str]) -> Dots:
    scores = {name: {label: f1(answers[name], label) for label in labels} for name in names}
    gaps = {label: max(s[label] for s in scores.values()) - min(s[label] for s in scores.values()) for label in labels}
    shown = sorted(labels, key=lambda label: -gaps[label])[:SHOWN]
    rows = tuple(
        DotRow(label=label, dots=tuple(Dot(arm=name, value=scores[name][label]) for name in names))
        for label in labels
        if label in shown
    )
    widest = shown[0]
    better = max(names, key=lambda name: scores[name][widest])
    ahead = len(names) > 1 and gaps[widest] > 0
    title = f"{better} is furthest ahead on {widest}" if ahead else f"{names[0]} by label"
    rest = f" The {len(shown)} labels with the widest gaps." if len(shown) < len(labels) else ""
    return Dots(
        title=title,
        subtitle=f"F1 of each label on the test split.{rest}",
        axis=Axis(title="F1", unit="number"),
        rows=rows,
    )


def _mistakes(names: Sequence[str], answers: dict[str, list[tuple[str, str | None]]]) -> Table:
    wrong = {name: Counter((e, NONE if p is None else p) for e, p in answers[name] if e != p) for name in names}
    total = sum(wrong.values(), Counter[tuple[str, str]]())
    frequent = sorted(total, key=lambda pair: (-total[pair], pair))[:MISTAKES]
    rows = [(*pair, *(numbers.count(wrong[name][pair]) for name in names)) for pair in frequent]
    rest = [numbers.count(wrong[name].total() - sum(wrong[name][pair] for pair in frequent)) for name in names]
    if len(total) > len(frequent):
        rows.append((f"{numbers.count(len(total) - len(frequent))} other mistakes", "", *rest))
    columns = (
        Column(title="Expected"),
        Column(title="Taken for"),
        *(Column(title=name, numeric=True) for name in names),
    )
    return Table(caption="The most frequent mistakes.", columns=columns, rows=tuple(rows), half=True)


def f1(pairs: Sequence[tuple[str, str | None]], label: str) -> float:
    """Returns 2·TP / (2·TP + FP + FN) of one label; unparsed and failed answers are misses."""
    hit = sum(expected == label == predicted for expected, predicted in pairs)
    either = sum((expected == label) + (predicted == label) for expected, predicted in pairs)
    return 2 * hit / either if either else 0.0


def _confusion(name: str, pairs: Sequence[tuple[str, str | None]], labels: Sequence[str]) -> Matrix:
    counts = Counter((expected, NONE if predicted is None else predicted) for expected, predicted in pairs)
    wrong = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    kept, folded = _kept(labels, wrong)
    other = f"other ({numbers.count(len(folded))})"
    names = [*kept, *([other] if folded else [])]
    extra = sorted({predicted for _, predicted in counts} - set(labels) - {NONE})
    columns = [*names, *extra[: max(0, SHOWN - len(names))]]
    columns += [NONE] if any(predicted == NONE for _, predicted in counts) else []
    table = Counter[tuple[str, str]]()
    for (expected, predicted), count in counts.items():
        row = expected if expected in kept else other
        column = predicted if predicted in columns else other
        table[row, column] += count
    if other not in columns and any(column == other for _, column in table):
        columns.append(other)
    return Matrix(
        title=_finding(name, wrong, sum(counts.values())),
        subtitle=f"Confusion of {name}, test examples. Each row is shaded by its own shares.",
        rows=tuple(names),
        columns=tuple(columns),
        counts=tuple(tuple(table[row, column] for column in columns) for row in names),
    )


def _kept(labels: Sequence[str], wrong: dict[tuple[str, str], int]) -> tuple[list[str], list[str]]:
    if len(labels) <= SHOWN:
        return list(labels), []
    weight = Counter[str]()
    for (expected, predicted), count in wrong.items():
        weight[expected] += count
        weight[predicted] += count
    first = set(sorted(labels, key=lambda label: (-weight[label], label))[:SHOWN])
    return [label for label in labels if label in first], [label for label in labels if label not in first]


def _finding(name: str, wrong: dict[tuple[str, str], int], n: int) -> str:
    if not wrong:
        return f"{name} gets all {numbers.count(n)} right"
    (expected, predicted), count = min(wrong.items(), key=lambda item: (-item[1], item[0]))
    taken = "finds no label for" if predicted == NONE else "takes"
    into = "" if predicted == NONE else f" for {predicted}"
    return f"{name} most often {taken} {expected}{into} ({numbers.count(count)} times)"


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the errors."""
    return [Errors]
