"""Checks in another language: written from kind and figures, with the same figures as in English."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness import findings, findings_of_data, findings_of_runs
from harness.prepare import Fractions, PrepareOptions, prepare
from harness.scoring import fairness
from harness.types import Example
from harness.words import speaking

ROOT = Path(__file__).parents[2]
NUMBER = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
WORDS = ("good", "bad", "fine", "broken", "battery", "screen", "price", "sound", "case", "cable")


def rows() -> list[Example]:
    """Texts with every fault that the data stage looks for, or nearly."""
    found = [
        Example(
            fields={"text": f"{WORDS[n % 10]} {WORDS[n // 10 % 10]} {WORDS[n // 7 % 10]} number {n * 7919 % 9973}"},
            label="poor" if n % 7 else "great",
        )
        for n in range(300)
    ]
    found += [
        Example(fields={"text": f"see mail{n}@example.org for the {WORDS[n]} of it"}, label="poor") for n in range(5)
    ]
    found += [Example(fields={"text": text}, label=label) for text, label in (
        ("", "poor"), ("!", "poor"), ("the very same text", "poor"), ("the very same text", "great"),
        ("the very same text", "Poor"), ("no label here at all", ""), ("ок привет хорошо да", "great"),
        ("a long story about nothing " * 60, "poor"),
    )]  # fmt: skip
    return found


def checks(**options: Any) -> list[dict[str, Any]]:
    split = Fractions(train=0.2, validation=0.5, test=0.3)
    prepared = prepare(rows(), PrepareOptions(split=split, seed=3, **options))
    return [asdict(check) for check in prepared.checks]


@pytest.mark.parametrize("options", [{"pii": "mask", "balance": "weights"}, {"pii": "warn", "balance": "downsample"}])
def test_every_check_of_data_is_written_in_korean_with_figures_of_its_own(options: dict[str, Any]) -> None:
    found = checks(**options)
    assert len({check["kind"] for check in found}) > 15
    for check in found:
        english = findings.said(check)
        assert (english.message, english.advice) == (check["message"], check["advice"])
        with speaking("ko"):
            korean = findings.said(check)
        assert korean.lang == "", check
        assert re.search("[가-힣]", korean.message), check
        assert bool(korean.advice) == bool(check["advice"]), check
        known = {*NUMBER.findall(check["message"] + check["advice"]), *NUMBER.findall(written(check["figures"]))}
        assert {number for number in NUMBER.findall(korean.message) if number not in known} <= GIVEN, check


GIVEN = {"80", "5", "20", "9", "1", "1,000", "95"}
"""Numbers that sentences hold of themselves: a fifth, nine times as probable."""


def written(figures: Any) -> str:
    """Writes all figures as pages do."""
    if isinstance(figures, Mapping):
        return " ".join(f"{key} {written(value)}" for key, value in figures.items()) + f" {len(figures)}"
    if isinstance(figures, list | tuple):
        return " ".join(map(written, figures)) + f" {len(figures)}"
    if isinstance(figures, int | float) and not isinstance(figures, bool):
        share = f"{figures * 100:.1f} {figures * 100:,.0f}"
        return f"{figures:,} {figures:,.0f} {figures:.1f} {figures:.2f} {share}"
    return str(figures)


def test_a_kind_is_written_in_one_place_and_something_finds_it() -> None:
    tables = (findings_of_data.MESSAGES, findings_of_runs.MESSAGES, fairness.MESSAGES)
    kinds = [kind for table in tables for kind in table]
    assert len(kinds) == len(set(kinds))
    emitted = {
        kind
        for folder in ("harness", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        if "findings_of" not in path.name
        for kind in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', path.read_text("utf-8"))
    }
    assert sorted(kind for kind in kinds if kind not in emitted and not kind.endswith("-leak")) == []
