"""Accuracy by the parts of the data that the user tells apart, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness import numbers
from harness.blocks import Cell, Table
from harness.report import cells
from harness.report.arms import Arm, ranked
from harness.report.facts import Data, contenders, tags
from harness.words import say, say_n

MOST = 4
"""Arms of a table: the contenders, then others by rank."""


def slice_tables(data: Data) -> Iterator[Table]:
    """Yields a table for each column of slices: its values with their items, and the arms' accuracies on them."""
    known = {
        str(line["arm"]) for column in data.get("slices") or () for part in column["values"] for line in part["arms"]
    }
    pair = [arm for arm in contenders(data) if arm is not None]
    order = {str(arm["name"]): arm for arm in [*pair, *ranked(data)] if arm["name"] in known}
    arms = list(order.values())[:MOST]
    for column in data.get("slices") or ():
        if arms and column["values"]:
            yield _table(column, arms, left_out=len(order) - len(arms))


def _table(column: Mapping[str, Any], arms: Sequence[Arm], *, left_out: int) -> Table:
    caption = say(
        "Accuracy (95% CI) by {slice}. Few examples make wide intervals, and no difference between rows is claimed.",
        slice=column["name"],
    )
    if left_out:
        others = numbers.count(left_out)
        rest = say_n(left_out, "{n} other arm has no column.", "{n} other arms have no column.", n=others)
        caption = f"{caption} {rest}"
    heads = cells.heads(str(column["name"]), say("Examples"), *map(_head, arms))
    rows = [_row(part, arms) for part in column["values"]]
    total = numbers.count(sum(part["n"] for part in column["values"]))
    rows.append((Cell(text=say("All"), strong=True), total, *(_share(arm) for arm in arms)))
    return Table(caption=caption, columns=heads, rows=tuple(rows))


def _head(arm: Arm) -> str:
    return " ".join([str(arm["name"]), *(f"({tag})" for tag in tags(arm))])


def _row(part: Mapping[str, Any], arms: Sequence[Arm]) -> tuple[str | Cell, ...]:
    lines = {str(line["arm"]): line for line in part["arms"]}
    shares = [_share(lines.get(str(arm["name"]), {})) for arm in arms]
    return (_value(part), numbers.count(part["n"]), *shares)


def _value(part: Mapping[str, Any]) -> str:
    if part["value"] is None:
        others = part["others"] or 0
        return say_n(others, "{n} other value", "{n} other values", n=numbers.count(others))
    return str(part["value"]) or say("(no value)")


def _share(line: Mapping[str, Any]) -> Cell:
    return cells.share(line.get("accuracy"), line.get("accuracy_ci"))
