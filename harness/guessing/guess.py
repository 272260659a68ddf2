"""What the columns of a labelled table are: rows → guesses, each with how sure it is and why. Pure.

The rules are in `rules` and `layout`. What the user gives is checked against the columns and taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from harness.errors import DataError, nearest
from harness.guessing.columns import Column, as_labels, is_number, measure
from harness.guessing.layout import find_separator, find_stop
from harness.guessing.remarks import about_labels, astride, one_spelling, why_not_by_time
from harness.guessing.rules import (
    Guess,
    Table,
    dated,
    find_group,
    find_label,
    find_order,
    find_split,
    find_text,
    find_time,
    quoted,
    why_not_split,
)

__all__ = ["Given", "Guess", "Guesses", "guess"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the user says about the columns. `None` leaves it to be guessed; "" says that there is none."""

    text: str | None = None
    """Columns with commas between them."""
    label: str | None = None
    group: str | None = None
    time: str | None = None
    split: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """What was guessed about a table."""

    found: tuple[Guess, ...]
    labels: Mapping[str, int]
    """Label → rows among those looked at, in the order of numbers or of the alphabet."""
    of_rows: tuple[str, ...]
    """The label of each row looked at, as it will be read; "" where there is none."""
    columns: Mapping[str, Column]
    left_out: tuple[Guess, ...] = ()
    """Columns that look like something and cannot be it, each with the reason."""
    notes: tuple[str, ...] = ()
    """What else is to be said, in words."""

    @property
    def rows(self) -> int:
        """Rows looked at."""
        return len(self.of_rows)

    def get(self, option: str) -> Guess | None:
        """Returns the guess for an option of the dataset."""
        return next((guess for guess in self.found if guess.option == option), None)

    @property
    def text(self) -> tuple[str, ...]:
        """The text columns, in the order in which a model sees them."""
        found = self.get("text")
        return found.value if found is not None and isinstance(found.value, tuple) else ()

    @property
    def label(self) -> str:
        """The label's column."""
        found = self.get("label")
        return str(found.value) if found is not None else ""

    @property
    def options(self) -> dict[str, Any]:
        """The dataset's options as an experiment's table gives them."""
        values = {guess.option: guess.value for guess in self.found}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def guess(
    rows: Sequence[Mapping[str, Any]],
    given: Given | None = None,
    *,
    source: str = "the data",
    known: Mapping[str, Guess | None] | None = None,
    named: bool = True,
) -> Guesses:
    """Guesses which columns are the text, the label, the group, the time and the split of a table.

    Args:
        rows: Column → value as it stands in the source; 20,000 say enough.
        given: What the user says.
        source: What errors call the table.
        known: What the kind of file says, by option; what the user says goes before it.
        named: Whether the source names its columns.

    Returns:
        Guesses for text and label, and for group, time, split, ordered, separator and stop where there are any.

    Raises:
        DataError: A given column does not exist (with the nearest name), no column looks like the label or the text,
            or several do: the hint names the option to pass.
    """
    columns = measure(rows)
    if not columns:
        raise DataError(f"{source} has no rows", "expected at least one example for each class")
    table = Table(columns=tuple(columns.values()), rows=len(rows), source=source, named=named)
    said = _with_known(_said(given or Given(), columns, source), known or {})
    found, left_out = _found(columns, table, said)
    taken = {name for each in found.values() for name in _columns(each)}
    _refuse_nameless(found, columns, source)
    label, (text, *more) = columns[str(found["label"].value)], _columns(found["text"])
    about = [find_order(label), None if more else find_separator(columns[text]), find_stop(label)]
    ordered = [found[option] for option in ("text", "label", "group", "time", "split") if option in found]
    everything = (*(_with_free(each, taken) for each in ordered), *(each for each in about if each is not None))
    stop = next((str(each.value) for each in everything if each.option == "stop"), "")
    of_rows, respelt = one_spelling(as_labels(value.removesuffix(stop) for value in label.values))
    labels = _counted(of_rows)
    _refuse_alone(labels, label, columns, source)
    return Guesses(
        found=everything,
        labels=labels,
        of_rows=tuple(of_rows),
        columns=columns,
        left_out=left_out,
        notes=tuple(about_labels(respelt, labels)),
    )


def _refuse_alone(labels: Mapping[str, int], label: Column, columns: Mapping[str, Column], source: str) -> None:
    if len(labels) < 2:
        has = f'only "{next(iter(labels))[:40]}"' if labels else "nothing"
        raise DataError(
            f'{source}: column "{label.name}" holds {has}: there is nothing to tell apart',
            f"pass another one as --label; its columns: {quoted(columns)}",
        )


