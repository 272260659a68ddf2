"""One plugin on trial: its methods are called as the engine calls them, and what they break is written down."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.plugins.origins import origin
from harness.testing._promises import promises
from harness.words import clipped

SHOWN = 300
"""Characters of a value or an error that a report shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One promise that a plugin broke."""

    promise: str
    """The promise's name, see `harness.testing.promises`."""
    said: str
    """What happened."""
    text: str
    """What should hold."""
    cure: str
    """How to mend it."""


class BrokenPromisesError(AssertionError):
    """A plugin breaks its contract; the message names every promise, the plugin and how to mend it."""

    def __init__(self, plugin: str, violations: Sequence[Violation]) -> None:
        self.plugin = plugin
        self.violations = tuple(violations)
        lines = [f"{plugin} breaks {len(violations)} promise{'s' * (len(violations) > 1)}:"]
        for one in violations:
            lines += [f"  {one.promise}: {one.said}", f"    promised: {one.text}", f"    to mend it: {one.cure}"]
        super().__init__("\n".join(lines))


class Abandoned(Exception):  # noqa: N818 - it ends a part of a trial and never leaves it
    """What follows in this part needs a value that could not be had."""


@dataclass(kw_only=True)
class Trial:
    """A plugin, what it is tried with, and what it has broken so far."""

    kind: str
    cls: type
    make: Callable[[], Any]
    """Makes a fresh instance."""
    scratch: Path
    """A folder of its own; it is the current one while methods run."""
    folder: Path
    """What relative paths in options are relative to."""
    skip: Collection[str] = ()
    labels: tuple[str, ...] = ()
    examples: tuple[Any, ...] = ()
    violations: list[Violation] = field(default_factory=list)
    kept: dict[str, None] = field(default_factory=dict)
    """Promises that were looked at."""

    plugin: Any = None

    def begin(self) -> None:
        """Makes the plugin.

        Raises:
            Abandoned: It cannot be made.
            harness.plugins.options.OptionError: It is not given what it needs.
        """
        from harness.plugins.options import OptionError

        try:
            self.plugin = self.make()
        except OptionError:
            raise
        except Exception as error:
            self.need("options", False, f"making it raised {type(error).__name__}: {shown(error)}")

    @property
    def who(self) -> str:
        """The plugin, as errors name it."""
        name = getattr(self.cls, "name", None)
        return f'the {self.kind} "{name if isinstance(name, str) else self.cls.__name__}" ({origin(self.cls)})'

    def expect(self, promise: str, holds: bool, said: str) -> bool:
        """Writes down that a promise is kept or broken; each is reported once, by its first finding."""
        known = promises(self.kind)[promise]
        self.kept.setdefault(promise)
        if not holds and promise not in self.skip and all(one.promise != promise for one in self.violations):
            self.violations.append(Violation(promise=promise, said=said, text=known.text, cure=known.cure))
        return holds

    def need(self, promise: str, holds: bool, said: str) -> None:
        """Like `expect`; ends the part where the promise is broken.

        Raises:
            Abandoned: It is.
        """
        if not self.expect(promise, holds, said):
            raise Abandoned

    @contextlib.contextmanager
    def part(self) -> Iterator[None]:
        """Runs a part of a trial that ends early where something it needs is broken."""
        with contextlib.suppress(Abandoned):
            yield

    def call(self, method: str, *args: Any, of: Any = None, collect: Callable[[Any], Any] | None = None) -> Any:
        """Calls a method, watched: what it raises, prints, or changes is written down.

        Args:
            method: Its name.
            args: What the engine would give it.
            of: Whose method; the plugin's by default.
            collect: Applied to what came back, under watch: `list` for generators.

        Raises:
            Abandoned: It raised.
        """
        owner = self.plugin if of is None else of
        return self.watched(f"{method}()", lambda: _collected(getattr(owner, method)(*args), collect), args)

    def watched(self, doing: str, act: Callable[[], Any], args: Sequence[Any] = (), promise: str = "works") -> Any:
        """Runs code of the plugin; see `call`.

        Raises:
            Abandoned: It raised.
        """
        from harness.errors import HarnessError

        before, own = copy.deepcopy(list(args)), copy.deepcopy(_state(self.plugin))
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed), inside(self.scratch):
                came = act()
        except HarnessError as error:
            self.need(promise, False, f"{doing} says: {shown(error.message)}")
        except (Exception, SystemExit) as error:
            self.need(promise, False, f"{doing} raised {type(error).__name__}: {shown(error)}")
        self.expect("quiet", not printed.getvalue(), f"{doing} printed {shown(printed.getvalue().strip())!r}")
        self.expect("pure", _same(list(args), before), f"{doing} changed its arguments")
        self.expect("pure", _same(_state(self.plugin), own), f"{doing} changed the plugin's options")
        self.kept.setdefault("works")
        return came

    def settle(self) -> None:
        """Ends the trial.

        Raises:
            BrokenPromisesError: Something was broken.
        """
        if self.violations:
            raise BrokenPromisesError(self.who, self.violations)


def _collected(came: Any, collect: Callable[[Any], Any] | None) -> Any:
    return came if collect is None else collect(came)


def _same(one: Any, two: Any) -> bool:
    """Whether values are equal, arrays among them included."""
    try:
        return bool(one == two)
    except ValueError:  # arrays have no one truth
        return _listed(one) == _listed(two)


def _listed(value: Any) -> str:
    return json.dumps(value, default=lambda one: one.tolist() if hasattr(one, "tolist") else repr(one))


def _state(plugin: Any) -> Mapping[str, Any]:
    """Returns a plugin's options as they are now; what it cached beside them is its own affair."""
    names = getattr(type(plugin), "__dataclass_fields__", {})
    return {name: getattr(plugin, name, None) for name in names}


def shown(value: object) -> str:
    """Shows a value in one line, shortened."""
    return clipped(" ".join(str(value).split()), SHOWN)


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Makes a folder the current one: a relative path in an option lands there."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
