"""A first look at a file: read its rows as they stand, find out how it is laid out, guess what its columns are."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError, nearest
from harness.guessing.forms import forms_of
from harness.guessing.guess import Given, Guesses, guess
from harness.guessing.layout import find_header, find_quotes
from harness.guessing.prepared import known, readable
from harness.guessing.rules import Guess
from harness.plugins import Plugins
from harness.plugins.options import OptionError, construct
from harness.tables import Forms, is_prepared
from harness.types import Context

ROWS = 20_000
"""Rows that a look takes in."""
_RUN = 5
"""Rows that a sample takes together: those of one group, which often stand together, are seen as such."""

_DELIMITED = frozenset({".csv", ".tsv", ".tab"})
_HEADED = _DELIMITED | {".xlsx"}
_PACKED = frozenset({".gz", ".zst"})
_SEPARATING = frozenset(",;|\t")

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """Another way to read a file that cannot be read as it is."""

    option: str
    value: str | bool
    reason: str


_ATTEMPTS = (
    _Attempt(option="quotes", value=True, reason="it can only be read if quotes stand around cells"),
    _Attempt(option="quotes", value=False, reason="it can only be read if quotes are plain text"),
    _Attempt(option="delimiter", value=";", reason="semicolons separate its cells"),
    _Attempt(option="delimiter", value="\t", reason="tabs separate its cells"),
    _Attempt(option="delimiter", value="|", reason="bars separate its cells"),
    _Attempt(option="delimiter", value=",", reason="commas separate its cells"),
    _Attempt(option="turns", value="join", reason="its chats have several turns before the answer"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look at a file has shown."""

    guesses: Guesses
    layout: tuple[Guess, ...]
    """Guesses about the file itself: `columns`, `quotes`."""
    options: Mapping[str, Any]
    """Options of the dataset `files` for this file, the path left out."""
    forms: Forms
    """What the file has of its own of the forms that providers train on."""
    whole: bool
    """Whether all rows were seen."""

    @property
    def found(self) -> tuple[Guess, ...]:
        """All guesses: those about the file, then those about its columns."""
        return (*self.layout, *self.guesses.found)


def look(data: Path, plugins: Plugins, given: Given | None = None, reading: Mapping[str, Any] | None = None) -> Look:
    """Looks at the rows of a file; of more than 20,000, at as many from all of it.

    Args:
        data: Whatever the dataset `files` reads: CSV, TSV, JSON, JSONL, Parquet, …
        plugins: Where that dataset comes from.
        given: What the user says about the columns.
        reading: Options of `files` that say how the file is read, e.g. `encoding`, `sheet`.

    Raises:
        DataError: There is no such file (with the nearest name), it cannot be read, or `guess` refuses it.
    """
    check_file(data)
    reader = _Reader(data, plugins, {name: value for name, value in (reading or {}).items() if value is not None})
    rows = reader.first()
    for option, forms, rule in (("quotes", _DELIMITED, find_quotes), ("columns", _HEADED, find_header)):
        found = rule(rows) if reader.suffix in forms and option not in reader.options else None
        if found is not None:
            reader.take(found)
            rows = reader.rows()
    if is_prepared(data):
        guesses = guess(readable(rows), given, source=data.name, known=known(rows))
    else:
        named = all(found.option != "columns" for found in reader.layout)
        guesses = guess(rows, given, source=data.name, named=named)
    options = {**guesses.options, **reader.options}
    return Look(
        guesses=guesses,
        layout=tuple(reader.layout),
        options=options,
        forms=forms_of(data, options, guesses),
        whole=reader.whole,
    )


def sample(rows: Iterator[Mapping[str, Any]]) -> tuple[Rows, bool]:
    """Returns the rows, or of more than 20,000 as many from all of them; and whether these are all.

    Runs of neighbours are drawn, each as probably as any other and the same ones each time, and stay in their order.
    """
    draw, most = random.Random(0), ROWS // _RUN
    kept: list[tuple[int, Rows]] = []
    seen = 0
    while run := list(islice(rows, _RUN)):
        place = seen if seen < most else int(draw.random() * (seen + 1))
        if place < most:
            kept[place : place + 1] = [(seen, run)]
        seen += 1
    return [row for _, run in sorted(kept, key=lambda each: each[0]) for row in run], seen <= most


def kind_of(file: Path) -> str:
    """Returns a file's suffix in lower case, of a packed file the one before."""
    return (Path(file.stem) if file.suffix.lower() in _PACKED else file).suffix.lower()


