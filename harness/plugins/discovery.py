"""Finds and loads plugins.

An own small loader over pluggy's hooks, because pluggy's accepts a misspelt hook, skips a duplicate name, lets one
broken plugin abort all, and does not say which one it was (docs/decisions/0003-plugins.md).
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass, replace
from functools import cache
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, cast

import pluggy

from harness import contract, hookspecs
from harness.errors import PluginError, nearest
from harness.plugins import OWN, Failure, Plugins, Record, reason
from harness.plugins.asides import speaker
from harness.plugins.origins import limited
from harness.terms import FAMILIES

KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "dataset": ("harness_datasets", ("load",)),
    "formatter": ("harness_formatters", ("prompt", "training_line", "parse")),
    "selector": ("harness_selectors", ("fit",)),
    "backend": ("harness_backends", ("family",)),
    "metric": ("harness_metrics", ("score",)),
    "section": ("harness_report_sections", ("blocks",)),
    "executor": ("harness_executors", ("run",)),
    "observer": ("harness_observers", ("on",)),
}
"""Kind → its hook and what `harness.contract` asks of its classes."""
PROTOCOLS: Mapping[str, tuple[type, ...]] = {
    "dataset": (contract.Dataset, contract.TabularDataset),
    "formatter": (contract.Formatter,),
    "selector": (contract.Selector, contract.EmbeddingSelector),
    "backend": (contract.RemoteBackend, contract.LocalBackend, contract.TrainableRemote, contract.TrainableLocal),
    "metric": (contract.Metric,),
    "section": (contract.Section,),
    "executor": (contract.Executor,),
    "observer": (contract.Observer,),
}
"""Kind → the protocols whose methods its classes may have; they say with which arguments each is called."""
HOOKS = frozenset(hook for hook, _ in KINDS.values())


class _Manager(pluggy.PluginManager):
    """Looks at functions with the name of a hook alone: pluggy examines whatever a module holds, imports included."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name in HOOKS else None


class _FreshLoader(SourceFileLoader):
    """Reads a file's source each time: cached bytecode is known by second and size, and an edit can keep both."""

    def path_stats(self, path: Any) -> Any:
        raise OSError


def discover(
    files: Sequence[str | Path] = (), blocked: Iterable[str] = (), allowed: Iterable[str] | None = None
) -> Plugins:
    """Finds and loads every plugin.

    Args:
        files: Loose plugin files, given by `--plugin`.
        blocked: Entry points or distributions that are not even imported, and names of installed plugins that are left
            out. A loose file is asked for by name, so it stays: it can take the place of a blocked plugin.
        allowed: Distributions whose plugins may be imported, beside those that ship; by default all. What the
            environment variable `HARNESS_PLUGINS_ALLOW` says limits them too.

    Returns:
        What loaded and what failed, each sorted by kind and name.

    Raises:
        PluginError: A file of `files` does not exist or does not load: it was asked for by name.
    """
    shut = set(blocked)
    open_to = limited(allowed)
    records: list[Record] = []
    failures: list[Failure] = []
    origins: dict[int, tuple[str, str]] = {}
    manager = _Manager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    for point in sorted(entry_points(group=hookspecs.PROJECT), key=lambda point: (point.name, point.value)):
        # All points of a distribution share one object, and each look at its metadata parses a file
        known = origins.get(id(point.dist))
        distribution, version = origins[id(point.dist)] = known or _origin(point)
        if shut & {point.name, distribution} or not (distribution == OWN or open_to(distribution)):
            continue
        whole = f"{distribution} {version}".strip()
        found = _entry(manager, point, whole, version)
        records += found.records
        failures += found.failures
    kept = [record for record in records if record.name not in shut]
    for file in {Path(file).resolve(): Path(file) for file in files}.values():
        kept += _load_file(manager, file)
    return Plugins(
        records=tuple(sorted(kept, key=lambda record: (record.kind, record.name, record.distribution))),
        failures=tuple(failure for failure in failures if failure.name not in shut),
    )


def _entry(manager: pluggy.PluginManager, point: EntryPoint, distribution: str, version: str) -> Plugins:
    """Loads what one entry point names; what is wrong with it becomes data."""
    try:
        module, seconds = _imported(point.load, f'the plugin "{point.name}" ({distribution})')
        found = _declared(manager, module, distribution, version)
        if not found.records and not found.failures:
            raise TypeError("it declares no plugin")  # noqa: TRY301 - one place words all failures
    except (Exception, SystemExit) as error:
        return Plugins(records=(), failures=(_failure(point.name, distribution, error),))
    named = [f if f.name else replace(f, name=point.name) for f in found.failures]
    return Plugins(records=tuple(replace(r, import_s=seconds) for r in found.records), failures=tuple(named))


