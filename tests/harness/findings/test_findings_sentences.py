"""Sentences of checks in English, from figures alone. Those of the data stage stand in `prepare/said.txt`."""

from __future__ import annotations

from typing import Any

import pytest

from harness import findings
from harness.words import speaking

Figures = dict[str, Any]


def said(kind: str, figures: Figures, **check: Any) -> str:
    return findings.MESSAGES[kind](figures, {"kind": kind, "level": "warning", **check})


@pytest.mark.parametrize(
    ("kind", "figures", "sentence"),
    [
        (
            "limited-rows",
            {"rows": 1000, "last": 'corpus, split "train", row 1000'},
            'dataset.limit_rows: nothing after corpus, split "train", row 1000 was read',
        ),
        (
            "missing-price",
            {"model": "m"},
            (
                'No price is known for m, its costs are unknown: [prices."m"] gives input, cached_input and output '
                "in USD for a million tokens."
            ),
        ),
        (
            "choose-tokens",
            {"labels": 5, "arms": ["a", "b"]},
            (
                'a, b: answer = "choose" scores each label as a continuation, so the input tokens of a request count '
                "the prompt 5 times; what was read once is counted as cached."
            ),
        ),
        (
            "shots-dropped",
            {"arm": "a", "items": 7, "n": 100, "shots": 9},
            (
                "a: the model's context is too short for all shots of 7 of 100 test items; 9 shots, those farthest "
                "from the item, were left out."
            ),
        ),
        (
            "curve-size",
            {"arm": "a", "n": 300, "sizes": [400, 1600]},
            "a: train has 300 examples; its learning curve leaves out 400, 1,600.",
        ),
        (
            "curve-validation",
            {"arm": "a"},
            "a: there are no validation examples to measure a curve on, so it has none.",
        ),
        (
            "relabelled",
            {"rate": None, "corrected": 1, "labels_judged": 9},
            (
                "1 test label of 9 judged was corrected after the run. No control was judged, so nothing is known of "
                "the labels that nobody disputed. Labels were judged where arms agree against them: corrections "
                "favour arms that err alike. Curves and repeats are as they were."
            ),
        ),
        (
            "relabelled",
            {"rate": 0.04, "judged": 50, "ci": [0.01, 0.13], "corrected": 3, "labels_judged": 80},
            (
                "3 test labels of 80 judged were corrected after the run. Of 50 random controls 4.0% (95% CI "
                "1.0–13.0%) were wrong. Labels were judged where arms agree against them: corrections favour arms "
                "that err alike. Curves and repeats are as they were."
            ),
        ),
        (
            "prompt-leak",
            {"pairs": [["x", "a"]], "ids": ["x", "z"]},
            "2 test examples in a prompt, e.g. x in that of a",
        ),
        (
            "separator-in-texts",
            {"separator": "\n##\n", "texts": 2, "ids": ["x"]},
            '2 texts hold the separator "\\n##\\n", e.g. x: in prompts white space stands in its place',
        ),
        (
            "power",
            {"test": 400, "smallest_difference": 0.0441, "needed_for_margin": 1942, "margin": 0.02,
             "assumed_discordance": 0.1},
            (
                "400 test rows show 4.4 points of difference with 80% power if the arms differ on 10% of them; the "
                "margin of 2 points takes 1,942"
            ),
        ),
        (
            "cell-errors",
            {"count": 3, "first": "row 9", "values": ["#N/A", "#REF!"]},
            '3 cells with an error like #N/A, counted as empty (first: row 9; they are "#N/A", "#REF!")',
        ),
    ],
)  # fmt: skip
def test_of_runs(kind: str, figures: Figures, sentence: str) -> None:
    assert said(kind, figures) == sentence


@pytest.mark.parametrize("kind", sorted(findings.runs.READING))
def test_what_a_dataset_found_names_the_first(kind: str) -> None:
    assert said(kind, {"count": 1, "first": "line 7"}).startswith("1 ")
    several = said(kind, {"count": 1234, "first": "line 7"})
    assert several.startswith("1,234 ")
    assert several.endswith(" (first: line 7)")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_finding_is_in_english_whatever_is_spoken(language: str) -> None:
    with speaking(language):
        found = findings.finding("few-test-rows", "warning", {"test": 40, "advised": 100}, heading="quantity")
    assert (found.kind, found.level, found.heading, found.mended) == ("few-test-rows", "warning", "quantity", 0)
    assert found.message == "40 test rows show large differences only"
    assert found.advice == "Label at least 100 test rows for a verdict, or give test a larger share."


FAIR = {"limits": {"a": 5, "b": None}, "truncated": 2}


def test_of_fairness() -> None:
    assert said("token-limits-differ", FAIR) == (
        "Answers have different token limits (a: 5 tokens; b: the default), and 2 were cut: differences may be due to "
        "that"
    )
    assert said("answer-modes-differ", {"modes": {"choose": ["a"], "schema": ["b", "c"]}}) == (
        "Arms do not answer in the same way, and differences may be due to that. choose: a; schema: b, c"
    )
    more = said("prompt-without-search", {"prompt": "p", "tuned": "t", "settings": 4})
    assert more.startswith("p was tried in one way only, t in 4 on validation: ")
    barred = {"arm": "a", "n": 9, "lost": 5, "accuracy": 0.1, "labels": 3}
    assert said("barred-opponent", {**barred, "reason": "unanswered"}) == (
        "a is no fair opponent: 5 of its 9 answers cannot be read or never came"
    )
    assert said("barred-opponent", {**barred, "reason": "below-chance"}) == (
        "a is no fair opponent: it is right on 10.0% of the items, guessing among 3 labels on 33.3%"
    )


@pytest.mark.parametrize(
    "check",
    [
        {"kind": "of-a-later-version", "message": "As stored.", "advice": "Do so."},
        {"kind": "power", "message": "As stored.", "figures": {"test": "many"}},
        {"kind": "relabelled", "message": "As stored."},
        {"kind": "limited-rows", "message": "As stored.", "advice": "Nobody translated this.", "figures": {"rows": 3}},
    ],
)
def test_what_cannot_be_written_anew_stays_english_and_says_so(check: Figures) -> None:
    english = findings.said(check)
    assert (english.message, english.advice, english.lang) == ("As stored.", check.get("advice", ""), "")
    with speaking("ko"):
        told = findings.said(check)
        assert findings.message(check) == "As stored."
    assert (told.message, told.advice, told.lang) == ("As stored.", check.get("advice", ""), "en")
