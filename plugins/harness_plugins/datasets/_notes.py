"""What is found or mended while reading: counted by rule, told once at the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import harness


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one finding is told."""

    level: Literal["ok", "warning"]
    message: str
    """What was found, with `{n}` for how often; the place of the first follows."""
    advice: str = ""
    mends: bool = False


_RULES = {
    "label-format": Rule(
        level="ok",
        message="{n} labels were written with white space around them or as 5.0 for 5, and were made one with the rest",
        mends=True,
    ),
    "rows-without-separator": Rule(
        level="warning",
        message="{n} texts do not end with dataset.separator and were kept as they are",
        advice="Look at these rows: they were written in another way than the rest.",
    ),
    "rows-without-stop": Rule(
        level="warning",
        message="{n} labels do not end with dataset.stop and were kept as they are",
        advice="Look at these rows: they were written in another way than the rest.",
    ),
    "duplicate-keys": Rule(
        level="warning",
        message="{n} JSON objects name a key more than once; the last value counts",
        advice="Give each key once.",
    ),
    "broken-characters": Rule(
        level="warning",
        message="{n} rows hold halves of characters (lone surrogates), which were replaced by U+FFFD",
        advice="Write the file again from its source, as UTF-8.",
        mends=True,
    ),
    "formula-cells": Rule(
        level="ok",
        message="{n} cells are formulas, read as the values that were stored with them",
        advice="Recalculate and save the workbook if its formulas have changed since.",
    ),
    "cell-errors": Rule(
        level="warning",
        message="{n} cells hold an error like #N/A and count as empty",
        advice="Correct the formulas, or leave these rows out.",
    ),
    "zero-weight": Rule(
        level="warning",
        message="{n} chat lines give their last answer the weight 0, which leaves it out of training; they were kept",
        advice="Leave these lines out if their answers are not right.",
    ),
    "instructions-differ": Rule(
        level="warning",
        message="{n} chat lines have another instruction than the first line, and the text is the user's message alone",
        advice='Read the instruction as part of the text: dataset.text = ["instruction", "text"].',
    ),
}


class Notes:
    """Counts findings by rule, each with the place of its first."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}

    def add(self, rule: str, where: str, n: int = 1) -> None:
        """Counts a finding; `where` is file and line."""
        self._first.setdefault(rule, where)
        self._counts[rule] = self._counts.get(rule, 0) + n

    def drop(self, rule: str) -> None:
        """Forgets a rule that turns out not to matter."""
        self._counts.pop(rule, None)
        self._first.pop(rule, None)

    def checks(self) -> Iterator[harness.Check]:
        """Yields a check for each rule that found something, by name."""
        for kind, n in sorted(self._counts.items()):
            rule = _RULES[kind]
            first = self._first[kind]
            yield harness.Check(
                kind=kind,
                level=rule.level,
                message=f"{rule.message.format(n=f'{n:,}')} (first: {first})",
                figures={"count": n, "first": first},
                heading="quality",
                advice=rule.advice,
                mended=n if rule.mends else 0,
            )


def shown(value: object, limit: int = 40) -> str:
    """Returns a value from a file as a message may show it: at most `limit` characters, none that moves a cursor.

    Control, format and unassigned characters and line ends are written as Python's escapes.
    """
    text = str(value)
    cut = f"{text[: limit - 1]}…" if len(text) > limit else text
    return "".join(char if char.isprintable() else _escaped(char) for char in cut)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")
