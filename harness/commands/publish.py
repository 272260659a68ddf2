"""`harness publish`: a static site of runs, and its deployment."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import agree, command, plugin_options, report_sections, runs_option
from harness.words import ENGLISH, languages, speaking


@command("harness publish food-reviews --site reports")
@click.argument("names", metavar="RUN…", nargs=-1, required=True)
@click.option(
    "--site", type=click.Path(path_type=Path), default="reports", show_default=True, help="The site's folder."
)
@click.option("--samples", type=click.Choice(["all", "errors", "none"]), help="none, unless the dataset may be shared.")
@click.option("--redact", is_flag=True, help="Take out what looks like keys or personal data.")
@click.option("--pages", is_flag=True, help="Write a workflow that deploys the site to GitHub Pages.")
@click.option("--lang", type=click.Choice(languages()), default=ENGLISH, show_default=True, help="The pages' language.")
@runs_option
@click.option("--yes", is_flag=True, help="Ask nothing.")
@plugin_options
def publish(names: Sequence[str], site: Path, **options: Any) -> None:
    """Add runs to a static site; says what leaves before it does."""
    from harness.runs import find_run
    from harness.site.publication import publish_runs
    from harness.site.staging import Wishes

    folders = [find_run(name, options["runs"]) for name in names]
    sections = report_sections(options["files"], options["blocked"])
    wishes = Wishes(samples=options["samples"], redact=options["redact"], pages=options["pages"])
    with speaking(options["lang"]):
        index = publish_runs(folders, site, sections, wishes, agree(options["yes"]), partial(click.echo, err=True))
    click.echo(index)
