"""Each number of the prose stands, formatted, in `results.json`: in all sections, of runs of several kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, get_args

import pytest
from support.prose import strange_numbers
from support.report import everything, make_results, shipped_sections
from support.results import ARMS, make_arm, make_examples, make_run

from harness.blocks import Block, Callout, Explorer, Figure, Passage, Table, Text, Tiles
from harness.report import verdict
from harness.report.telling import tell
from harness.scoring.results import build

OWN_COUNTS = {"errors", "samples", "data"}
"""Sections whose tables count answers and labels, which stand in `predictions.parquet`."""


def prose(block: Block) -> Iterator[str]:
    """Yields the sentences of a block: what is no cell of a table and no axis."""
    if isinstance(block, Explorer):
        block = block.errors
    if isinstance(block, Text | Callout):
        yield block.text
    elif isinstance(block, Passage):
        yield from (block.title, *block.sentences)
    elif isinstance(block, Table):
        yield block.caption
    elif isinstance(block, Tiles):
        yield from (text for tile in block.tiles for text in (tile.label, tile.value, tile.detail))
    elif isinstance(block, get_args(Figure)):
        yield from (block.title, block.subtitle)


@cache
def run_of(kind: str) -> dict[str, Any]:
    if kind == "machine":
        examples = make_examples(120)
        local = [replace(arm, price=None, local=True, training_usd=None) for arm in ARMS[:4]]
        made = build(make_run(examples), [make_arm(arm, examples) for arm in local])
    elif kind == "full":
        made = dict(make_results(n=120, arms=3, change=everything).data)
    else:
        made = dict(make_results(n=120, arms=1 if kind == "one arm" else 4, groups=kind == "groups").data)
    return dict(json.loads(json.dumps(made)))


@pytest.mark.parametrize("kind", ["money", "machine", "one arm", "groups", "full"])
def test_each_number_of_the_prose_stands_in_the_results(kind: str) -> None:
    data = run_of(kind)
    results = replace(make_results(n=120, arms=4), data=data)
    report, strange, counted = tell(results, shipped_sections()), strange_numbers(data), 0
    top = [verdict.paragraph(report.data), *verdict.eyebrow(report.data)[2:]]
    top += [text for tile in verdict.tiles(report.data) for text in (tile.label, tile.value, tile.detail)]
    sections = {
        spoken.name: [text for block in spoken.blocks for text in prose(block)]
        for spoken in report.sections
        if spoken.name not in OWN_COUNTS
    }
    for name, texts in {"top": top, **sections}.items():
        for text in texts:
            found, unknown = strange(text)
            counted += found
            assert not unknown, (name, text)
    assert counted > (5 if kind == "one arm" else 40)