def _refuse_nameless(found: Mapping[str, Guess], columns: Mapping[str, Column], source: str) -> None:
    for option, each in found.items():
        for name in _columns(each):
            if not name.strip(" "):  # as readers call a column without one
                raise DataError(
                    f"{source}: column {list(columns).index(name) + 1} looks like the {option}, and has no name",
                    f'write one into the line of column names, e.g. "{option}"; if the names stand in a line below, '
                    "delete what is above it",
                )


def _found(
    columns: Mapping[str, Column], table: Table, said: Mapping[str, Guess | None]
) -> tuple[dict[str, Guess], tuple[Guess, ...]]:
    """Applies the rules to what is not said.

    Returns:
        The guesses by option; those that were left out.

    Raises:
        DataError: See `guess`.
    """
    rules: Mapping[str, Callable[[list[Column], Table], Guess | None]] = {
        "split": find_split,
        "time": find_time,
        "label": find_label,
        "text": find_text,
        "group": find_group,
    }
    taken = {name for each in said.values() if each is not None for name in _columns(each)}
    found: dict[str, Guess] = {}
    left_out: list[Guess] = []
    for option, rule in rules.items():
        free = [column for name, column in columns.items() if name not in taken]
        made = said[option] if option in said else rule(free, table)
        if made is not None:
            found[option] = made
            taken.update(_columns(made))
        elif option not in said and (nearly := _nearly(option, free, table)) is not None:
            left_out.append(nearly)
            taken.update(_columns(nearly))
    group, split = found.get("group"), found.get("split")
    if group is not None and split is not None and group.confidence != "given":
        why = astride(columns[str(group.value)], columns[str(split.value)])
        if why:
            left_out.append(replace(found.pop("group"), reason=why))
    return found, tuple(left_out)


def _nearly(option: str, free: Sequence[Column], table: Table) -> Guess | None:
    """Returns the column that looks like the split or the date of a row and cannot be it, with the reason."""
    for column in free:
        why = ""
        if option == "split" and (wrong := why_not_split(column, table.rows)):
            why = f"{quoted([column.name])} looks like one, but {wrong}: expected train, validation (val, dev), test"
        elif option == "time" and dated(column) * 2 > table.rows:
            why = why_not_by_time(column)
        if why:
            return Guess(option=option, value=column.name, confidence="unsure", reason=why)
    return None


def _with_known(said: Mapping[str, Guess | None], known: Mapping[str, Guess | None]) -> dict[str, Guess | None]:
    """Adds what the kind of file says, without the columns that the user has given another meaning."""
    used = {name for each in said.values() if each is not None for name in _columns(each)}
    both = dict(said)
    for option, each in known.items():
        names = () if each is None else tuple(name for name in _columns(each) if name not in used)
        if option in said or (not names and option in ("text", "label")):
            continue
        both[option] = replace(each, value=names if option == "text" else names[0]) if each and names else None
    return both


def _said(given: Given, columns: Mapping[str, Column], source: str) -> dict[str, Guess | None]:
    """Returns what the user gives, checked; `None` where there is to be no such column.

    Raises:
        DataError: There is no such column, or one is given twice.
    """
    said: dict[str, Guess | None] = {}
    for field in fields(given):
        option, value = field.name, getattr(given, field.name)
        if value is None:
            continue
        names = _named(value, columns) if option == "text" else (value,) if value else ()
        for name in names:
            if name not in columns:
                raise DataError(
                    f'{source} has no column "{name}" (--{option}); {nearest(name, columns)}',
                    f"its columns: {quoted(columns)}",
                )
            others = [other for other, each in said.items() if each is not None and name in _columns(each)]
            if others:
                raise DataError(
                    f'{source}: column "{name}" is given as --{others[0]} and as --{option}',
                    "each column is one thing",
                )
        if not names and option in ("text", "label"):
            raise DataError(f"--{option} names no column of {source}", f"its columns: {quoted(columns)}")
        kept = names if option == "text" else value
        said[option] = Guess(option=option, value=kept, confidence="given", reason=f"--{option}") if names else None
    return said


def _named(value: str, columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Returns the columns that commas tell apart; a column may have commas in its own name."""
    parts = [value] if value in columns else value.split(",")
    return tuple(dict.fromkeys(part if part in columns else part.strip() for part in parts if part.strip()))


def _with_free(each: Guess, taken: Container[str]) -> Guess:
    """Leaves out alternatives that have turned out to be something else."""
    return replace(each, alternatives=tuple(name for name in each.alternatives if name not in taken))


def _columns(each: Guess) -> tuple[str, ...]:
    return each.value if isinstance(each.value, tuple) else (str(each.value),)


def _counted(of_rows: Iterable[str]) -> dict[str, int]:
    counts = Counter(label for label in of_rows if label)
    numbers = all(map(is_number, counts))
    return {label: counts[label] for label in sorted(counts, key=lambda each: (float(each) if numbers else 0.0, each))}
