"""Sentences of checks in English, from figures alone: what each says, and what it leaves out where it is not known."""

from __future__ import annotations

from typing import Any

import pytest

from harness import findings
from harness.findings import data, files
from harness.words import speaking

Figures = dict[str, Any]


def said(kind: str, figures: Figures, **check: Any) -> str:
    return findings.MESSAGES[kind](figures, {"kind": kind, "level": "warning", **check})


LENGTHS = {"min": 5, "max": 1200, "model": "m", "p50": 40, "p95": 300, "exact": True}
LONG = {"examples": 12, "limit": 512, "model": "m", "share_of_tokens_lost": 0.031, "cut": "end", "exact": False}
TRAINING = {"model": "m", "tokens_per_epoch": 1000, "epochs": 3, "billed_tokens": [1000, 3000], "usd": [0.5, 1.5],
            "exact": True}  # fmt: skip
SPECIAL = {"texts": 2, "tokens": {"<|end|>": 1, "<s>": 1}, "ids": ["x1"]}
TOKENS = {"tokens": {"v1": {"good": 1, "bad": 1}, "v2": {"good": 1, "very bad": 3}}}
GROUPS = {"groups": {"v1": [["a", "b"]], "v2": [["one", "only", "onto", "on"], ["c", "d"]]}}


