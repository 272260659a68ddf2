"""What comes back over real HTTP: streams put together, what is no answer, and what is forbidden."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.canned import GOOD, Said, canned
from support.journals import fault_counts

from harness.errors import UsageError
from harness.execution import faults
from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.targets import Target
from harness.execution.work import Request
from harness.journal import Journal


def event(**fields: object) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def piece(text: str, index: int = 0, end: str | None = None) -> dict[str, object]:
    return {"index": index, "text": text, "finish_reason": end, "logprobs": None}


HEAD = {"id": "c", "object": "text_completion", "model": "m"}
WHOLE = b"".join(
    [
        event(**HEAD, choices=[piece(" go"), piece(" ba", 1)]),
        event(**HEAD, choices=[piece("d", 1, "length")]),
        event(**HEAD, choices=[piece("od", 0, "stop")]),
        event(**HEAD, choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4}),
        b"data: [DONE]\n\n",
    ]
)


@pytest.mark.parametrize(
    ("broken", "kind"),
    [
        (event(**HEAD, choices=[piece(" go")]), "bad-body"),
        (event(**HEAD, choices=[piece(" go")]) + event(error={"message": "overloaded"}), "stream-error"),
        (b'data: {"choices": [\n\n', "bad-body"),
        (b"data: 7\n\n", "bad-body"),
        (b"<html>busy</html>", "bad-body"),
    ],
    ids=["cut off", "error", "half a piece", "no object", "a page"],
)
def test_a_stream_that_breaks_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: bytes, kind: str
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    with (
        canned(broken, WHOLE, kind="text/event-stream") as (url, asked),
        Journal(tmp_path / "journal.sqlite") as journal,
    ):
        target = Target(
            name="t",
            base_url=f"{url}/v1",
            api_key="none",
            headers={},
            query={},
            concurrency=2,
            timeout_s=9,
            stream=True,
        )
        made = Engine(journal=journal, connect=lambda _name: target)
        made.send([Request(endpoint="t", path="/completions", body={"prompt": "x"}, key="k", arm="a")], made.done)
        body = journal.answers(["k"])["k"].body
        assert fault_counts(journal) == {kind: 1}
    assert len(asked) == 2
    assert [(c["index"], c["text"], c["finish_reason"]) for c in body["choices"]] == [
        (0, " good", "stop"), (1, " bad", "length"),
    ]  # fmt: skip
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 4}
    assert (body["object"], body["model"]) == ("text_completion", "m")


USAGE = {"prompt_tokens": 3, "completion_tokens": 4}
ODD: list[tuple[str, Any, str]] = [
    ("a message that is a text", {"choices": [{"message": "good"}]}, "none of the API's"),
    ("a reason that is a list", {"choices": [{"message": {"content": "good"}, "finish_reason": []}]}, "none of the"),
    ("a text that is a number", {"choices": [{"text": 7}]}, "none of the API's"),
    ("a content that is a number", {"choices": [{"message": {"content": 5}}]}, "none of the API's"),
    ("logprobs that are a text", {"choices": [{"text": "good", "logprobs": "no"}]}, "none of the API's"),
    ("a choice that is a text", {"choices": ["good"]}, "none of the API's"),
    ("choices that are an object", {"choices": {"0": "good"}}, "has no choices"),
    ("a provider that broke off", {"choices": [{"text": "go", "finish_reason": "error"}]}, "the provider broke off"),
    ("an error in a choice", {"choices": [{"text": "", "error": {"message": "overloaded"}}]}, "overloaded"),
    ("no choices", {"choices": []}, "has no choices"),
]


@pytest.mark.parametrize(("body", "said"), [(body, said) for _, body, said in ODD], ids=[name for name, *_ in ODD])
@pytest.mark.parametrize("usage", [USAGE, None], ids=["billed", "not billed"])
def test_what_is_no_answer_is_asked_for_again_and_charged_where_it_is_billed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], said: str, usage: dict[str, int] | None
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    good = {"choices": [{"text": " good", "finish_reason": "stop"}], "usage": USAGE}
    odd = json.dumps({**body, **({"usage": usage} if usage else {})}).encode()
    with canned(odd, json.dumps(good).encode()) as (url, asked), Journal(tmp_path / "journal.sqlite") as journal:
        made = plain(url, journal, budget=Budget(price=lambda _request, _usage, _tier: 0.5))
        made.send([REQUEST], made.done)
        entry, spent = journal.answers(["k"])["k"], journal.spent()
    (told,) = told_faults(tmp_path / "journal.sqlite")
    assert said in told
    assert (len(asked), entry.body["choices"][0]["text"]) == (2, " good")
    assert entry.usd == 0.5
    assert spent == made.budget.spent == (1.0 if usage else 0.5)


def test_what_is_billed_without_an_answer_ends_with_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    odd = json.dumps({"choices": [], "usage": USAGE}).encode()
    with canned(odd) as (url, asked), Journal(tmp_path / "journal.sqlite") as journal:
        made = plain(url, journal, budget=Budget(max_usd=2.2, price=lambda _request, _usage, _tier: 0.5))
        made.send([REQUEST], made.done)
        assert journal.spent() == 2.0  # also for the next command
    assert made.stopped is not None
    assert (len(asked), made.budget.spent) == (4, 2.0)  # a fifth might have cost 0.5


@pytest.mark.parametrize("choice", ["good", {"text": 7}, {"delta": {"content": []}}, {"text": "a", "logprobs": []}])
def test_a_piece_that_is_none_of_the_api_s_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choice: Any
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    with (
        canned(event(**HEAD, choices=[choice]), WHOLE, kind="text/event-stream") as (url, asked),
        Journal(tmp_path / "journal.sqlite") as journal,
    ):
        made = plain(url, journal, stream=True)
        made.send([REQUEST], made.done)
        assert journal.answers(["k"])["k"].error is None
    assert len(asked) == 2


def refusing(status: int, said: str) -> Callable[[bytes], Said]:
    """Answers every text that is not evil."""

    def answer(came: bytes) -> Said:
        if b"evil" in came:
            return Said(status, json.dumps({"error": {"message": said}}).encode())
        return Said(200, GOOD)

    return answer


def of(texts: Iterable[str]) -> list[Request]:
    return [replace(REQUEST, body={"prompt": text}, key=text) for text in texts]


GOOD_TEXTS = [f"text {number}" for number in range(9)]
EVIL = [f"evil {number}" for number in range(9)]


@pytest.mark.parametrize("said", ["Input was flagged by moderation", "Access denied"])
def test_one_text_that_is_forbidden_ends_no_arm_that_is_answered(tmp_path: Path, said: str) -> None:
    with canned(refusing(403, said)) as (url, _), Journal(tmp_path / "journal.sqlite") as journal:
        made = plain(url, journal, concurrency=1)
        made.send(of([*GOOD_TEXTS[:5], *EVIL[:3], *GOOD_TEXTS[5:], EVIL[3]]), made.done)
        answers = journal.answers([*GOOD_TEXTS, *EVIL])
        assert sum(entry.error is None for entry in answers.values()) == len(GOOD_TEXTS)
        assert sum(said in str(entry.error) for entry in answers.values()) == 4
        assert made.failed == {}


@pytest.mark.parametrize("heard", [True, False], ids=["in this command", "before"])
@pytest.mark.parametrize(
    ("status", "said"), [(403, "Access denied"), (403, "Your account was flagged"), (412, "Account x is suspended")]
)
def test_an_account_that_is_blocked_loses_no_item(tmp_path: Path, status: int, said: str, heard: bool) -> None:
    with canned(refusing(status, said)) as (url, asked), Journal(tmp_path / "journal.sqlite") as journal:
        made = plain(url, journal, concurrency=1)
        made.send(of(GOOD_TEXTS), made.done)
        if not heard:
            made = plain(url, journal, concurrency=1)
        made.send(of(EVIL), made.done)
        assert made.failed.keys() == {*EVIL}
        assert made.endpoint_down
        assert said in str(made.unfinished())
        assert journal.known(EVIL) == set()
        assert len(asked) <= len(GOOD_TEXTS) + 6


def test_an_arm_that_was_never_answered_is_refused_as_a_whole(tmp_path: Path) -> None:
    for status, said in ((403, "Access denied"), (410, "This model is gone")):
        with canned(refusing(status, said)) as (url, _), Journal(tmp_path / f"{status}.sqlite") as journal:
            made = plain(url, journal, concurrency=1)
            with pytest.raises(UsageError, match=said):
                made.send(of(EVIL), made.done)
            assert journal.known(EVIL) == set()


def told_faults(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as journal:
        return [message for (message,) in journal.execute("SELECT message FROM faults")]


REQUEST = Request(endpoint="t", path="/completions", body={"prompt": "x", "max_tokens": 1}, key="k", arm="a")


def plain(url: str, journal: Journal, *, stream: bool = False, concurrency: int = 2, **more: Any) -> Engine:
    target = Target(
        name="t", base_url=f"{url}/v1", api_key="none", headers={}, query={}, concurrency=concurrency, timeout_s=9,
        stream=stream,
    )  # fmt: skip
    return Engine(journal=journal, connect=lambda _name: target, **more)
