"""What was chosen on validation, and from what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.blocks import Axis, Block, Cell, Column, Interval, Intervals, Results, Table

SHOWN = 24
"""Candidates that are shown; the others were worse."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The candidates of each search on validation: the test split had no say."""

    name: ClassVar[str] = "choices"
    title: ClassVar[str] = "Choices"
    order: ClassVar[int] = 400

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a figure for each arm that was searched for, and what was tried as a table."""
        choices = [choice for choice in results.data.get("choices") or () if choice.get("candidates")]
        for choice in choices:
            figure = _figure(choice)
            if figure is not None:
                yield figure
            yield _table(choice, half=figure is not None)


def _sorted(choice: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(
        choice["candidates"],
        key=lambda c: (c.get("accuracy") is None, -(c.get("accuracy") or 0.0), not _chosen(c, choice), _settings(c)),
    )


def _chosen(candidate: Mapping[str, Any], choice: Mapping[str, Any]) -> bool:
    return bool(candidate.get("settings") == choice.get("chosen"))


def _settings(candidate: Mapping[str, Any]) -> str:
    settings = candidate.get("settings") or {}
    said = ", ".join(f"{_short(key)} {_plain(value)}" for key, value in settings.items())
    return said or str(candidate.get("name") or "")


def _short(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _plain(value: Any) -> str:
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _figure(choice: Mapping[str, Any]) -> Intervals | None:
    known = [candidate for candidate in _sorted(choice) if candidate.get("accuracy") is not None]
    if len(known) < 2:
        return None
    arm, best, worst = str(choice["arm"]), known[0]["accuracy"], known[-1]["accuracy"]
    rows = []
    for candidate in known[:SHOWN]:
        low, high = candidate.get("accuracy_ci") or (None, None)
        rows.append(
            Interval(
                label=_settings(candidate) + (" ✓" if _chosen(candidate, choice) else ""),
                arm=arm if _chosen(candidate, choice) else "",
                value=candidate["accuracy"],
                low=low,
                high=high,
                text=numbers.percent(candidate["accuracy"]),
            )
        )
    n = known[0].get("n")
    return Intervals(
        title=f"{arm}: candidates range from {numbers.percent(worst)} to {numbers.percent(best)}",
        subtitle=f"Accuracy on {f'{numbers.count(n)} validation examples' if n else 'validation'}; ✓ went to the test.",
        axis=Axis(title="Accuracy on validation", unit="share"),
        rows=tuple(rows),
    )


def _table(choice: Mapping[str, Any], *, half: bool) -> Table:
    candidates: Sequence[Mapping[str, Any]] = _sorted(choice)
    keys = list(dict.fromkeys(key for candidate in candidates for key in candidate.get("settings") or ()))
    unparsed = any(candidate.get("unparsed") for candidate in candidates)
    rows = []
    for candidate in candidates:
        settings = candidate.get("settings") or {}
        row: list[str | Cell] = ["✓" if _chosen(candidate, choice) else ""]
        row += [_plain(settings.get(key, numbers.MISSING)) for key in keys]
        row.append(numbers.percent(candidate.get("accuracy")))
        row += [numbers.count(candidate.get("unparsed"))] if unparsed else []
        rows.append(tuple(row))
    columns = [Column(title="Chosen"), *(Column(title=_short(str(key))) for key in keys)]
    columns.append(Column(title="Accuracy", numeric=True))
    columns += [Column(title="Unparsed", numeric=True)] if unparsed else []
    caption = (
        f"{choice['arm']}: what was tried on validation, of {numbers.count(len(rows))} candidates the best {SHOWN}."
    )
    if len(rows) <= SHOWN:
        caption = f"{choice['arm']}: the {numbers.count(len(rows))} candidates that were tried on validation."
    if choice.get("skipped"):
        caption += f" Left out for their budget: {numbers.count(choice['skipped'])}."
    return Table(caption=caption, columns=tuple(columns), rows=tuple(rows[:SHOWN]), half=half)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the choices."""
    return [Choices]