@pytest.mark.parametrize(
    ("kind", "figures", "sentence"),
    [
        (
            "token-lengths",
            LENGTHS,
            "Training examples have 5 to 1,200 tokens for m: half have at most 40, 95% at most 300",
        ),
        (
            "over-long-texts",
            LONG,
            (
                "Training examples with more than the 512 tokens that m is trained on: 12; 3.1% of all tokens are "
                "cut from the end, where the label stands; estimated"
            ),
        ),
        (
            "over-long-texts",
            {**LONG, "cut": "start", "exact": True},
            (
                "Training examples with more than the 512 tokens that m is trained on: 12; 3.1% of all tokens are "
                "cut from the start of the texts; the labels stay"
            ),
        ),
        (
            "training-tokens",
            TRAINING,
            "Training m takes 1,000 tokens an epoch; epochs: 3, tokens: 3,000, cost: $1.50",
        ),
        (
            "training-tokens",
            {**TRAINING, "usd": None, "exact": False},
            "Training m takes 1,000 tokens an epoch; epochs: 3, tokens: 3,000, no price known; estimated",
        ),
        (
            "special-token-strings",
            SPECIAL,
            "Texts with what some models read as control tokens (<|end|>, <s>): 2, e.g. x1",
        ),
        (
            "label-first-token-collisions",
            GROUPS,
            (
                "Labels that begin with the same token as another one in v2: 6 (e.g. “one”, “only”, “onto”); the "
                "probability of the first token cannot tell them apart"
            ),
        ),
        (
            "labels-of-several-tokens",
            TOKENS,
            "Labels of more than one token in v2: 1 of 2, at most 3 (“very bad”)",
        ),
        ("limited-rows", {"rows": 1000}, "dataset.limit_rows: only 1,000 rows were read"),
        (
            "missing-price",
            {"model": "m"},
            (
                "No price is known for m, its costs are unknown: [prices.“m”] gives input, cached_input and output "
                "in USD for a million tokens."
            ),
        ),
        (
            "choose-tokens",
            {"labels": 5},
            (
                "answer = “choose” on a local endpoint scores each label as a continuation, so the input tokens of a "
                "request count the prompt 5 times; what was read once is counted as cached."
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
            {"n": 300, "sizes": [400, 1600]},
            "Train has 300 examples; a learning curve leaves out 400, 1,600.",
        ),
        (
            "relabelled",
            {"rate": None},
            (
                "Test labels were corrected after the run. No control was judged, so nothing is known of the labels "
                "that nobody disputed."
            ),
        ),
        (
            "relabelled",
            {"rate": 0.04, "judged": 50, "ci": [0.01, 0.13]},
            (
                "Test labels were corrected after the run. Of 50 random controls 4.0% (95% CI 1.0–13.0%) were wrong. "
                "Labels were judged where arms agree against them: corrections favour arms that err alike."
            ),
        ),
        (
            "cell-errors",
            {"count": 3, "first": "row 9"},
            "Cells with an error like #N/A, counted as empty: 3 (first: row 9)",
        ),
    ],
)
def test_of_runs(kind: str, figures: Figures, sentence: str) -> None:
    assert said(kind, figures) == sentence


def test_control_tokens_of_a_model_in_use_are_an_error() -> None:
    assert said("special-token-strings", SPECIAL, level="error") == (
        "Texts with control tokens of a model in use (<|end|>, <s>): 2, e.g. x1; a training job may fail on them hours "
        "after it has accepted the file"
    )


@pytest.mark.parametrize("kind", sorted(findings.runs.READING))
def test_what_a_dataset_found_names_the_first(kind: str) -> None:
    assert said(kind, {"count": 1234, "first": "line 7"}).endswith(": 1,234 (first: line 7)")


ROWS = {"rows_looked_at": 500, "rows": 500}
PART = {"rows_looked_at": 500, "rows": 9000}
LEAK = {"pairs": [["x", "y"]], "test_examples": 2}


@pytest.mark.parametrize(
    ("kind", "figures", "sentence"),
    [
        (
            "near-empty-texts",
            {"found": 3, **ROWS},
            "Texts with hardly any words, or mostly digits and punctuation: 3 of 500 rows",
        ),
        (
            "unusual-words",
            {"found": 3, **PART},
            "Texts mostly of words that no other text has: 3 of 500 rows looked at (of 9,000)",
        ),
        ("unusual-script", {"found": 1, **ROWS}, "Texts in a script that is foreign to these data: 1 of 500 rows"),
        (
            "few-training-rows",
            {"train": 5, "minimum": 10, "advised": 50},
            "5 training rows: providers ask for at least 10",
        ),
        (
            "few-training-rows",
            {"train": 20, "minimum": 10, "advised": 50},
            "20 training rows: gains show from about 50 on",
        ),
        ("exact-leak", LEAK, "Test examples whose text also stands in train or validation: 2, e.g. x and y"),
        ("near-leak", LEAK, "Test examples nearly equal to one in train or validation: 2, e.g. x and y"),
        ("group-leak", LEAK, "Test examples with members of their group in train or validation: 2, e.g. x and y"),
        ("group-leak", {**LEAK, "test_examples": 0}, "Examples that stand in two splits, e.g. x and y"),
        (
            "prompt-leak",
            {"pairs": [["x", "a"]], "ids": ["x", "z"]},
            "Test examples in a prompt: 2, e.g. x in that of a",
        ),
        (
            "missing-class",
            {"split": "test", "labels": ["rare", "rarer"]},
            "No example in the split test of classes: 2, e.g. “rare”",
        ),
        (
            "vocabulary",
            {"words": 9000, "distinct_words": 700, "heaps_exponent": None},
            "9,000 words, 700 of them different",
        ),
        ("label-in-text", {"found": 0}, "No class is named in its own texts far more often than in others"),
        (
            "label-in-text",
            {"found": 40, "classes": {"good": {"inside": 0.4, "outside": 0.011}}, **ROWS},
            (
                "Texts with the name of their own label: 40 of 500 rows; most of all “good”: 40% of its texts, 1.1% "
                "of the others"
            ),
        ),
        ("boilerplate", {"found": []}, "No long beginning or end is shared by many texts"),
        (
            "boilerplate",
            {"found": [{"text": "Dear Sir", "share": 0.6}], "rows_covered": 300, **ROWS},
            "Texts with a beginning or end that many share: 300 of 500 rows, most often “Dear Sir” (60%)",
        ),
        (
            "class-variety",
            {"alike": 1, "classes": [{"label": "spam"}, {"label": "ham"}]},
            "Classes whose texts are nearly one text: 1 of 2; the least varied is “spam”",
        ),
        ("conflicting-texts", {"clusters": 4, "ids": [["x", "y"]]}, "Texts with more than one label: 4, e.g. x"),
        (
            "conflicting-near-duplicates",
            {"clusters": 4, "ids": [["x", "y"]]},
            "Clusters of near-duplicates with more than one label: 4, e.g. x",
        ),
        (
            "conflicting-clusters",
            {"rows": 6},
            "Near-duplicates removed because their labels differ, as [prepare].conflicts says: 6",
        ),
        (
            "similar-labels",
            {"rows": 3, "labels": {"Good": "good"}},
            "Labels made one that differ in case or white space alone: 3 (“Good” → “good”)",
        ),
        (
            "separator-in-texts",
            {"separator": "\n##\n", "texts": 2, "ids": ["x"]},
            "Texts with the separator '\\n##\\n': 2, e.g. x; in prompts a line break stands in its place",
        ),
        (
            "weighted",
            {"weights": {"a": 0.5, "b": 2.5}},
            "Training examples weigh inversely to the size of their class, at most 2.50 (“b”)",
        ),
        (
            "downsampled",
            {"rows_per_class": 40, "rows": 260},
            "Training rows left out so that each class has 40: 260; test is as it was",
        ),
    ],
)
def test_of_data(kind: str, figures: Figures, sentence: str) -> None:
    assert said(kind, figures) == sentence


def test_labels_that_words_contradict() -> None:
    figures = {"likely_errors": 9, "planted": 20, "planted_found": 0.8, "classes_left_out": 0, **ROWS}
    whole = said("label-errors", figures)
    assert whole.endswith("of 20 labels changed on purpose, 80% stand among as many first rows of such a list")
    assert said("label-errors", {**figures, "classes_left_out": 2}) == f"{whole}; classes not judged: 2"


def test_personal_data_that_was_masked() -> None:
    found = "Rows that seem to hold personal data or keys: email 3, phone 1"
    assert said("personal-data", {"phone": 1, "email": 3}) == found
    assert said("personal-data", {"phone": 1, "email": 3}, mended=True) == f"{found}; masked"


@pytest.mark.parametrize(
    ("kind", "figures", "sentence"),
    [
        (
            "training-examples",
            {"file": "f", "examples": 3, "least": 10, "advised": 50},
            "Examples in f: 3, where the provider asks for at least 10",
        ),
        (
            "training-examples",
            {"file": "f", "examples": 20, "least": 10, "advised": 50},
            "Examples in f: 20, where 50 are advised",
        ),
        ("training-examples", {"file": "f", "examples": 60, "least": 10, "advised": 50}, "Examples in f: 60"),
        (
            "task-type",
            {"file": "f", "rows": 9, "completions": 2, "task": "classification"},
            "f looks like classification: 2 different completions in 9 rows",
        ),
        (
            "task-type",
            {"file": "f", "rows": 9, "completions": 8, "task": "conditional generation"},
            "f looks like conditional generation: 8 different completions in 9 rows",
        ),
        (
            "task-type",
            {"file": "f", "rows": 9, "completions": 9, "task": "open-ended generation"},
            "f looks like open-ended generation: 9 different completions in 9 rows",
        ),
        ("separator", {"file": "f", "separator": "\n\n"}, r'All prompts of f end with "\n\n"'),
        ("stop-sequence", {"file": "f", "stop": " END"}, 'All completions of f end with " END"'),
        (
            "missing-separator",
            {"file": "f"},
            "No ending in common that shows where the completion begins: prompts of f",
        ),
        ("missing-stop", {"file": "f"}, "No ending in common that could be a stop sequence: completions of f"),
        (
            "prompt-prefix",
            {"file": "f", "characters": 41, "prefix": "x" * 41},
            f'All prompts of f begin with the same 41 characters: "{"x" * 40}…"',
        ),
    ],
)
def test_of_files(kind: str, figures: Figures, sentence: str) -> None:
    assert said(kind, figures) == sentence


def test_advice_with_figures() -> None:
    assert files.ADVICE["stop-sequence"]({"stop": " END"}, {}) == 'Ask with stop = [" END"].'
    assert '"###"' in files.ADVICE["missing-separator"]({"suggestion": "###"}, {})
    assert '"###"' in files.ADVICE["missing-stop"]({"suggestion": "###"}, {})
    assert data.advise("few-test-rows", {"advised": 400}, "stored") == (
        "Label at least 400 test rows for a verdict, or give test a larger share."
    )
    assert data.advise("power", {}, "") == ""
    assert data.advise("power", {}, "As it was stored.") == "As it was stored."


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
