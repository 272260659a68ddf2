"""Results for a terminal and for Markdown: the verdict, the table of arms, the checks that failed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness import numbers
from harness.report import facts, verdict
from harness.report.arms import Arm, looks, ranked
from harness.report.blocks import Results
from harness.report.charts.svg import one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {
    "fine-tuned": "blue",
    "few-shot": "dark_orange",
    "zero-shot": "bright_black",
    "classical": "green",
    "mock": "magenta",
}


def to_terminal(results: Results) -> RenderableType:
    """Returns the verdict and the table of arms as something that rich prints; `results.data` suffices."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    data = results.data
    among = looks(data)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(_titles(data)):
        table.add_column(title, justify="left" if place == 1 else "right", overflow="fold")
    for arm in ranked(data):
        look = among[str(arm["name"])]
        cells = [Text(cell) for cell in _cells(data, arm)]
        cells[1].stylize(COLOURS.get(look.family, "cyan"), 0, len(look.letter))
        table.add_row(*cells)
    facts_ = " · ".join(one_line(part) for part in [*verdict.eyebrow(data), *verdict.remarks(data)])
    alarms = [Text(f"Check failed: {message}", style="bold red") for message in _alarms(data)]
    return Group(*alarms, Text(one_line(_sentence(data)), style="bold"), Text(facts_), Text(""), table)


def to_markdown(results: Results) -> str:
    """Writes the verdict, its evidence and the table of arms as Markdown, for a pull request."""
    data = results.data
    titles = _titles(data)
    lines = [f"## {escape(_sentence(data))}", ""]
    lines += [f"> **Check failed:** {escape(message)}\n" for message in _alarms(data)]
    lines += [escape(" · ".join([*verdict.eyebrow(data), *verdict.remarks(data)])), ""]
    lines += [escape(verdict.paragraph(data)), ""]
    lines.append(f"| {' | '.join(titles)} |")
    lines.append(f"|{'|'.join('---' if place == 1 else '--:' for place in range(len(titles)))}|")
    lines += [f"| {' | '.join(escape(cell) for cell in _cells(data, arm))} |" for arm in ranked(data)]
    return "\n".join(lines) + "\n"


def _sentence(data: facts.Data) -> str:
    return str((data.get("verdict") or {}).get("sentence") or "No verdict")


def _alarms(data: facts.Data) -> list[str]:
    return [one_line(str(c["message"])) for c in data.get("checks") or () if c.get("level") == "error"]


def _titles(data: facts.Data) -> Sequence[str]:
    money = facts.cost_measure(data).unit == "usd"
    cost = "Cost per 1k" if money else "Machine time per 1k"
    return ("Rank", "Arm", "Accuracy (95% CI)", "Macro-F1", "Tokens in / out", cost, "p50", "p95")


def _cells(data: facts.Data, arm: Arm) -> list[str]:
    look = looks(data)[str(arm["name"])]
    measure = facts.cost_measure(data)
    ci: Any = arm.get("accuracy_ci") or (None, None)
    latency = arm.get("latency_s") or {}
    marks = "".join(f" ({mark})" for mark in facts.tags(arm))
    interval = f" {numbers.percent_interval(*ci)}" if ci[0] is not None else ""
    tokens = f"{numbers.count(arm.get('input_tokens_mean'))} / {numbers.count(arm.get('output_tokens_mean'))}"
    return [
        numbers.count(look.rank),
        f"{look.letter} {one_line(str(arm['name']))}{marks}",
        f"{numbers.percent(arm.get('accuracy'))}{interval}",
        numbers.decimal(arm.get("macro_f1")),
        numbers.MISSING if arm.get("input_tokens_mean") is None else tokens,
        measure.write(measure.of(arm)),
        numbers.ms(latency.get("p50")),
        numbers.ms(latency.get("p95")),
    ]


def escape(text: str) -> str:
    """Escapes what Markdown or HTML would read as markup; one line."""
    return re.sub(r"([\\`*_\[\]<>#|!~&@])", r"\\\1", one_line(text))
