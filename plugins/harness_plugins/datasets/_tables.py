"""Which files a path means, what each is, and the table that reads it: a new format has a file and three lines here."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import harness
from harness_plugins.datasets._chat import chat, is_chat
from harness_plugins.datasets._delimited import Delimited, Lines
from harness_plugins.datasets._json import Json, JsonLines
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets._parquet import Parquet
from harness_plugins.datasets._source import PACKED, Source, Table, check_packed
from harness_plugins.datasets._xlsx import Xlsx

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "txt", "xlsx"]
"""What `dataset.format` can say."""
FORMATS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "txt",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
"""Suffix → format."""


def _lines(source: Source) -> Table:
    """Reads JSON lines; those whose first object is a chat become a table of chats."""
    lines = JsonLines(source)
    return chat(source) if is_chat(lines.first) else lines


READERS: Mapping[str, Callable[[Source], Table]] = {
    "csv": Delimited,
    "tsv": Delimited,
    "json": Json,
    "jsonl": _lines,
    "parquet": Parquet,
    "txt": Lines,
    "xlsx": Xlsx,
}
"""Format → what reads it."""

ONLY: Mapping[str, Sequence[Format]] = {
    "quotes": ("csv", "tsv"),
    "delimiter": ("csv", "tsv"),
    "sheet": ("xlsx",),
}
"""Option → the formats that it is for."""


def read(source: Source) -> Table:
    """Opens a table.

    Raises:
        harness.DataError: The file is not what it should be: file, line, what was expected; or an option that is given
            is for files of another format.
    """
    for option, formats in ONLY.items():
        value = getattr(source, option)
        if value is not None and source.format not in formats:
            raise harness.DataError(
                f"{source.name} is read as {source.format.upper()}, which has no {option}",
                f"leave out dataset.{option} = {json.dumps(value)}; it is for {' and '.join(map(str.upper, formats))}",
            )
    check_packed(source)
    return READERS[source.format](source)


def find(paths: Sequence[str], folder: Path, stated: Format | None) -> list[tuple[Path, Format, str]]:
    """Returns the files that are meant, each with its format and how it is packed.

    Args:
        paths: Files, patterns with `*`, `?` or `[…]`, or folders, whose data files are taken in order of name.
        folder: What they are relative to.
        stated: The format, where the suffix does not say it.

    Raises:
        harness.DataError: A path means no file (with the nearest name), a file is named twice, or formats differ.
    """
    if not paths:
        raise harness.DataError("dataset.path names no file", "give a file, a list of files, a pattern or a folder")
    files = [file for path in paths for file in _meant(path, folder)]
    resolved = [file.resolve() for file in files]
    for number, file in enumerate(resolved):
        if file in resolved[:number]:
            raise harness.DataError(f"dataset.path names {shown(file.name)} twice", "name each file once")
    found = [(file, *_format(file, stated)) for file in files]
    for file, form, _ in found[1:]:
        if form != found[0][1]:
            raise harness.DataError(
                f"dataset.path means files of different formats: {shown(found[0][0].name)} and {shown(file.name)}",
                f'name the files of one format, e.g. path = "*{found[0][0].suffix}"',
            )
    return found


def _meant(path: str, folder: Path) -> list[Path]:
    place = folder / Path(path).expanduser()
    if place.is_file():
        return [place]
    if place.is_dir():
        return _inside(place)
    if glob.has_magic(path):
        names = sorted(glob.glob(str(Path(path).expanduser()), root_dir=folder, recursive=True))  # noqa: PTH207
        files = [folder / name for name in names if (folder / name).is_file()]
        if not files:
            raise harness.DataError(
                f'dataset.path: no file is like "{shown(path, 80)}"', f"the pattern is relative to {folder}"
            )
        return files
    if not place.parent.is_dir():
        raise harness.DataError(
            f"dataset.path: there is no folder {place.parent}", "the path is relative to the experiment file"
        )
    names = [each.name for each in place.parent.iterdir() if each.is_file() and _known(each)]
    raise harness.DataError(f"dataset.path: there is no file {place}", harness.nearest(place.name, names, cutoff=0.75))


def _inside(folder: Path) -> list[Path]:
    """Returns the data files of a folder; texts without labels count only where there is nothing else."""
    files = sorted(
        each for each in folder.iterdir() if each.is_file() and not each.name.startswith(".") and _known(each)
    )
    tables = [each for each in files if _known(each) != "txt"]
    if not files:
        raise harness.DataError(
            f"dataset.path: {folder} is a folder without data files", f"known are {', '.join(FORMATS)}"
        )
    return tables or files


def _known(path: Path) -> Format | None:
    packed = path.suffix.lower() in PACKED
    return FORMATS.get((Path(path.stem) if packed else path).suffix.lower())


def _format(path: Path, stated: Format | None) -> tuple[Format, str]:
    form = stated or _known(path)
    if form is None:
        raise harness.DataError(
            f'{shown(path.name)}: the suffix "{shown(path.suffix)}" is no known format ({", ".join(FORMATS)})',
            f"say what it is: dataset.format = {_quoted(sorted(set(FORMATS.values())))}",
        )
    return form, PACKED.get(path.suffix.lower(), "")


def _quoted(names: Sequence[str]) -> str:
    *most, last = (f'"{name}"' for name in names)
    return f"{', '.join(most)} or {last}"
