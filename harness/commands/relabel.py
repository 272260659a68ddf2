"""`harness relabel`: disputed labels handed out blind, and a run rescored with the corrections."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import command, plugin_options, plugins_of, runs_option

if TYPE_CHECKING:
    from harness.finished.stored import Stored


@command("harness relabel food-reviews -o disputed.csv")
@click.argument("run", metavar="RUN")
@click.option("-o", "out", type=click.Path(path_type=Path), help="The file to write; by default in the run's folder.")
@click.option("--apply", "filled", type=click.Path(path_type=Path), metavar="FILE", help="Rescore with its labels.")
@click.option("--controls", type=click.IntRange(min=0), metavar="N", help="Random items beside the disputed ones.")
@click.option("--seed", type=int, metavar="N", help="Of their draw and of the order; by default the run's.")
@runs_option
@plugin_options
def relabel(
    run: str, filled: Path | None, runs: Path, files: Sequence[str], blocked: Sequence[str], **sheet: Any
) -> None:
    """Hand out disputed test items, blind; rescore a copy. Asks no model."""
    from harness.errors import UsageError
    from harness.finished import relabelling
    from harness.finished.stored import Stored

    stored = Stored.find(run, runs)
    if filled is None:
        made = relabelling.export(stored, **sheet)
        click.echo(f"{made.disputed:,} disputed items and {made.controls:,} controls, shuffled", err=True)
        following = shlex.join(["harness", "relabel", str(stored.folder.path), "--apply", str(made.path)])
        click.echo(f"next: fill in its column `label` as far as you can judge, then {following}", err=True)
        click.echo(made.path)
        return
    if any(given is not None for given in sheet.values()):
        raise UsageError(
            "--apply goes with none of -o, --controls and --seed", "hand out and apply one after the other"
        )
    _apply(stored, filled, files, blocked)


def _apply(stored: Stored, filled: Path, files: Sequence[str], blocked: Sequence[str]) -> None:
    from harness.finished import relabelling
    from harness.numbers import percent, percent_interval, points

    plugins = plugins_of(stored.folder, files, blocked)
    plugins.check()
    done = relabelling.apply(stored, filled, plugins)
    found = done.found
    for line in found["arms"]:
        click.echo(f"{line['arm']}: {percent(line['before'])} → {percent(line['after'])} ({points(line['change'])})")
    controls = found["controls"]
    if controls["rate"] is not None:
        share = f"{percent(controls['rate'])} (95% CI {percent_interval(*controls['ci'])})"
        click.echo(f"wrong labels among {controls['judged']:,} random controls: {share}")
    click.echo(done.folder / "report.html")
    click.echo(done.sentence())
