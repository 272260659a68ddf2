"""Writing so that what was acknowledged is still there after a power failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Makes a file's content, or a folder's list of names, last.

    Raises:
        OSError: The disk refuses.
    """
    if path.is_dir() and os.name == "nt":  # folders cannot be opened there
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def complete(target: Path) -> Iterator[Path]:
    """A folder to fill that takes its name when all went well, and lasts from then on.

    Args:
        target: What it will be called; one that is there already is replaced.

    Yields:
        The folder to write to.

    Raises:
        OSError: The disk refuses.
    """
    temporary = target.with_name(f".{target.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    yield temporary
    for path in temporary.iterdir():
        sync(path)
    sync(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)
    for folder in (target.parent, target.parent.parent):  # the parent may be new itself
        sync(folder)
