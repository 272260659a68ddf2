"""The wrong answers that teach most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.arms import ranked
from harness.report.blocks import Block, Cell, Column, Results, Table, Text
from harness.report.facts import arm_named, by_arm, contenders, tags

SHOWN = 20
TEXT, RESPONSE = 600, 120
"""Characters of a text and of an answer that are shown."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """The 20 most instructive errors of the contenders."""

    name: ClassVar[str] = "samples"
    title: ClassVar[str] = "Samples"
    order: ClassVar[int] = 800

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a table where texts may be shown, else a remark that they are left out."""
        answers = by_arm(results.predictions, "example_id", "expected", "predicted", "response", "confidence", "status")
        names = [arm["name"] for arm in contenders(results.data) if arm is not None and arm["name"] in answers]
        names = names or [arm["name"] for arm in ranked(results.data) if arm["name"] in answers][:1]
        texts = _texts(results)
        if not names:
            return
        if not texts:
            yield Text(text="Texts and answers are left out of this page.")
            return
        yield _table(results, names, answers, texts)


def _texts(results: Results) -> dict[str, str]:
    columns = results.examples
    keys = columns.get("id") or ()
    if "text" in columns:
        return {key: str(text) for key, text in zip(keys, columns["text"], strict=True)}
    fields = columns.get("fields") or ()
    return {key: _joined(value) for key, value in zip(keys, fields, strict=False)}


def _joined(fields: Any) -> str:
    pairs = fields.items() if isinstance(fields, dict) else fields or ()
    return "\n".join(str(value) for _, value in pairs if value)


def _table(
    results: Results, names: Sequence[str], answers: dict[str, list[tuple[Any, ...]]], texts: dict[str, str]
) -> Table:
    rows_of = {name: {row[0]: row for row in rows} for name, rows in answers.items()}
    chosen = instructive([rows_of[name] for name in names])
    rows = []
    for key in chosen:
        said = [rows_of[name].get(key) for name in names]
        right = [name for name, rows_ in rows_of.items() if key in rows_ and rows_[key][1] == rows_[key][2]]
        cells: list[str | Cell] = [_cut(texts.get(key, ""), TEXT), str(rows_of[names[0]][key][1])]
        cells += [_answer(row) for row in said]
        cells.append(f"{numbers.count(len(right))} of {numbers.count(len(rows_of))}")
        rows.append(tuple(cells))
    columns = [Column(title="Text", prose=True), Column(title="Expected")]
    columns += [Column(title=_head(results, name)) for name in names]
    columns.append(Column(title="Arms right", numeric=True))
    what = "the contenders" if len(names) > 1 else names[0]
    caption = (
        f"The {len(rows)} most instructive errors of {what}: first what only one of them got wrong, the most confident "
        "first, then what both did."
        if len(names) > 1
        else f"The {len(rows)} most instructive errors of {what}."
    )
    return Table(caption=caption, columns=tuple(columns), rows=tuple(rows))


def _head(results: Results, name: str) -> str:
    marks = tags(arm_named(results.data, name) or {})
    return f"{name} ({', '.join(marks)})" if marks else name


def instructive(contenders_: Sequence[dict[str, tuple[Any, ...]]]) -> list[str]:
    """Returns the ids of at most 20 test examples: a third each of only A wrong, only B wrong and both wrong."""
    first, second = contenders_[0], contenders_[-1]
    kinds: dict[tuple[bool, bool], list[tuple[float, str]]] = {}
    for key in first.keys() & second.keys():
        wrong = _wrong(first[key]), _wrong(second[key])
        if any(wrong):
            sure = max(_confidence(row) for row in (first[key], second[key]) if _wrong(row))
            kinds.setdefault(wrong, []).append((-sure, key))
    queues = [sorted(kinds.get(kind, ())) for kind in ((True, False), (False, True), (True, True))]
    share = [SHOWN * 2 // 5, SHOWN * 2 // 5, SHOWN - 2 * (SHOWN * 2 // 5)]
    taken = [queue[:part] for queue, part in zip(queues, share, strict=True)]
    for place, queue in enumerate(queues):
        missing = SHOWN - sum(map(len, taken))
        taken[place] += queue[len(taken[place]) :][:missing]
    return [key for part in taken for _, key in part]


def _wrong(row: tuple[Any, ...]) -> bool:
    return bool(row[1] != row[2])


def _confidence(row: tuple[Any, ...]) -> float:
    return 0.0 if row[4] is None else float(row[4])


def _answer(row: tuple[Any, ...] | None) -> Cell:
    if row is None:
        return Cell(text=numbers.MISSING)
    _, expected, predicted, response, confidence, status = row
    sure = "" if confidence is None else numbers.percent(confidence, 0)
    if predicted is not None:
        return Cell(text=("✓ " if predicted == expected else "✗ ") + str(predicted), note=sure)
    return Cell(text=f"✗ {_cut(str(response or ''), RESPONSE)}".strip(), tags=(str(status or "unparsed"),))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the samples."""
    return [Samples]
