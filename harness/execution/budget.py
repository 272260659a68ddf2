"""The hard cap: a request is not sent when its worst case would pass what may still be spent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import GateError, UsageError
from harness.execution.counting import counted
from harness.execution.work import Request, tokens_of
from harness.numbers import usd
from harness.types import Reply, Usage

MOST_OUTPUT = 4096
"""Output tokens that a request without a limit of its own is taken to cost at worst."""


def output_limit(body: Mapping[str, Any]) -> int:
    """Returns how many tokens a request's answers may have at most; vectors have none."""
    if "input" in body:
        return 0
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
    each = next((limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool)), MOST_OUTPUT)
    prompts = len(body["prompt"]) if isinstance(body.get("prompt"), list) else 1
    # `best_of` answers are made and billed where only `n` come back
    answers = max((many for key in ("n", "best_of") if isinstance(many := body.get(key), int)), default=1)
    return max(each, 0) * max(prompts, 1) * max(answers, 1)


def _no_price(_request: Request, _usage: Usage, _tier: str) -> float | None:
    return None


@dataclass(kw_only=True)
class Budget:
    """Dollars spent, and those that requests in flight may cost at worst.

    Args:
        max_usd: The cap; `None` is no cap.
        price: Request, tokens and tier → dollars, `None` where no price is known.
        spent: Dollars that were spent before.
    """

    max_usd: float | None = None
    price: Callable[[Request, Usage, str], float | None] = _no_price
    spent: float = 0.0
    reserved: float = 0.0
    """Dollars that requests in flight may cost at worst."""
    _reserved: dict[str, float] = field(default_factory=dict)

    def admit(self, request: Request, tier: str = "") -> bool:
        """Reserves a request's worst case, where the cap allows it.

        Args:
            request: What is about to be sent.
            tier: ``batch`` where it is bought as such.

        Raises:
            UsageError: There is a cap, but no price by which it could be kept.
        """
        if self.max_usd is None:
            return True
        worst = self._worst(request, tier)
        others = self.reserved - self._reserved.get(request.key, 0.0)  # a request may be weighed anew
        if self.spent + others + worst > self.max_usd:
            return False
        self._reserved[request.key] = worst
        self.reserved = others + worst
        return True

    def charge(self, request: Request, reply: Reply, tier: str = "") -> float | None:
        """Adds what a reply cost, and returns it; `None` where no price is known.

        Where the endpoint counts no tokens, they are counted here; a capped run takes the worst case for spent: the
        cap is hard.
        """
        usage = tokens_of(reply)
        if usage is None and self.max_usd is not None:
            usd = self._reserved.get(request.key)
        else:
            usd = self.price(request, usage or counted(request, reply), tier)
        self.spent += usd or 0.0
        return usd

    @property
    def holds(self) -> bool:
        """Whether the cap covers all that is in flight, at worst."""
        return self.max_usd is None or self.spent + self.reserved <= self.max_usd

    def release(self, request: Request) -> None:
        """Gives a reservation back."""
        self.reserved -= self._reserved.pop(request.key, 0.0)
        if not self._reserved:
            self.reserved = 0.0  # without what rounding has left

    def _worst(self, request: Request, tier: str) -> float:
        """Every byte a token, all output that is allowed, and each token of the dearest kind.

        Byte-level vocabularies have no shorter tokens; a token may be written to a cache, or thought and not said.
        """
        body = request.body
        size = len(json.dumps(body, ensure_ascii=False, default=dict).encode("utf-8", "surrogatepass"))
        output = output_limit(body)
        cases = (
            Usage(input=size, cache_write=written, output=output, reasoning=thought)
            for written in (0, size)
            for thought in (0, output)
        )
        costs = [self.price(request, usage, tier) for usage in cases]
        known = [usd for usd in costs if usd is not None]
        if not known:
            model = body.get("model")
            raise UsageError(
                f"the budget of ${self.max_usd:,.2f} cannot be kept: no price is known for the model {model}",
                f'give [prices."{model}"] with input and output in USD for a million tokens, or set no budget',
            )
        return max(known)

    def error(self) -> GateError:
        """Returns what to tell when the cap was reached."""
        return GateError(
            f"the budget of {usd(self.max_usd)} does not cover the next request: {usd(self.spent)} are spent",
            "raise budget.max_usd or --max-usd; the same command goes on where it stopped",
        )
