"""Checks in another language: written from kind and figures, with the same figures as in English."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from harness import findings
from harness.data_stage.training_files import content_findings
from harness.findings.rows import NOTES, note
from harness.findings.rows import said as said_of_row
from harness.prepare.options import Fractions, PrepareOptions
from harness.prepare.profiles import OPENAI
from harness.prepare.stage import prepare
from harness.types import Example
from harness.words import speaking

ROOT = Path(__file__).parents[3]
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


UNLIKELY = {"given": "5", "other": "1", "p_other": 0.9264, "p_given": 0.0009, "apart": 4.0}
NOTED = [
    ("label-errors", UNLIKELY, '"5" → more likely "1" (93% against below 0.1%, 4 apart)'),
    (
        "label-errors",
        UNLIKELY | {"p_given": 0.001, "apart": 0.5},
        '"5" → more likely "1" (93% against 0.1%, 0.5 apart)',
    ),
    ("label-errors", UNLIKELY | {"p_given": 0.0356, "apart": None}, '"5" → more likely "1" (93% against 3.6%)'),
    ("label-errors", UNLIKELY | {"p_other": 0.9951}, '"5" → more likely "1" (99.5% against below 0.1%, 4 apart)'),
    ("label-errors", UNLIKELY | {"p_other": 0.9991}, '"5" → more likely "1" (above 99.9% against below 0.1%, 4 apart)'),
    ("label-in-text", {"label": "late"}, 'holds "late"'),
    ("near-empty-texts", {"words": 1}, "1 word"),
    ("near-empty-texts", {"words": 2}, "2 words"),
    ("near-empty-texts", {"share": 0.623}, "62% digits and punctuation"),
    ("unusual-length", {"characters": 2599}, "2,599 characters"),
    ("unusual-length", {"characters": 1}, "1 character"),
    ("unusual-words", {"own": 4, "words": 5}, "4 of 5 words stand in no other text"),
    ("unusual-script", {"script": "Cyrillic"}, "mostly Cyrillic letters"),
]


def test_what_was_found_of_rows_is_written_in_korean_with_its_figures() -> None:
    texts = [*rows(), *(Example(fields={"text": text}, label=label) for text, label in SINGLE)]
    found = prepare(texts, PrepareOptions(split=Fractions(train=0.2, validation=0.5, test=0.3), seed=3)).ranked
    items = [(each.kind, asdict(item)) for each in found for item in each.items]
    assert len({kind for kind, _ in items}) >= 4
    items += [(kind, {"note": note(kind, figures), "figures": figures}) for kind, figures, _ in NOTED]
    for kind, item in items:
        assert said_of_row(kind, item).message == item["note"]
        with speaking("ko"):
            said = said_of_row(kind, item)
            assert re.search("[가-힣]", said.message), item
            assert (said.lang, sorted(NUMBER.findall(said.message))) == ("", sorted(NUMBER.findall(item["note"])))


@pytest.mark.parametrize(("kind", "figures", "text"), NOTED)
def test_what_was_found_of_a_row_is_said_in_a_few_words(kind: str, figures: Mapping[str, Any], text: str) -> None:
    assert note(kind, figures) == text


def test_a_note_of_another_version_stays_as_it_is() -> None:
    for kind, item in (
        ("unusual-length", {"note": "old"}), ("unusual-length", {"note": "old", "figures": {"size": 1}}),
        ("unheard-of", {"note": "old", "figures": {}}), ("label-errors", {"note": "old", "figures": None}),
    ):  # fmt: skip
        assert (said_of_row(kind, item).message, said_of_row(kind, item).lang) == ("old", "")
        with speaking("ko"):
            assert (said_of_row(kind, item).message, said_of_row(kind, item).lang) == ("old", "en")
    with speaking("ko"):
        assert said_of_row("label-errors", {}).lang == ""


def test_each_note_is_tried() -> None:
    assert {kind for kind, *_ in NOTED} == set(NOTES)


SINGLE = [("1234 5678 !!! 99", "poor"), ("why", "great"), ("zyx wvu tsr qpo nml kji", "poor")]


@pytest.mark.parametrize("completions", [
    ["great", "poor"], [f"a text number {n} of many.\n" for n in range(40)],
    [f"{word} a text that ends {word}" for word in WORDS for _ in range(15)],
])  # fmt: skip
@pytest.mark.parametrize("end", ["\n\n###\n\n", ""])
@pytest.mark.parametrize("n", [8, 60, 150])
def test_checks_of_training_files_are_written_in_korean(completions: list[str], end: str, n: int) -> None:
    lines = [
        {"prompt": f"{row.text}{end}", "completion": f" {completions[k % len(completions)]}"}
        for k, row in enumerate(rows()[:n])
    ]
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    for check in content_findings(data, OPENAI, Path("train.a.jsonl")):
        found = asdict(check) | {"figures": {**check.figures, "file": "train.a.jsonl"}}
        with speaking("ko"):
            said = findings.said(found)
        if check.kind in findings.files.MESSAGES:
            assert (said.lang, bool(said.advice)) == ("", bool(check.advice)), check
            assert "train.a.jsonl" in said.message
            numbers = NUMBER.findall(check.message + check.advice)
            assert set(NUMBER.findall(said.message + said.advice)) <= {
                *numbers,
                *NUMBER.findall(written(check.figures)),
            }
        else:
            assert said.lang == "en"


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
    writers = (findings.data, findings.fairness, findings.files, findings.runs)
    kinds = [kind for module in writers for kind in module.MESSAGES]
    assert len(kinds) == len(set(kinds))
    emitted = {
        kind
        for folder in ("harness", "plugins")
        for path in (ROOT / folder).rglob("*.py")
        if path.parent.name != "findings"
        for kind in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', path.read_text("utf-8"))
    }
    assert sorted(kind for kind in kinds if kind not in emitted and not kind.endswith("-leak")) == []


def test_every_kind_of_check_of_rows_is_said_in_other_languages() -> None:
    """One whose sentence stood with its rule would be in English on every page."""
    prepare_folder = ROOT / "harness" / "prepare"
    sources = {path: path.read_text("utf-8") for path in prepare_folder.rglob("*.py") if path.parent.name != "format"}
    assert sum(source.count("finding(") for source in sources.values()) > 20
    assert [path.name for path, source in sources.items() if re.search(r"\bCheck\(", source)] == []
