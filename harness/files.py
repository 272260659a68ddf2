"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness.errors import REFUSED, UsageError, disk_full


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file under a temporary name and renames it: readers see the old file or the new one.

    Raises:
        UsageError: It cannot be written there.
        UnfinishedError: The disk is full.
    """
    raw = content.encode("utf-8", "replace") if isinstance(content, str) else content
    with writable(path):
        _write_whole(path, raw)


def _write_whole(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_mine())
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


_READY = ".ready"
"""Folder of files that are whole and only have to be moved to their places; their names begin with the order."""


_WRITING = ".writing-"
"""Beginning of the name of a file or folder that is not whole yet; the process's number follows."""


def _mine() -> str:
    return f"{_WRITING}{os.getpid()}-"


def write_together(folder: Path, files: Mapping[str, bytes], gone: Iterable[str] = ()) -> None:
    """Writes several files of one folder so that all of them are the old ones or all are the new ones.

    They are written into a folder beside the others, which is renamed when it is complete: from then on they only have
    to be moved, and the next call does that if this one is stopped. Other files in `folder` are left alone.

    Args:
        folder: Is made where it is missing.
        files: Name, without any path → content; they are moved in this order.
        gone: Names of files that are removed when the others are in their places.

    Raises:
        UsageError: `folder` cannot be written to.
        UnfinishedError: The disk is full.
    """
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _move(folder / _READY)
        clear(folder)
        _fill(folder, files)
        _move(folder / _READY)
        for name in gone:
            (folder / Path(name).name).unlink(missing_ok=True)


@contextmanager
def writable(place: Path) -> Iterator[None]:
    """Says in plain words that nothing can be written somewhere.

    Raises:
        UsageError: Instead of an error of the system.
        UnfinishedError: The disk is full.
    """
    try:
        yield
    except (PermissionError, FileExistsError, NotADirectoryError, IsADirectoryError, FileNotFoundError) as error:
        raise UsageError(
            f"cannot write to {place}: {error.strerror}", "name another place, or make room there"
        ) from None
    except OSError as error:
        if (full := disk_full(error, place)) is not None:
            raise full from None
        if error.errno not in REFUSED:
            raise
        raise UsageError(f"cannot write to {place}: {error.strerror}", "name another place") from None


def make_folder(folder: Path) -> None:
    """Makes a folder, and those above it, where it is missing.

    Raises:
        UsageError: It cannot be made there.
        UnfinishedError: The disk is full.
    """
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)


def require_writable(path: Path) -> None:
    """Looks whether a file can be written, before anything is paid for what goes into it; makes its folder alone.

    Raises:
        UsageError: It cannot be written there.
        UnfinishedError: The disk is full.
    """
    with writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        tempfile.TemporaryFile(dir=path.parent).close()


def _fill(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files into a folder of their own, which gets its name when all of them are whole."""
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=_mine()))
    try:
        for place, (name, content) in enumerate(files.items()):
            with (temporary / f"{place:04d} {name}").open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(folder / _READY)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def clear(folder: Path, *, deep: bool = False) -> None:
    """Removes what processes that are no more have left half-written in a folder; `deep`: in those within it, too."""
    find = folder.rglob if deep else folder.glob
    for path in list(find(f"{_WRITING}*")):
        try:
            os.kill(int(path.name.removeprefix(_WRITING).split("-")[0]), 0)
        except (ValueError, ProcessLookupError):
            _remove(path)
        except OSError:  # another user's process, and alive
            continue


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


@contextmanager
def folder_whole(folder: Path) -> Iterator[Path]:
    """Gives a folder to fill, which takes the place of `folder` when the block ends well.

    Raises:
        UsageError: It cannot be made there; what the block raises comes out as it is.
        UnfinishedError: The disk is full.
    """
    with writable(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=_mine()))
    try:
        yield temporary
        with writable(folder):
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


class _NotCopied(Exception):  # noqa: N818 - it never leaves `copy_folder`
    """A file could not be copied.

    Args:
        error: What kept it from that.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


def copy_folder(source: Path, target: Path) -> None:
    """Copies a folder, whole or not at all.

    Raises:
        UsageError: `target` cannot be made there.
        UnfinishedError: The disk is full.
        OSError: A file cannot be read or written for another reason.
    """

    def copy(file: str, to: str) -> str:
        try:
            return shutil.copy2(file, to)
        except OSError as error:  # `copytree` would gather such errors, and forget of which kind they are
            raise _NotCopied(error) from None

    try:
        with folder_whole(target) as filling:
            shutil.copytree(source, filling, dirs_exist_ok=True, copy_function=copy)
    except _NotCopied as failed:
        raise disk_full(failed.error, target) or failed.error from None


def _move(ready: Path) -> None:
    """Moves complete files to their places."""
    if ready.is_dir():
        for path in sorted(ready.iterdir()):
            path.replace(ready.parent / path.name.split(" ", 1)[1])
        ready.rmdir()


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, whole; NaN is refused."""
    write_whole(path, json_text(value))


def json_text(value: Any) -> str:
    """Returns JSON as files have it; NaN is refused."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