def check_file(data: Path) -> None:
    """Refuses a path that names nothing.

    Raises:
        DataError: There is no such file, and the nearest name is said; or it is a folder of prepared data.
    """
    if is_prepared(examples := data / "examples.parquet"):
        raise DataError(f"{data} is a folder that `harness prepare` wrote", f"give its examples: {examples}")
    if data.is_file() or data.is_dir() or any(sign in data.name for sign in "*?["):
        return  # a folder or a pattern: the dataset says what is wrong with it
    if not data.parent.is_dir():
        raise DataError(f"{data}: there is no folder {data.parent}", "check the path")
    raise DataError(f"{data}: there is no such file", _nearest_file(data.name, data.parent))


def _nearest_file(name: str, folder: Path) -> str:
    names = (each.name for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))
    return nearest(name, names, cutoff=0.75)


class _Reader:
    """Reads a file's rows, and takes down what it has to say to the dataset `files` for that."""

    def __init__(self, data: Path, plugins: Plugins, options: Mapping[str, Any]) -> None:
        self.options = dict(options)
        self.layout: list[Guess] = []
        self.files: tuple[Path, ...] = ()
        """The files that the rows come from."""
        self.whole = True
        """Whether the rows that were read last are all rows."""
        self._data = data
        self._cls = plugins.get("dataset", "files").cls

    @property
    def suffix(self) -> str:
        """What kind of file the data is, in lower case; of several, what the first one is."""
        return kind_of(self.files[0])

    def take(self, found: Guess) -> None:
        """Takes a guess about the file."""
        self.layout.append(found)
        self.options[found.option] = list(found.value) if isinstance(found.value, tuple) else found.value

    def first(self) -> Rows:
        """Reads the file as it is, and where that fails, as the error's hint says."""
        try:
            rows = self.rows()
        except DataError as error:
            named = [attempt for attempt in _ATTEMPTS if f"[dataset] {attempt.option} (" in error.hint]
            rows = self._otherwise(named) or self._headless()
            if not rows:
                raise
        return self._separated(rows)

    def _separated(self, rows: Rows, more: Mapping[str, Any] | None = None) -> Rows:
        """Returns the rows as another separator reads them, where the only column's name seems to hold one."""
        names = list(rows[0]) if rows else []
        if self.suffix in _DELIMITED and len(names) == 1 and _SEPARATING & set(names[0]):
            return self._otherwise([each for each in _ATTEMPTS if each.option == "delimiter"], more) or rows
        return rows

    def _otherwise(self, attempts: Sequence[_Attempt], more: Mapping[str, Any] | None = None) -> Rows:
        """Returns the rows as read by the first attempt that works, `more` options given; none where none does."""
        for attempt in attempts:
            if attempt.option in self.options:
                continue
            try:
                rows = self.rows({**(more or {}), attempt.option: attempt.value})
            except DataError:
                continue
            if rows and (attempt.option != "delimiter" or len(rows[0]) > 1):
                self.take(Guess(option=attempt.option, value=attempt.value, confidence="likely", reason=attempt.reason))
                return rows
        return ()

    def _headless(self) -> Rows:
        """Returns the rows of files of which the first has no line of column names; none where it has one."""
        if len(self.files) < 2 or self.suffix not in _HEADED or "columns" in self.options:
            return ()
        first = {"path": str(self.files[0])}
        try:
            found = find_header(self._separated(self.rows(first), first))
            if found is None:
                return ()
            rows = self.rows({"columns": found.value})
        except DataError:
            return ()
        self.take(found)
        return rows

    def rows(self, more: Mapping[str, Any] | None = None) -> Rows:
        """Reads the file, and returns a sample of it where it is long.

        Raises:
            DataError: The file cannot be read; the hint names this command's options.
            UsageError: The dataset has no such option.
        """
        # Whatever the text and label are: rows come as they stand.
        path = str(self._data.absolute())
        table = {"text": [], "label": "", "path": path, **self.options, **(more or {})}
        try:
            dataset: Any = construct(self._cls, table, "dataset")
        except OptionError as error:
            raise UsageError(f"{self._data.name}: {error.message}") from None
        try:
            self.files = dataset.reads(Path())
            rows, self.whole = sample(iter(dataset.rows(Context())))
        except DataError as error:
            raise DataError(_as_option(error.message), _as_option(error.hint)) from None
        return rows


def _as_option(text: str) -> str:
    """Names the command's options where an error names those of the dataset; others stand in an experiment alone."""
    text = re.sub(r'dataset\.(encoding|sheet) = (?=")', r"--\1 ", text)
    return re.sub(r"\bdataset\.(\w+) = ", r"[dataset] \1 (in an experiment file) = ", text)
