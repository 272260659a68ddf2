"""Every answer to every example, and the wrong ones that teach most."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers
from harness.blocks import Block, Cell, Column, Results, Table, Text
from harness.report.explorer.rows import Matched, gather, pair, texts_by_id
from harness.report.facts import arm_named, tags
from harness.words import noted, say, say_n

SHOWN = 20
TEXT, RESPONSE = 600, 120
"""Characters of a text and of an answer that are shown."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """An explorer of all answers; where no script runs, the 20 most instructive errors of the contenders."""

    name: ClassVar[str] = "samples"
    title: ClassVar[str] = noted("Samples")
    order: ClassVar[int] = 800

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the explorer, or why there is none."""
        if results.samples == "none":
            yield Text(text=say("Texts and answers are left out of this page."))
            return
        matched = Matched(results)
        names = pair(results, matched)
        if not names:
            return
        if results.samples == "errors":
            yield Text(text=say("Only examples that some arm got wrong are in this page."))
        yield gather(results, matched, names, _table(results, names, matched))


def _table(results: Results, names: Sequence[str], matched: Matched) -> Table:
    shown = texts_by_id(results.examples)
    rows = [_row(key, names, matched, shown) for key in instructive(names, matched)]
    columns = [Column(title=say("Text"), prose=True), Column(title=say("Expected"))]
    columns += [Column(title=_head(results, name)) for name in names]
    columns.append(Column(title=say("Arms right"), numeric=True))
    return Table(caption=_caption(names, len(rows)), columns=tuple(columns), rows=tuple(rows))


def _caption(names: Sequence[str], n: int) -> str:
    if not n:
        return say("No error was made.")
    if len(names) == 1:
        return say_n(
            n,
            "The most instructive error of {arm}.",
            "The {n} most instructive errors of {arm}.",
            n=numbers.count(n),
            arm=names[0],
        )
    return say_n(
        n,
        "The most instructive error of the contenders.",
        "The {n} most instructive errors of the contenders: first what only one of them got wrong, the most confident "
        "first, then what both did.",
        n=numbers.count(n),
    )


def _row(key: str, names: Sequence[str], matched: Matched, shown: Mapping[str, str | None]) -> tuple[str | Cell, ...]:
    asked = [arm for arm in matched.arms if key in matched.rows[arm]]
    right = [arm for arm in asked if not matched.wrong(arm, key)]
    expected = matched.expected[matched.rows[asked[0]][key]]
    return (
        _cut(shown.get(key) or say("No text is stored for this example."), TEXT),
        str(expected),
        *(_answer(matched, name, key) for name in names),
        say("{n} of {all}", n=numbers.count(len(right)), all=numbers.count(len(asked))),
    )


def _head(results: Results, name: str) -> str:
    marks = tags(arm_named(results.data, name) or {})
    return f"{name} ({', '.join(marks)})" if marks else name


def instructive(names: Sequence[str], matched: Matched) -> list[str]:
    """Returns the ids of at most 20 test examples: two fifths each of only A wrong and only B wrong, then both."""
    first, second = names[0], names[-1]
    kinds: dict[tuple[bool, bool], list[tuple[float, str]]] = {}
    for key in matched.rows[first].keys() & matched.rows[second].keys():
        wrong = matched.wrong(first, key), matched.wrong(second, key)
        if any(wrong):
            sure = max(matched.confidence(name, key) for name in names if matched.wrong(name, key))
            kinds.setdefault(wrong, []).append((-sure, key))
    queues = [sorted(kinds.get(kind, ())) for kind in ((True, False), (False, True), (True, True))]
    share = [SHOWN * 2 // 5, SHOWN * 2 // 5, SHOWN - 2 * (SHOWN * 2 // 5)]
    taken = [queue[:part] for queue, part in zip(queues, share, strict=True)]
    for place, queue in enumerate(queues):
        missing = SHOWN - sum(map(len, taken))
        taken[place] += queue[len(taken[place]) :][:missing]
    return [key for part in taken for _, key in part]


def _answer(matched: Matched, arm: str, key: str) -> Cell:
    row = matched.rows[arm].get(key)
    if row is None:
        return Cell(text=numbers.MISSING)
    predicted, sure = matched.predicted[row], matched.confidence(arm, key)
    note = numbers.percent(sure, 0) if sure else ""
    if predicted is not None:
        return Cell(text=f"{'✗' if matched.wrong(arm, key) else '✓'} {predicted}", note=note)
    said = (matched.columns.get("response") or {row: ""})[row]
    failed = (matched.columns.get("status") or {row: ""})[row] == "failed"
    return Cell(text=f"✗ {_cut(said or '', RESPONSE)}".strip(), tags=(say("no answer") if failed else say("no label"),))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the samples."""
    return [Samples]
