"""What is known of the data: checks, what was removed, how labels are spread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers
from harness.blocks import Block, Cell, Results, Table, Text
from harness.report import cells
from harness.report.explorer.rows import texts_by_id
from harness.report.facts import labels_among
from harness.report.quality import quality_blocks, ranked_blocks
from harness.words import noted, say, say_n

SPLITS = ("train", "validation", "test")
FEW = 8
"""Labels up to which their counts are shown at once; more are folded."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Every check with its figures; those that failed stand out."""

    name: ClassVar[str] = "data"
    title: ClassVar[str] = noted("Data")
    order: ClassVar[int] = 900

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the findings, what leaked items did, the labels of each split, and rows worth a look."""
        checks = results.data.get("checks") or []
        data = results.data.get("data") or {}
        if checks:
            yield from quality_blocks(checks, data.get("removed"), data.get("rows_in"))
        else:
            yield Text(text=say("No checks are recorded for this run."))
        leaks = _leaked(results)
        if leaks is not None:
            yield leaks
        counts = _labels(results)
        if counts is not None:
            yield counts
        yield from ranked_blocks(data.get("ranked") or (), texts_by_id(results.examples))


def _leaked(results: Results) -> Table | None:
    """Shows what the leaked items did to each arm's accuracy, where there are some."""
    arms = [arm for arm in results.data.get("arms") or () if arm.get("accuracy_without_leaks") is not None]
    if not arms:
        return None
    rows = tuple(
        (
            cells.arm(arm),
            numbers.percent(arm.get("accuracy")),
            numbers.percent(arm["accuracy_without_leaks"]),
            numbers.points((arm.get("accuracy") or 0.0) - arm["accuracy_without_leaks"]),
        )
        for arm in arms
    )
    return Table(
        caption=say("Accuracy with and without the test items that also stand in train or validation"),
        columns=cells.heads(say("Arm"), say("All items"), say("Without the leaked ones"), say("Difference")),
        rows=rows,
    )


def _labels(results: Results) -> Table | None:
    """Counts each label in each split; where a run has recorded the test split alone, in that one."""
    counts = _counted(results)
    splits = [split for split in SPLITS if any(found[split] for found in counts.values())]
    if not splits:
        return None
    totals = {split: sum(found[split] for found in counts.values()) for split in splits}
    titles = {"train": say("Train"), "validation": say("Validation"), "test": say("Test")}
    rows: list[tuple[str | Cell, ...]] = [
        (label, *(_share(found[split], totals[split]) for split in splits)) for label, found in counts.items()
    ]
    if len(rows) > 1:
        rows.append((Cell(text=say("All"), strong=True), *(numbers.count(totals[split]) for split in splits)))
    columns = cells.heads(say("Label"), *(titles[split] for split in splits))
    caption = say_n(
        len(counts),
        "Examples of the {n} label in each split, with its share",
        "Examples of the {n} labels in each split, with their shares",
        n=numbers.count(len(counts)),
    )
    few = len(counts) <= FEW
    return Table(caption=caption, columns=columns, rows=tuple(rows), folded=not few, half=few)


def _share(count: int, total: int) -> Cell:
    return Cell(text=numbers.count(count), note=numbers.percent(count / total) if total else "")


def _counted(results: Results) -> dict[str, Counter[str]]:
    """Returns label → split → examples, in the order of the labels."""
    recorded = (results.data.get("data") or {}).get("labels")
    if recorded:
        return {
            str(line["label"]): Counter({split: int(line.get(split) or 0) for split in SPLITS}) for line in recorded
        }
    columns = results.predictions
    expected = dict(zip(columns.get("example_id", ()), columns.get("expected", ()), strict=True))
    found = Counter(expected.values())
    return {label: Counter({"test": found[label]}) for label in labels_among(results.data, found)}


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the data section."""
    return [Quality]
