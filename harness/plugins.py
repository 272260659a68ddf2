"""Plugins: discover, block, load, attribute errors, list.

An own small loader over pluggy's hooks, because pluggy's accepts a misspelt hook, skips a duplicate name, lets one
broken plugin abort all, and does not say which one it was (docs/decisions/0003-plugins.md).
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, is_dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from harness import hookspecs
from harness.errors import HarnessError, PluginError, disk_full, nearest

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
        for failure in self.failures:
            if failure.name == name:
                raise PluginError(
                    f'the plugin "{name}" ({failure.distribution}) failed to load: {failure.reason}',
                    f"mend it, or leave it out with --no-plugin {name}",
                )
        elsewhere = [record.kind for record in self.records if record.name == name]
        if elsewhere:
            raise PluginError(f'"{name}" is a {elsewhere[0]}, not a {kind}')
        broken = f"; failed to load: {', '.join(failure.name for failure in self.failures)}" if self.failures else ""
        raise PluginError(
            f'there is no {kind} "{name}"; {nearest(name, (record.name for record in self.of(kind)))}{broken}',
            "`harness plugins` lists what is installed",
        )

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
    name = f'{getattr(plugin, "name", type(plugin).__name__)}" ({type(plugin).__module__})'
    try:
        yield
    except HarnessError as error:
        error.add_note(f'in the plugin "{name}')
        raise
    except (Exception, SystemExit) as error:
        if (full := disk_full(error)) is not None:
            raise full from error
        raise PluginError(f'the plugin "{name} failed in {doing}: {type(error).__name__}: {error}') from error


def discover(files: Sequence[str | Path] = (), blocked: Iterable[str] = ()) -> Plugins:
    """Finds and loads every plugin.

    Args:
        files: Loose plugin files, given by `--plugin`.
        blocked: Entry points or distributions that are not even imported, and names of installed plugins that are left
            out. A loose file is asked for by name, so it stays: it can take the place of a blocked plugin.

    Returns:
        What loaded and what failed, each sorted by kind and name.

    Raises:
        PluginError: A file of `files` does not exist or does not load: it was asked for by name.
    """
    shut = set(blocked)
    records: list[Record] = []
    failures: list[Failure] = []
    for point in sorted(entry_points(group=hookspecs.PROJECT), key=lambda point: (point.name, point.value)):
        distribution, version = _origin(point)
        if shut & {point.name, distribution}:
            continue
        try:
            module = _quietly(point.load)
            declared = _declared(module, f"{distribution} {version}".strip(), version)
            if not declared:
                raise TypeError("it declares no plugin")  # noqa: TRY301 - one place words all failures
            records += declared
        except (Exception, SystemExit) as error:
            failures.append(
                Failure(name=point.name, distribution=f"{distribution} {version}".strip(), reason=_reason(error))
            )
    kept = [record for record in records if record.name not in shut]
    for file in {Path(file).resolve(): Path(file) for file in files}.values():
        kept += _load_file(file)
    return Plugins(
        records=tuple(sorted(kept, key=lambda record: (record.kind, record.name, record.distribution))),
        failures=tuple(failures),
    )


def _origin(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("unknown", "")


def _quietly(load: Callable[[], Any]) -> Any:
    """Imports with stdout turned to stderr: stdout belongs to results."""
    with redirect_stdout(sys.stderr):
        return load()


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
        _quietly(lambda: loader.exec_module(module))
        records = [replace(record, loose=True) for record in _declared(module, str(path), source_hash)]
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginError(f"--plugin {path} failed to load: {_reason(error)}") from error
    if not records:
        raise PluginError(f"--plugin {path} declares no plugin", "does a function marked @harness.hookimpl return it?")
    return records


def _declared(module: ModuleType, distribution: str, version: str) -> list[Record]:
    """Asks one module for its classes, each kind by its hook, and checks them.

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
    return [
        _record(kind, cls, members, distribution, version)
        for kind, (hook, members) in KINDS.items()
        for classes in getattr(manager.hook, hook)()
        for cls in classes
    ]


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
    return Record(
        kind=kind,
        name=name,
        cls=cls,
        distribution=distribution,
        version=version,
        source_hash=_source_hash(cls),
        summary=(inspect.getdoc(cls) or "").split("\n", 1)[0],
    )


def _source_hash(cls: type) -> str:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12] if file else "unknown"
