"""Examples from the Hugging Face hub, or from a folder in its layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import harness
from harness.findings import finding
from harness.words import noted
from harness_plugins.datasets import _presets, _rows
from harness_plugins.datasets._notes import Notes, shown
from harness_plugins.datasets._parquet import BATCH, values

_OR_NONE = {"text": "", "label": ' ("" where there is none)'}


@dataclass(frozen=True, kw_only=True)
class HuggingFace:
    """Reads a dataset with `datasets.load_dataset`; its own splits are kept where it has more than one."""

    name: ClassVar[str] = "huggingface"

    path: str
    """Repository id (`owner/name`), or a folder relative to the experiment file. `amazon_reviews_multi` means a mirror
    of it, in the language that `config` says: en, de, es, fr, ja or zh."""
    text: str | tuple[str, ...] | None = None
    """Column or columns of the text, in the order in which a model sees them. Needed, but for a preset."""
    label: str | None = None
    """Column of the label; class numbers become class names where the dataset has them. Needed, but for a preset."""
    config: str | None = None
    """The dataset's configuration, e.g. a language."""
    revision: str | None = None
    """Branch, tag or commit of the repository; a commit makes the experiment repeatable."""
    splits: Mapping[str, str] = field(default_factory=dict)
    """The dataset's split → train, validation or test; those not named are left out. By default splits of these names
    (and val, dev) are used."""
    labels: tuple[str, ...] | None = None
    """The label set, in rank order where `ordered`; by default the labels that occur."""
    ordered: bool = False
    """Whether the labels have an order."""
    group: str | None = None
    """Column whose equal values never stand on both sides of a split."""
    split: str | None = None
    """Column that says train, validation or test, instead of the dataset's own splits."""
    slices: tuple[str, ...] = ()
    """Columns by which the report tells parts of the data apart."""
    time: str | None = None
    """Column of dates: ISO 8601, or seconds since 1970."""
    share: bool = False
    """Whether texts of this data may be published."""

    preset: Literal["amazon_reviews_multi"] | None = None
    """What the data is, where a path does not say it: a folder that holds a mirror of this dataset."""
    streaming: bool = False
    """Reads rows as they arrive instead of fetching the whole dataset first."""
    limit_rows: int | None = None
    """The first rows of each split that are read; by default all."""

    def __post_init__(self) -> None:
        if self.limit_rows is not None and self.limit_rows < 1:
            raise ValueError(f"limit_rows = {self.limit_rows}, expected at least 1")
        if self.path == _presets.AMAZON:
            object.__setattr__(self, "preset", _presets.AMAZON)
            _presets.mirrors(self.config)
        if self.preset is not None:
            usual = {"text": "text", "label": "label", "labels": _presets.STARS}
            for option, value in usual.items():
                if getattr(self, option) is None:
                    object.__setattr__(self, option, value)
            object.__setattr__(self, "ordered", True)
        for option in ("text", "label"):
            if getattr(self, option) is None:
                raise ValueError(f"{option} is not given, expected the name of a column{_OR_NONE[option]}")

    def load(self, ctx: harness.Context) -> Iterator[harness.Example]:
        """Yields the examples of the chosen splits.

        Raises:
            harness.DataError: No such dataset, split or column.
            harness.UnfinishedError: The hub cannot be reached.
        """
        notes = Notes()
        columns = _rows.Columns(
            text=(self.text,) if isinstance(self.text, str) else self.text or (),
            label=self.label or "",
            group=self.group,
            split=self.split,
            slices=self.slices,
            time=self.time,
        )
        source, parts = self._loaded(ctx)
        chosen = self._chosen(list(parts))
        for own in chosen:
            _rows.check_columns(columns, _names(parts[own]), f'{self.path}, split "{own}"')
        made = (
            _rows.Part(where=where, rows=self._select(parts[own], columns.wanted, where, ctx), split=split)
            for own, split in chosen.items()
            for where in (partial(_where, source, own),)
        )
        return self._examples(_rows.examples(made, columns, notes, self.labels or ()), source, notes, ctx)

    def rows(self, ctx: harness.Context) -> Iterator[Mapping[str, Any]]:
        """Yields the rows of the chosen splits as they stand, column → value; class numbers as class names.

        Raises:
            harness.DataError: No such dataset or split.
            harness.UnfinishedError: The hub cannot be reached.
        """
        source, parts = self._loaded(ctx)
        for own in self._chosen(list(parts)):
            names = _names(parts[own])
            for _, cells in self._select(parts[own], names, partial(_where, source, own), ctx):
                yield dict(zip(names, cells, strict=True))

    def _examples(
        self, examples: Iterator[harness.Example], source: str, notes: Notes, ctx: harness.Context
    ) -> Iterator[harness.Example]:
        yield from examples
        for check in notes.checks():
            ctx.tell(check)
        if self.preset is not None:
            ctx.tell(_presets.told(source))

    def _loaded(self, ctx: harness.Context) -> tuple[str, Mapping[str, Any]]:
        """Returns what was loaded in the end, and its splits."""
        local = ctx.folder / Path(self.path).expanduser()
        if local.is_dir():
            return self.path, self._from(str(local.resolve()), self.config)
        if self.path.startswith((".", "/", "~")):
            raise harness.DataError(
                f"dataset.path: there is no folder {local}", "the path is relative to the experiment file"
            )
        if self.path != _presets.AMAZON:
            return self.path, self._from(self.path, self.config)
        *before, last = _presets.mirrors(self.config)
        for path, config in before:
            with suppress(harness.DataError):  # gone from there as well: the next one
                return path, self._from(path, config)
        return last[0], self._from(*last)

    def _from(self, path: str, config: str | None) -> Mapping[str, Any]:
        import datasets

        with _worded(path), _quiet():
            if (Path(path) / "dataset_dict.json").is_file():
                saved: Mapping[str, Any] = datasets.load_from_disk(path)
                return saved
            loaded: Mapping[str, Any] = datasets.load_dataset(
                path, name=config, revision=self.revision, streaming=self.streaming
            )
            return loaded

    def _chosen(self, own: list[str]) -> dict[str, harness.Split | None]:
        """Returns the splits to read, each with what it is here; `None` leaves the split to the data stage."""
        if self.split is not None or (len(own) == 1 and not self.splits):
            return dict.fromkeys(own)
        meant = {name: _rows.split_of(self.splits.get(name, "" if self.splits else name)) for name in own}
        for name, wanted in self.splits.items():
            if name not in own:
                raise harness.DataError(
                    f'dataset.splits: {self.path} has no split "{name}"', f"of its splits {harness.nearest(name, own)}"
                )
            if _rows.split_of(wanted) is None:
                raise harness.DataError(
                    f'dataset.splits.{name} = "{wanted}" is no split', "expected train, validation or test"
                )
        unknown = [name for name, split in meant.items() if split is None]
        if unknown and not self.splits:
            raise harness.DataError(
                f'{self.path} has splits whose part is not clear: "{unknown[0]}" (of {", ".join(own)})',
                'say which to use, e.g. dataset.splits = { train = "train", test = "test" }',
            )
        return {name: split for name, split in meant.items() if split is not None}

    def _select(
        self, part: Any, wanted: Sequence[str], where: Callable[[int], str], ctx: harness.Context
    ) -> Iterator[tuple[int, Sequence[Any]]]:
        number = 0
        features = part.features or {}
        classes = {name: getattr(features.get(name), "names", None) for name in wanted}
        part = part.select_columns(list(wanted)).with_format("arrow")
        limit = self.limit_rows
        with _worded(self.path):
            for batch in part.iter(batch_size=BATCH):
                columns = [self._named(batch, name, classes[name], where, number) for name in wanted]
                for cells in zip(*columns, strict=True):
                    if number == limit:
                        ctx.tell(_limited(where(number), number))
                        return
                    number += 1
                    yield number, cells

    def _named(
        self, batch: Any, name: str, classes: list[str] | None, where: Callable[[int], str], before: int
    ) -> list[Any]:
        cells = values(batch.column(name), name, where, before)
        if self.preset is not None and name == self.label == "label" and classes is None:
            return [_presets.stars(cell, where(number)) for number, cell in enumerate(cells, start=before + 1)]
        return cells if classes is None else [_class(cell, classes) for cell in cells]


