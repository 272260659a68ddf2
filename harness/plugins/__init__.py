"""Plugins: discover, block, load, attribute errors, list.

An own small loader over pluggy's hooks, because pluggy's accepts a misspelt hook, skips a duplicate name, lets one
broken plugin abort all, and does not say which one it was (docs/decisions/0003-plugins.md).
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pluggy

from harness import contract, hookspecs
from harness.errors import HarnessError, PluginError, disk_full, nearest
from harness.plugins.asides import speaker
from harness.plugins.origins import limited, origin

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
SLOW_S = 1.0
"""Seconds that a plugin's import may take before it is named."""
OWN = "finetune-harness"
"""The distribution that all shipped plugins come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One plugin that loaded."""

    kind: str
    name: str
    cls: type
    distribution: str
    """Where it comes from: ``name version`` of a distribution, or a file's path."""
    version: str
    """The distribution's version, or the source's hash for a loose file."""
    source_hash: str
    """First 12 hex digits of the SHA-256 of the module's source: part of an answer's key."""
    summary: str
    loose: bool = False
    """Whether it comes from a file that `--plugin` named."""
    import_s: float = 0.0
    """Seconds that importing its module took in this process; little where another plugin had brought it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One plugin that could not be loaded: data, not an exception, until somebody needs it."""

    name: str
    distribution: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugins:
    """All plugins of one command."""

    records: tuple[Record, ...]
    failures: tuple[Failure, ...] = ()

    def of(self, kind: str) -> tuple[Record, ...]:
        """Returns the plugins of one kind, by name."""
        return tuple(record for record in self.records if record.kind == kind)

    def get(self, kind: str, name: str) -> Record:
        """Returns one plugin.

        Raises:
            PluginError: There is none of that name (the nearest is named), it failed to load, or there are two.
        """
        found = [record for record in self.of(kind) if record.name == name]
        if len(found) > 1:
            raise self._conflict(found[0], found[1])
        if found:
            return found[0]
        if (failed := self._failed(name)) is not None:
            raise failed
        elsewhere = [record.kind for record in self.records if record.name == name]
        if elsewhere:
            raise PluginError(f'"{name}" is a {elsewhere[0]}, not a {kind}')
        broken = f"; failed to load: {', '.join(failure.name for failure in self.failures)}" if self.failures else ""
        raise PluginError(
            f'there is no {kind} "{name}"; {nearest(name, (record.name for record in self.of(kind)))}{broken}',
            "`harness plugins` lists what is installed",
        )

    def named(self, name: str) -> tuple[Record, ...]:
        """Returns the plugins of a name, of whatever kind.

        Raises:
            PluginError: There is none, it failed to load, or there are two of one kind.
        """
        kinds = list(dict.fromkeys(record.kind for record in self.records if record.name == name))
        if kinds:
            return tuple(self.get(kind, name) for kind in kinds)
        raise self._failed(name) or PluginError(
            f'there is no plugin "{name}"; {nearest(name, (record.name for record in self.records))}',
            "`harness plugins` lists what is installed",
        )

    def _failed(self, name: str) -> PluginError | None:
        for failure in self.failures:
            if failure.name == name:
                return PluginError(
                    f'the plugin "{name}" ({failure.distribution}) failed to load: {failure.reason}',
                    f"mend it, or leave it out with --no-plugin {name}",
                )
        return None

    @property
    def slow(self) -> tuple[tuple[str, str, float], ...]:
        """Module, distribution and seconds of each import that was slow."""
        took = {(r.cls.__module__, r.distribution): r.import_s for r in self.records if r.import_s > SLOW_S}
        return tuple((module, distribution, seconds) for (module, distribution), seconds in sorted(took.items()))

    def check(self) -> None:
        """Refuses two plugins of one kind and name.

        Raises:
            PluginError: Naming both distributions.
        """
        for first, second in zip(self.records, self.records[1:], strict=False):
            if (first.kind, first.name) == (second.kind, second.name):
                raise self._conflict(first, second)

    @staticmethod
    def _conflict(first: Record, second: Record) -> PluginError:
        loose = [one for one in (first, second) if one.loose]
        installed = [one for one in (second, first) if not one.loose]
        if len(loose) == 2 or first.distribution == second.distribution:
            cure = "rename one of them"
        elif loose:
            cure = f'rename yours, or leave the installed one out with --no-plugin "{first.name}"'
        else:
            foreign = next(one for one in installed if one.distribution.split()[0] != OWN)
            cure = f'leave one out with --no-plugin "{foreign.distribution.split()[0]}"'
        return PluginError(
            f'two {first.kind}s are named "{first.name}": from {first.distribution} and from {second.distribution}',
            cure,
        )

    def find(self, instance: object) -> Record | None:
        """Returns the record of a plugin's instance."""
        return next((record for record in self.records if record.cls is type(instance)), None)


