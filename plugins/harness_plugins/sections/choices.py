"""What was chosen on validation, from what, and what that cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.blocks import Axis, Block, Cell, Column, Interval, Intervals, Results, Table, Text
from harness.words import clipped, noted, say, say_n

SHOWN = 24
"""Candidates that are shown; the others were worse."""
LONGEST = 60
"""Most characters of a value, such as an instruction."""
CHECKPOINT = "checkpoint"


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


def _extras() -> tuple[_Extra, ...]:
    return (
        _Extra(title=say("Unparsed"), keys=("unparsed",), text=numbers.count),
        _Extra(title=say("Failed"), keys=("failed",), text=numbers.count),
        _Extra(title=say("Input tokens"), keys=("input_tokens_mean",), text=numbers.count),
        _Extra(title=say("Cost"), keys=("training_usd", "cost_usd"), text=numbers.usd),
        _Extra(title=say("Time"), keys=("training_s", "seconds"), text=numbers.duration),
    )


def _last() -> str:
    """Returns what stands for a job's last model where its checkpoints were tried too."""
    return say("final")


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The candidates of each search on validation: the test split had no say."""

    name: ClassVar[str] = "choices"
    title: ClassVar[str] = noted("Choices")
    order: ClassVar[int] = 400

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a figure for each arm that was searched for, what was tried as a table, and what it cost."""
        choices = [choice for choice in results.data.get("choices") or () if choice.get("candidates")]
        for choice in choices:
            figure = _figure(choice)
            if figure is not None:
                yield figure
            yield _table(choice, half=figure is not None)
            yield from _remarks(choice)


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
    return said or str(candidate.get("name") or _last())


def _short(key: str) -> str:
    return key.rsplit(".", 1)[-1]


def _plain(value: Any) -> str:
    if value is None:
        return numbers.MISSING
    if isinstance(value, bool):
        return say("on") if value else say("off")
    if isinstance(value, Mapping):  # a whole table
        return ", ".join(f"{key} {_plain(each)}" for key, each in value.items())
    return clipped(str(value), LONGEST)


def _figure(choice: Mapping[str, Any]) -> Intervals | None:
    known = [candidate for candidate in _sorted(choice) if candidate.get("accuracy") is not None]
    if len(known) < 2:
        return None
    arm = str(choice["arm"])
    rows = []
    for candidate in known[:SHOWN]:
        low, high = candidate.get("accuracy_ci") or (None, None)
        rows.append(
            Interval(
                label=("✓ " if _chosen(candidate, choice) else "") + _settings(candidate),
                arm=arm if _chosen(candidate, choice) else "",
                value=candidate["accuracy"],
                low=low,
                high=high,
                text=numbers.percent(candidate["accuracy"]),
            )
        )
    n = known[0].get("n")
    subtitle = say("Accuracy on validation; ✓ went to the test.")
    if n:
        subtitle = say("Accuracy on {n} validation examples; ✓ went to the test.", n=numbers.count(n))
    bars = say("Bars: 95% CI.") if any(row.low is not None for row in rows) else ""
    return Intervals(
        title=_finding(arm, [candidate["accuracy"] for candidate in known]),
        subtitle=f"{subtitle} {bars}".strip(),
        axis=Axis(title=say("Accuracy on validation"), unit="share"),
        rows=tuple(rows),
    )


def _finding(arm: str, found: Sequence[float]) -> str:
    best, worst = numbers.percent(found[0]), numbers.percent(found[-1])
    if best == worst:
        return say("{arm}: all {n} candidates reach {best}", arm=arm, n=numbers.count(len(found)), best=best)
    return say("{arm}: candidates range from {worst} to {best}", arm=arm, worst=worst, best=best)


