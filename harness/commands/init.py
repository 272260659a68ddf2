"""`harness init`: from a file to an experiment."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import called_after, command, plugin_options
from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.guessing.looking import Look
    from harness.starter.own_prompt import OwnPrompt
    from harness.starter.start import Endpoint

LONGEST_NAME = 200
"""Characters that an experiment's name may have."""


@command("harness init reviews.csv --prompt prompt.txt")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--text", metavar="COL,…", help="Text columns, in the order in which to show them.")
@click.option("--label", metavar="COL", help="The column with the right answer.")
@click.option("--group", metavar="COL", help='Rows to keep together; "" for none.')
@click.option("--time", metavar="COL", help='The date of a row; "" for none.')
@click.option("--split", metavar="COL", help='train, validation or test; "" for none.')
@click.option("--prompt", metavar="FILE", type=click.Path(path_type=Path), help="The prompt in use today.")
@click.option("--endpoint", metavar="URL", help="An OpenAI-compatible API; by default this machine.")
@click.option("--model", metavar="M", help="The model to prompt and to train.")
@click.option("--encoding", metavar="E", help="How the file is written, if not in UTF-8.")
@click.option("--sheet", metavar="NAME", help="The sheet of a workbook.")
@click.option(
    "-o", "out", metavar="FILE", type=click.Path(path_type=Path), default="experiment.toml", show_default=True
)
@click.option("--force", is_flag=True, help="Write over an existing file.")
@plugin_options
def init(data: Path, out: Path, force: bool, **options: Any) -> None:
    """Look at a file, guess what is not given, write an experiment."""
    from harness.files import write_whole
    from harness.guessing.guess import Given
    from harness.guessing.looking import look
    from harness.plugins.discovery import discover
    from harness.starter.arms import slow
    from harness.starter.start import Start, sizes
    from harness.starter.text import experiment_text

    if out.exists() and not force:
        raise UsageError(f"{out} exists already", "write another one with -o FILE, or over it with --force")
    endpoint = _endpoint(options["endpoint"], options["model"])
    plugins = discover(options["files"], options["blocked"])
    given = Given(**{name: options[name] for name in ("text", "label", "group", "time", "split")})
    seen = look(data, plugins, given, {name: options[name] for name in ("encoding", "sheet")})
    start = Start(
        name=called_after(data)[:LONGEST_NAME],
        path=_relative(data, out.parent),
        guesses=seen.guesses,
        options=seen.options,
        guessed=seen.found,
        forms=seen.forms,
        whole=seen.whole,
        prompt=_prompt(options["prompt"], seen),
        endpoint=endpoint,
        model=options["model"],
    )
    size = sizes(seen.guesses, whole=seen.whole)
    write_whole(out, experiment_text(start, size))
    _tell(seen, start.prompt, [*size.notes, *_notes(seen, slow=slow(start))])
    click.echo(f"\nwritten: {out}")
    if endpoint is not None and not endpoint.loopback:
        click.echo(f"the key is read from the environment variable {endpoint.key}")
    click.echo(f"next: {shlex.join(['harness', 'run', str(out)])}")


def _endpoint(url: str | None, model: str | None) -> Endpoint | None:
    """Checks the endpoint's URL.

    Raises:
        UsageError: It is no URL, holds a password, or comes without a model.
    """
    if url is None:
        return None
    from pydantic import ValidationError

    from harness.experiment.file import EndpointTable
    from harness.starter.start import endpoint_of

    try:
        checked = EndpointTable(base_url=url).base_url
    except ValidationError as error:
        raise UsageError(f"--endpoint: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    if not model:
        raise UsageError("--endpoint names no model", "say which of its models to ask and to train: --model M")
    return endpoint_of(str(checked))


def _prompt(path: Path | None, seen: Look) -> OwnPrompt | None:
    if path is None:
        return None
    from harness.starter.own_prompt import read_prompt

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"--prompt {path} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"--prompt {path} is not UTF-8 (byte {error.start})", "save it as UTF-8") from None
    guesses = seen.guesses
    return read_prompt(text, guesses.text, list(guesses.columns), guesses.label, source=path.name)


def _relative(data: Path, folder: Path) -> str:
    """Returns the data's path as an experiment in `folder` names it."""
    path = Path(os.path.relpath(data.absolute(), folder.absolute())).as_posix()
    # A tilde at the beginning would mean somebody's home.
    return f"../{folder.absolute().name}/{path}" if path.startswith("~") else path


def _tell(seen: Look, prompt: OwnPrompt | None, notes: list[str]) -> None:
    for found in seen.found:
        click.echo(found.line)
    labels = seen.guesses.labels
    some = [f"{label[:30]} ({labels[label]:,})" for label in list(labels)[:6]]
    among = "" if seen.whole else f" among the {seen.guesses.rows:,} rows looked at"
    click.echo(f"{len(labels)} labels{among}, with their rows: {', '.join(some)}{', …' if len(labels) > 6 else ''}")
    if prompt is not None:
        click.echo(f"prompt: {prompt.said}")
    for note in notes:
        click.echo(f"note: {note}")


def _notes(seen: Look, *, slow: bool) -> Iterator[str]:
    if not seen.whole:
        yield f"only {seen.guesses.rows:,} of the rows were looked at"
    if unlabelled := seen.guesses.of_rows.count(""):
        yield f"{unlabelled:,} of {seen.guesses.rows:,} rows have no label and are left out"
    for left in seen.guesses.left_out:
        yield f"{left.option} left out: {left.reason}"
    yield from seen.guesses.notes
    if slow:
        labels = len(seen.guesses.labels)
        yield f"{labels} labels are scored one by one on this machine, which takes long: try it with --limit 50 first"
