"""Results for a terminal and for Markdown."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console
from support.report import make_results, twins

from harness.report.blocks import Results
from harness.report.summary import to_markdown, to_terminal


def terminal(results: Results, width: int = 140) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(to_terminal(results))
    return stream.getvalue()


def test_terminal_shows_verdict_and_every_arm() -> None:
    results = make_results(arms=8)
    text = terminal(results)
    assert results.data["verdict"]["sentence"].split(",")[0] in text
    for arm in results.data["arms"]:
        assert arm["name"] in text
        assert f"{arm['accuracy'] * 100:.1f}%" in text
    assert "mock (simulated)" in text


def test_terminal_takes_no_commands_from_data() -> None:
    hostile, _ = twins()
    text = terminal(hostile)
    assert not {char for char in text if ord(char) < 32} - {"\n"}
    assert "\u202e" not in text


def test_rich_markup_in_a_name_is_text() -> None:
    def name(data: dict[str, Any]) -> None:
        data["arms"][0]["name"] = "[red]x[/red]"

    assert "[red]x[/red]" in terminal(make_results(n=30, arms=1, change=name))


def test_markdown_is_a_table_with_as_many_cells_in_each_row() -> None:
    hostile, _ = twins()
    for results in (make_results(arms=6), hostile):
        lines = to_markdown(results).splitlines()
        table = [line for line in lines if line.startswith("|")]
        assert len(table) == 2 + 6
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
        assert not [line for line in lines if "<script" in line.replace("\\<", "")]


def test_markdown_begins_with_the_verdict() -> None:
    results = make_results()
    assert to_markdown(results).splitlines()[0].replace("\\", "") == f"## {results.data['verdict']['sentence']}"