def _names(part: Any) -> list[str]:
    """Returns a split's columns; some of those that are streamed know them only from their first row."""
    if part.column_names is not None:
        return list(part.column_names)
    return list(next(iter(part.take(1)), {}))


def _where(source: str, own: str, number: int) -> str:
    return f'{source}, split "{own}", row {number}'


def _class(value: Any, names: list[str]) -> Any:
    """Returns a class's name for its number; -1 is how datasets write that there is none."""
    if not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def _limited(where: str, n: int) -> harness.Check:
    return finding(
        "limited-rows",
        "warning",
        {"rows": n, "last": where},
        heading="quantity",
        advice=noted(
            "Where the source is sorted, its first rows are no fair sample: raise or drop the limit for a verdict."
        ),
    )


@contextmanager
def _worded(path: str) -> Iterator[None]:
    """Turns what the library raises into the harness's errors."""
    import datasets

    try:
        yield
    except harness.HarnessError:
        raise
    except Exception as error:  # network libraries raise errors of their own
        if _unreachable(error):
            raise harness.UnfinishedError(
                f"the Hugging Face hub cannot be reached for {path}: {_line(error)}",
                "check the network, or give dataset.path a local folder",
            ) from None
        if isinstance(error, OSError | ValueError | RuntimeError | datasets.exceptions.DatasetsError):
            raise harness.DataError(
                f'dataset.path = "{path}" cannot be loaded: {_line(error)}',
                "expected a repository id (owner/name) or a folder of CSV, JSONL or Parquet files",
            ) from None
        raise


def _unreachable(error: BaseException) -> bool:
    names = {base.__name__ for base in type(error).__mro__}
    return isinstance(error, ConnectionError | TimeoutError) or bool(names & {"TransportError", "NetworkError"})


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the library's own progress bars off the terminal, where the run shows its own."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


def _line(error: BaseException) -> str:
    return shown(" ".join(str(error).split()) or type(error).__name__, 160)


@harness.hookimpl
def harness_datasets() -> list[type[HuggingFace]]:
    """Declares the dataset."""
    return [HuggingFace]
