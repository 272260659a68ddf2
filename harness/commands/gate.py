"""`harness gate`: conditions on a run, for continuous integration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import command, runs_option, say_json


@command("harness gate food-reviews --min accuracy=0.9 --max p95_s=2 --junit gate.xml")
@click.argument("run", metavar="RUN")
@click.option("--min", "least", multiple=True, metavar="NAME=X", help="A figure is X at least; repeatable.")
@click.option("--max", "most", multiple=True, metavar="NAME=X", help="A figure is X at most; repeatable.")
@click.option("--not-worse-than", "others", multiple=True, metavar="ARM", help="By no more than the run's margin.")
@click.option("--arm", metavar="NAME", help="Which arm; by default the one that the verdict names.")
@click.option("--strict", is_flag=True, help="The interval's bound must hold, not the figure alone.")
@click.option("--allow-preview", is_flag=True, help="Let a run with --limit pass.")
@click.option("--allow-unfinished", is_flag=True, help="Let a run pass that has something left to do.")
@click.option("--allow-simulated", is_flag=True, help="Let simulated figures pass.")
@click.option("--allow-leaks", is_flag=True, help="Let a run pass that knew test items.")
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML.")
@click.option("--summary", is_flag=True, help="A Markdown table, to $GITHUB_STEP_SUMMARY where that is set.")
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON.")
@runs_option
def gate(run: str, least: Sequence[str], most: Sequence[str], others: Sequence[str], **options: Any) -> None:
    """Hold a run against conditions, for CI."""
    from harness.errors import GateError
    from harness.files import write_whole
    from harness.finished import gating
    from harness.finished.stored import Stored

    wanted = gating.Gate(
        limits=(
            *(gating.Limit.read(said, "min") for said in least),
            *(gating.Limit.read(said, "max") for said in most),
        ),
        not_worse_than=tuple(others),
        arm=options["arm"],
        strict=options["strict"],
        allowed=frozenset(kind for kind in gating.REASONS if options[f"allow_{kind}"]),
    )
    held = gating.check(Stored.find(run, options["runs"]), wanted)
    if options["junit"] is not None:
        write_whole(options["junit"], gating.to_junit(held))
    if options["summary"]:
        _summarise(gating.to_markdown(held), as_json=options["as_json"])
    if options["as_json"]:
        found = {"run": held.run, "arm": held.arm, "passed": not held.failed}
        conditions = [asdict(each) for each in held.findings]
        say_json({**found, "conditions": conditions})
    else:
        for each in held.findings:
            click.echo(f"{'pass' if each.passed else 'FAIL'}  {each.condition}: {each.told}")
    if held.failed:
        raise GateError(held.sentence())
    if not options["as_json"]:
        click.echo(held.sentence())


def _summarise(text: str, *, as_json: bool) -> None:
    """Appends to the step's summary, as GitHub's runners want it; anywhere else, writes it where no JSON is."""
    from harness.files import writable

    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if not place:
        click.echo(text, err=as_json)
        return
    with writable(Path(place)), Path(place).open("a", encoding="utf-8") as file:
        file.write(text + "\n")
