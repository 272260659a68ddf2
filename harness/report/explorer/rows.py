"""Results → the explorer's columns: examples and answers matched by id, the most instructive first."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from harness.blocks import Columns, Explorer, Results, Table
from harness.report.arms import looks
from harness.report.facts import contenders

ANSWER = (
    "predicted", "status", "response", "error", "confidence", "input_tokens", "output_tokens", "cached_tokens",
    "reasoning_tokens", "latency_s", "attempts", "reused", "cost_usd", "shot_ids",
)  # fmt: skip
"""What the explorer shows of an answer: columns of `predictions.parquet`."""


class Matched:
    """Which row of the predictions is whose answer to which example."""

    def __init__(self, results: Results) -> None:
        """Matches by id; of two answers of one arm to one example the first counts."""
        self.columns = results.predictions
        names, ids = self.columns.get("arm") or (), self.columns.get("example_id") or ()
        self.rows: dict[str, dict[str, int]] = {}
        for row, (name, key) in enumerate(zip(names, ids, strict=True)):
            self.rows.setdefault(str(name), {}).setdefault(key, row)
        self.expected = self.columns.get("expected") or (None,) * len(ids)
        self.predicted = self.columns.get("predicted") or (None,) * len(ids)
        self.sure = self.columns.get("confidence") or (None,) * len(ids)
        self.arms = [name for name in looks(results.data) if name in self.rows]
        self.arms += sorted(self.rows.keys() - set(self.arms))

    def wrong(self, arm: str, key: str) -> bool:
        """Whether an arm's answer is not the expected label; where it has none, nothing is wrong."""
        row = self.rows[arm].get(key)
        return row is not None and self.predicted[row] != self.expected[row]

    def confidence(self, arm: str, key: str) -> float:
        """Returns how sure an arm was, 0 where nobody knows."""
        row = self.rows[arm].get(key)
        value = None if row is None else self.sure[row]
        return 0.0 if value is None or value != value else float(value)


def pair(results: Results, matched: Matched) -> tuple[str, ...]:
    """Returns the arms to be held against each other: the contenders, else the best that have answers."""
    named = [str(arm["name"]) for arm in contenders(results.data) if arm is not None]
    found = [name for name in named if name in matched.rows]
    return tuple(dict.fromkeys([*found, *matched.arms]))[:2]


def ordered(results: Results, matched: Matched, names: Sequence[str]) -> list[str]:
    """Returns the ids: those on which the pair differs, other errors and differences, a seeded random rest."""
    told: list[tuple[int, float, str]] = []
    rest = []
    first, last = names[0], names[-1]
    tables = list(matched.rows.values())
    expected, predicted = matched.expected, matched.predicted
    for key in dict.fromkeys(key for table in tables for key in table):
        rows = [row for table in tables if (row := table.get(key)) is not None]
        said = {predicted[row] for row in rows}
        if len(said) == 1 and predicted[rows[0]] == expected[rows[0]]:
            rest.append(key)
            continue
        one, other = matched.wrong(first, key), matched.wrong(last, key)
        sure = max((matched.confidence(arm, key) for arm in names if matched.wrong(arm, key)), default=0.0)
        told.append((0 if one != other else 1 if one else 2, -sure, key))
    rest.sort()
    random.Random(f"samples {(results.data.get('run') or {}).get('seed')}").shuffle(rest)
    return [key for *_, key in sorted(told)] + rest


def gather(results: Results, matched: Matched, names: Sequence[str], errors: Table) -> Explorer:
    """Makes the explorer of all examples that an arm has an answer for.

    Args:
        results: What may be shown; with `samples="errors"`, only the examples that some arm got wrong are in it.
        matched: The answers of `results` by arm and example.
        names: The arms that are held against each other at first.
        errors: What stands in its place where no script runs.
    """
    keys = ordered(results, matched, names)
    if results.samples == "errors":
        keys = [key for key in keys if any(matched.wrong(arm, key) for arm in matched.arms)]
    place = {key: row for row, key in enumerate(results.examples.get("id") or ())}
    at = [place.get(key) for key in keys]
    return Explorer(
        errors=errors,
        pair=tuple(names),
        labels=tuple((results.data.get("run") or {}).get("labels") or ()),
        examples=_examples(results, matched, keys, at),
        slices=_slices(results.examples.get("slices"), at),
        answers={arm: _answers(matched, arm, keys) for arm in matched.arms},
        shots=_shots(results, matched, keys),
    )


def texts(examples: Columns) -> Sequence[str | None] | None:
    """Returns the examples' texts as they stand in a page; `None` where there are none."""
    if "text" in examples:
        return examples["text"]
    fields = examples.get("fields")
    return None if fields is None else tuple(_joined(value) for value in fields)


def texts_by_id(examples: Columns) -> dict[str, str | None]:
    """Returns id → text of the examples, as far as texts may be shown."""
    written = texts(examples)
    return {} if written is None else dict(zip(examples["id"], written, strict=True))


def _joined(fields: Any) -> str:
    if isinstance(fields, str):
        fields = json.loads(fields)
    pairs = fields.items() if isinstance(fields, dict) else fields or ()
    return "\n".join(str(value) for _, value in pairs if value)


def _examples(results: Results, matched: Matched, keys: Sequence[str], at: Sequence[int | None]) -> Columns:
    tables = list(matched.rows.values())
    rows = (next(table[key] for table in tables if key in table) for key in keys)
    found: dict[str, Sequence[Any]] = {"id": keys, "expected": [matched.expected[row] for row in rows]}
    written = texts(results.examples)
    if written is not None:
        found["text"] = [None if row is None else written[row] for row in at]
    return found


def _answers(matched: Matched, arm: str, keys: Sequence[str]) -> Columns:
    table = matched.rows[arm]
    rows = [table.get(key) for key in keys]
    columns = ((name, matched.columns.get(name)) for name in ANSWER)
    found = {
        name: [None if row is None else column[row] for row in rows] for name, column in columns if column is not None
    }
    found.setdefault("predicted", [None] * len(keys))
    found.setdefault("status", [None if row is None else "answered" for row in rows])
    return found


def _slices(column: Sequence[Any] | None, at: Sequence[int | None]) -> Mapping[str, Sequence[str | None]]:
    if column is None:
        return {}
    read = cache(_slice)
    each = [{} if row is None else read(str(column[row])) for row in at]
    names = dict.fromkeys(name for one in each for name in one)
    return {name: [one.get(name) for one in each] for name in names}


def _slice(value: str) -> dict[str, str]:
    try:
        found = json.loads(value)
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items() if v is not None} if isinstance(found, dict) else {}


def _shots(results: Results, matched: Matched, keys: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Returns the shots in the order in which the explorer comes upon them."""
    written, labels = texts(results.examples), results.examples.get("label")
    lists = results.predictions.get("shot_ids")
    if written is None or labels is None or lists is None:
        return {}
    used: dict[str, None] = {}
    for table in (matched.rows[arm] for arm in matched.arms):
        for shots in dict.fromkeys(tuple(lists[table[key]] or ()) for key in keys if key in table):
            used.update(dict.fromkeys(shots))
    place = {key: row for row, key in enumerate(results.examples["id"])}
    return {key: (str(labels[row]), str(written[row])) for key in used if (row := place.get(key)) is not None}
