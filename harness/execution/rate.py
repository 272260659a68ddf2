"""How many requests may be under way at an endpoint, found out as it goes: pure, the clock is handed in.

Slow start doubles the limit with each round of clean answers; a 429 takes a fifth off, once for each episode; later
rounds add a twentieth, and only where the limit was what held requests back. Errors of the server never shrink it
(the rules that served Inspect best; AIMD after Chiu & Jain 1989, slow start after RFC 5681).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from harness.types import Call

START = 20
"""Requests under way at first."""
SHRINK, GROWTH = 0.8, 0.05
COOLDOWN_S = 15.0
"""Seconds after a decrease in which further 429s belong to the same episode and nothing grows."""
SATURATED = 0.8
"""Share of the limit that must have been under way for the limit to grow."""
BLIND_S = 1.0
"""Seconds to wait where an allowance is used up and the endpoint does not say for how long."""
SHORTEST_S = 0.005
"""Seconds between two looks at an allowance that is used up, at least."""


@dataclass(kw_only=True)
class Rate:
    """Limit of requests under way at one endpoint.

    Args:
        most: The limit never passes it.
        clock: Seconds, monotonic.
        cooldown_s: Seconds that an episode of 429s lasts at least.
    """

    most: int
    clock: Callable[[], float]
    cooldown_s: float = COOLDOWN_S
    limit: int = 0
    active: int = 0
    episodes: int = 0
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
            self.episodes += 1
        self._slow_start, self._clean, self._peak = False, 0, 0
        self._cool_at = max(self._cool_at, now + max(self.cooldown_s, retry_after_s or 0.0))


@dataclass(slots=True, kw_only=True)
class _Window:
    """What an endpoint said is left of one of its limits."""

    left: float
    limit: float
    resets_at: float
    every_s: float


@dataclass(kw_only=True)
class Allowance:
    """What the headers of one model's answers leave for further requests.

    Args:
        clock: Seconds, monotonic.
    """

    clock: Callable[[], float]
    _windows: dict[str, _Window] = field(default_factory=dict)
    _out: dict[str, float] = field(default_factory=lambda: {"requests": 0.0, "tokens": 0.0})
    """What is under way: the endpoint may not have counted it yet."""

    def delay(self, call: Call) -> float:
        """Returns the seconds until a call may go."""
        if not self._windows:
            return 0.0
        now, wait = self.clock(), 0.0
        for name, need in (("requests", 1.0), ("tokens", guessed_tokens(call))):
            window = self._windows.get(name)
            if window is None:
                continue
            if now >= window.resets_at:
                # One call finds out what is left now: windows, buckets and gateways differ in what a reset means.
                window.left = max(window.left, self._out[name] + min(need, window.limit))
                window.resets_at = now + window.every_s
            if window.left - self._out[name] < min(need, window.limit):
                wait = max(wait, window.resets_at - now)
        return wait

    def began(self, call: Call) -> float:
        """Counts a call that is sent; returns its tokens, to be handed to `ended`."""
        tokens = guessed_tokens(call) if "tokens" in self._windows else 0.0
        self._out["requests"] += 1
        self._out["tokens"] += tokens
        return tokens

    def ended(self, tokens: float) -> None:
        """Counts a call that has come to an end."""
        self._out["requests"] -= 1
        self._out["tokens"] -= tokens

    def learn(self, headers: Mapping[str, str]) -> None:
        """Reads `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; what is missing or no number is left out."""
        now = self.clock()
        for name in ("requests", "tokens"):
            left = _number(headers.get(f"x-ratelimit-remaining-{name}"))
            if left is None:
                continue
            reset = duration_s(headers.get(f"x-ratelimit-reset-{name}"))
            limit = _number(headers.get(f"x-ratelimit-limit-{name}"))
            every = BLIND_S if reset is None else max(reset, SHORTEST_S)
            self._windows[name] = _Window(
                left=left, limit=max(limit or left, 1.0), resets_at=now + every, every_s=every
            )


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
