"""What is known of the data: checks, what was removed, how labels are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import harness
from harness import numbers
from harness.report.blocks import Block, Callout, Column, Results, Table, Text

LEVELS: Mapping[str, Literal["ok", "warning", "error"]] = {"ok": "ok", "warning": "warning", "error": "error"}
WORST = ("error", "warning")


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Every check with its figures; those that failed stand out."""

    name: ClassVar[str] = "data"
    title: ClassVar[str] = "Data"
    order: ClassVar[int] = 900

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the findings, then the label counts of the test split."""
        checks = results.data.get("checks") or []
        for level in WORST:
            for check in checks:
                if check.get("level") == level:
                    yield Callout(text=str(check["message"]), level=LEVELS[level])
        if checks:
            yield _checks(checks)
        else:
            yield Text(text="No checks are recorded for this run.")
        counts = _labels(results)
        if counts is not None:
            yield counts


def _checks(checks: list[Mapping[str, Any]]) -> Table:
    order = {"error": 0, "warning": 1}
    marks = {"ok": "✓ ok", "warning": "! warning", "error": "✗ error"}
    rows = tuple(
        (
            marks.get(str(check.get("level")), str(check.get("level"))),
            str(check.get("kind")),
            str(check.get("message")),
            ", ".join(f"{key} {_figure(value)}" for key, value in (check.get("figures") or {}).items()),
        )
        for check in sorted(checks, key=lambda check: order.get(str(check.get("level")), 2))
    )
    columns = (
        Column(title="Result"),
        Column(title="Check"),
        Column(title="Finding", prose=True),
        Column(title="Figures"),
    )
    return Table(caption="All checks of the data and of the run.", columns=columns, rows=rows)


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{key} {_figure(item)}" for key, item in value.items()) + ")"
    if isinstance(value, list | tuple):
        return "(" + ", ".join(map(_figure, value)) + ")"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return numbers.number(value, 0 if float(value).is_integer() else 3)


def _labels(results: Results) -> Table | None:
    columns = results.predictions
    pairs = dict(zip(columns.get("example_id", ()), columns.get("expected", ()), strict=True))
    if not pairs:
        return None
    counts = Counter(pairs.values())
    total = sum(counts.values())
    given = [str(label) for label in (results.data.get("run") or {}).get("labels") or ()]
    labels = [label for label in given if label in counts] + sorted(set(counts) - set(given))
    rows = tuple((label, numbers.count(counts[label]), numbers.percent(counts[label] / total)) for label in labels)
    return Table(
        caption="Labels of the test split",
        columns=(Column(title="Label"), Column(title="Examples", numeric=True), Column(title="Share", numeric=True)),
        rows=rows,
        folded=len(rows) > 8,
        half=len(rows) <= 8,
    )


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the data section."""
    return [Quality]
