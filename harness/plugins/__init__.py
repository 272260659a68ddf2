"""Plugins: what loaded, what failed, and who is to be named when one goes wrong; `discovery` finds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.errors import HarnessError, PluginError, disk_full, nearest
from harness.plugins.asides import speaker
from harness.plugins.origins import origin
from harness.words import clipped

OWN = "finetune-harness"
"""The distribution that all shipped plugins come from."""
SLOW_S = 1.0
"""Seconds that a plugin's import may take before it is named."""


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
        raise PluginError(f"{called(plugin)} failed in {doing}: {reason(error)}") from error


def called(plugin: object) -> str:
    """Returns what a plugin's instance is called in errors: its name, and the distribution or file it comes from."""
    return f'the plugin "{getattr(plugin, "name", type(plugin).__name__)}" ({origin(plugin)})'


def blamed(plugin: object, error: HarnessError) -> str:
    """Returns an error's message, behind the plugin's name where that is not in it."""
    who = called(plugin)
    return error.message if who in error.message else f"{who}: {error.message}"


def broke(plugin: object, doing: str, said: str, hint: str = "") -> PluginError:
    """Returns the error of a plugin whose method returned what the contract does not allow.

    Args:
        plugin: Its instance.
        doing: The method.
        said: What came of it: ``returned a str where harness.Prompt is due``.
        hint: What to do.
    """
    return PluginError(f"{called(plugin)}: {doing} {said}", hint)


def reason(error: BaseException) -> str:
    """Returns an error in one line of at most 300 characters."""
    return clipped(" ".join(f"{type(error).__name__}: {error}".split()), 300)
