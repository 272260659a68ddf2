"""`harness report`, `harness publish`: pages from what is stored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import agree, command, plugin_options, runs_option


@command("harness report food-reviews --format md")
@click.argument("run", metavar="RUN")
@click.option("-o", "out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--format", "form", type=click.Choice(["html", "md", "json"]), default="html", show_default=True)
@click.option("--samples", type=click.Choice(["all", "errors", "none"]), default="all", show_default=True)
@runs_option
@plugin_options
def report(run: str, out: Path | None, form: str, samples: Any, runs: Path, files: Any, blocked: Any) -> None:
    """Rebuild a run's page from what is stored."""
    from harness.files import write_whole
    from harness.report.page import build, load
    from harness.runs import find_run

    folder = find_run(run, runs)
    if form == "html":
        click.echo(build(folder.path, _sections(files, blocked), out, samples))
        return
    results = load(folder.path)
    if form == "md":
        from harness.report.summary import to_markdown

        text = to_markdown(results)
    else:
        text = json.dumps(results.data, indent=1, ensure_ascii=False)
    if out is None:
        click.echo(text)
    else:
        write_whole(out, text.rstrip("\n") + "\n")
        click.echo(out)


@command("harness publish food-reviews --site reports")
@click.argument("names", metavar="RUN…", nargs=-1, required=True)
@click.option(
    "--site", type=click.Path(path_type=Path), default="reports", show_default=True, help="The site's folder."
)
@click.option("--samples", type=click.Choice(["all", "errors", "none"]), help="none, unless the dataset may be shared.")
@click.option("--redact", is_flag=True, help="Take out what looks like a key.")
@runs_option
@click.option("--yes", is_flag=True, help="Ask nothing.")
@plugin_options
def publish(
    names: Sequence[str], site: Path, samples: Any, redact: bool, runs: Path, yes: bool, files: Any, blocked: Any
) -> None:
    """Add runs to a static site; says what leaves before it does."""
    from harness.publication import publish_runs
    from harness.runs import find_run

    folders = [find_run(name, runs) for name in names]
    sections = _sections(files, blocked)
    click.echo(publish_runs(folders, site, sections, samples=samples, redact=redact, agree=agree(yes)))


def _sections(files: Sequence[str], blocked: Sequence[str]) -> list[Any]:
    from harness.options import construct, needs_options
    from harness.plugins import discover

    plugins = discover(files, blocked)
    plugins.check()
    return [construct(r.cls, {}, "sections") for r in plugins.of("section") if not needs_options(r.cls)]
