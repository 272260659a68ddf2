"""`harness runs`: the runs that there are, with their verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import command, say_json


@command("harness runs")
@click.argument("folder", type=click.Path(path_type=Path), default="runs", metavar="[DIR]")
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
def runs(folder: Path, as_json: bool) -> None:
    """List runs with their verdicts."""
    found = list(_stored_runs(folder))
    if as_json:
        say_json(found)
        return
    if not found:
        click.echo(f"there are no runs under {folder}/", err=True)
    for line in found:
        mark = "preview: " if line["preview"] else ""
        click.echo(f"{line['id']}  {line['finished'] or 'unfinished'}  {mark}{line['sentence'] or '–'}")


def _stored_runs(folder: Path) -> Iterator[dict[str, Any]]:
    from harness.runs import RunFolder

    for path in sorted(folder.glob("*/manifest.json")):
        one = RunFolder(path.parent)
        recorded = one.read_manifest()
        yield {
            "id": path.parent.name,
            "name": recorded.get("name"),
            "finished": recorded.get("finished"),
            "preview": recorded.get("preview", False),
            "sentence": _sentence(one.results),
        }


def _sentence(results: Path) -> str | None:
    """Returns a run's verdict; a run without results, or with broken ones, has none."""
    try:
        return str(json.loads(results.read_text(encoding="utf-8"))["verdict"]["sentence"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
