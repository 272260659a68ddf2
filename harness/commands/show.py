"""`harness show`: one run in the terminal: its table, sections of its report, its failed items, its journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import (
    aligned,
    command,
    plugin_options,
    report_sections,
    runs_option,
    say_json,
    screen_width,
)

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

    from harness.journal.view import Attempt, Found
    from harness.runs import RunFolder

ROWS = 100
"""Rows of a table that are shown unless told otherwise."""
PIPED = 120
"""Columns of the table where there is no terminal."""
WIDE = 160
"""Most characters of one value in a table; `--json` has all of it."""


@command("harness show food-reviews --section errors")
@click.argument("run", metavar="RUN")
@runs_option
@click.option("--section", "wanted", metavar="NAME", multiple=True, help="A section of the report, by name or title.")
@click.option("--all", "whole", is_flag=True, help="All sections of the report.")
@click.option("--failed", is_flag=True, help="The failed items, with each attempt.")
@click.option("--sql", metavar="QUERY", help="Ask the run's journal; reads only.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=ROWS, show_default=True, metavar="N", help="Rows of a table."
)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON; alone, results.json as it is.")
@plugin_options
def show(run: str, runs: Path, wanted: Sequence[str], sql: str | None, **options: Any) -> None:
    """Show a run's table, its report, its failed items or its journal."""
    from harness.errors import UsageError
    from harness.runs import find_run

    folder, as_json = find_run(run, runs), options["as_json"]
    asked = {"--section or --all": wanted or options["whole"], "--failed": options["failed"], "--sql": sql is not None}
    questions = [name for name, given in asked.items() if given]
    if len(questions) > 1:
        raise UsageError(f"{' and '.join(questions)} are two questions", "ask one after the other")
    if sql is not None:
        _show_query(folder, sql, options["limit"], as_json)
    elif options["failed"]:
        _show_failed(folder, as_json)
    elif questions:
        _show_sections(folder, wanted, options)
    else:
        _show_results(folder, as_json)


def _show_results(folder: RunFolder, as_json: bool) -> None:
    from harness.journal.ledger import line as cost_line
    from harness.report.reading import load
    from harness.report.writers.as_json import dumps
    from harness.report.writers.terminal import to_terminal

    results = load(folder.path)
    if as_json:
        click.echo(dumps(results.data))
        return
    _console().print(to_terminal(results))
    if (cost := cost_line(results.data)) is not None:
        click.echo(cost)


def _show_sections(folder: RunFolder, wanted: Sequence[str], options: Mapping[str, Any]) -> None:
    """Shows sections of the report; without a name all."""
    from harness.report.arms import looks
    from harness.report.reading import load
    from harness.report.telling import tell
    from harness.report.writers.as_json import dumps, said
    from harness.report.writers.terminal import sections_to_terminal

    chosen = _chosen(report_sections(options["files"], options["blocked"])(folder.path), wanted)
    told = tell(load(folder.path), chosen)
    if options["as_json"]:
        click.echo(dumps({"sections": said(told.sections)}))
        return
    console = _console()
    for part in sections_to_terminal(told.sections, looks(told.data), rows=options["limit"]):
        console.print(part)
    silent = [section for section in chosen if wanted and section.name not in {one.name for one in told.sections}]
    for section in silent:
        click.echo(f'the section "{section.name}" has nothing to say of this run', err=True)


def _chosen(sections: Sequence[Any], wanted: Sequence[str]) -> list[Any]:
    """Returns the sections of these names or titles, whatever their case.

    Raises:
        UsageError: There is none of that name; all are named.
    """
    from harness.errors import UsageError, nearest
    from harness.report.sections import name_of, ordered, title_of

    known = {name: one for one in ordered(sections) for name in (title_of(one).casefold(), name_of(one).casefold())}
    for name in wanted:
        if name.casefold() not in known:
            names = [name_of(one) for one in ordered(sections)]
            raise UsageError(f'there is no section "{name}"; {nearest(name, names)}', f"there are {', '.join(names)}")
    return [known[name.casefold()] for name in dict.fromkeys(wanted)] if wanted else list(sections)


