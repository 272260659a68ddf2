"""Where the contenders go wrong: by label, what they take for what, and in which parts of the data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import harness
from harness import numbers
from harness.blocks import Axis, Block, Column, Dot, DotRow, Dots, Matrix, Results, Table
from harness.report.arms import ranked
from harness.report.facts import by_arm, contenders, labels_among
from harness.report.slices import slice_tables
from harness.words import noted, say, say_n

DOTS = 18
"""Labels of the dot plot."""
MOST, KEPT = 150, 60
"""Labels up to which a matrix shows all; of more it shows the most confused ones and adds up the rest."""
MISTAKES = 8
"""Rows of the table of mistakes."""

Pair: TypeAlias = tuple[str, str | None]
"""An expected label and the predicted one, `None` where there is none."""


@dataclass(frozen=True, kw_only=True)
class Errors:
    """F1 by label for the two contenders, their confusion matrices, and accuracy by slice."""

    name: ClassVar[str] = "errors"
    title: ClassVar[str] = noted("Errors")
    order: ClassVar[int] = 600

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields nothing by label where there are no predictions."""
        yield from _of_labels(results)
        yield from slice_tables(results.data)


def _of_labels(results: Results) -> Iterable[Block]:
    answers = by_arm(results.predictions, "expected", "predicted")
    names = [arm["name"] for arm in contenders(results.data) if arm is not None and arm["name"] in answers]
    if len(names) < 2:
        names += [arm["name"] for arm in ranked(results.data) if arm["name"] in answers and arm["name"] not in names]
    names = names[:2]
    if not names:
        return
    present = {expected for name in names for expected, _ in answers[name]}
    labels = labels_among(results.data, present)
    yield _by_label(names, answers, labels, ordinal=bool((results.data.get("run") or {}).get("ordered")))
    yield _mistakes(names, answers)
    for name in names:
        yield _confusion(name, answers[name], labels, linked=bool(results.examples.get("id")))


def _by_label(
    names: Sequence[str], answers: Mapping[str, Sequence[Pair]], labels: Sequence[str], *, ordinal: bool
) -> Dots:
    """Returns the labels with the widest gap first; those that have an order keep it."""
    scores = {name: f1_by_label(answers[name]) for name in names}
    gaps = {label: _gap([scores[name].get(label, 0.0) for name in names]) for label in labels}
    widest_first = sorted(labels, key=lambda label: -gaps[label])
    shown = widest_first[:DOTS]
    rows = tuple(
        DotRow(label=label, dots=tuple(Dot(arm=name, value=scores[name].get(label, 0.0)) for name in names))
        for label in ([label for label in labels if label in set(shown)] if ordinal else shown)
    )
    widest = widest_first[0]
    better = max(names, key=lambda name: scores[name].get(widest, 0.0))
    title = say("{arm} by label", arm=names[0])
    if len(names) > 1:
        title = (
            say("{arm} is furthest ahead on {label}", arm=better, label=widest)
            if gaps[widest] > 0
            else say("{first} and {second} are level on every label", first=names[0], second=names[1])
        )
    n = numbers.count(len(answers[names[0]]))
    subtitle = say("F1 of each label, {n} test examples.", n=n)
    if len(shown) < len(labels):
        subtitle = say(
            "F1 of each label, {n} test examples. The {shown} labels with the widest gaps.", n=n, shown=len(shown)
        )
    return Dots(title=title, subtitle=subtitle, axis=Axis(title=say("F1"), unit="number"), rows=rows)


def _gap(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _mistakes(names: Sequence[str], answers: Mapping[str, Sequence[Pair]]) -> Table:
    none = no_label()
    wrong = {name: Counter((e, none if p is None else p) for e, p in answers[name] if e != p) for name in names}
    total = sum(wrong.values(), Counter[tuple[str, str]]())
    frequent = sorted(total, key=lambda pair: (-total[pair], pair))[:MISTAKES]
    rows = [(*pair, *(numbers.count(wrong[name][pair]) for name in names)) for pair in frequent]
    rest = [numbers.count(wrong[name].total() - sum(wrong[name][pair] for pair in frequent)) for name in names]
    if len(total) > len(frequent):
        left = len(total) - len(frequent)
        rows.append((say_n(left, "{n} other mistake", "{n} other mistakes", n=numbers.count(left)), "", *rest))
    columns = (
        Column(title=say("Expected"), head=True),
        Column(title=say("Taken for")),
        *(Column(title=name, numeric=True) for name in names),
    )
    return Table(caption=say("The most frequent mistakes."), columns=columns, rows=tuple(rows), half=True)


def f1_by_label(pairs: Sequence[Pair]) -> dict[str, float]:
    """Returns 2·TP / (2·TP + FP + FN) of each label that occurs; unparsed and failed answers are misses."""
    hits, either = Counter[str](), Counter[str]()
    for expected, predicted in pairs:
        hits[expected] += expected == predicted
        either[expected] += 1
        if predicted is not None:
            either[predicted] += 1
    return {label: 2 * hits[label] / n for label, n in either.items()}


def no_label() -> str:
    """Returns what stands where an answer has no label."""
    return say("(no label)")


def _confusion(name: str, pairs: Sequence[Pair], labels: Sequence[str], *, linked: bool) -> Matrix:
    none = no_label()
    counts = Counter((expected, none if predicted is None else predicted) for expected, predicted in pairs)
    extra = sorted({predicted for _, predicted in counts} - set(labels) - {none})
    columns = [*labels, *extra, *([none] if any(predicted == none for _, predicted in counts) else [])]
    wrong = {pair: count for pair, count in counts.items() if pair[0] != pair[1]}
    whole = Matrix(
        title=_finding(name, wrong, len(pairs)),
        subtitle=say(
            "Confusion of {arm}, {n} test examples. Each row is shaded by its own shares.",
            arm=name,
            n=numbers.count(len(pairs)),
        ),
        rows=tuple(labels),
        columns=tuple(columns),
        counts=tuple(tuple(counts[row, column] for column in columns) for row in labels),
        arm=name if linked else "",
        missing=none,
    )
    if len(labels) + len(extra) <= MOST:
        return whole
    shown = replace(
        whole,
        subtitle=say(
            "Confusion of {arm}, {n} test examples: the {shown} labels most often confused. Each row is shaded by its "
            "own shares.",
            arm=name,
            n=numbers.count(len(pairs)),
            shown=KEPT,
        ),
    )
    from harness.report.charts.matrix import condense

    return condense(shown, KEPT)


def _finding(name: str, wrong: Mapping[tuple[str, str], int], n: int) -> str:
    if not wrong:
        return say("{arm} gets all {n} right", arm=name, n=numbers.count(n))
    (expected, predicted), count = min(wrong.items(), key=lambda item: (-item[1], item[0]))
    times = numbers.count(count)
    if predicted == no_label():
        return say_n(
            count,
            "{arm} most often finds no label for {expected} ({n} time)",
            "{arm} most often finds no label for {expected} ({n} times)",
            arm=name,
            expected=expected,
            n=times,
        )
    return say_n(
        count,
        "{arm} most often takes {expected} for {predicted} ({n} time)",
        "{arm} most often takes {expected} for {predicted} ({n} times)",
        arm=name,
        expected=expected,
        predicted=predicted,
        n=times,
    )


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the errors."""
    return [Errors]
