"""Writing files whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file under a temporary name and renames it: readers see the old file or the new one."""
    raw = content.encode("utf-8", "replace") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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
"""Folder of files that are whole and only have to be moved to their places."""


_WRITING = ".writing-"
"""Beginning of the name of a folder that is being filled; the process's number follows."""


def write_together(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes several files of one folder so that all of them are the old ones or all are the new ones.

    They are written into a folder beside the others, which is renamed when it is complete: from then on they only have
    to be moved, and the next call does that if this one is stopped. Other files in `folder` are left alone.

    Args:
        folder: Is made where it is missing.
        files: Name, without any path → content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _move(folder / _READY)
    _clear(folder)
    temporary = Path(tempfile.mkdtemp(dir=folder, prefix=f"{_WRITING}{os.getpid()}-"))
    try:
        for name, content in files.items():
            with (temporary / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(folder / _READY)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _move(folder / _READY)


def _clear(folder: Path) -> None:
    """Removes what processes that are no more have left half-written."""
    for path in folder.glob(f"{_WRITING}*"):
        try:
            os.kill(int(path.name.removeprefix(_WRITING).split("-")[0]), 0)
        except (ValueError, ProcessLookupError):
            shutil.rmtree(path, ignore_errors=True)
        except OSError:  # another user's process, and alive
            continue


def _move(ready: Path) -> None:
    """Moves complete files to their places."""
    if ready.is_dir():
        for path in sorted(ready.iterdir()):
            path.replace(ready.parent / path.name)
        ready.rmdir()


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, whole; NaN is refused."""
    write_whole(path, json_text(value))


def json_text(value: Any) -> str:
    """Returns JSON as files have it; NaN is refused."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
