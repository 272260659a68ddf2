"""What commands share: how they look, options of several of them, questions."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from harness.errors import UsageError, nearest

if TYPE_CHECKING:
    from harness.experiment import Experiment
    from harness.running.session import RunOptions

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
                f'there is no command "{args[0]}"; {nearest(args[0], self.commands)}'
            ) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes all commands on one screen, with an example at the end."""
        options = "".join(f"[{param.opts[0]}] " for param in self.params)
        formatter.write(f"Usage: {ctx.command_path} {options}COMMAND [ARGS]...\n{self.help}\n")
        names = self.list_commands(ctx)
        with formatter.indentation():
            formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=68)) for name in names])
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
    from harness.plugins import discover
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


def report_sections(files: Sequence[str], blocked: Sequence[str]) -> list[Any]:
    """Returns instances of the report's sections; those that need options of an experiment are left out."""
    from harness.plugins import discover
    from harness.plugins.options import construct, needs_options

    plugins = discover(files, blocked)
    plugins.check()
    return [construct(r.cls, {}, "sections") for r in plugins.of("section") if not needs_options(r.cls)]


runs_option = click.option(
    "--runs", type=click.Path(path_type=Path), default="runs", show_default=True, help="Where runs lie."
)


def agree(yes: bool) -> Callable[[str], bool]:
    """Asks a question, or takes `--yes` for an answer."""

    def ask(question: str) -> bool:
        click.echo(question, err=True)
        if yes:
            return True
        if not sys.stdin.isatty():
            raise UsageError("a question needs an answer, and there is no terminal", "add --yes to agree to it")
        return click.confirm("Go on?", err=True)

    return ask
