"""What the engine carries out, and the order in which it does."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.types import Call, Reply

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


def tokens_of(reply: Reply) -> tuple[int, int, int] | None:
    """Returns a reply's input tokens (cached ones included), cached input tokens and output tokens; `None` unless told.

    What an endpoint sends is data: counts that are no counts are none.
    """
    usage = reply.get("usage")
    if not isinstance(usage, Mapping):
        return None
    details = usage.get("prompt_tokens_details")
    given, output = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if given is None:
        return None
    cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else None
    return given, min(cached or 0, given), output or 0


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def rounds(requests: Sequence[Request], *, local: bool, seed: int) -> list[list[Request]]:
    """Interleaves arms in a seeded random order, so that a slow hour hits all of them alike.

    The first request of each arm is a round of its own: it finds out whether the arm can work at all before more is
    spent. A local endpoint then gets a round for each block, so that it never has to serve two arms at once: their
    machine time stays apart, and no prompt waits behind another arm's longer ones. Elsewhere the rest is one round.
    """
    by_arm: dict[str, list[Request]] = {}
    for request in requests:
        by_arm.setdefault(request.arm, []).append(request)
    size = BLOCK if local else 1
    blocks = [
        rest[start : start + size] for rest in (of[1:] for of in by_arm.values()) for start in range(0, len(rest), size)
    ]
    random.Random(f"order {seed}").shuffle(blocks)
    first = [of[0] for of in by_arm.values()]
    if not local:
        return [first, [request for block in blocks for request in block]]
    by_turn = itertools.groupby(blocks, key=lambda block: block[0].arm)
    return [first, *([request for block in turn for request in block] for _, turn in by_turn)]
