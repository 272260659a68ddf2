"""What commands share: how they look, options of several of them, questions."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import UsageError, nearest

if TYPE_CHECKING:
    from harness.experiment import Experiment
    from harness.finished.reopening import Reopened
    from harness.plugins import Plugins
    from harness.running.session import RunOptions
    from harness.runs import RunFolder

F = TypeVar("F", bound=Callable[..., Any])


class Group(click.Group):
    """Names the nearest command where there is none of that name."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Finds the command that the arguments name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            known = error if args and args[0].startswith("-") else None
            raise known or click.UsageError(
                f'there is no command "{args[0]}"; {nearest(args[0], self.list_commands(ctx))}', ctx
            ) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes all commands on one screen, with an example at the end."""
        options = "".join(f"[{param.opts[0]}] " for param in self.params)
        formatter.write(f"Usage: {ctx.command_path} {options}COMMAND [ARGS]...\n{self.help}\n")
        names = self.list_commands(ctx)
        with formatter.indentation():
            commands = [(name, found) for name in names if (found := self.get_command(ctx, name))]
            formatter.write_dl([(name, found.get_short_help_str(limit=68)) for name, found in commands])
        formatter.write(f"\nExample: {self.epilog}\n")


class Command(click.Command):
    """Ends its help with an example."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the example."""
        if self.epilog:
            formatter.write(f"\nExample: {self.epilog}\n")


def command(example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Declares a command whose help ends with `example`."""
    return click.command(cls=Command, epilog=example)


def plugin_options(function: F) -> F:
    """Adds `--plugin` and `--no-plugin`."""
    function = click.option(
        "--plugin", "files", multiple=True, metavar="FILE", help="Load a plugin file: runs its code."
    )(function)
    return click.option("--no-plugin", "blocked", multiple=True, metavar="NAME", help="Do not even import a plugin.")(
        function
    )


def opened(path: Path, options: Mapping[str, Any]) -> tuple[Experiment, RunOptions]:
    """Loads plugins and an experiment, and reads off a command's options how it is to be carried out.

    Args:
        path: The experiment file.
        options: Those of `plugin_options`, and of a run as many as the command has.
    """
    from harness.experiment.reader import allowed, load
    from harness.plugins.discovery import discover
    from harness.running.session import RunOptions

    plugins = discover(options["files"], options["blocked"], allowed(path))
    experiment = load(path, plugins, allowed_files=options["files"])
    return experiment, RunOptions(
        out=options["out"],
        only=options.get("only", ()),
        limit=options["limit"],
        max_usd=options["max_usd"],
        reuse=not options.get("no_reuse"),
        allow_leaks=options.get("allow_leaks", False),
        offline=options.get("offline", False),
        command=shlex.join(["harness", *sys.argv[1:]]),
    )


def plugins_of(run: RunFolder, files: Sequence[str], blocked: Sequence[str]) -> Plugins:
    """Loads plugins for a run that has been made: its experiment limits them now as it did then."""
    from harness.experiment.reader import limits
    from harness.plugins.discovery import discover

    return discover(files, blocked, limits(run.read_manifest().get("tables") or {}))


def called_after(data: Path) -> str:
    """Returns what data is called: the file's or folder's name without endings; for a pattern, that of its folder."""
    path = Path(os.path.abspath(data))  # noqa: PTH100 - `..` is a folder with a name, a link keeps its own
    named = path.parent if any(sign in path.name for sign in "*?[") else path
    return named.name.split(".")[0] or "data"


def reopened(run: str, runs: Path, files: Sequence[str], blocked: Sequence[str]) -> Reopened:
    """Finds a finished run and takes it up, with the plugins that its experiment allows."""
    from harness.finished.reopening import reopen
    from harness.runs import find_run

    folder = find_run(run, runs)
    return reopen(folder, plugins_of(folder, files, blocked), files)


def report_sections(files: Sequence[str], blocked: Sequence[str]) -> Callable[[Path], list[Any]]:
    """Returns what makes the sections of a run's report, given its folder: loads plugins, with the run's options.

    It warns of those that the run was made with and that are not there, unless `--no-plugin` names them or what they
    come from.
    """
    from harness.finished.stored import made_for, not_loaded
    from harness.runs import RunFolder

    def of(path: Path) -> list[Any]:
        run = RunFolder(path)
        manifest, plugins = run.read_manifest(), plugins_of(run, files, blocked)
        plugins.check()
        for name, origin in not_loaded(manifest, "section", plugins).items():
            if not {name, origin.split(" ")[0]} & set(blocked):
                said = f'{path.name} was made with the section "{name}" ({origin}), and is shown without it'
                click.echo(f"warning: {said}\nload it: --plugin FILE, or install what it comes from", err=True)
        return made_for(manifest, "section", plugins)

    return of


def say_json(value: Any) -> None:
    """Prints a result as JSON, as files have it; NaN is refused."""
    from harness.files import json_text

    click.echo(json_text(value), nl=False)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """Yields the lines of a plain table, its columns as wide as they must be.

    Args:
        rows: Cells of one line each, as many in every row.
        right: Places of the columns that stand to the right: numbers.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, strict=True)
        parts = (cell.rjust(width) if n in right else cell.ljust(width) for n, (cell, width) in enumerate(cells))
        yield "  ".join(parts).rstrip()


def listed(text: str | None) -> tuple[str, ...]:
    """Returns the names in an option such as `--text title,body`."""
    return tuple(name.strip() for name in text.split(",")) if text else ()


def screen_width(piped: int = 10_000) -> int | None:
    """Returns in how many columns rich prints: a terminal's own, elsewhere `piped`, by default each row in a line."""
    from harness.console import is_terminal

    return None if is_terminal(sys.stdout) else piped


class Finite(click.FloatRange):
    """A range that lets neither nan nor inf pass: nothing is more than a budget of nan."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reads a number.

        Raises:
            UsageError: It is not finite.
        """
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            name = max(param.opts, key=len) if param is not None else "a number"
            raise UsageError(f"{name} {value}: a finite number is expected")
        return number


out_option = click.option(
    "--out", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs lie."
)
runs_option = click.option(
    "--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs lie."
)


def agree(yes: bool) -> Callable[[str], bool]:
    """Asks a question, or takes `--yes` for an answer."""
    from harness.console import is_terminal

    def ask(question: str) -> bool:
        click.echo(question, err=True)
        if yes:
            return True
        if not is_terminal(sys.stdin):
            raise UsageError("a question needs an answer, and there is no terminal", "add --yes to agree to it")
        return click.confirm("Go on?", err=True)

    return ask
