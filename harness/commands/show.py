"""`harness show`: one run in the terminal: its table, its failed items, its journal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.commands.shared import command, runs_option

if TYPE_CHECKING:
    from harness.journal_view import Attempt, Found
    from harness.runs import RunFolder

ROWS = 100
"""Rows of a query that are shown unless told otherwise."""
PIPED = 120
"""Columns of the table where there is no terminal."""
WIDE = 160
"""Most characters of one value in a table; `--json` has all of it."""


@command("harness show food-reviews --failed")
@click.argument("run", metavar="RUN")
@runs_option
@click.option("--failed", is_flag=True, help="The failed items, with each attempt.")
@click.option("--sql", metavar="QUERY", help="Ask the run's journal; reads only.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=ROWS, show_default=True, metavar="N", help="Rows of --sql."
)
@click.option("--json", "as_json", is_flag=True, help="The same as JSON; alone, results.json as it is.")
def show(run: str, runs: Path, failed: bool, sql: str | None, limit: int, as_json: bool) -> None:
    """Show a run's table, its failed items or its journal."""
    from harness.errors import UsageError
    from harness.runs import find_run

    folder = find_run(run, runs)
    if failed and sql is not None:
        raise UsageError("--failed and --sql are two questions", "ask one after the other")
    if sql is not None:
        _show_query(folder, sql, limit, as_json)
    elif failed:
        _show_failed(folder, as_json)
    else:
        _show_results(folder, as_json)


def _show_results(folder: RunFolder, as_json: bool) -> None:
    from harness.ledger import line as cost_line
    from harness.report.page import load

    results = load(folder.path)
    if as_json:
        click.echo(json.dumps(results.data, ensure_ascii=False, indent=1))
        return
    from rich.console import Console as RichConsole

    from harness.report.summary import to_terminal

    # A pipe has no width; a terminal's is its own.
    RichConsole(width=None if sys.stdout.isatty() else PIPED).print(to_terminal(results))
    if (cost := cost_line(results.data)) is not None:
        click.echo(cost)


def _show_query(folder: RunFolder, sql: str, limit: int, as_json: bool) -> None:
    from harness.journal_view import query

    found = query(folder.journal, sql, limit)
    if as_json:
        rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
        click.echo(json.dumps(rows, ensure_ascii=False, indent=1, allow_nan=False))
    else:
        for line in _table(found):
            click.echo(line)
    if found.more:
        click.echo(f"there are more rows; these are the first {limit:,}: --limit shows more", err=True)


def _table(found: Found) -> Iterator[str]:
    """Yields the lines of a table: numbers to the right, long values cut, controls left out."""
    cells = [[_cell(value) for value in row] for row in found.rows]
    numeric = [
        any(isinstance(row[place], int | float) for row in found.rows)
        and all(row[place] is None or isinstance(row[place], int | float) for row in found.rows)
        for place in range(len(found.columns))
    ]
    titles = [_cell(name) for name in found.columns]
    widths = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    for row in (titles, ["─" * width for width in widths], *cells):
        parts = zip(row, widths, numeric, strict=True)
        yield "  ".join(f"{cell:>{width}}" if right else f"{cell:<{width}}" for cell, width, right in parts).rstrip()


def _cell(value: Any) -> str:
    from harness.numbers import MISSING
    from harness.report.charts.svg import one_line

    text = MISSING if value is None else one_line(str(value))
    return text if len(text) <= WIDE else f"{text[: WIDE - 1]}…"


def _show_failed(folder: RunFolder, as_json: bool) -> None:
    items = list(_failed_items(folder))
    if as_json:
        click.echo(json.dumps(items, ensure_ascii=False, indent=1))
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
    from harness.journal_view import attempts, without_answer

    rows = _failed_rows(folder)
    if rows is None:
        rows = [
            {"arm": arm, "example_id": None, "error": error, "key": key, "text": None}
            for key, arm, error in without_answer(folder.journal)
        ]
    story = attempts(folder.journal, [row["key"] for row in rows if row["key"]]) if rows else {}
    for row in rows:
        yield {**row, "attempts": _told(story.get(row["key"] or "", ()))}


def _failed_rows(folder: RunFolder) -> list[dict[str, Any]] | None:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not folder.predictions.is_file():
        return None
    table = pq.read_table(folder.predictions)
    failed = table.filter(pc.equal(table["status"], "failed"))
    rows = failed.to_pylist()
    texts: dict[str, str] = {}
    if rows and folder.examples.is_file():
        examples = pq.read_table(folder.examples, columns=["id", "text"])
        wanted = examples.filter(pc.is_in(examples["id"], pc.unique(failed["example_id"])))
        texts = dict(zip(wanted["id"].to_pylist(), wanted["text"].to_pylist(), strict=True))
    return [
        {
            "arm": row["arm"],
            "example_id": row["example_id"],
            "error": row["error"],
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
