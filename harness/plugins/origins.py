"""Where a plugin's class comes from: named in remarks and errors, and limited to what a user allows."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points

from harness.hookspecs import PROJECT

ALLOW = "HARNESS_PLUGINS_ALLOW"
"""Environment variable: distributions, with commas between them, whose plugins may be loaded; nothing else is."""


def origin(plugin: object) -> str:
    """Returns a plugin's distribution with its version, such as `harness-example 1.2`.

    Args:
        plugin: A plugin's instance or class.

    Returns:
        For a loose file its name; where neither is known the module's name.
    """
    cls = plugin if isinstance(plugin, type) else type(plugin)
    module = cls.__module__
    points = list(entry_points(group=PROJECT))
    exact = [point.dist for point in points if point.module == module]
    package = module.partition(".")[0]
    for dist in (*exact, *(point.dist for point in points if point.module.partition(".")[0] == package)):
        if dist is not None:
            return f"{dist.name} {dist.version}".strip()
    file = getattr(sys.modules.get(module), "__file__", None)
    return str(file).replace("\\", "/").rsplit("/", 1)[-1] if file else module


def limited(allowed: Iterable[str] | None) -> Callable[[str], bool]:
    """Returns what says whether a distribution's plugins may be imported.

    Args:
        allowed: The distributions that an experiment allows; `None` where it allows all. What the environment
            variable `ALLOW` says limits them too. Names are compared as PyPA normalises them.
    """
    told = os.environ.get(ALLOW)
    limits = [set(map(_normal, names)) for names in (allowed, told and told.split(",")) if names is not None]
    return lambda distribution: all(_normal(distribution) in limit for limit in limits)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
