"""Runs the executor `openai-batch` on the engine's own tools: real journal, real client, the fake provider."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.sender import Sender
from harness.execution.targets import Target
from harness.execution.work import Request, answer_key
from harness.journal import Entry, Journal
from harness.secrets import Scrubber
from harness.types import Call
from harness_plugins.executors._batch_tickets import PREFIX
from harness_plugins.executors.openai_batch import OpenAIBatch
from support.lab import task
from support.provider import Provider

KEY = "sk-test-batch-0123456789"
PATH = "/chat/completions"
ANSWERS = task(60)
TEXTS = list(ANSWERS)


@dataclass
class Ran:
    """What one command came to."""

    answers: dict[str, Entry]
    failed: dict[str, str]
    told: list[str]
    stopped: bool
    error: BaseException | None = None


@dataclass
class Bench:
    """A journal that outlives commands, and a provider."""

    provider: Provider
    path: Path
    key: str
    before: int
    """Batches of other tests."""
    told: list[str] = field(default_factory=list)
    siblings: tuple[Path, ...] = ()
    """Journals of other runs of the experiment."""

    def run(self, calls: Sequence[Request], *, budget: Budget | None = None, stages: int = 1, **options: Any) -> Ran:
        """Carries out what has no answer yet, as a command does after a restart; what it raises is in the result.

        In each stage of the command all of them are asked.
        """
        given = {"at_least": 2, "poll_s": 0.01, **options}
        self.told = []
        with Journal(self.path) as journal:
            engine = Engine(
                journal=journal, connect=self.target, scrub=Scrubber((self.key,)), budget=budget or Budget()
            )
            sender = Sender(
                engine=engine, journal=journal, endpoints={}, secret_names=(), tell=self.told.append,
                siblings=self.siblings,
            )  # fmt: skip
            keys, error = [call.key for call in calls], None
            try:
                for _ in range(stages):
                    known = journal.known(keys)
                    OpenAIBatch(**given).run([call for call in calls if call.key not in known], sender, engine.done)
                    if engine.refusal is None:
                        engine.commit_held()
            except (Exception, KeyboardInterrupt) as raised:
                error = raised
            failed = {key: of.message for key, of in engine.failed.items()}
            stopped = engine.stopped is not None
            return Ran(journal.answers(keys), failed, self.told, stopped, error)

    def target(self, name: str) -> Target:
        """Returns how the provider is reached, under any name."""
        return Target(
            name=name, base_url=self.provider.base_url, api_key=self.key, headers={}, query={}, concurrency=8,
            timeout_s=30.0, key_name="FAKE_KEY",
        )  # fmt: skip

    def batches(self) -> list[dict[str, Any]]:
        """The batches of this test, with their requests."""
        return self.provider.batches()[self.before :]

    def handed_in(self) -> Counter[str]:
        """Key → in how many batches, whatever became of them."""
        return handed_in(self.provider, self.batches())


def handed_in(provider: Provider, batches: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Returns key → in how many of some batches, by the files that were uploaded for them."""
    contents = [provider.file(batch["input_file_id"]) for batch in batches]
    return Counter(json.loads(line)["custom_id"] for content in contents for line in content.splitlines())


def requests(
    texts: Sequence[str], *, arm: str = "a", endpoint: str = "fake", model: str = "base-model", **body: Any
) -> list[Request]:
    """Makes one request for each text."""
    made = []
    for text in texts:
        call = Call(
            endpoint=endpoint, path=PATH, body={"model": model, "messages": [{"role": "user", "content": text}], **body}
        )
        key = answer_key(endpoint, call, arm)
        made.append(Request(endpoint=endpoint, path=PATH, body=call.body, arm=arm, key=key))
    return made


def said(entry: Entry) -> str:
    """Returns an answer's text."""
    return str(entry.body["choices"][0]["message"]["content"])


def notes(bench: Bench) -> list[dict[str, Any]]:
    """Returns the tickets that are kept."""
    with Journal(bench.path) as journal:
        return [json.loads(journal.note(name) or "") for name in journal.notes() if name.startswith(PREFIX)]


def right(ran: Ran, calls: list[Any]) -> None:
    """Every call has its own answer, and nothing is left over."""
    assert ran.error is None
    assert ran.failed == {}
    assert {call.key: said(ran.answers[call.key]) for call in calls} == {
        call.key: ANSWERS[call.body["messages"][0]["content"]] for call in calls
    }


def interrupted(bench: Bench, calls: list[Any], batches: int) -> Ran:
    """Runs until so many batches are under way, then interrupts as Ctrl-C does."""

    def watch() -> None:
        while len(bench.batches()) < batches or "handed in" not in (bench.told or [""])[-1]:
            time.sleep(0.01)
        time.sleep(0.1)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        ran = bench.run(calls, poll_s=5)
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    assert isinstance(ran.error, KeyboardInterrupt)
    assert "the same command collects their answers" in ran.told[-1]
    return ran
