"""What answers of completions and of chat have in common: token counts, pieces of text, how an answer grows."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Protocol

from harness_local.api.running import Running
from harness_local.inference.work import Continuation, Outcome, Progress, Token
from harness_local.models.tokens import TextStream

_LEAST_LOGPROB = -9999.0  # what OpenAI says of a token that cannot be: JSON has no infinity


class Voice(Protocol):
    """Writes one choice of an answer, in one piece or in several."""

    def add(self, step: Progress, outcome: Outcome | None) -> Iterator[dict[str, Any]]:
        """What a choice's next part looks like.

        Args:
            step: What the answer gained.
            outcome: The whole, where it is there already.
        """


def spelled(stream: TextStream, step: Progress) -> Iterator[tuple[Token, str]]:
    """What each token adds to a text; of tokens that spell one character together, the last one adds it.

    Args:
        stream: Has decoded the tokens that came before.
        step: What came.
    """
    for place, token in enumerate(step.tokens, 1):
        piece = stream.add(token.id)
        ends = step.finish is not None and place == len(step.tokens)
        yield token, piece + stream.rest() if ends else piece


def heading(prefix: str, kind: str, model: str, fingerprint: str) -> dict[str, Any]:
    """What every answer, and every chunk of a stream, begins with."""
    return {
        "id": f"{prefix}-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": fingerprint,
    }


def finite(logprob: float) -> float:
    """A log-probability as JSON can hold it."""
    return logprob if logprob > _LEAST_LOGPROB else _LEAST_LOGPROB


def usage(prompt: int, completion: int, cached: int) -> dict[str, Any]:
    """Token counts; `cached` of the prompt's were reused rather than computed."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def whole(voices: Sequence[Sequence[Voice]], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The choices of an answer that is not streamed.

    Args:
        voices: For each piece of work, one for each of its branches.
        outcomes: What became of the work.
    """
    return [
        part
        for row, outcome in zip(voices, outcomes, strict=True)
        for branch, (voice, done) in enumerate(zip(row, outcome.continuations, strict=True))
        for part in voice.add(_rest(branch, done, 0, 0), outcome)
    ]


async def chunks(
    head: dict[str, Any],
    running: Running,
    voices: Sequence[Sequence[Voice]],
    usage_of: Callable[[Sequence[Outcome]], dict[str, Any]] | None,
) -> AsyncIterator[dict[str, Any]]:
    """The chunks of an answer that is streamed.

    Args:
        head: What each begins with.
        running: The work.
        voices: For each piece of work, one for each of its branches.
        usage_of: Makes the token counts of the last chunk; None where they are not asked for.
    """
    if usage_of is not None:
        head = {**head, "usage": None}
    outcomes: list[Outcome] = []
    async for part in _grown(running, voices, outcomes):
        yield {**head, "choices": [part]}
    if usage_of is not None:
        yield {**head, "choices": [], "usage": usage_of(outcomes)}


async def _grown(
    running: Running, voices: Sequence[Sequence[Voice]], outcomes: list[Outcome]
) -> AsyncIterator[dict[str, Any]]:
    """The parts of choices as they come; `outcomes` takes what became of the work, in the order of its ends."""
    told: dict[Voice, tuple[int, int, bool]] = {}
    async for index, step in running.steps():
        if isinstance(step, Progress):
            voice = voices[index][step.branch]
            characters, tokens, _ = told.get(voice, (0, 0, False))
            told[voice] = characters + len(step.text), tokens + len(step.tokens), step.finish is not None
            for part in voice.add(step, None):
                yield part
            continue
        outcomes.append(step)
        for branch, (voice, done) in enumerate(zip(voices[index], step.continuations, strict=True)):
            characters, tokens, finished = told.get(voice, (0, 0, False))
            if not finished:
                for part in voice.add(_rest(branch, done, characters, tokens), step):
                    yield part


def _rest(branch: int, done: Continuation, characters: int, tokens: int) -> Progress:
    return Progress(
        branch=branch, text=done.text[characters:], tokens=tuple(done.generated[tokens:]), finish=done.finish
    )
