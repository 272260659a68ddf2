"""The quality report as blocks and in the terminal: sums, order, next steps, and data that stays data."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from harness.blocks import Callout, Table, Text
from harness.report.quality import quality_blocks, ranked_blocks, row_sum, severity
from harness.report.writers.findings import quality_to_terminal


def check(kind: str, level: str = "ok", heading: str = "quality", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "level": level, "heading": heading, "message": f"about {kind}", "figures": {}, **more}


CHECKS = [
    check("rows", heading="quantity"),
    check("exact-duplicates", mended=3, heading="diversity"),
    check("conflicts", "warning", advice="Look at them."),
    check("exact-leak", "error", advice="Split anew."),
    check("plugin-edited", "warning", heading=""),
]
RANKED = [
    {
        "kind": "label-errors",
        "title": "Likely label errors",
        "explanation": "Odds.",
        "items": [{"id": f"id{n}", "score": 9.5 - n, "note": "good → bad"} for n in range(30)],
    },
    {"kind": "near-empty-texts", "title": "Near-empty texts", "explanation": "Words.", "items": []},
]


def printed(report: dict[str, Any], width: int = 80, **more: Any) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(quality_to_terminal(report, **more))
    return out.getvalue()


def test_rows_in_are_rows_kept_and_rows_removed() -> None:
    assert row_sum(10, {"a": 3, "b": 0, "c": 2}) == "10 rows in = 5 kept + 3 a + 2 c"


def test_what_was_dealt_with_is_mended() -> None:
    assert [severity(each) for each in CHECKS] == ["ok", "mended", "warning", "error", "warning"]


def test_the_page_begins_with_the_sum_and_what_failed_and_has_a_table_for_each_heading() -> None:
    blocks = list(quality_blocks(CHECKS, {"exact-duplicates": 3}, 10))
    assert blocks[0] == Text(text="10 rows in = 7 kept + 3 exact-duplicates")
    called = [block for block in blocks if isinstance(block, Callout)]
    assert [(call.level, call.text) for call in called] == [
        ("error", "about exact-leak. Split anew."),
        ("warning", "about conflicts. Look at them."),
        ("warning", "about plugin-edited"),
    ]
    tables = [block for block in blocks if isinstance(block, Table)]
    assert [table.caption.split(":")[0] for table in tables] == ["Quality", "Diversity", "Quantity", "Other findings"]
    assert [row[0] for row in tables[0].rows] == ["✗ error", "! warning"]
    assert [row[0] for row in tables[1].rows] == ["✓ mended"]
    assert [row[1] for row in tables[0].rows] == ["about exact-leak → Split anew.", "about conflicts → Look at them."]
    assert {len(table.columns) for table in tables} == {3}


def test_lists_of_suspicious_rows_are_folded_and_capped() -> None:
    [table] = [block for block in ranked_blocks(RANKED, {"id0": "x" * 500}) if isinstance(block, Table)]
    assert table.folded
    assert "(20 of 30)" in table.caption
    assert len(table.rows) == 20
    assert table.rows[0][:3] == ("id0", "9.50", "good → bad")
    assert len(str(table.rows[0][3])) == 200
    [without] = [block for block in ranked_blocks(RANKED) if isinstance(block, Table)]
    assert len(without.rows[0]) == len(without.columns) == 3


def test_the_terminal_says_the_worst_first_with_the_next_step() -> None:
    report = {"rows_in": 10, "removed": {"exact-duplicates": 3}, "checks": CHECKS, "ranked": RANKED}
    said = printed(report)
    lines = [line.strip() for line in said.splitlines()]
    assert lines[0] == "10 rows in = 7 kept + 3 exact-duplicates"
    assert lines.index("✗ about exact-leak [exact-leak]") + 1 == lines.index("→ Split anew.")
    assert lines.index("✗ about exact-leak [exact-leak]") < lines.index("! about conflicts [conflicts]")
    assert "id0  9.50  good → bad" in lines
    assert "id5  4.50  good → bad" not in lines
    assert "about rows" in said
    assert "about rows" not in printed(report, brief=True)
    assert max(map(len, said.splitlines())) <= 80


def test_data_is_no_markup_and_steers_no_terminal() -> None:
    hostile = check("k", message="[bold]\x1b[31mred\x07[/bold]\nsecond", advice="[link=x]y[/link]")
    report = {"rows_in": 1, "removed": {}, "checks": [hostile], "ranked": []}
    said = printed(report)
    assert "[bold]" in said
    assert "[link=x]y[/link]" in said
    assert "\x1b" not in said
    assert "\x07" not in said
