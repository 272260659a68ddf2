"""`harness runs`, `harness plugins`: what there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import command, plugin_options


@command("harness runs")
@click.argument("folder", type=click.Path(path_type=Path), default="runs", metavar="[DIR]")
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
def runs(folder: Path, as_json: bool) -> None:
    """List runs with their verdicts."""
    found = list(_stored_runs(folder))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, indent=1))
        return
    if not found:
        click.echo(f"there are no runs under {folder}/", err=True)
    for line in found:
        click.echo(f"{line['id']}  {line['finished'] or 'unfinished'}  {line['sentence'] or '–'}")


def _stored_runs(folder: Path) -> Any:
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


@command("harness plugins --no-plugin mlflow")
@click.option("--json", "as_json", is_flag=True, help="The list as JSON.")
@plugin_options
def plugins(as_json: bool, files: Sequence[str], blocked: Sequence[str]) -> None:
    """List what is installed, from where, and what failed to load."""
    from harness.options import option_names
    from harness.plugins import discover

    found = discover(files, blocked)
    listed = [
        {
            "kind": r.kind,
            "name": r.name,
            "distribution": r.distribution,
            "version": r.version,
            "options": list(option_names(r.cls)),
            "summary": r.summary,
        }
        for r in found.records
    ]
    failed = [{"name": f.name, "distribution": f.distribution, "reason": f.reason} for f in found.failures]
    if as_json:
        click.echo(json.dumps({"plugins": listed, "failed": failed}, ensure_ascii=False, indent=1))
    else:
        for line in listed:
            click.echo(f"{line['kind']:<10} {line['name']:<16} {line['distribution']:<28} {line['summary']}")
        for failure in failed:
            click.echo(f"{'FAILED':<10} {failure['name']:<16} {failure['distribution']:<28} {failure['reason']}")
    found.check()
