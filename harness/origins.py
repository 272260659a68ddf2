"""Where a plugin's class comes from, in words for people: for remarks and errors that must name it."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

GROUP = "finetune_harness"
"""The entry-point group of plugins."""


def origin(plugin: object) -> str:
    """Returns a plugin's distribution with its version, such as `harness-example 1.2`.

    Args:
        plugin: A plugin's instance or class.

    Returns:
        For a loose file its name; where neither is known the module's name.
    """
    cls = plugin if isinstance(plugin, type) else type(plugin)
    module = cls.__module__
    points = list(entry_points(group=GROUP))
    exact = [point.dist for point in points if point.module == module]
    package = module.partition(".")[0]
    for dist in (*exact, *(point.dist for point in points if point.module.partition(".")[0] == package)):
        if dist is not None:
            return f"{dist.name} {dist.version}".strip()
    file = getattr(sys.modules.get(module), "__file__", None)
    return str(file).replace("\\", "/").rsplit("/", 1)[-1] if file else module