def _console() -> RichConsole:
    """Returns where tables are printed: a pipe has no width, a terminal's is its own."""
    from rich.console import Console

    return Console(width=screen_width(PIPED))


def _show_query(folder: RunFolder, sql: str, limit: int, as_json: bool) -> None:
    from harness.journal.view import query

    found = query(folder.journal, sql, limit)
    if as_json:
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        say_json(rows)
    else:
        for line in _table(found):
            click.echo(line)
    if found.more:
        click.echo(f"there are more rows; these are the first {limit:,}: --limit shows more", err=True)


def _table(found: Found) -> Iterator[str]:
    """Yields the lines of a table: numbers to the right, long values cut, controls left out."""
    rows = [[_cell(value) for value in row] for row in (found.columns, *found.rows)]
    rules = ["─" * max(map(len, column)) for column in zip(*rows, strict=True)]
    kinds = [{type(value) for value in column} - {NoneType} for column in zip(*found.rows, strict=True)]
    numeric = [place for place, seen in enumerate(kinds) if seen and seen <= {int, float}]
    yield from aligned([rows[0], rules, *rows[1:]], numeric)


def _cell(value: Any) -> str:
    from harness.numbers import MISSING
    from harness.words import clipped, one_line

    return MISSING if value is None else clipped(one_line(str(value)), WIDE)


def _show_failed(folder: RunFolder, as_json: bool) -> None:
    items = list(_failed_items(folder))
    if as_json:
        say_json(items)
        return
    if not items:
        click.echo("no item failed")
    for item in items:
        click.echo(f"{_cell(item['arm'])} · {_cell(item['example_id'])}: {_cell(item['error'])}")
        if item["text"]:
            click.echo(f"    {_cell(item['text'])}")
        for attempt in item["attempts"]:
            waited = "" if attempt["after_s"] is None else f", {attempt['after_s']:,.1f} s after the one before"
            told = f"{attempt['time']}  {attempt['attempt']}. {_cell(attempt['kind'])}{waited}"
            click.echo(f"    {told}: {_cell(attempt['message'])}")


def _failed_items(folder: RunFolder) -> Iterator[dict[str, Any]]:
    """Yields what failed, with its attempts; of a run without predictions what the journal alone knows."""
    from harness.journal.view import attempts, without_answer

    rows = _failed_rows(folder)
    if rows is None:
        rows = [
            {"arm": arm, "example_id": None, "error": error, "key": key, "text": None}
            for key, arm, error in without_answer(folder.journal)
        ]
    keys = [row["key"] for row in rows if row["key"]]
    story = attempts(folder.journal, keys) if keys else {}
    for row in rows:
        yield {**row, "attempts": _told(story.get(row["key"] or "", ()))}


def _failed_rows(folder: RunFolder) -> list[dict[str, Any]] | None:
    import pyarrow.compute as pc

    from harness.tables import read_table

    if not folder.predictions.is_file():
        return None
    table = read_table(folder.predictions)
    failed = table.filter(pc.equal(table["status"], "failed"))
    rows = failed.to_pylist()
    texts: dict[str, str] = {}
    if rows and folder.examples.is_file():
        examples = read_table(folder.examples, ["id", "text"])
        wanted = examples.filter(pc.is_in(examples["id"], pc.unique(failed["example_id"])))
        texts = dict(zip(wanted["id"].to_pylist(), wanted["text"].to_pylist(), strict=True))
    return [
        {
            "arm": row["arm"],
            "example_id": row["example_id"],
            "error": row.get("error"),  # runs published without all samples do not have it
            "key": row.get("key"),
            "text": texts.get(row["example_id"]),
        }
        for row in rows
    ]


def _told(attempts: Sequence[Attempt]) -> list[dict[str, Any]]:
    """Returns attempts with the seconds since the one before failed: the pause and the attempt itself."""
    return [
        {
            "time": datetime.fromtimestamp(attempt.time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "attempt": attempt.attempt,
            "kind": attempt.kind,
            "message": attempt.message,
            "after_s": round(attempt.time - attempts[place - 1].time, 3) if place else None,
        }
        for place, attempt in enumerate(attempts)
    ]
