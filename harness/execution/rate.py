"""How many requests may be under way at an endpoint, found out as it goes: pure, the clock is handed in.

Slow start doubles the limit with each round of clean answers; a 429 takes a fifth off, once for each episode; later
rounds add a twentieth, and only where the limit was what held requests back. Errors of the server never shrink it
(the rules that served Inspect best; AIMD after Chiu & Jain 1989, slow start after RFC 5681).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from harness.replies import LONGEST_WAIT_S
from harness.types import Call

START = 20
"""Requests under way at first."""
SHRINK, GROWTH = 0.8, 0.05
COOLDOWN_S = 15.0
"""Seconds after a decrease, at least, in which further 429s belong to the same episode and nothing grows."""
SATURATED = 0.8
"""Share of the limit that must have been under way for the limit to grow."""
BLIND_S = 1.0
"""Seconds to wait where an allowance is used up and the endpoint does not say for how long."""
KINDS = ("requests", "tokens")
SHORTEST_S = 0.005
"""Seconds between two looks at an allowance that is used up, at least."""


@dataclass(kw_only=True)
class Rate:
    """Limit of requests under way at one endpoint.

    Args:
        most: The limit never passes it.
        clock: Seconds, monotonic.
    """

    most: int
    clock: Callable[[], float]
    limit: int = 0
    active: int = 0
    resumes_at: float = -math.inf
    """Nothing is sent before: the endpoint said so."""
    _slow_start: bool = True
    _clean: int = 0
    _peak: int = 0
    _cool_at: float = -math.inf

    def __post_init__(self) -> None:
        """Begins below the upper limit."""
        self.limit = self.limit or max(1, min(START, self.most))

    def delay(self) -> float:
        """Returns the seconds until a request may go as far as the rate is concerned; infinite: when one has ended."""
        if self.active >= self.limit:
            return math.inf
        return max(0.0, self.resumes_at - self.clock())

    def began(self) -> None:
        """Counts a request that is sent."""
        self.active += 1
        self._peak = max(self._peak, self.active)

    def ended(self) -> None:
        """Counts a request that has come to an end, whichever."""
        self.active -= 1

    def clean(self) -> None:
        """Takes notice of an answer; after a round of them the limit grows."""
        self._clean += 1
        if self._clean < self.limit:
            return
        saturated = self._peak >= SATURATED * self.limit
        self._clean, self._peak = 0, self.active
        if saturated and self.clock() >= self._cool_at:
            grown = 2 * self.limit if self._slow_start else self.limit + max(1, round(GROWTH * self.limit))
            self.limit = min(self.most, grown)

    def limited(self, retry_after_s: float | None) -> None:
        """Takes notice of a 429: everybody waits as long as the endpoint asks, and the limit shrinks once."""
        now = self.clock()
        if retry_after_s:
            self.resumes_at = max(self.resumes_at, now + retry_after_s)
        if now >= self._cool_at:
            self.limit = max(1, int(self.limit * SHRINK))
        self._slow_start, self._clean, self._peak = False, 0, 0
        self._cool_at = max(self._cool_at, now + max(COOLDOWN_S, retry_after_s or 0.0))


Shared: TypeAlias = tuple[str, float]
"""What models may have in common: ``requests`` or ``tokens``, and the limit."""


@dataclass(slots=True, kw_only=True)
class _Window:
    """What an endpoint said is left to a model."""

    left: float
    limit: float
    resets_at: float
    every_s: float
    begun: float
    """What models with this limit had begun by then, all in all."""


@dataclass(kw_only=True)
class Allowances:
    """What the headers of an endpoint's answers leave for further requests, by model.

    Providers limit models apart, gateways limit keys whatever the model. Models with one and the same limit are taken
    to share it: what any of them begins, and what was last said to any of them, counts for all.

    Args:
        clock: Seconds, monotonic.
    """

    clock: Callable[[], float]
    _windows: dict[tuple[str, str], _Window] = field(default_factory=dict)
    """Model and ``requests`` or ``tokens`` → what is left."""
    _latest: dict[Shared, _Window] = field(default_factory=dict)
    """What was said last to any of the models that share a limit."""
    _begun: dict[Shared, float] = field(default_factory=dict)
    """All that was ever sent."""
    _out: dict[Shared, float] = field(default_factory=dict)
    """What is under way: the endpoint may not have counted it yet."""

    def delay(self, call: Call) -> float:
        """Returns the seconds until a call may go."""
        if not self._windows:
            return 0.0
        now, wait = self.clock(), 0.0
        for kind, own in self._of(call):
            shared, need = (kind, own.limit), min(_units(kind, call), own.limit)
            for window in (own, self._latest[shared]):
                used = max(self._out.get(shared, 0.0), self._begun.get(shared, 0.0) - window.begun)
                # After a reset one call finds out what is left: windows, buckets, gateways differ in what it means.
                if window.left - used < need:
                    wait = max(wait, window.resets_at - now)
        return wait

    def began(self, call: Call) -> Mapping[Shared, float]:
        """Counts a call that is sent; returns what it counts as, to be handed to `ended`."""
        charged: dict[Shared, float] = {}
        now = self.clock()
        for kind, window in self._of(call):
            shared = (kind, window.limit)
            charged[shared] = _units(kind, call)
            self._begun[shared] = self._begun.get(shared, 0.0) + charged[shared]
            self._out[shared] = self._out.get(shared, 0.0) + charged[shared]
            if now >= window.resets_at:
                self._put_off(shared, now + window.every_s)
        return charged

    def ended(self, charged: Mapping[Shared, float]) -> None:
        """Counts a call that has come to an end."""
        for shared, units in charged.items():
            self._out[shared] -= units

    def learn(self, call: Call, headers: Mapping[str, str]) -> None:
        """Reads `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; what is missing or no number is left out."""
        now = self.clock()
        for kind in KINDS:
            left = _number(headers.get(f"x-ratelimit-remaining-{kind}"))
            if left is None:
                continue
            reset = duration_s(headers.get(f"x-ratelimit-reset-{kind}"))
            limit = max(_number(headers.get(f"x-ratelimit-limit-{kind}")) or left, 1.0)
            every = BLIND_S if reset is None or reset > LONGEST_WAIT_S else max(reset, SHORTEST_S)
            shared = (kind, limit)
            self._windows[_model(call), kind] = self._latest[shared] = _Window(
                left=left, limit=limit, resets_at=now + every, every_s=every, begun=self._begun.get(shared, 0.0)
            )
            if left < _units(kind, call):
                self._put_off(shared, now + every)

    def _put_off(self, shared: Shared, until: float) -> None:
        """Lets nobody with this limit find out before that time what is left."""
        for (_, kind), window in self._windows.items():
            if (kind, window.limit) == shared:
                window.resets_at = max(window.resets_at, until)

    def _of(self, call: Call) -> Iterator[tuple[str, _Window]]:
        """Yields what limits a call's model."""
        model = _model(call)
        for kind in KINDS:
            window = self._windows.get((model, kind))
            if window is not None:
                yield kind, window


def _model(call: Call) -> str:
    return str(call.body.get("model"))


def _units(kind: str, call: Call) -> float:
    """Returns what a call counts as."""
    return guessed_tokens(call) if kind == "tokens" else 1.0


def guessed_tokens(call: Call) -> float:
    """Returns about what a provider counts against its token limit: the prompt, and all output that is allowed."""
    prompt, messages = call.body.get("prompt"), call.body.get("messages") or ()
    texts = prompt if isinstance(prompt, list | tuple) else [prompt]
    size = sum(len(text) for text in texts if isinstance(text, str))
    size += sum(len(m["content"]) for m in messages if isinstance(m, Mapping) and isinstance(m.get("content"), str))
    output = call.body.get("max_completion_tokens") or call.body.get("max_tokens") or 0
    return size / 4 + (output if isinstance(output, int) else 0)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


_UNITS: Mapping[str, float] = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def duration_s(text: str | None) -> float | None:
    """Returns the seconds that a text such as ``6m0s``, ``250ms`` or ``1.5`` means; `None` where it means none."""
    plain = _number(text)
    if plain is not None:
        return plain
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text or "")
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
