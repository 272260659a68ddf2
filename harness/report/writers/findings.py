"""Findings about data for a terminal: short, the worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness import findings
from harness.findings import rows
from harness.report.quality import HEADINGS, ORDER, row_sum, severity
from harness.words import one_line, say

if TYPE_CHECKING:
    from rich.console import RenderableType

STYLES = {"error": ("✗", "bold red"), "warning": ("!", "yellow"), "mended": ("+", "cyan"), "ok": ("✓", "green")}
LISTED = 3
"""Rows of each list of suspicious ones."""


def quality_to_terminal(report: Mapping[str, Any], *, brief: bool = False) -> RenderableType:
    """Returns a quality report as something that rich prints.

    Args:
        report: `quality.json`.
        brief: Leaves out what is in order.
    """
    from rich.console import Group
    from rich.text import Text

    lines: list[RenderableType] = [Text(row_sum(report["rows_in"], report["removed"]), style="bold")]
    for heading, title in HEADINGS.items():
        found = [check for check in report["checks"] if (check.get("heading") or "") == heading]
        shown = [check for check in found if not (brief and severity(check) == "ok")]
        if shown:
            lines += [Text(""), Text(say(title), style="bold"), *_findings(shown)]
    lines += _ranked(report.get("ranked") or ())
    return Group(*lines)


def _findings(checks: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    lines: list[RenderableType] = []
    for check in sorted(checks, key=lambda check: ORDER.get(severity(check), 9)):
        mark, style = STYLES.get(severity(check), ("·", ""))
        said = findings.said(check)
        line = Text.assemble((mark, style), f" {one_line(said.message)} ", (f"[{check['kind']}]", "dim"))
        lines.append(Padding(line, (0, 0, 0, 2), expand=False))
        if said.advice:
            lines.append(Padding(Text(f"→ {one_line(said.advice)}"), (0, 0, 0, 6), expand=False))
    return lines


def _ranked(ranked: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    from rich.padding import Padding
    from rich.text import Text

    lines: list[RenderableType] = []
    for each in ranked:
        items = each.get("items") or ()
        if not items:
            continue
        lines += [
            Text(""),
            Text(say("{title}: {n}, the first of them", title=say(str(each["title"])), n=len(items)), style="bold"),
        ]
        for item in items[:LISTED]:
            note = one_line(rows.said(str(each["kind"]), item).message)
            line = Text(f"{item['id']}  {item['score']:.2f}  {note}{_text(item)}")
            lines.append(Padding(line, (0, 0, 0, 2), expand=False))
    return lines


def _text(item: Mapping[str, Any]) -> str:
    return f": {one_line(str(item['text']))}" if item.get("text") else ""
