"""What is found or mended while reading: counted by rule, told once at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import harness
from harness.findings import finding
from harness.words import clipped, noted


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one finding is; `harness.findings` has its sentence."""

    level: Literal["ok", "warning"]
    advice: str = ""
    mends: bool = False


_RULES = {
    "label-format": Rule(level="ok", mends=True),
    "null-like-labels": Rule(
        level="warning",
        advice=noted("Empty these cells if they are no class: rows without a label are counted and left out."),
    ),
    "rows-without-separator": Rule(
        level="warning",
        advice=noted("Look at these rows: they were written in another way than the rest."),
    ),
    "rows-without-stop": Rule(
        level="warning",
        advice=noted("Look at these rows: they were written in another way than the rest."),
    ),
    "duplicate-keys": Rule(
        level="warning",
        advice=noted("Give each key once."),
    ),
    "broken-characters": Rule(
        level="warning",
        advice=noted("Write the file again from its source, as UTF-8."),
        mends=True,
    ),
    "formula-cells": Rule(
        level="ok",
        advice=noted("Recalculate and save the workbook if its formulas have changed since."),
    ),
    "cell-errors": Rule(
        level="warning",
        advice=noted("Correct the formulas, or leave these rows out."),
    ),
    "zero-weight": Rule(
        level="warning",
        advice=noted("Leave these lines out if their answers are not right."),
    ),
    "instructions-differ": Rule(
        level="warning",
        advice=noted('Read the instruction as part of the text: dataset.text = ["instruction", "text"].'),
    ),
}


class Notes:
    """Counts findings by rule, each with the place of its first."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self._values: dict[str, list[str]] = {}

    def add(self, rule: str, where: str, n: int = 1, value: str = "") -> None:
        """Counts a finding; `where` is file and line, `value` what stands there where that is to be told."""
        self._first.setdefault(rule, where)
        if value:
            self._values.setdefault(rule, []).append(shown(value))
        self._counts[rule] += n

    def checks(self) -> Iterator[harness.Check]:
        """Yields a check for each rule that found something, by name."""
        for kind, n in sorted(self._counts.items()):
            rule = _RULES[kind]
            values = self._values.get(kind, [])
            yield finding(
                kind,
                rule.level,
                {"count": n, "first": self._first[kind], **({"values": values} if values else {})},
                heading="quality",
                advice=rule.advice,
                mended=n if rule.mends else 0,
            )


def shown(value: object, limit: int = 40) -> str:
    """Returns a value from a file as a message may show it: at most `limit` characters, none that moves a cursor.

    Control, format and unassigned characters and line ends are written as Python's escapes.
    """
    return "".join(char if char.isprintable() else _escaped(char) for char in clipped(str(value), limit))


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