@contextmanager
def attributed(plugin: object, doing: str) -> Iterator[None]:
    """Names the plugin in whatever it raises.

    Raises:
        UnfinishedError: The disk is full.
        PluginError: Instead of anything else that is no `HarnessError`; those pass with a note.
    """
    try:
        with speaker(plugin):
            yield
    except HarnessError as error:
        if called(plugin) not in error.message:
            error.add_note(f"in {called(plugin)}")
        raise
    except (Exception, SystemExit) as error:
        if (full := disk_full(error)) is not None:
            raise full from error
        raise PluginError(f"{called(plugin)} failed in {doing}: {_reason(error)}") from error


def called(plugin: object) -> str:
    """Returns what a plugin's instance is called in errors: its name, and the distribution or file it comes from."""
    return f'the plugin "{getattr(plugin, "name", type(plugin).__name__)}" ({origin(plugin)})'


def broke(plugin: object, doing: str, said: str, hint: str = "") -> PluginError:
    """Returns the error of a plugin whose method returned what the contract does not allow.

    Args:
        plugin: Its instance.
        doing: The method.
        said: What came of it: ``returned a str where harness.Prompt is due``.
        hint: What to do.
    """
    return PluginError(f"{called(plugin)}: {doing} {said}", hint)


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
    for point in sorted(entry_points(group=hookspecs.PROJECT), key=lambda point: (point.name, point.value)):
        # All points of a distribution share one object, and each look at its metadata parses a file
        known = origins.get(id(point.dist))
        distribution, version = origins[id(point.dist)] = known or _origin(point)
        if shut & {point.name, distribution} or not (distribution == OWN or open_to(distribution)):
            continue
        whole = f"{distribution} {version}".strip()
        found = _entry(point, whole, version)
        records += found.records
        failures += found.failures
    kept = [record for record in records if record.name not in shut]
    for file in {Path(file).resolve(): Path(file) for file in files}.values():
        kept += _load_file(file)
    return Plugins(
        records=tuple(sorted(kept, key=lambda record: (record.kind, record.name, record.distribution))),
        failures=tuple(failure for failure in failures if failure.name not in shut),
    )


def _entry(point: EntryPoint, distribution: str, version: str) -> Plugins:
    """Loads what one entry point names; what is wrong with it becomes data."""
    try:
        module, seconds = _imported(point.load, f'the plugin "{point.name}" ({distribution})')
        found = _declared(module, distribution, version)
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
    return Failure(name=name, distribution=distribution, reason=_reason(error))


def _reason(error: BaseException) -> str:
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return said if len(said) <= 300 else f"{said[:299]}…"


def _load_file(path: Path) -> list[Record]:
    if not path.is_file():
        raise PluginError(f"--plugin {path}: there is no such file")
    source_hash = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    name = f"harness_loose_{path.stem}_{source_hash}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PluginError(f"--plugin {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses resolve their annotations through it
    loader = spec.loader
    try:
        _, seconds = _imported(lambda: loader.exec_module(module), f"the plugin file {path}")
        found = _declared(module, str(path), source_hash)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginError(f"--plugin {path} failed to load: {_reason(error)}") from error
    if found.failures:  # it was asked for by name
        raise PluginError(f"--plugin {path} failed to load: {found.failures[0].reason}")
    if not found.records:
        raise PluginError(f"--plugin {path} declares no plugin", "does a function marked @harness.hookimpl return it?")
    return [replace(record, loose=True, import_s=seconds) for record in found.records]


def _declared(module: ModuleType, distribution: str, version: str) -> Plugins:
    """Asks one module for its classes, each kind by its hook, and checks them; one that is wrong harms no other.

    A failure has the name of its class, or none where a hook itself failed.

    Raises:
        pluggy.PluginValidationError: A hook's signature is wrong.
        TypeError: A hook's name is wrong, or a class does not keep the contract.
    """
    hooks = [hook for hook, _ in KINDS.values()]
    for name, member in vars(module).items():
        if hasattr(member, f"{hookspecs.PROJECT}_impl") and name not in hooks:
            raise TypeError(f'there is no hook "{name}"; {nearest(name, hooks)}')
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
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
            method = inspect.getattr_static(cls, name)
            if not isinstance(method, FunctionType):
                continue
            if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
                return f"{cls.__name__}.{name} is async: methods of plugins are synchronous"
            needed = [p.name for p in inspect.signature(asked).parameters.values() if p.default is p.empty]
            try:
                inspect.signature(method).bind(*needed)
            except TypeError as error:
                return f"{cls.__name__}.{name} cannot be called as {name}({', '.join(needed[1:])}): {error}"
    return None


def _source_hash(cls: type) -> str:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else "unknown"
