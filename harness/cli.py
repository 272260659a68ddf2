"""Arguments → pipeline: the commands put together, and how each of them ends."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import click

from harness.commands import names
from harness.commands.endings import ended
from harness.commands.shared import Group


class Commands(Group):
    """Imports the one command that is called, so that each begins quickly."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns all names, sorted."""
        return list(names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command; `None` where there is none of that name."""
        if cmd_name not in names():
            return None
        found: click.Command = getattr(import_module(f"harness.commands.{cmd_name}"), cmd_name)
        return found


@click.group(
    cls=Commands,
    epilog="harness demo",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="finetune-harness", message="%(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of a bug.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """Should you fine-tune a language model for this task, or is a few-shot prompt enough?"""
    ctx.obj = {"debug": debug}


def _spelt(error: UnicodeError) -> tuple[str, int]:
    """Spells what an encoding does not hold as JSON does, so that JSON stays JSON."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def _spell_out() -> None:
    """Has stdout spell out what it cannot show, such as a label on a Windows code page; stderr does so anyway."""
    codecs.register_error("spelt", _spelt)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in {"strict", "surrogateescape"}:
        sys.stdout.reconfigure(errors="spelt")


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with its code."""
    if sys.stderr is None:  # it was closed before this began
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    _spell_out()
    given = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(ended(lambda: cli.main(args=given, prog_name="harness", standalone_mode=False), debug="--debug" in given))
