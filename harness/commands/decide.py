"""`harness decide`: verdict and payback under other assumptions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import Finite, aligned, command, runs_option, say_json

AMOUNT = Finite(min=0)


@command("harness decide food-reviews --requests-per-month 50000 --cache-hit 0.5 --error-usd 0.10")
@click.argument("run", metavar="RUN")
@click.option("--requests-per-month", type=Finite(min=0, min_open=True), metavar="N")
@click.option("--horizon-months", type=Finite(min=0, min_open=True), metavar="N")
@click.option("--incumbent", metavar="ARM", help="The arm in use today.")
@click.option("--cache-hit", type=Finite(0, 1), metavar="X", help="Share of prompt tokens found cached.")
@click.option("--price", "prices", multiple=True, metavar="MODEL.KEY=X", help="USD for a million tokens; local.hour.")
@click.option("--error-usd", multiple=True, metavar="[LABEL=]X", help="What a wrong answer costs.")
@click.option("--setup-hours", type=AMOUNT, metavar="N")
@click.option("--upkeep-hours", "upkeep_hours_per_month", type=AMOUNT, metavar="N", help="A month.")
@click.option("--hour-usd", type=AMOUNT, metavar="X", help="What an hour of people costs.")
@click.option("--retrainings-per-year", type=AMOUNT, metavar="N")
@click.option("--hosting-usd", "hosting_usd_per_month", type=AMOUNT, metavar="X", help="A month, of the tuned model.")
@click.option("--labelling-usd", type=AMOUNT, metavar="X", help="Of all training examples.")
@click.option("--count-evaluation", is_flag=True, default=None, help="What the run spent on asking is invested too.")
@runs_option
@click.option("--json", "as_json", is_flag=True, help="Payback, decision and verdict as in results.json.")
def decide(
    run: str, runs: Path, prices: Sequence[str], error_usd: Sequence[str], as_json: bool, **settings: Any
) -> None:
    """Verdict and payback under other assumptions; sends nothing."""
    from harness.finished.deciding import Wanted
    from harness.finished.deciding import decide as decide_anew
    from harness.runs import find_run

    given = {name: value for name, value in settings.items() if value is not None}
    if "labelling_usd" in given:
        given["label_usd"] = None
    wanted = Wanted(settings=given, error_usd=tuple(error_usd), prices=tuple(prices))
    decided = decide_anew(find_run(run, runs), wanted)
    if as_json:
        say_json(decided.as_dict())
        return
    from harness.words import one_line

    rows = [("", "as in the run", "now"), *decided.rows()]
    for line in aligned([[one_line(cell) for cell in row] for row in rows], right=(1,)):
        click.echo(line)
    click.echo(decided.sentence)
