"""Answers of in-process backends: in a thread, in groups, each group committed before it is used."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from typing import Any

from harness.contract import LocalBackend
from harness.errors import PluginError
from harness.journal import Entry, Journal
from harness.options import shortened
from harness.plugins import attributed
from harness.secrets import Scrubber
from harness.types import Answer, Context, Prompt

GROUP = 256
"""Prompts in one call of the backend: what a crash can lose."""


def answer(
    backend: LocalBackend,
    ctx: Context,
    prompts: Mapping[str, Prompt],
    journal: Journal,
    progress: Callable[[str, Mapping[str, Any]], None],
    scrub: Scrubber,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Answers prompts, by key, and commits the answers; `stopped` is asked between groups.

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
                journal.add(
                    [
                        entry_of(key, ctx.arm, answer, began + each * index, each, scrub)
                        for index, ((key, _), answer) in enumerate(zip(part, answers, strict=True))
                    ]
                )
                progress(ctx.arm, {"done": len(part)})

    with ThreadPoolExecutor(1, thread_name_prefix=f"arm {ctx.arm}") as pool:
        pool.submit(work).result()


def _checked(backend: LocalBackend, answers: Any, expected: int) -> Sequence[Answer]:
    if not isinstance(answers, Sequence) or len(answers) != expected:
        got = f"{len(answers)} answers" if isinstance(answers, Sequence) else type(answers).__name__
        raise PluginError(f'the backend "{backend.name}" returned {got} for {expected} prompts')
    for answer in answers:
        if not isinstance(answer, Answer):
            raise PluginError(
                f'the backend "{backend.name}" returned a {type(answer).__name__} where harness.Answer is due'
            )
        wrong = next((name for name, fits in _FIELDS.items() if not fits(getattr(answer, name))), None)
        if wrong is not None:
            raise PluginError(
                f'the backend "{backend.name}" returned an answer with {wrong} = {shortened(getattr(answer, wrong))}',
                "see harness.Answer for what each field holds",
            )
    return answers


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53)


def _is_figure(value: object) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool) and math.isfinite(value)


def _are_probabilities(value: object) -> bool:
    return value is None or (
        isinstance(value, Mapping) and all(isinstance(k, str) and _is_figure(v) for k, v in value.items())
    )


_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "text": lambda value: isinstance(value, str),
    "probabilities": _are_probabilities,
    "input_tokens": _is_count,
    "output_tokens": _is_count,
    "cached_tokens": _is_count,
    "reasoning_tokens": _is_count,
    "latency_s": lambda value: value is None or (_is_figure(value) and value >= 0),
    "cost_usd": lambda value: value is None or (_is_figure(value) and value >= 0),
    "truncated": lambda value: isinstance(value, bool),
    "error": lambda value: value is None or isinstance(value, str),
}
"""Field of an answer → whether a value fits it: what does not fit must not reach the journal."""


def entry_of(key: str, arm: str, answer: Answer, started: float, service_s: float, scrub: Scrubber) -> Entry:
    """Makes an answer's journal entry; the backend's own latency wins over the clock's."""
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
        service_s=answer.latency_s if answer.latency_s is not None else service_s,
    )


def answer_of(entry: Entry) -> Answer:
    """Returns the answer that an in-process entry holds."""
    return Answer(**entry.body)
