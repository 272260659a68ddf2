"""`harness recheck`: does the verdict still hold?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import Finite, aligned, command, listed, plugin_options, reopened, runs_option
from harness.plugins.asides import spared_stdout


@command("harness recheck food-reviews march.csv")
@click.argument("run", metavar="RUN")
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA")
@click.option("--text", metavar="COL,…", help="Columns in the place of the run's text columns.")
@click.option("--label", metavar="COL", help="The label's column, where it is not named as in the run.")
@click.option("--max-usd", type=Finite(min=0), metavar="X", help="Spend at most X dollars on this data.")
@click.option("--no-reuse", is_flag=True, help="Ask anew what an earlier recheck of this data has asked.")
@runs_option
@click.option("--quiet", is_flag=True, help="Say nothing but the result.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@plugin_options
def recheck(run: str, data: Path, text: str | None, label: str | None, **options: Any) -> None:
    """Does the verdict still hold on fresh labelled data?

    Rows that were in train are left out. What was found stays in the run's folder, under rechecks/.
    """
    from harness.console import Console
    from harness.finished.new_data import Source
    from harness.finished.rechecking import recheck as check
    from harness.finished.rechecking import remarks
    from harness.numbers import usd
    from harness.scoring.drift import table

    opened = reopened(run, options["runs"], options["files"], options["blocked"])
    with spared_stdout(), Console(quiet=options["quiet"]) as console:
        source = Source(path=data, text=listed(text), label=label)
        done = check(opened, source, console, max_usd=options["max_usd"], again=options["no_reuse"])
        if done.usd:
            console.say(f"spent {usd(done.usd)}")
    if options["as_json"]:
        left = done.unfinished.message if done.unfinished else None
        told = {**done.found, "folder": str(done.folder), "unfinished": left}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for line in (*aligned(table(done.found)), *remarks(done.found)):
            click.echo(line)
        click.echo(done.found["sentence"])
    if done.unfinished is not None:
        raise done.unfinished
