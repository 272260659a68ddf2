"""The fixtures that come with the installation, the fake endpoint's profiles, and the tiny run."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.testing import PROFILES, FakeEndpoint, TinyRun, asked_arm, recorded_replies


def test_pytest_starts_without_the_harness() -> None:
    program = (
        "import sys, harness_plugins.pytest_fixtures\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'harness', 'pluggy_', 'pandas', 'openai'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def ask(endpoint: FakeEndpoint, text: str, path: str = "/chat/completions", **more: Any) -> Any:
    """Posts one request; returns the body, or the status where it is no 200."""
    asked = {"messages": [{"role": "user", "content": text}]} if "chat" in path else {"prompt": text, "input": [text]}
    body = json.dumps({"model": "m", **asked, **more}).encode()
    request = urllib.request.Request(endpoint.base_url + path, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        return error.code


def said(reply: Any) -> str:
    return str(reply["choices"][0]["message"]["content"])


ITEMS = tuple(f"item {number}" for number in range(12))


def test_it_knows_the_answers_and_remembers_what_came(harness_endpoint: FakeEndpoint) -> None:
    harness_endpoint.answers = {"one": "good", "another one": "bad", 'a "quoted"\nline ü': "mixed"}
    assert said(ask(harness_endpoint, "one")) == "good"
    assert said(ask(harness_endpoint, "another one")) == "bad"
    assert said(ask(harness_endpoint, "another one, and then one")) == "good"  # what stands last counts
    assert said(ask(harness_endpoint, 'a "quoted"\nline ü?')) == "mixed"
    assert ask(harness_endpoint, "one", "/completions", logprobs=5)["choices"][0]["logprobs"]["tokens"] == [" good"]
    assert len(ask(harness_endpoint, "one", "/embeddings")["data"][0]["embedding"]) == 8
    assert ask(harness_endpoint, "one", "/files") == 404
    assert [asked.path for asked in harness_endpoint.requests].count("/chat/completions") == 4


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_does_what_it_says(profile: Any) -> None:
    with FakeEndpoint(profile=profile) as endpoint:
        first: list[Any] = []
        for item in ITEMS:
            try:
                first.append(ask(endpoint, item))
            except (json.JSONDecodeError, http.client.HTTPException) as error:
                first.append(type(error).__name__)
        fine = [reply for reply in first if isinstance(reply, dict)]
        if profile == "down":
            assert set(first) == {503}
        elif profile == "busy":
            assert first == [429, *first[1:]]
            assert first.count(429) == 6
        elif profile in ("flaky", "cut", "garbled"):
            odd = [reply for reply in first if not isinstance(reply, dict)]
            assert odd == [{"flaky": 500, "cut": "IncompleteRead", "garbled": "JSONDecodeError"}[profile]] * len(odd)
            assert 0 < len(odd) < len(ITEMS)
            assert all(said(ask(endpoint, item)) == "good" for item in ITEMS)  # the second attempt is well
        elif profile == "empty":
            assert {said(reply) for reply in fine} == {"", "good"}
        elif profile == "silent":
            assert "good" not in {said(reply) for reply in fine}
        else:
            assert {said(reply) for reply in fine} == {"good"}
            assert ("usage" in fine[0]) == (profile != "no-usage")


def test_an_unknown_profile_and_one_that_does_not_run() -> None:
    with pytest.raises(ValueError, match="there is no profile 'wild'"), FakeEndpoint(profile="wild"):  # type: ignore[arg-type]
        pass
    with pytest.raises(RuntimeError, match="with block"):
        _ = FakeEndpoint().base_url


def test_a_tiny_run(harness_run: Callable[..., TinyRun], harness_endpoint: FakeEndpoint) -> None:
    run = harness_run(asked_arm(harness_endpoint.base_url))
    assert run.code == 0, run.err
    assert run.arms["asked"]["accuracy"] == 1.0
    assert {row["status"] for row in run.predictions} == {"answered"}
    assert "<h1" in run.page
    assert run.journal.is_file()
    assert len(harness_endpoint.requests) == len(run.predictions) == 18


def test_a_tiny_run_that_fails_says_why(harness_run: Callable[..., TinyRun]) -> None:
    run = harness_run('[[arms]]\nname = "x"\nbackend = { plugin = "nothing" }\n')
    assert run.code == 2
    assert 'there is no backend "nothing"' in run.err
    with pytest.raises(AssertionError, match="there is no backend"):
        _ = run.folder


def test_a_recorded_journal(harness_journal: Path) -> None:
    before = harness_journal.read_bytes()
    replies = recorded_replies(harness_journal)
    assert len(replies) == 18
    assert {reply["choices"][0]["message"]["content"] for reply in replies} == {"bad", "good", "mixed"}
    assert {reply.call.endpoint for reply in replies} == {"fake"}
    assert harness_journal.read_bytes() == before
