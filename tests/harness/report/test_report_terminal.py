"""Results for a terminal: the verdict and the arms, and any section's blocks."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.lab import call
from support.report import everything, make_results, shipped_sections, twins, write_run

from harness.blocks import Axis, Dot, DotRow, Dots, Interval, Intervals, Matrix, Results
from harness.report.arms import looks
from harness.report.telling import tell
from harness.report.writers import tracks
from harness.report.writers.common import figure_table
from harness.report.writers.terminal import sections_to_terminal, to_terminal


def printed(*parts: Any, width: int = 140) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for part in parts:
        console.print(part)
    return stream.getvalue()


def told(results: Results, width: int = 140, rows: int = 100) -> str:
    report = tell(results, shipped_sections())
    return printed(*sections_to_terminal(report.sections, looks(report.data), rows=rows), width=width)


def test_no_arm_is_left_out_however_many_there_are() -> None:
    results = make_results(n=60, arms=2)
    names = [f"arm {number:03d}" for number in range(120)]
    arms = [{**results.data["arms"][0], "name": name} for name in names]
    text = printed(to_terminal(replace(results, data={**results.data, "arms": arms})))
    assert [name for name in names if name not in text] == []


def test_terminal_shows_verdict_and_every_arm() -> None:
    results = make_results(arms=8)
    text = printed(to_terminal(results))
    assert results.data["verdict"]["sentence"].split(",")[0] in text
    for arm in results.data["arms"]:
        assert arm["name"] in text
        assert f"{arm['accuracy'] * 100:.1f}%" in text
    assert "mock (simulated)" in text


def test_terminal_takes_no_commands_from_data() -> None:
    hostile, _ = twins()
    for text in (printed(to_terminal(hostile)), told(hostile)):
        assert not {char for char in text if ord(char) < 32} - {"\n"}
        assert "\u202e" not in text


def test_rich_markup_in_a_name_is_text() -> None:
    def name(data: dict[str, Any]) -> None:
        data["arms"][0]["name"] = "[red]x[/red]"

    results = make_results(n=30, arms=1, change=name)
    assert "[red]x[/red]" in printed(to_terminal(results))
    assert "[red]x[/red]" in told(results)


@pytest.mark.parametrize("width", [50, 120])
def test_every_section_is_shown_within_the_width(width: int) -> None:
    results = make_results(n=60, change=everything)
    text = told(results, width)
    for spoken in tell(results, shipped_sections()).sections:
        assert f"{spoken.title} ─" in text
    assert "could not be shown" not in text
    assert max(map(len, text.splitlines())) <= width


def test_long_tables_are_cut_with_a_remark() -> None:
    results = make_results(n=60, change=everything)
    assert "more rows: --limit shows more." in told(results, rows=3)
    assert "--limit" not in told(results, rows=1000)


def test_intervals_are_drawn_over_one_axis() -> None:
    rows = (
        Interval(label="a", value=0.5, low=0.0, high=1.0),
        Interval(label="b", value=1.0),
        Interval(label="c", value=None),
    )
    figure = Intervals(title="t", subtitle="s", axis=Axis(title="x"), rows=rows, reference=0.0)
    wide, point, nothing = tracks.intervals(figure)
    assert (wide[0], wide[-1], wide.count("●")) == ("├", "┤", 1)
    assert point.rstrip() == "┊".ljust(len(point) - 1) + "●"
    assert nothing.strip() == "┊"
    assert len({len(line) for line in (wide, point, nothing)}) == 1


def test_dots_bear_the_arms_letters() -> None:
    among = looks({"arms": [{"name": "x", "accuracy": 0.9}, {"name": "y", "accuracy": 0.8}]})
    rows = tuple(
        DotRow(label=str(n), dots=(Dot(arm="x", value=x), Dot(arm="y", value=y)))
        for n, (x, y) in enumerate([(1.0, 0.0), (0.5, 0.5), (None, 0.0)])
    )
    first, both, one = tracks.dots(Dots(title="t", subtitle="s", axis=Axis(title="F1"), rows=rows), among)
    assert (first[0], first[-1]) == ("B", "A")
    assert both.strip() == "*"
    assert one.rstrip() == "B"


def test_a_large_confusion_is_told_by_its_rows() -> None:
    labels = tuple(f"intent {n:02d}" for n in range(77))
    counts = tuple(tuple(9 if r == c else 2 if c == (r + 1) % 77 else 0 for c in range(77)) for r in range(77))
    table = figure_table(Matrix(title="t", subtitle="s", rows=labels, columns=labels, counts=counts))
    assert [column.title for column in table.columns] == ["Expected", "Examples", "Right", "Taken for"]
    assert table.rows[3] == ("intent 03", "11", "9", "intent 04 (2)")
    assert len(table.rows) == 77


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = write_run(tmp_path / "runs" / "reviews-0123abcd", make_results(n=60, arms=3))
    (folder / "manifest.json").write_text('{"name": "reviews"}', "utf-8")
    return folder


def test_show_prints_one_section_or_all(run: Path) -> None:
    one = call("show", run, "--section", "errors")
    assert one.code == 0, one
    assert "The most frequent mistakes" in one.out
    assert "Trade-offs ─" not in one.out
    everything = call("show", run, "--all")
    assert everything.code == 0, everything
    assert one.out.strip() in everything.out
    assert call("show", run, "--section", "Trade-Offs").out in everything.out


def test_show_gives_sections_as_json(run: Path) -> None:
    found = json.loads(call("show", run, "--section", "errors", "--section", "data", "--json").out)
    assert [section["name"] for section in found["sections"]] == ["errors", "data"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--section", "erors"), 'there is no section "erors"'),
        (("--all", "--failed"), "two questions"),
        (("--section", "errors", "--sql", "SELECT 1"), "two questions"),
    ],
)
def test_wrong_questions_are_refused(run: Path, options: tuple[str, ...], said: str) -> None:
    done = call("show", run, *options)
    assert done.code == 2
    assert said in done.err
    assert not done.out


def test_a_silent_section_says_so(run: Path) -> None:
    done = call("show", run, "--section", "training")
    assert (done.code, done.out) == (0, "")
    assert 'the section "training" has nothing to say' in done.err
