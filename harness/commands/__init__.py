"""The commands: a module for each, with a function of its name. A file here is a command, and is listed.

Each imports what it needs when it runs, so that `--help` is quick.
"""

from __future__ import annotations

from functools import cache
from pkgutil import iter_modules

HELPERS = frozenset({"endings", "shared"})
"""Modules that are no command."""


@cache  # `--help` asks once for each of them
def names() -> tuple[str, ...]:
    """Returns what commands there are, sorted."""
    return tuple(sorted({module.name for module in iter_modules(__path__)} - HELPERS))
