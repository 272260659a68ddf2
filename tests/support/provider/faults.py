"""What goes wrong on the way: delays, limits, broken connections and broken answers, drawn from bodies and the seed."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter

from aiohttp import web

from support.provider.errors import ApiError, LostError
from support.provider.model import draw
from support.provider.settings import Settings

_RATES = (
    "rate_429", "error_500_rate", "reset_rate", "cut_rate", "garbage_rate", "empty_rate", "hang_rate", "blank_rate",
)  # fmt: skip


class Faults:
    """What befalls requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.attempts: Counter[bytes] = Counter()
        self.good = 0
        """Good answers, until `quota_after` of them were given."""
        self.clear()

    def clear(self) -> None:
        """Forgets attempts; the rate's bucket is full again."""
        self.attempts.clear()
        self._allowance, self._refilled = math.inf, 0.0

    def hits(self, fault: str, rate: float, raw: bytes) -> bool:
        """Whether `fault` befalls this attempt of this body: drawn from both, so order does not matter."""
        return rate > 0 and draw(self.settings.seed, fault, raw, self.attempts[raw]) < rate

    async def befall(self, raw: bytes) -> web.Response | None:
        """Lets come what comes before a request is served: a delay, an error, or what is sent in an answer's place."""
        s = self.settings
        if wait := s.latency_s + (s.latency_jitter_s * draw(s.seed, "latency", raw) if s.latency_jitter_s else 0.0):
            await asyncio.sleep(wait)
        if s.fail_first or any(getattr(s, name) for name in _RATES):
            self.attempts[raw] += 1
        if s.quota_after is not None and self.good >= s.quota_after:
            message = "You exceeded your current quota, please check your plan and billing details."
            raise self._too_many("insufficient_quota", message, "insufficient_quota")
        if self._over_rate() or self.hits("429", s.rate_429, raw):
            raise self._too_many("rate_limit_exceeded", "Rate limit reached for requests.", "requests")
        if self.hits("hang", s.hang_rate, raw):
            await asyncio.sleep(3600)
        if self.hits("reset", s.reset_rate, raw):
            raise LostError
        if self.hits("blank", s.blank_rate, raw):
            return web.Response(body=b"", content_type="application/json")
        if self.hits("garbage", s.garbage_rate, raw):
            return web.Response(text="<html><body>502 Bad Gateway</body></html>", content_type="text/html")
        if self.hits("500", s.error_500_rate, raw) or (s.fail_first and self.attempts[raw] <= s.fail_first):
            raise ApiError(500, "server_error", "The server had an error while processing your request.")
        return None

    def limits(self) -> dict[str, str]:
        """The headers that tell of the rate limit, where there is one."""
        rate = self.settings.requests_per_s
        if not rate:
            return {}
        return {
            "x-ratelimit-limit-requests": str(int(rate * 60)),
            "x-ratelimit-remaining-requests": str(int(min(rate, self._allowance))),
            "x-ratelimit-reset-requests": f"{int(1000 / rate)}ms",
        }

    def _too_many(self, code: str, message: str, kind: str) -> ApiError:
        error, s = ApiError(429, code, message, kind=kind), self.settings
        if s.retry_after_s is not None and code != "insufficient_quota":
            error.headers["Retry-After"] = str(s.retry_after_s)
        if s.retry_after_ms is not None and code != "insufficient_quota":
            error.headers["retry-after-ms"] = str(s.retry_after_ms)
        error.headers.update(self.limits())
        return error

    def _over_rate(self) -> bool:
        rate = self.settings.requests_per_s
        if not rate:
            return False
        now = time.monotonic()
        self._allowance = min(rate, self._allowance + (now - self._refilled) * rate)
        self._refilled = now
        if self._allowance < 1:
            return True
        self._allowance -= 1
        return False
