"""Streams put together over real HTTP: whole, with an error inside, and broken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.canned import canned
from support.journals import fault_counts

from harness.execution import faults
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
