"""`harness train`: the training stage alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import Finite, command, opened, out_option, plugin_options
from harness.plugins.asides import spared_stdout


@command("harness train experiment.toml --arm tuned --follow")
@click.argument("experiment", type=click.Path(path_type=Path))
@click.option("--arm", "only", multiple=True, metavar="NAME", help="Only this arm; repeatable.")
@click.option("--follow", is_flag=True, help="Tell events and losses as they come, on stderr.")
@out_option
@click.option("--limit", type=click.IntRange(min=2), metavar="N", help="For a preview on N test items.")
@click.option("--max-usd", type=Finite(min=0), metavar="X", help="Spend at most X dollars.")
@click.option("--no-reuse", is_flag=True, help="Take nothing over from other runs.")
@click.option("--allow-leaks", is_flag=True, help="Go on although test items stand in train.")
@click.option("--offline", is_flag=True, help="Send nothing to other machines.")
@click.option("--quiet", is_flag=True, help="Say nothing but the result.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@plugin_options
def train(experiment: Path, follow: bool, quiet: bool, as_json: bool, **options: Any) -> None:
    """Train arms and print the models' ids; goes on where it stopped.

    It works in the folder of the experiment's run: `harness run` then finds the models there.
    """
    from harness.console import Console
    from harness.training_stage import train as carry_out

    loaded, settings = opened(experiment, options)
    with spared_stdout(), Console(quiet=quiet) as console:
        done = carry_out(loaded, settings, console, "steps" if follow else "ends")
    if as_json:
        models = [{"arm": one.arm, "model": one.model} for one in done.models]
        left = done.unfinished.message if done.unfinished else None
        click.echo(json.dumps({"models": models, "folder": str(done.folder.path), "unfinished": left}))
    else:
        for one in done.models:
            click.echo(one.model if len(done.models) == 1 else f"{one.arm}\t{one.model}")
    if done.unfinished is not None:
        raise done.unfinished
