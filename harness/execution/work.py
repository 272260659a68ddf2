"""What the engine carries out, and the order in which it does."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.types import Call, Usage

BLOCK = 150
"""Requests of one arm that go to a local endpoint in a row: bare prompts do not wait behind long ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Call):
    """A call that belongs to an arm and has a key in the journal."""

    key: str
    arm: str


def answer_key(endpoint: str, call: Call, source_hash: str, repeat: int = 0) -> str:
    """Returns a call's key: SHA-256 over endpoint, complete request, repeat and the plugin's source.

    The model's name is part of the request's body.
    """
    return digest([endpoint, call.path, call.body, source_hash, repeat])


def is_sampled(call: Call) -> bool:
    """Whether a call asks for chance: another run must draw for itself.

    Reasoning models refuse a temperature: what says none is as settled as the model allows.
    """
    temperature = call.body.get("temperature")
    return isinstance(temperature, int | float) and temperature > 0


def digest(value: Any) -> str:
    """Returns the SHA-256 of a JSON value in canonical form, 64 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_jsonable)
    return hashlib.sha256(text.encode()).hexdigest()


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


def tokens_of(reply: Mapping[str, Any]) -> Usage | None:
    """Returns the tokens that a reply's `usage` tells; `None` unless it does.

    What an endpoint sends is data: counts that are no counts are none, and no part is larger than its whole.
    """
    usage = reply.get("usage")
    if not isinstance(usage, Mapping):
        return None
    given, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")) or 0
    if given is None:
        return None
    details, made = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    read = details if isinstance(details, Mapping) else {}
    wrote = made if isinstance(made, Mapping) else {}
    cached = min(_count(read.get("cached_tokens")) or 0, given)
    # OpenAI and OpenRouter, LiteLLM, Anthropic: each has its own word for what was written to the cache
    words = [read.get("cache_write_tokens"), read.get("cache_creation_tokens")]
    words.append(usage.get("cache_creation_input_tokens"))
    written = next((count for word in words if (count := _count(word))), 0)
    return Usage(
        input=given,
        cached=cached,
        cache_write=min(written, given - cached),
        output=output,
        reasoning=min(_count(wrote.get("reasoning_tokens")) or 0, output),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def interleave(requests: Sequence[Request], *, local: str, seed: int) -> list[Request]:
    """Puts arms into a seeded random order, so that a slow hour hits all of them alike.

    The first request of each arm comes first: it finds out whether the arm can work at all before more is spent.

    Args:
        requests: Of all arms.
        local: Name of the endpoint whose arms take turns, a block of requests each: no prompt waits there behind
            another arm's longer ones, and their machine time stays apart.
        seed: Of the order.
    """
    by_arm: dict[str, list[Request]] = {}
    for request in requests:
        by_arm.setdefault(request.arm, []).append(request)
    blocks = []
    for of in by_arm.values():
        size = BLOCK if of[0].endpoint == local else 1
        blocks += [of[start : start + size] for start in range(1, len(of), size)]
    random.Random(f"order {seed}").shuffle(blocks)
    return [*(of[0] for of in by_arm.values()), *itertools.chain.from_iterable(blocks)]
