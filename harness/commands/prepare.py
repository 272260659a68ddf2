"""`harness prepare`: the data stage alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import called_after, command, plugin_options, say_json, screen_width
from harness.plugins.asides import spared_stdout
from harness.prepare.profiles import PROFILES

if TYPE_CHECKING:
    from harness.console import Console
    from harness.data_stage.standalone import Result


@command("harness prepare reviews.csv")
@click.argument("data", metavar="DATA|EXPERIMENT", type=click.Path(path_type=Path))
@click.option("-o", "out", metavar="DIR", type=click.Path(path_type=Path), help="Where to; by default NAME-prepared.")
@click.option("--text", metavar="COL,…", help="Text columns; what is not given is guessed.")
@click.option("--label", metavar="COL", help="The column with the right answer.")
@click.option("--group", metavar="COL", help='Rows to keep together; "" for none.')
@click.option("--split", metavar="COL", help='train, validation or test; "" for none.')
@click.option("--encoding", metavar="E", help="How the file is written, if not in UTF-8.")
@click.option("--sheet", metavar="NAME", help="The sheet of a workbook.")
@click.option(
    "--provider", metavar="P", type=click.Choice(list(PROFILES)),
    help=", ".join(["openai (default)", *list(PROFILES)[1:]]),
)  # fmt: skip
@click.option("--model", metavar="M", help="Whose tokens to count.")
@click.option("--allow-leaks", is_flag=True, help="Go on although test items stand in train.")
@click.option("--quiet", is_flag=True, help="Say nothing but the result.")
@click.option("--json", "as_json", is_flag=True, help="quality.json instead of the report.")
@plugin_options
def prepare(data: Path, out: Path | None, quiet: bool, as_json: bool, **options: Any) -> None:
    """Clean, check and split data; write training files."""
    from harness.collector import uncollected
    from harness.console import Console
    from harness.data_stage.standalone import carry_out

    with spared_stdout(), Console(quiet=quiet) as console, uncollected():
        source = _source(data, options, console)
        folder = out if out is not None else Path(f"{called_after(data)}-prepared")
        result = carry_out(source, folder, console, allow_leaks=options["allow_leaks"])
    if as_json:
        say_json(result.report)
    else:
        _tell(result, quiet=quiet)
        if result.refused is None:
            click.echo(f"next: {_next(data, options)}")
    if result.refused is not None:
        raise result.refused


def _source(data: Path, options: dict[str, Any], console: Console) -> Any:
    from harness.data_stage.standalone import Target, of_experiment, of_file
    from harness.errors import UsageError
    from harness.guessing.guess import Given
    from harness.plugins.discovery import discover

    columns = {name: options[name] for name in ("text", "label", "group", "split")}
    if data.suffix == ".toml":
        from harness.experiment.reader import allowed, load

        given = [f"--{name}" for name in (*columns, "provider", "model") if options[name] is not None]
        if given:
            raise UsageError(f"{given[0]} is for a data file; {data} is an experiment", "its [dataset] says it")
        plugins = discover(options["files"], options["blocked"], allowed(data))
        return of_experiment(load(data, plugins, allowed_files=options["files"]), console)
    reading = {name: options[name] for name in ("encoding", "sheet") if options[name] is not None}
    target = Target(provider=options["provider"] or "openai", model=options["model"])
    plugins = discover(options["files"], options["blocked"])
    with console.busy(f"reading {data.name}"):
        return of_file(data, plugins, Given(**columns), reading, target)


def _tell(result: Result, *, quiet: bool) -> None:
    from rich.console import Console as RichConsole

    from harness.report.writers.findings import quality_to_terminal

    for found in result.guessed:
        click.echo(found.line)
    RichConsole(width=screen_width()).print(quality_to_terminal(result.report, brief=quiet))
    click.echo(f"\nwritten: {result.folder}/ quality.json, examples.parquet{''.join(f', {n}' for n in result.files)}")


def _next(data: Path, options: dict[str, Any]) -> str:
    """Returns the command that goes on with the data as it was read here."""
    experiment = data.suffix == ".toml"
    reading = () if experiment else ("text", "label", "group", "split", "encoding", "sheet")
    given = [word for name in reading if options[name] is not None for word in (f"--{name}", options[name])]
    loaded = [word for file in options["files"] for word in ("--plugin", str(file))]
    blocked = [word for name in options["blocked"] for word in ("--no-plugin", name)]
    return shlex.join(["harness", "run" if experiment else "init", str(data), *given, *loaded, *blocked])
