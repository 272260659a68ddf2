"""`harness export`: an arm as a folder to deploy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.commands.shared import command, plugin_options, reopened, runs_option


@command("harness export food-reviews --arm tuned -o deploy")
@click.argument("run", metavar="RUN")
@click.option("--arm", required=True, metavar="NAME", help="The arm to deploy.")
@click.option("-o", "out", type=click.Path(path_type=Path), required=True, metavar="DIR", help="A new folder.")
@runs_option
@plugin_options
def export(run: str, arm: str, out: Path, runs: Path, files: Any, blocked: Any) -> None:
    """Write an arm as a folder to deploy, with a script on openai alone."""
    from harness.finished.exporting import export as write

    done = write(reopened(run, runs, files, blocked), arm, out)
    if done.answers:
        click.echo(f"the script reads {done.agreeing:,} of the run's {done.answers:,} answers as the run did", err=True)
    click.echo(done.folder)
