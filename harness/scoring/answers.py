"""One arm's answers as columns, and the figures that follow from them alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness import parsing
from harness.errors import HarnessError
from harness.scoring.facts import ArmFacts
from harness.types import Prediction, Status

Figures: TypeAlias = dict[str, Any]
"""A part of `results.json`."""


OWN = "own"
"""Rule of an answer that a formatter read in a way of its own, such as by the words that stand for its labels."""
CACHEABLE_TOKENS = 1024
"""Prompts shorter than this are never cached (OpenAI's prompt caching starts at 1,024 tokens)."""
UNANSWERED = 0.5
"""An arm that leaves more than this share of the items unparsed or failed is no opponent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers of one arm, sorted by example id: row order changes nothing, not even the last bit of a sum."""

    ids: tuple[str, ...]
    rows: tuple[Prediction, ...]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, arm: ArmFacts) -> Answers:
        """Sorts and checks the answers of `arm`.

        Raises:
            HarnessError: Two answers to one example: they would be paired wrongly.
        """
        rows = tuple(sorted(arm.predictions, key=lambda row: row.example_id))
        ids = tuple(row.example_id for row in rows)
        if len(set(ids)) < len(ids):
            twice = next(one for one, other in pairwise(ids) if one == other)
            raise HarnessError(f"arm {arm.name!r} has two answers to example {twice!r}")
        right = [row.status is Status.ANSWERED and row.predicted == row.expected for row in rows]
        return cls(ids=ids, rows=rows, right=np.array(right, dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.rows)


def counts(answers: Answers) -> Figures:
    """Counts how the questions ended; the three states sum to `n`."""
    status = [row.status for row in answers.rows]
    return {
        "n": len(answers),
        "answered": status.count(Status.ANSWERED),
        "unparsed": status.count(Status.UNPARSED),
        "failed": status.count(Status.FAILED),
    }


def readings(answers: Answers, labels: Sequence[str]) -> Figures:
    """Counts by which rule of `harness.parsing` the answers were read, or why they were not; sums to those that came.

    Every rule is there, 0 where it read nothing; the rules are the same for every arm. Where a formatter came to
    another label than the common reading, its answer counts as `OWN`.
    """
    found = dict.fromkeys((*parsing.RULES, OWN, *parsing.UNREAD), 0)
    known: dict[str, parsing.Reading] = {}  # many answers are equal, and reading takes longer than looking up
    for row in answers.rows:
        if row.status is Status.FAILED:
            continue
        if row.strict is not None and row.strict == row.predicted:
            found["exact"] += 1
            continue
        reading = known.get(row.response)
        if reading is None:
            reading = known[row.response] = parsing.read(row.response, labels)
        found[reading.rule if reading.label == row.predicted else OWN] += 1
    return found


def barred(answers: Answers, labels: int) -> str | None:
    """Returns why the arm is no fair opponent: `unanswered`, `below-chance`, or `None` where it is one.

    Args:
        answers: The arm's answers.
        labels: How many labels there are; chance is one of them.
    """
    n = len(answers)
    lost = sum(row.status is not Status.ANSWERED for row in answers.rows)
    if lost > UNANSWERED * n:
        return "unanswered"
    return "below-chance" if n and labels > 1 and int(answers.right.sum()) * labels < n else None


def usage(answers: Answers) -> Figures:
    """Returns mean tokens for a request, over the answers that report them; `None` where none does."""
    rows = answers.rows
    return {
        "input_tokens_mean": _mean([row.input_tokens for row in rows]),
        "output_tokens_mean": _mean([row.output_tokens for row in rows]),
        "cached_tokens_mean": _mean([row.cached_tokens for row in rows]),
        "reasoning_tokens_mean": _mean([row.reasoning_tokens for row in rows]),
        "cacheable_tokens_mean": _mean(
            [None if each is None else each * (each >= CACHEABLE_TOKENS) for each in (row.input_tokens for row in rows)]
        ),
    }


def request_costs(answers: Answers) -> list[float] | None:
    """Returns each request's price in USD, or `None` where an answer has none.

    A failed request without a price is left out: nothing is known to have been billed for it.
    """
    priced = [row.cost_usd for row in answers.rows if row.status is not Status.FAILED or row.cost_usd is not None]
    known = [cost for cost in priced if cost is not None]
    return known if known and len(known) == len(priced) else None


def truncated_cost(answers: Answers) -> float | None:
    """Returns what the answers cost that the token limit has cut; `None` where none was, or where one has no price."""
    costs = [row.cost_usd for row in answers.rows if row.truncated]
    known = [cost for cost in costs if cost is not None]
    return math.fsum(known) if known and len(known) == len(costs) else None


def times(answers: Answers) -> Figures:
    """Returns where the seconds of a request went, each part on its own; answers that were taken over have none.

    `latency_s` is the service time of the successful attempt, `first_token_s` the part of it until the first token,
    `queue_s` the wait for the endpoint's rate. `retry_s` is over the `retried` answers alone: it would be 0 for most.
    """
    rows = [row for row in answers.rows if row.latency_s is not None]
    retries = [row.retry_s for row in rows if row.retry_s]
    streamed = [row.first_token_s for row in rows if row.first_token_s is not None]
    return {
        "latency_s": percentiles([row.latency_s for row in rows if row.latency_s is not None]),
        "first_token_s": percentiles(streamed) if streamed else None,
        "queue_s": percentiles([row.queue_s for row in rows if row.queue_s is not None]),
        "retry_s": percentiles(retries),
        "timed": len(rows),
        "retried": len(retries),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """Returns the median, 95th and 99th percentile, by linear interpolation; `None` where there is nothing."""
    if not seconds:
        return {"p50": None, "p95": None, "p99": None}
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def confusion(answers: Answers, labels: Sequence[str]) -> Figures:
    """Counts answers by expected (row) and predicted (column) label; unparsed and failed ones stand beside.

    Labels outside the set that occur all the same are added at its end, sorted.
    """
    seen = {row.expected for row in answers.rows} | {row.predicted for row in answers.rows if row.predicted is not None}
    names = [*labels, *sorted(seen - set(labels))]
    index = {label: number for number, label in enumerate(names)}
    table = [[0] * len(names) for _ in names]
    lost = {Status.UNPARSED: [0] * len(names), Status.FAILED: [0] * len(names)}
    for row in answers.rows:
        if row.status is Status.ANSWERED and row.predicted is not None:
            table[index[row.expected]][index[row.predicted]] += 1
        else:
            lost[Status.FAILED if row.status is Status.FAILED else Status.UNPARSED][index[row.expected]] += 1
    return {"labels": names, "counts": table, "unparsed": lost[Status.UNPARSED], "failed": lost[Status.FAILED]}


def per_class(table: Mapping[str, Any]) -> list[Figures]:
    """Returns support, precision, recall and F1 of each label, from `confusion`.

    Unparsed and failed answers are misses. Recall and F1 are `None` for a label that is not in the test split,
    precision for one that was never predicted (van Rijsbergen 1979, Information Retrieval, ch. 7).
    """
    lines = []
    for number, label in enumerate(table["labels"]):
        hits = table["counts"][number][number]
        support = sum(table["counts"][number]) + table["unparsed"][number] + table["failed"][number]
        predicted = sum(row[number] for row in table["counts"])
        lines.append(
            {
                "label": label,
                "support": support,
                "predicted": predicted,
                "precision": hits / predicted if predicted else None,
                "recall": hits / support if support else None,
                "f1": 2 * hits / (support + predicted) if support else None,
            }
        )
    return lines


def _mean(values: Sequence[float | None]) -> float | None:
    """Returns the mean of what is known."""
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None