def _table(choice: Mapping[str, Any], *, half: bool) -> Table:
    candidates: Sequence[Mapping[str, Any]] = _sorted(choice)
    keys = list(dict.fromkeys(key for candidate in candidates for key in candidate.get("settings") or ()))
    shown = [extra for extra in _extras() if any(extra.value(candidate) for candidate in candidates)]
    rows = []
    for candidate in candidates:
        settings = candidate.get("settings") or {}
        row: list[str | Cell] = ["✓" if _chosen(candidate, choice) else ""]
        row += [_plain(settings.get(key, _last() if key == CHECKPOINT else numbers.MISSING)) for key in keys]
        row.append(numbers.percent(candidate.get("accuracy")))
        row += [extra.text(extra.value(candidate)) for extra in shown]
        rows.append(tuple(row))
    columns = [Column(title=say("Chosen")), *(Column(title=_short(str(key))) for key in keys)]
    columns.append(Column(title=say("Accuracy"), numeric=True))
    columns += [Column(title=extra.title, numeric=True) for extra in shown]
    return Table(caption=_caption(choice, len(rows)), columns=tuple(columns), rows=tuple(rows[:SHOWN]), half=half)


def _caption(choice: Mapping[str, Any], n: int) -> str:
    arm, count = choice["arm"], numbers.count(n)
    if n > SHOWN:
        return say(
            "{arm}: what was tried on validation, of {n} candidates the best {shown}.", arm=arm, n=count, shown=SHOWN
        )
    return say_n(
        n,
        "{arm}: the {n} candidate that was tried on validation.",
        "{arm}: the {n} candidates that were tried on validation.",
        arm=arm,
        n=count,
    )


def _equals(choice: Mapping[str, Any]) -> Iterable[str]:
    """Says why the chosen candidate was taken where others were as accurate."""
    chosen = next((each for each in choice["candidates"] if _chosen(each, choice)), None)
    if chosen is None or chosen.get("accuracy") is None:
        return
    equal = [each for each in choice["candidates"] if each.get("accuracy") == chosen["accuracy"]]
    if len(equal) < 2:
        return
    n = numbers.count(len(equal))
    if _least(chosen, equal, "cost_usd"):
        yield say("Of {n} equally accurate candidates, the one whose answers cost least was taken.", n=n)
    elif _least(chosen, equal, "input_tokens_mean"):
        yield say("Of {n} equally accurate candidates, the one with the shortest prompts was taken.", n=n)


def _least(chosen: Mapping[str, Any], among: Sequence[Mapping[str, Any]], key: str) -> bool:
    """Whether the candidates differ in a quantity and none has less of it than the chosen one."""
    known = [each[key] for each in among if each.get(key) is not None]
    return len(known) == len(among) and chosen[key] == min(known) < max(known)


def _remarks(choice: Mapping[str, Any]) -> Iterable[Text]:
    """Says why this candidate, what the choice cost, and what was left out for its budget."""
    said = [*_equals(choice), *_cost(choice)]
    if said:
        yield Text(text=f"{choice['arm']}: {' '.join(said)}")


def _cost(choice: Mapping[str, Any]) -> Iterable[str]:
    parts = [numbers.usd(choice["usd"])] if choice.get("usd") is not None else []
    parts += [numbers.duration(choice["seconds"])] if choice.get("seconds") is not None else []
    trained = any(candidate.get("training_s") is not None for candidate in choice["candidates"])
    spent = say("{usd} and {time}", usd=parts[0], time=parts[1]) if len(parts) == 2 else "".join(parts)
    if spent:
        yield (
            say("This choice took {spent}, training included.", spent=spent)
            if trained
            else say("This choice took {spent}.", spent=spent)
        )
    combinations, tried = choice.get("combinations") or 0, choice.get("tried") or 0
    if combinations > ((choice.get("budget") or {}).get("trials") or combinations):
        yield say(
            "{tried} of {combinations} combinations were drawn and tried.",
            tried=numbers.count(tried),
            combinations=numbers.count(combinations),
        )
    if choice.get("skipped"):
        yield _left_out(choice)


def _left_out(choice: Mapping[str, Any]) -> str:
    reasons = {"usd": say("for want of dollars"), "seconds": say("for want of time")}
    left = [
        f"{numbers.count(n)} {reasons[why]}" for why, n in (choice.get("why_skipped") or {}).items() if why in reasons
    ]
    return say("Left out for its budget: {candidates}.", candidates=", ".join(left) or numbers.count(choice["skipped"]))


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the choices."""
    return [Choices]
