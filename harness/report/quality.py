"""What is known of the data, as blocks: for the page, the terminal and Markdown alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness import findings, numbers
from harness.blocks import Block, Callout, Cell, Column, Table, Text
from harness.findings import rows as of_rows
from harness.findings.checks import Said
from harness.words import clipped, noted, say

HEADINGS = {
    "quality": noted("Quality: are texts and labels right?"),
    "diversity": noted("Diversity: do the texts differ?"),
    "balance": noted("Balance: does each class have enough?"),
    "quantity": noted("Quantity: are there enough rows?"),
    "": noted("Other findings"),
}
"""The four questions that guidance on training data asks, and the rest."""

ORDER = {"error": 0, "warning": 1, "mended": 2, "ok": 3}
MARKS = {
    "error": noted("✗ error"),
    "warning": noted("! warning"),
    "mended": noted("✓ mended"),
    "ok": noted("✓ ok"),
}

LISTED = 20
"""Rows of each list of those worth a look."""
LONGEST = 200
"""Characters of a text that are shown."""

Checks = Sequence[Mapping[str, Any]]


def severity(check: Mapping[str, Any]) -> str:
    """Returns `error`, `warning`, `mended` or `ok`: a finding that was dealt with is mended."""
    level = str(check.get("level"))
    return "mended" if level == "ok" and check.get("mended") else level


def quality_blocks(
    checks: Checks, removed: Mapping[str, int] | None = None, rows_in: int | None = None
) -> Iterator[Block]:
    """Yields where the rows went, what failed, and the findings under the four headings.

    Args:
        checks: As they stand in `quality.json` and `results.json`.
        removed: Rows removed by each rule, where that is known.
        rows_in: Rows before that.
    """
    if rows_in is not None and removed is not None:
        yield Text(text=row_sum(rows_in, removed))
    for level in ("error", "warning"):
        for check in checks:
            if check.get("level") == level:
                said = findings.said(check)
                yield Callout(text=_whole(said), level=level, lang=said.lang)
    for heading, title in HEADINGS.items():
        found = [check for check in checks if str(check.get("heading") or "") == heading]
        if found:
            yield _findings(say(title), found)


def row_sum(rows_in: int, removed: Mapping[str, int]) -> str:
    """Returns the account of the rows: what came in is what stays and what each rule removed."""
    gone = "".join(f" + {numbers.count(n)} {rule}" for rule, n in removed.items() if n)
    kept = rows_in - sum(removed.values())
    return say("{n} rows in = {kept} kept", n=numbers.count(rows_in), kept=numbers.count(kept)) + gone


def _whole(said: Said) -> str:
    return f"{said.message.removesuffix('.')}. {said.advice}" if said.advice else said.message


def _findings(title: str, checks: Checks) -> Table:
    """Says each finding in a row with its next step; its figures stand in the sentence, and in `quality.json`."""
    rows = tuple(
        (
            say(MARKS.get(severity(check), severity(check))),
            _finding(findings.said(check)),
            Cell(text=str(check.get("kind")), strong=check.get("level") != "ok"),
        )
        for check in sorted(checks, key=lambda check: ORDER.get(severity(check), 9))
    )
    columns = (
        Column(title=say("Result")),
        Column(title=say("Finding → next step"), prose=True),
        Column(title=say("Rule")),
    )
    return Table(caption=title, columns=columns, rows=rows)


def _finding(said: Said) -> str | Cell:
    return _in(said.lang, said.message + (f" → {said.advice}" if said.advice else ""))


def _note(kind: str, item: of_rows.Item) -> str | Cell:
    said = of_rows.said(kind, item)
    return _in(said.lang, said.message)


def _in(lang: str, text: str) -> str | Cell:
    return Cell(text=text, lang=lang) if lang else text


def ranked_blocks(
    ranked: Iterable[Mapping[str, Any]], texts: Mapping[str, str | None] | None = None
) -> Iterator[Block]:
    """Yields a folded table for each list of rows worth a look.

    Args:
        ranked: As they stand in `quality.json`.
        texts: Example id → text, where texts may be shown.
    """
    for each in ranked:
        items = list(each.get("items") or ())
        if not items:
            continue
        shown = [
            (
                str(item.get("id")),
                numbers.decimal(item.get("score"), 2),
                _note(str(each.get("kind")), item),
                *((clipped(texts.get(str(item.get("id"))) or "", LONGEST),) if texts else ()),
            )
            for item in items[:LISTED]
        ]
        text = (Column(title=say("Text"), prose=True),) if texts else ()
        yield Table(
            caption=say(
                "{title} ({shown} of {n}). {explanation}",
                title=say(str(each.get("title"))),
                shown=len(shown),
                n=each.get("n") or len(items),
                explanation=say(str(each.get("explanation"))),
            ),
            columns=(
                Column(title=say("Example"), head=True),
                Column(title=say("Score"), numeric=True),
                Column(title=say("Why"), prose=True),
                *text,
            ),
            rows=tuple(shown),
            folded=True,
        )
