"""What was chosen on validation, from what, and what that cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.blocks import Axis, Block, Cell, Column, Interval, Intervals, Results, Table, Text

SHOWN = 24
"""Candidates that are shown; the others were worse."""
LONGEST = 60
"""Most characters of a value, such as an instruction."""
LAST = "final"
"""What stands for a job's last model where its checkpoints were tried too."""
CHECKPOINT = "checkpoint"


WANTS = {"usd": "dollars", "seconds": "time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extra:
    """A column that is shown where some candidate has something to say in it."""

    title: str
    keys: tuple[str, ...]
    """What it adds up."""
    text: Callable[[Any], str]

    def value(self, candidate: Mapping[str, Any]) -> float | None:
        known = [candidate[key] for key in self.keys if candidate.get(key) is not None]
        return sum(known) if known else None


EXTRAS = (
    _Extra(title="Unparsed", keys=("unparsed",), text=numbers.count),
    _Extra(title="Failed", keys=("failed",), text=numbers.count),
    _Extra(title="Cost", keys=("training_usd", "cost_usd"), text=numbers.usd),
    _Extra(title="Time", keys=("training_s", "seconds"), text=numbers.duration),
)
WIDE = 7
"""Columns with which a table does not fit beside its figure."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The candidates of each search on validation: the test split had no say."""

    name: ClassVar[str] = "choices"
    title: ClassVar[str] = "Choices"
    order: ClassVar[int] = 400

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a figure for each arm that was searched for, what was tried as a table, and what it cost."""
        choices = [choice for choice in results.data.get("choices") or () if choice.get("candidates")]
        for choice in choices:
            figure = _figure(choice)
            if figure is not None:
                yield figure
            yield _table(choice, half=figure is not None)
            yield from _cost(choice)


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
    return said or str(candidate.get("name") or LAST)


def _short(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):  # a whole table
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


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
    shown = [extra for extra in EXTRAS if any(extra.value(candidate) for candidate in candidates)]
    rows = []
    for candidate in candidates:
        settings = candidate.get("settings") or {}
        row: list[str | Cell] = ["✓" if _chosen(candidate, choice) else ""]
        row += [_plain(settings.get(key, LAST if key == CHECKPOINT else numbers.MISSING)) for key in keys]
        row.append(numbers.percent(candidate.get("accuracy")))
        row += [extra.text(extra.value(candidate)) for extra in shown]
        rows.append(tuple(row))
    columns = [Column(title="Chosen"), *(Column(title=_short(str(key))) for key in keys)]
    columns.append(Column(title="Accuracy", numeric=True))
    columns += [Column(title=extra.title, numeric=True) for extra in shown]
    caption = (
        f"{choice['arm']}: what was tried on validation, of {numbers.count(len(rows))} candidates the best {SHOWN}."
    )
    if len(rows) <= SHOWN:
        caption = f"{choice['arm']}: the {numbers.count(len(rows))} candidates that were tried on validation."
    return Table(caption=caption, columns=tuple(columns), rows=tuple(rows[:SHOWN]), half=half and len(columns) < WIDE)


def _cost(choice: Mapping[str, Any]) -> Iterable[Text]:
    """Says in one sentence what a choice cost, and what was left out for its budget."""
    parts = [numbers.usd(choice["usd"])] if choice.get("usd") is not None else []
    parts += [numbers.duration(choice["seconds"])] if choice.get("seconds") is not None else []
    trained = any(candidate.get("training_s") is not None for candidate in choice["candidates"])
    said = [f"This choice took {' and '.join(parts)}{', training included' if trained else ''}."] if parts else []
    combinations, tried = choice.get("combinations") or 0, choice.get("tried") or 0
    if combinations > ((choice.get("budget") or {}).get("trials") or combinations):
        said.append(f"{numbers.count(tried)} of {numbers.count(combinations)} combinations were drawn and tried.")
    why = choice.get("why_skipped") or {}
    left = [f"{numbers.count(count)} for want of {WANTS.get(reason, reason)}" for reason, count in why.items()]
    if choice.get("skipped"):
        said.append(f"Left out for its budget: {', '.join(left) or numbers.count(choice['skipped'])}.")
    if said:
        yield Text(text=f"{choice['arm']}: {' '.join(said)}")


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the choices."""
    return [Choices]
