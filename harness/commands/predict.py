"""`harness predict`: new data, labelled by an arm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import Finite, command, listed, plugin_options, reopened, runs_option
from harness.plugins.asides import spared_stdout


@command("harness predict food-reviews --arm tuned new.csv -o labelled.csv")
@click.argument("run", metavar="RUN")
@click.argument("data", type=click.Path(path_type=Path), metavar="DATA")
@click.option("--arm", required=True, metavar="NAME", help="Who labels.")
@click.option(
    "-o", "out", type=click.Path(path_type=Path), required=True, metavar="FILE", help=".csv, .jsonl, .parquet"
)
@click.option("--text", metavar="COL,…", help="Columns in the place of the run's text columns.")
@click.option("--max-usd", type=Finite(min=0), metavar="X", help="Spend at most X dollars on this data.")
@runs_option
@click.option("--quiet", is_flag=True, help="Say nothing but the result.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@plugin_options
def predict(run: str, data: Path, arm: str, out: Path, text: str | None, **options: Any) -> None:
    """Label new data with an arm of a run; goes on where it stopped.

    The file has all columns and rows of DATA, in their order, and beside them predicted, status, confidence, response.
    """
    from harness.console import Console
    from harness.finished.new_data import Source
    from harness.finished.predicting import predict as label
    from harness.numbers import counted, usd

    opened = reopened(run, options["runs"], options["files"], options["blocked"])
    with spared_stdout(), Console(quiet=options["quiet"]) as console:
        done = label(opened, arm, Source(path=data, text=listed(text)), out, console, max_usd=options["max_usd"])
        if done.usd:
            console.say(f"spent {usd(done.usd)}")
    if options["as_json"]:
        left = done.unfinished.message if done.unfinished else None
        told = {"file": str(done.out), "rows": done.rows, **done.counts, "usd": done.usd, "unfinished": left}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        lost = [f"{done.counts[kind]:,} {kind}" for kind in ("unparsed", "failed") if done.counts[kind]]
        aside = f" ({', '.join(lost)})" if lost else ""
        click.echo(f"{counted(done.rows, 'row')} written to {done.out}{aside}")
    if done.unfinished is not None:
        raise done.unfinished
