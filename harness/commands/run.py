"""`harness run`: one experiment, carried out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import F, Finite, command, opened, out_option, plugin_options
from harness.plugins.asides import spared_stdout

if TYPE_CHECKING:
    from harness.pipeline import Finished


def run_options(function: F) -> F:
    """Adds the options of `run` and `demo`."""
    for option in reversed(
        (
            out_option,
            click.option("--only", multiple=True, metavar="ARM", help="Only this arm; repeatable."),
            click.option("--limit", type=click.IntRange(min=2), metavar="N", help="A preview on N test items."),
            click.option("--max-usd", type=Finite(min=0), metavar="X", help="Spend at most X dollars."),
            click.option("--no-reuse", is_flag=True, help="Take nothing over from other runs."),
            click.option("--allow-leaks", is_flag=True, help="Go on although test items stand in train."),
            click.option("--offline", is_flag=True, help="Send nothing to other machines."),
            click.option("--yes", is_flag=True, help="Ask nothing."),
            click.option("--quiet", is_flag=True, help="Say nothing but the result."),
            click.option("--json", "as_json", is_flag=True, help="The result as JSON."),
        )
    ):
        function = option(function)
    return plugin_options(function)


@command("harness run experiment.toml --max-usd 5")
@click.argument("experiment", type=click.Path(path_type=Path))
@run_options
def run(experiment: Path, **options: Any) -> None:
    """Prepare, train, ask, score and report; goes on where it stopped."""
    carry_out(experiment, options)


def carry_out(path: Path, options: dict[str, Any]) -> None:
    """Carries out the experiment of a file and says what came of it.

    Raises:
        UnfinishedError: Something is left to be done; the rest is done and said.
    """
    from harness.console import Console
    from harness.pipeline import run as run_all

    experiment, settings = opened(path, options)
    # stdout belongs to the result: what a plugin prints goes to stderr
    with spared_stdout(), Console(quiet=options["quiet"]) as console:
        finished = run_all(experiment, settings, console)
        cost = _cost(finished)
        if cost is not None:
            console.say(cost)
    _tell(finished, as_json=options["as_json"])
    if finished.unfinished is not None:
        raise finished.unfinished


def _cost(finished: Finished) -> str | None:
    """Says what the run has cost; a run without results, or with those of an earlier version, says nothing."""
    from harness.journal.ledger import line

    try:
        return line(json.loads(finished.folder.results.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _tell(finished: Finished, *, as_json: bool) -> None:
    folder, report = finished.folder.path, finished.folder.report
    if as_json:
        click.echo(
            json.dumps(
                {
                    "sentence": finished.sentence,
                    "folder": str(folder),
                    "report": str(report),
                    "unfinished": finished.unfinished.message if finished.unfinished else None,
                },
                ensure_ascii=False,
            )
        )
    else:
        click.echo(f"{finished.sentence}\n{folder}\n{report}")
