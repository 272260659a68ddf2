"""What plugins are tried with: small, deterministic, and with the oddities that real data has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.types import Context, Example, Prompt, Row, Rows, Split, Status

LABELS = ("bad", "good", "mixed")

_SUBJECTS = ("soup", "lamp", "train", "song", "coat", "phone", "garden", "letter", "bicycle", "window")
_WORDS = {"bad": ("awful", "broken"), "good": ("lovely", "solid"), "mixed": ("odd", "so-so")}
ODD = (
    "{text} {label} {0} %s %(text)s {{ }} $text",
    "Line one\nLine two\n\n###\n\n and after",
    "<script>alert(1)</script> & \"quotes\" 'and' \\ backslash",
    "좋은 제품입니다 👍🏽 مرحبا \u202eright to left\u202c",
    "word " * 400,
    "good bad mixed",
    ".",
)
"""Texts that break careless templates."""
ANSWERS = (
    "", " ", "\n\n", "\x00", "?!…", "good bad", "not good", "Good.", "**bad**", "label: mixed", "{", "[]", "null",
    "ü" * 50, "The answer is " * 200, "goodbad", "\ud800", "5" * 5000,
)  # fmt: skip
"""What models say when they do not do as they are told."""


def sample_examples(labels: Sequence[str] = LABELS, n: int = 36) -> tuple[Example, ...]:
    """Returns n labelled examples of one text field, no two alike."""
    found = []
    for number in range(n):
        label = labels[number % len(labels)]
        words = _WORDS.get(label, (label, f"{label} indeed"))
        subject = _SUBJECTS[number * 7 % len(_SUBJECTS)]
        text = f"On day {number * number} the {subject} with the mark {number:03d} turned out {words[number % 2]}"
        found.append(Example(fields={"text": text}, label=label))
    return tuple(found)


def odd_examples(labels: Sequence[str] = LABELS) -> tuple[Example, ...]:
    """Returns examples whose texts break careless templates."""
    return tuple(Example(fields={"text": text}, label=labels[n % len(labels)]) for n, text in enumerate(ODD))


def prompts(examples: Sequence[Example], labels: Sequence[str], *, chat: bool) -> list[Prompt]:
    """Returns a prompt for each example, as the engine hands them to backends."""
    from harness.types import Message

    found = []
    for example in examples:
        asked = f"{example.text}\n{' or '.join(labels)}?"
        found.append(
            Prompt(
                text="" if chat else asked,
                messages=(Message(role="user", content=asked),) if chat else (),
                continuations={label: label if chat else f" {label}" for label in labels},
                example_id=example.id,
                source=example.text,
            )
        )
    return found


def run_folder(folder: Path, examples: Sequence[Example]) -> Path:
    """Makes a folder as a run's: with `data/examples.parquet`, the last third being the test split."""
    from dataclasses import replace

    from harness.tables import write_examples

    cut = 2 * len(examples) // 3
    split = [replace(one, split=Split.TRAIN if place < cut else Split.TEST) for place, one in enumerate(examples)]
    (folder / "data").mkdir(parents=True, exist_ok=True)
    write_examples(folder / "data" / "examples.parquet", split)
    return folder


def context(folder: Path, labels: Sequence[str], **given: Any) -> Context:
    """Returns what a plugin is told about where it works."""
    return Context(
        arm="sample arm", seed=7, labels=tuple(labels), endpoints={"sample": "http://127.0.0.1:9/v1"}, folder=folder,
        **given,
    )  # fmt: skip


def rows(labels: Sequence[str] = LABELS, n: int = 30, *, ordered: bool = False) -> Rows:
    """Returns answers of every kind: right, wrong, unparsed, failed, some with probabilities."""
    found = []
    for number in range(n):
        expected = labels[number % len(labels)]
        said: str | None = labels[number * number % len(labels)]
        status = Status.ANSWERED
        if number % 7 == 3:
            said, status = None, Status.UNPARSED if number % 2 else Status.FAILED
        share = 0.4 + number % 5 / 10
        told = {label: share if label == said else (1 - share) / (len(labels) - 1 or 1) for label in labels}
        found.append(
            Row(
                example_id=f"{number:016x}",
                expected=expected,
                predicted=said,
                status=status,
                strict=said if number % 3 else None,
                probabilities=told if said is not None and len(labels) > 1 else None,
                group=f"group {number // 4}",
                slices={"country": ("de", "kr")[number % 2]},
            )
        )
    return Rows(rows=tuple(found), labels=tuple(labels), ordered=ordered)


def all_rows() -> dict[str, Rows]:
    """Returns the cases that a metric meets, by name."""
    from dataclasses import replace

    usual = rows()
    failed = tuple(replace(row, predicted=None, strict=None, status=Status.FAILED, probabilities=None) for row in usual)
    bare = tuple(replace(row, probabilities=None) for row in usual)
    wrong = tuple(replace(row, probabilities={"good": float("nan"), "bad": 7.0}) for row in usual)
    return {
        "30 answers": usual,
        "30 answers with ordered labels": rows(("1", "2", "3", "4", "5"), ordered=True),
        "no answers at all": replace(usual, rows=()),
        "one answer": replace(usual, rows=usual.rows[:1]),
        "one class": replace(usual, rows=tuple(row for row in usual if row.expected == "good")),
        "one label in all": rows(("good",)),
        "only failed answers": replace(usual, rows=failed),
        "answers without probabilities": replace(usual, rows=bare),
        "probabilities that are none": replace(usual, rows=wrong),
    }


REPLIES: tuple[dict[str, Any], ...] = (
    {},
    {"error": {"message": "overloaded"}},
    {"choices": None},
    {"choices": []},
    {"choices": "good"},
    {"choices": [None]},
    {"choices": [{}]},
    {"choices": [{"message": None}]},
    {"choices": [{"message": {"content": None}}]},
    {"choices": [{"message": {"content": 7}}]},
    {"choices": [{"message": {"content": [{"type": "text", "text": "good"}]}}]},
    {"choices": [{"text": None}]},
    {"choices": [{"text": ["good"]}]},
    {"choices": [{"message": {"content": "good"}, "logprobs": None}], "usage": None},
    {"choices": [{"message": {"content": "good"}, "logprobs": {"content": None}}], "usage": "much"},
    {"choices": [{"text": "good", "logprobs": {}}], "usage": {"prompt_tokens": -1, "completion_tokens": "three"}},
    {"choices": [{"text": "good", "logprobs": {"content": [7], "top_logprobs": 7}}]},
)
"""JSON objects that servers have sent with status 200."""


def good_reply(body: Any, label: str) -> dict[str, Any]:
    """Returns the reply of a well-behaved OpenAI-compatible endpoint to a request's body."""
    from harness.testing._endpoint import reply_to

    return reply_to("/chat/completions" if "messages" in body else "/completions", body, label)
