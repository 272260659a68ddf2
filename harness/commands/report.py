"""`harness report`: a run's page from what is stored, or the same as Markdown or JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from harness.commands.shared import command, plugin_options, report_sections, runs_option
from harness.words import ENGLISH, languages, speaking


@command("harness report food-reviews --format md")
@click.argument("run", metavar="RUN")
@click.option("-o", "out", type=click.Path(path_type=Path), help="The file to write.")
@click.option("--format", "form", type=click.Choice(["html", "md", "json"]), default="html", show_default=True)
@click.option("--samples", type=click.Choice(["all", "errors", "none"]), default="all", show_default=True)
@click.option("--inline-all", is_flag=True, help="All texts in the page itself, however many.")
@click.option("--redact", is_flag=True, help="Take out what looks like keys or personal data.")
@click.option("--lang", type=click.Choice(languages()), default=ENGLISH, show_default=True, help="Its language.")
@runs_option
@plugin_options
def report(run: str, out: Path | None, form: str, **options: Any) -> None:
    """Rebuild a run's page from what is stored."""
    from harness.files import write_whole
    from harness.report import scan
    from harness.report.page import compose, write
    from harness.report.reading import load, withhold
    from harness.runs import find_run

    folder = find_run(run, options["runs"])
    sections = report_sections(options["files"], options["blocked"])(folder.path)
    results = scan.without_keys(withhold(load(folder.path), options["samples"]), redact=options["redact"])
    with speaking(options["lang"]):
        if form == "html":
            out = out or folder.report
            wanted = {key: options[key] for key in ("samples", "inline_all")}
            write(compose(results, sections, name=out.stem, **wanted), out)
            told = str(out)
        else:
            text = _writer(form)(results, sections, samples=options["samples"])
            if out is not None:
                write_whole(out, text.rstrip("\n") + "\n")
            told = text.rstrip("\n") if out is None else str(out)
    click.echo(told)


def _writer(form: str) -> Callable[..., str]:
    if form == "md":
        from harness.report.writers.markdown import to_markdown

        return to_markdown
    from harness.report.writers.as_json import to_json

    return to_json
