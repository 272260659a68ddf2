"""One arm's requests, made and counted: how many, how long, how dear."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from harness.estimation.earlier import Measured
from harness.estimation.estimate import NOTHING, Band, Load
from harness.execution.budget import output_limit
from harness.execution.counting import prompt_tokens
from harness.execution.questions import Asker
from harness.execution.work import Request
from harness.experiment import LOCAL, Arm
from harness.prices import BATCH, Prices
from harness.running import arm_prices
from harness.tokens import Vocabulary
from harness.types import Example, Usage


@dataclass(kw_only=True)
class Weighing:
    """Counts what asking an arm takes."""

    asker: Asker
    prices: Prices
    known: Callable[[Mapping[str, Request]], set[str]]
    """Keys → those of them whose answers are there already."""
    sent: set[str]
    """Keys of requests that were counted before."""
    vocabulary: Vocabulary
    measured: Measured | None
    """What earlier answers of the arm have shown."""
    tier: str
    """What its answers are bought as."""
    labels: Sequence[str]
    """Those of the train split: how long a label is on average."""
    open_ended: bool = False
    """Whether a request without a limit for its answer was seen."""

    def __post_init__(self) -> None:
        self._label_tokens = cache(self._count_labels)

    def load(self, arm: Arm, examples: Sequence[Example], repeat: int = 0, *, exclusive: bool = True) -> Load:
        """Returns what asking an arm takes.

        Args:
            arm: The arm, or one of its candidates.
            examples: What it is asked about.
            repeat: How often that was asked before.
            exclusive: Whether these requests are certain to be sent: they are then not counted again.
        """
        questions = self.asker.questions(arm, examples, repeat)
        requests = {request.key: request for request in self.asker.embedding_requests(arm, examples)}
        requests |= {request.key: request for question in questions for request in question.requests}
        known = self.known(requests)
        new = {key: request for key, request in requests.items() if key not in known and key not in self.sent}
        if exclusive:
            self.sent.update(new)
        bodies = [request.body for request in new.values()]
        given = prompt_tokens(bodies, self.vocabulary)
        made = [self._output(body) for body in bodies]
        costs = [
            self._usd(request, tokens, band) for request, tokens, band in zip(new.values(), given, made, strict=True)
        ]
        priced = [cost for cost in costs if cost is not None]
        return Load(
            requests=len(new),
            known=len(known),
            input_tokens=sum(given),
            output_tokens=sum(made, NOTHING),
            usd=sum(priced, NOTHING) if len(priced) == len(costs) else None,
        )

    def means(self, arm: Arm, examples: Sequence[Example]) -> dict[str, Any]:
        """Returns what asking about one test item takes on average, bought as the run buys it."""
        questions = self.asker.questions(arm, examples)
        if not questions:
            return {}
        further = {request.key: request for question in questions for request in question.requests[1:]}
        asked = [*(question.requests[0] for question in questions), *further.values()]
        given = prompt_tokens([one.body for one in asked], self.vocabulary)
        output, endpoint = self._output(asked[0].body).expected, asked[0].endpoint
        known = []
        if output is not None:
            costs = (
                self.prices.request_usd(one.endpoint, _model(one), Usage(input=tokens, output=round(output)), self.tier)
                for one, tokens in zip(asked, given, strict=True)
            )
            known = [cost for cost in costs if cost is not None]
        return {
            "input_tokens": sum(given) / len(questions),
            "output_tokens": None if output is None else output * len(asked) / len(questions),
            "usd": sum(known) / len(questions) if len(known) == len(asked) else None,
            "price": arm_prices.price_of(self.prices, endpoint, arm),
            "price_shares": arm_prices.batch_shares(self.prices, endpoint, arm) if self.tier == BATCH else None,
        }

    def _usd(self, request: Request, given: int, made: Band) -> Band | None:
        if request.endpoint == LOCAL:
            return None

        def cost(output: float, tier: str) -> float | None:
            usage = Usage(input=given, output=round(output))
            return self.prices.request_usd(request.endpoint, _model(request), usage, tier)

        low, high, at_once = cost(made.low, self.tier), cost(made.high, self.tier), cost(made.high, "")
        if low is None or high is None or at_once is None:
            return None
        most = max(high, at_once)  # a batch that comes back unfinished, or is too small, is asked at once
        if made.expected is None or made.high == made.low:
            return Band(low=low, expected=None if made.expected is None else low, high=most)
        # A mean of tokens is no whole number: what lies between two prices is as linear as they are
        share = (made.expected - made.low) / (made.high - made.low)
        return Band(low=low, expected=low + share * (high - low), high=most)

    def _output(self, body: Mapping[str, Any]) -> Band:
        """Returns the tokens that an answer may have: as in earlier answers, else those of a label alone."""
        if "input" in body:  # it asks for vectors
            return NOTHING
        limit = output_limit(body)
        unlimited = all(body.get(key) is None for key in ("max_tokens", "max_completion_tokens"))
        self.open_ended |= unlimited
        if limit <= 1:
            return Band.exactly(limit)
        if self.measured is not None and self.measured.output_tokens is not None:
            expected: float | None = self.measured.output_tokens
        else:  # how much a model without a limit thinks, or says beside the label, is anybody's guess
            expected = None if unlimited else self._label_tokens("response_format" in body)
        return Band(low=1, expected=None if expected is None else min(max(expected, 1.0), limit), high=limit)

    def _count_labels(self, schema: bool) -> float:
        if not self.labels:
            return 1.0
        distinct = list(dict.fromkeys(self.labels))
        texts = [json.dumps({"label": label}, ensure_ascii=False) if schema else label for label in distinct]
        counts = dict(zip(distinct, map(int, self.vocabulary.count(texts)), strict=True))
        return sum(counts[label] for label in self.labels) / len(self.labels)


def _model(request: Request) -> str:
    return str(request.body.get("model"))
