"""What is known of the data: checks, what was removed, how labels are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers
from harness.report.blocks import Block, Cell, Column, Results, Table, Text
from harness.report.quality import quality_blocks, ranked_blocks


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Every check with its figures; those that failed stand out."""

    name: ClassVar[str] = "data"
    title: ClassVar[str] = "Data"
    order: ClassVar[int] = 900

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the findings, what leaked items did, the labels of the test split, and rows worth a look."""
        checks = results.data.get("checks") or []
        data = results.data.get("data") or {}
        if checks:
            yield from quality_blocks(checks, data.get("removed"), data.get("rows_in"))
        else:
            yield Text(text="No checks are recorded for this run.")
        leaks = _leaked(results)
        if leaks is not None:
            yield leaks
        counts = _labels(results)
        if counts is not None:
            yield counts
        texts = dict(zip(results.examples.get("id", ()), results.examples.get("text", ()), strict=True))
        yield from ranked_blocks(data.get("ranked") or (), texts)


def _leaked(results: Results) -> Table | None:
    """Shows what the leaked items did to each arm's accuracy, where there are some."""
    arms = [arm for arm in results.data.get("arms") or () if arm.get("accuracy_without_leaks") is not None]
    if not arms:
        return None
    rows = tuple(
        (
            Cell(text=str(arm["name"]), arm=str(arm["name"])),
            numbers.percent(arm.get("accuracy")),
            numbers.percent(arm["accuracy_without_leaks"]),
            numbers.points((arm.get("accuracy") or 0.0) - arm["accuracy_without_leaks"]),
        )
        for arm in arms
    )
    return Table(
        caption="Accuracy with and without the test items that also stand in train or validation",
        columns=(
            Column(title="Arm", head=True),
            Column(title="All items", numeric=True),
            Column(title="Without the leaked ones", numeric=True),
            Column(title="Difference", numeric=True),
        ),
        rows=rows,
    )


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
