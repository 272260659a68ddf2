"""`harness new plugin`: begins a package of plugins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from harness.commands.shared import Command, Group
from harness.plugins.discovery import KINDS


@click.group(cls=Group, epilog="harness new plugin my-plugins --kind metric")
def new() -> None:
    """Begin a package of plugins of your own."""


@new.command(cls=Command, epilog="harness new plugin my-plugins --kind backend --kind metric")
@click.argument("name")
@click.option(
    "--kind", "kinds", multiple=True, required=True, type=click.Choice(list(KINDS)), help="What it adds; repeatable."
)
def plugin(name: str, kinds: Sequence[str]) -> None:
    """Write ./NAME: a pip-installable package with one working plugin of each kind, and tests that pass."""
    from harness.scaffold import write

    folder = write(Path(), name, kinds)
    click.echo(f"{folder}/ is written; next: pip install -e './{folder}[test]' && pytest {folder}", err=True)
    click.echo(str(folder))
