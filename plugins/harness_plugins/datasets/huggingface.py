"""Examples from the Hugging Face hub, or from a folder in its layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import harness
from harness_plugins.datasets import _rows


@dataclass(frozen=True, kw_only=True)
class HuggingFace:
    """Reads a dataset with `datasets.load_dataset`; its own splits are kept where it has more than one."""

    name: ClassVar[str] = "huggingface"

    path: str
    """Repository id (`owner/name`), or a folder relative to the experiment file."""
    text: str | tuple[str, ...]
    """Column or columns of the text, in the order in which a model sees them."""
    label: str
    """Column of the label; class numbers become class names where the dataset has them."""
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

    def load(self, ctx: harness.Context) -> Iterator[harness.Example]:
        """Yields the examples of the chosen splits.

        Raises:
            harness.DataError: No such dataset, split or column.
            harness.UnfinishedError: The hub cannot be reached.
        """
        columns = _rows.Columns(
            text=(self.text,) if isinstance(self.text, str) else self.text,
            label=self.label,
            group=self.group,
            split=self.split,
            slices=self.slices,
            time=self.time,
        )
        parts = self._loaded(ctx)
        chosen = self._chosen(list(parts))
        for own in chosen:
            _rows.check_columns(columns, parts[own].column_names, f'{self.path}, split "{own}"')
        rows = (row for own, split in chosen.items() for row in self._rows(parts[own], own, split, columns))
        return _rows.examples(rows, columns)

    def _loaded(self, ctx: harness.Context) -> Mapping[str, Any]:
        import datasets

        local = ctx.folder / self.path
        path = str(local.resolve()) if local.is_dir() else self.path
        try:
            with _quiet():
                loaded: Mapping[str, Any] = datasets.load_dataset(path, name=self.config, revision=self.revision)
        except (ConnectionError, TimeoutError) as error:
            raise harness.UnfinishedError(
                f"the Hugging Face hub cannot be reached for {self.path}: {_line(error)}",
                "Check the network, or give dataset.path a local folder.",
            ) from None
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise harness.DataError(
                f'dataset.path = "{self.path}" cannot be loaded: {_line(error)}',
                "Expected a repository id (owner/name) or a folder of CSV, JSONL or Parquet files.",
            ) from None
        return loaded

    def _chosen(self, own: list[str]) -> dict[str, harness.Split | None]:
        """Returns the splits to read, each with what it is here; `None` leaves the split to the data stage."""
        if self.split is not None or (len(own) == 1 and not self.splits):
            return dict.fromkeys(own)
        meant = {name: _rows.split_of(self.splits.get(name, "" if self.splits else name)) for name in own}
        for name, wanted in self.splits.items():
            if name not in own:
                raise harness.DataError(
                    f'dataset.splits: {self.path} has no split "{name}"', f"Of its splits {harness.nearest(name, own)}"
                )
            if _rows.split_of(wanted) is None:
                raise harness.DataError(
                    f'dataset.splits.{name} = "{wanted}" is no split', "Expected train, validation or test."
                )
        unknown = [name for name, split in meant.items() if split is None]
        if unknown and not self.splits:
            raise harness.DataError(
                f'{self.path} has splits whose part is not clear: "{unknown[0]}" (of {", ".join(own)})',
                'Say which to use, e.g. dataset.splits = { train = "train", test = "test" }.',
            )
        return {name: split for name, split in meant.items() if split is not None}

    def _rows(self, part: Any, own: str, split: harness.Split | None, columns: _rows.Columns) -> Iterator[_rows.Row]:
        needed = list(dict.fromkeys(name for names in columns.named.values() for name in names))
        names = {column: getattr(part.features[column], "names", None) for column in needed}
        for number, values in enumerate(part.select_columns(needed), start=1):
            yield _rows.Row(
                f'{self.path}, split "{own}", row {number}',
                {column: _named(value, names[column]) for column, value in values.items()},
                split,
            )


def _named(value: Any, names: list[str] | None) -> Any:
    """Returns a class's name for its number; -1 is how datasets write that there is none."""
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


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
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


@harness.hookimpl
def harness_datasets() -> list[type[HuggingFace]]:
    """Declares the dataset."""
    return [HuggingFace]
