"""The hard cap: a request is not sent when its worst case would pass what may still be spent."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import GateError, UsageError
from harness.execution.work import Request, tokens_of
from harness.numbers import usd
from harness.types import Reply

MOST_OUTPUT = 4096
"""Output tokens that a request without a limit of its own is taken to cost at worst."""


@dataclass(kw_only=True)
class Budget:
    """Dollars spent, and those that requests in flight may cost at worst.

    Args:
        max_usd: The cap; `None` is no cap.
        price: Request and tokens (input, cached input, output) → dollars, `None` where no price is known.
        spent: Dollars that were spent before.
    """

    max_usd: float | None = None
    price: Callable[[Request, tuple[int, int, int]], float | None] = lambda _request, _tokens: None
    spent: float = 0.0
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
        worst = self._worst(request)
        if self.spent + self.reserved + worst > self.max_usd:
            return False
        self._reserved[request.key] = worst
        return True

    def charge(self, request: Request, reply: Reply, tier: str = "") -> float | None:
        """Adds what a reply cost, and returns it; `None` where no price is known.

        Where the endpoint counts no tokens, a capped run takes the worst case for spent: the cap is hard.
        """
        tokens = tokens_of(reply)
        usd = self.price(request, tokens) if tokens is not None else self._reserved.get(request.key)
        self.spent += usd or 0.0
        return usd

    @property
    def reserved(self) -> float:
        """Dollars that requests in flight may cost at worst."""
        return sum(self._reserved.values())

    def release(self, request: Request) -> None:
        """Gives a reservation back."""
        self._reserved.pop(request.key, None)

    def _worst(self, request: Request) -> float:
        """Every byte a token (byte-level vocabularies have no shorter ones), and all output that is allowed."""
        body = request.body
        size = len(json.dumps([body.get("prompt"), body.get("messages")], ensure_ascii=False).encode())
        output = body.get("max_completion_tokens") or body.get("max_tokens") or MOST_OUTPUT
        usd = self.price(request, (size, 0, int(output) if isinstance(output, int) else MOST_OUTPUT))
        if usd is None:
            model = body.get("model")
            raise UsageError(
                f"the budget of ${self.max_usd:,.2f} cannot be kept: no price is known for the model {model}",
                f'give [prices."{model}"] with input and output in USD for a million tokens, or set no budget',
            )
        return usd

    def error(self) -> GateError:
        """Returns what to tell when the cap was reached."""
        return GateError(
            f"the budget of {usd(self.max_usd)} does not cover the next request: {usd(self.spent)} are spent",
            "raise budget.max_usd or --max-usd; the same command goes on where it stopped",
        )
