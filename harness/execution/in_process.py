"""Answers of in-process backends: in a thread, in groups, each group committed before it is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

from harness.contract import LocalBackend
from harness.journal import Entry
from harness.plugins import attributed, broke, guard
from harness.secrets import Scrubber
from harness.types import Answer, Context, Prompt

GROUP = 256
"""Prompts in one call of the backend: what a crash can lose."""


def answer(
    backend: LocalBackend,
    ctx: Context,
    prompts: Mapping[str, Prompt],
    scrub: Scrubber,
    commit: Callable[[list[Entry]], None],
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Answers prompts, by key, group by group; `commit` gets each group, and then `stopped` is asked.

    Raises:
        PluginError: The backend raised, or did not return one answer for each prompt.
    """
    items = list(prompts.items())

    def work() -> None:
        with attributed(backend, "open"), backend.open(ctx) as ask:
            for start in range(0, len(items), GROUP):
                if stopped():
                    return
                part = items[start : start + GROUP]
                began, clock = time.time(), time.perf_counter()
                answers = _checked(backend, ask([prompt for _, prompt in part]), len(part))
                each = (time.perf_counter() - clock) / len(part)
                commit(
                    [
                        entry_of(key, ctx.arm, answer, began + each * index, _took(backend, answer, each), scrub)
                        for index, ((key, _), answer) in enumerate(zip(part, answers, strict=True))
                    ]
                )

    with ThreadPoolExecutor(1, thread_name_prefix=f"arm {ctx.arm}") as pool:
        pool.submit(work).result()


def _checked(backend: LocalBackend, answers: Any, expected: int) -> Sequence[Answer]:
    listed = isinstance(answers, Sequence) and not isinstance(answers, str)
    if not listed or len(answers) != expected:
        got = f"{len(answers)} answers" if listed else type(answers).__name__
        raise broke(backend, "open", f"returned {got} for {expected} prompts", "return one answer for each, in order")
    return [guard.answer(backend, "open", answer) for answer in answers]


def _took(backend: LocalBackend, answer: Answer, clocked_s: float) -> float:
    """Returns the seconds of an answer: the backend's word wins over the clock's, but for what others have measured."""
    told = None if getattr(backend, "imported", False) else answer.latency_s
    return clocked_s if told is None else told


def entry_of(key: str, arm: str, answer: Answer, started: float, service_s: float, scrub: Scrubber) -> Entry:
    """Makes an answer's journal entry."""
    body = {field.name: getattr(answer, field.name) for field in fields(answer)}
    body["text"] = scrub(answer.text)
    body["error"] = None if answer.error is None else scrub(answer.error)
    body["probabilities"] = None if answer.probabilities is None else dict(answer.probabilities)
    return Entry(
        key=key,
        arm=arm,
        endpoint="",
        body=body,
        started=started,
        service_s=service_s,
    )


def answer_of(entry: Entry) -> Answer:
    """Returns the answer that an in-process entry holds."""
    return Answer(**entry.body)
