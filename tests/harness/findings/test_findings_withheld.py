"""Checks for a report that shows no texts: what they quote of the data is left out of figure and sentence alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from harness import findings
from harness.prepare.format import completion_findings
from harness.prepare.options import Fractions, PrepareOptions
from harness.prepare.profiles import OPENAI
from harness.prepare.stage import prepare
from harness.types import Check, Example
from harness.words import speaking

NAME = 'Jane "JM" Miller'
WORDS = ("good", "bad", "fine", "broken", "battery", "screen", "price", "sound", "case", "cable")


def written(check: Mapping[str, Any]) -> str:
    return json.dumps(check, ensure_ascii=False, default=dict).lower()


def bodies(n: int = 120) -> list[str]:
    return [f"{WORDS[k % 10]} {WORDS[k // 10 % 10]} {WORDS[k // 7 % 10]} number {k * 7919 % 9973}" for k in range(n)]


def of_texts() -> tuple[Check, ...]:
    rows = [
        Example(
            fields={"text": f"Dear {NAME} of Elm Street, {text}" if n % 3 else f"{text} with regards from {NAME}"},
            label=WORDS[n % 2],
        )
        for n, text in enumerate(bodies())
    ]
    return prepare(rows, PrepareOptions(split=Fractions(train=0.4, validation=0.3, test=0.3), seed=3)).checks


def of_files(*prompts: str) -> tuple[Check, ...]:
    import pyarrow as pa

    answers = [f" {WORDS[n % 2]}" for n in range(len(prompts))]
    return completion_findings(pa.array(prompts), pa.array(answers), profile=OPENAI)


CASES: dict[str, tuple[tuple[Check, ...], set[str]]] = {
    "texts": (of_texts(), {"boilerplate"}),
    "begun": (of_files(*(f"For {NAME}: {text}\n\n###\n\n" for text in bodies())), {"prompt-prefix"}),
    "ended": (of_files(*(f"{text}, {NAME}" for text in bodies())), {"separator", "long-separator"}),
    "inside": (of_files(f"a {NAME} b {NAME}", *(f"{text} {NAME}" for text in bodies())), {"separator-inside"}),
    "equal": (of_files(*[f"a letter of {NAME}"] * 120), {"identical-prompts"}),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_word_of_a_text_stays_in_a_check(case: str, language: str) -> None:
    checks, kinds = CASES[case]
    found = [asdict(check) for check in checks]
    quoting = {check["kind"] for check in found if "miller" in written(check)}
    assert kinds <= quoting
    for check in found:
        bare = findings.withheld(check)
        with speaking(language):
            said = findings.said(bare)
        assert "miller" not in written(bare) + (said.message + said.advice).lower()
        assert findings.withheld(bare) == bare
        if check["kind"] in quoting:
            assert set(bare["figures"]) == set(check["figures"])
            assert "…" in said.message
            assert (bare["level"], bare["advice"]) == (check["level"], check["advice"])
        else:
            assert bare == check


def test_a_mark_that_is_no_word_stays() -> None:
    checks = [asdict(check) for check in of_files(*(f"{text}\n\n###\n\n" for text in bodies()))]
    assert "separator" in {check["kind"] for check in checks}
    assert [findings.withheld(check) for check in checks] == checks


def test_a_sentence_keeps_its_figures_and_the_name_of_its_file() -> None:
    check = {
        "kind": "prompt-prefix",
        "message": 'train.a.jsonl: all prompts begin with the same 16 characters: "For Jane Miller:"',
        "figures": {"characters": 16, "prefix": "For Jane Miller:", "file": "train.a.jsonl"},
    }
    bare = findings.withheld(check)
    assert bare["message"] == 'train.a.jsonl: all prompts begin with the same 16 characters: "…"'
    assert bare["figures"] == {"characters": 16, "prefix": "…", "file": "train.a.jsonl"}


def test_what_quotes_nothing_stays_whatever_wrote_it() -> None:
    figures = {"found": [], "rows": 40}  # of an earlier version
    check = {"kind": "boilerplate", "message": "no beginning of 4 words is shared by 40 rows", "figures": figures}
    assert findings.withheld(check) is check


@pytest.mark.parametrize("figures", [None, {}, {"found": "Miller"}, {"found": [{"text": "Miller"}]}, ["Miller"]])
def test_what_cannot_be_written_anew_is_left_out(figures: Any) -> None:
    check = {"kind": "boilerplate", "level": "warning", "message": 'begin with "Miller"', "figures": figures}
    bare = findings.withheld(check)
    assert "miller" not in written(bare)
    assert (bare["kind"], bare["level"]) == ("boilerplate", "warning")
