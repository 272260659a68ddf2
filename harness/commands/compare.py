"""`harness compare`: what has changed between two runs, and what cannot be told from chance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import command, runs_option, say_json


@command("harness compare food-reviews-1f3a food-reviews-9c2e")
@click.argument("run_a", metavar="RUN_A")
@click.argument("run_b", metavar="RUN_B")
@runs_option
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def compare(run_a: str, run_b: str, runs: Path, as_json: bool) -> None:
    """Compare two runs: differences, flipped items, settings."""
    from harness.finished import comparing
    from harness.finished.stored import Stored

    found = comparing.compare(Stored.find(run_a, runs), Stored.find(run_b, runs))
    if as_json:
        say_json(found)
        return
    if found["warning"]:
        click.echo(f"warning: {found['warning']}", err=True)
    for side, run in (("a", run_a), ("b", run_b)):
        lost = ", ".join(f"{n:,} of {name}" for name, n in found["unfinished"][side].items())
        if lost:
            click.echo(f"warning: {run} is unfinished; answers that are missing: {lost}", err=True)
    for line in found["arms"]:
        _tell(line)
    for side in ("a", "b"):
        if found[f"only_{side}"]:
            click.echo(f"only in {found[side]}: {', '.join(found[f'only_{side}'])}")
    for each in found["settings"]:
        click.echo(f"{each['key']}: {comparing.written(each['a'])} → {comparing.written(each['b'])}")
    click.echo(found["sentence"])


def _tell(line: Mapping[str, Any]) -> None:
    from harness.numbers import p_value, percent, points, points_interval

    accuracy = f"{line['name']}: {percent(line['a'])} → {percent(line['b'])}"
    if line["difference"] is None:
        click.echo(f"{accuracy} ({line['reason']})")
        return
    interval = f"{points(line['difference'])}, 95% CI {points_interval(*line['ci'])}, {p_value(line['p_adjusted'])}"
    click.echo(f"{accuracy} ({interval})")
    for kind in ("fixed", "broken"):
        if line[kind]:
            more = ", …" if line[kind] > len(line[f"{kind}_ids"]) else ""
            click.echo(f"  {line[kind]:,} {kind}: {', '.join(line[f'{kind}_ids'])}{more}")