def _origin(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("unknown", "")


def _imported(load: Callable[[], Any], name: str) -> tuple[Any, float]:
    """Imports, and says how many seconds that took; what is printed goes to stderr, for stdout belongs to results."""
    began = time.perf_counter()
    with speaker(name):
        module = load()
    return module, time.perf_counter() - began


def _failure(name: str, distribution: str, error: BaseException) -> Failure:
    return Failure(name=name, distribution=distribution, reason=reason(error))


def _load_file(manager: pluggy.PluginManager, path: Path) -> list[Record]:
    if not path.is_file():
        raise PluginError(f"--plugin {path}: there is no such file")
    source_hash = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    name = f"harness_loose_{path.stem}_{source_hash}"
    if path.suffix != ".py":
        raise PluginError(f"--plugin {path}: not a Python file")
    loader = _FreshLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(cast("ModuleSpec", spec))
    sys.modules[name] = module  # dataclasses resolve their annotations through it
    try:
        _, seconds = _imported(lambda: loader.exec_module(module), f"the plugin file {path}")
        found = _declared(manager, module, str(path), source_hash)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginError(f"--plugin {path} failed to load: {reason(error)}") from error
    if found.failures:  # it was asked for by name
        raise PluginError(f"--plugin {path} failed to load: {found.failures[0].reason}")
    if not found.records:
        raise PluginError(f"--plugin {path} declares no plugin", "does a function marked @harness.hookimpl return it?")
    return [replace(record, loose=True, import_s=seconds) for record in found.records]


def _declared(manager: pluggy.PluginManager, module: ModuleType, distribution: str, version: str) -> Plugins:
    """Asks one module for its classes, each kind by its hook, and checks them; one that is wrong harms no other.

    A failure has the name of its class, or none where a hook itself failed.

    Raises:
        pluggy.PluginValidationError: A hook's signature is wrong.
        TypeError: A hook's name is wrong, or a class does not keep the contract.
    """
    for name, member in vars(module).items():
        marked = inspect.isroutine(member) and hasattr(member, f"{hookspecs.PROJECT}_impl")  # a mock has any attribute
        if marked and name not in HOOKS:
            raise TypeError(f'there is no hook "{name}"; {nearest(name, HOOKS)}')
    manager.register(module)
    try:
        return _asked(manager, distribution, version)
    finally:
        manager.unregister(module)  # one at a time, so that what fails is known to be this one's


def _asked(manager: pluggy.PluginManager, distribution: str, version: str) -> Plugins:
    records: list[Record] = []
    failures: list[Failure] = []
    for kind, (hook, members) in KINDS.items():
        caller = getattr(manager.hook, hook)
        try:
            for classes in caller() if caller.get_hookimpls() else ():
                for cls in classes:
                    try:
                        records.append(_record(kind, cls, members, distribution, version))
                    except (Exception, SystemExit) as error:
                        named = getattr(cls, "name", None)
                        failures.append(_failure(named if isinstance(named, str) else "", distribution, error))
        except (Exception, SystemExit) as error:  # the hook raised, perhaps half-way
            failures.append(_failure("", distribution, error))
    return Plugins(records=tuple(records), failures=tuple(failures))


def _record(kind: str, cls: Any, members: Sequence[str], distribution: str, version: str) -> Record:
    if not isinstance(cls, type):
        raise TypeError(f"a {kind} hook returned {cls!r}: it must return classes")
    name = getattr(cls, "name", None)
    if not isinstance(name, str) or not name:
        raise TypeError(f"{cls.__name__} has no ClassVar `name`")
    if not (is_dataclass(cls) and cls.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise TypeError(f"{cls.__name__} is no frozen dataclass")
    missing = [member for member in members if not hasattr(cls, member)]
    if kind == "backend" and not missing:
        missing = [] if hasattr(cls, "open") or (hasattr(cls, "calls") and hasattr(cls, "read")) else ["open"]
    if missing:
        raise TypeError(f"{cls.__name__} is no {kind}: it lacks `{missing[0]}`")
    if (wrong := wrong_signature(kind, cls)) is not None:
        raise TypeError(wrong)
    family = getattr(cls, "family", None)
    if kind == "backend" and family not in FAMILIES and not hasattr(family, "__get__"):  # a property asks the options
        raise TypeError(f'{cls.__name__}.family is "{family}"; {nearest(str(family), FAMILIES)}')
    return Record(
        kind=kind,
        name=name,
        cls=cls,
        distribution=distribution,
        version=version,
        source_hash=_source_hash(cls),
        summary=(inspect.getdoc(cls) or "").split("\n", 1)[0],
    )


def wrong_signature(kind: str, cls: type) -> str | None:
    """Returns which method cannot be called as the engine calls it, and why; `None` where all can."""
    for protocol in PROTOCOLS[kind]:
        for name, asked in vars(protocol).items():
            if name.startswith("_") or not isinstance(asked, FunctionType) or not hasattr(cls, name):
                continue
            method = next(vars(base)[name] for base in cls.__mro__ if name in vars(base))
            if not isinstance(method, FunctionType):
                continue
            if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
                return f"{cls.__name__}.{name} is async: methods of plugins are synchronous"
            needed = _needed(asked)
            try:
                inspect.signature(method).bind(*needed)
            except TypeError as error:
                return f"{cls.__name__}.{name} cannot be called as {name}({', '.join(needed[1:])}): {error}"
    return None


@cache
def _needed(asked: FunctionType) -> tuple[str, ...]:
    """Returns the arguments that the engine gives a method."""
    return tuple(p.name for p in inspect.signature(asked).parameters.values() if p.default is p.empty)


def _source_hash(cls: type) -> str:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else "unknown"
