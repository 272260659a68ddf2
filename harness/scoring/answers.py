"""One arm's answers as columns, and the figures that follow from them alone."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness import parsing
from harness.errors import HarnessError
from harness.scoring.facts import ArmFacts
from harness.types import Prediction, Status

Figures: TypeAlias = dict[str, Any]
"""A part of `results.json`."""
Flags: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[np.float64]

OWN = "own"
"""Rule of an answer that a formatter read in a way of its own, such as by the words that stand for its labels."""
CACHEABLE_TOKENS = 1024
"""Prompts shorter than this are never cached (OpenAI's prompt caching starts at 1,024 tokens)."""
UNANSWERED = 0.5
"""An arm that leaves more than this share of the items unparsed or failed is no opponent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The answers of one arm, sorted by example id: row order changes nothing, not even the last bit of a sum.

    What several figures need stands in columns, so that the rows are not passed over for each; what is not known in a
    column of numbers is NaN.
    """

    ids: tuple[str, ...]
    rows: tuple[Prediction, ...]
    expected: tuple[str, ...]
    answered: Flags
    failed: Flags
    right: Flags
    usd: Floats
    """What each cost."""
    input: Floats
    output: Floats
    cached: Floats
    reasoning: Floats

    @classmethod
    def of(cls, arm: ArmFacts) -> Answers:
        """Sorts and checks the answers of `arm`.

        Raises:
            HarnessError: Two answers to one example: they would be paired wrongly.
        """
        rows = tuple(sorted(arm.predictions, key=attrgetter("example_id")))
        ids = tuple(row.example_id for row in rows)
        if len(set(ids)) < len(ids):
            twice = next(one for one, other in pairwise(ids) if one == other)
            raise HarnessError(f"arm {arm.name!r} has two answers to example {twice!r}")
        return cls(
            ids=ids,
            rows=rows,
            expected=tuple(row.expected for row in rows),
            answered=are(rows, Status.ANSWERED),
            failed=are(rows, Status.FAILED),
            right=is_right(rows),
            usd=floats([row.cost_usd for row in rows]),
            input=floats([row.input_tokens for row in rows]),
            output=floats([row.output_tokens for row in rows]),
            cached=floats([row.cached_tokens for row in rows]),
            reasoning=floats([row.reasoning_tokens for row in rows]),
        )

    def __len__(self) -> int:
        return len(self.rows)


def are(rows: Sequence[Prediction], status: Status) -> Flags:
    """Returns which answers ended so."""
    return np.array([row.status is status for row in rows], dtype=np.bool_)


def is_right(rows: Sequence[Prediction]) -> Flags:
    """Returns which answers are right."""
    right = [row.status is Status.ANSWERED and row.predicted == row.expected for row in rows]
    return np.array(right, dtype=np.bool_)


def floats(values: Sequence[Any]) -> Floats:
    """Returns a column of numbers, NaN where there is none."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def counts(answers: Answers) -> Figures:
    """Counts how the questions ended; the three states sum to `n`."""
    n, answered, failed = len(answers), int(answers.answered.sum()), int(answers.failed.sum())
    return {"n": n, "answered": answered, "unparsed": n - answered - failed, "failed": failed}


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
    if n - int(answers.answered.sum()) > UNANSWERED * n:
        return "unanswered"
    return "below-chance" if n and labels > 1 and int(answers.right.sum()) * labels < n else None


def usage(answers: Answers) -> Figures:
    """Returns mean tokens for a request, over the answers that report them; `None` where none does."""
    cacheable = np.where(answers.input < CACHEABLE_TOKENS, 0.0, answers.input)  # NaN stays: it is not below
    return {
        "input_tokens_mean": _mean(answers.input),
        "output_tokens_mean": _mean(answers.output),
        "cached_tokens_mean": _mean(answers.cached),
        "reasoning_tokens_mean": _mean(answers.reasoning),
        "cacheable_tokens_mean": _mean(cacheable),
    }


def cost_per_request(answers: Answers) -> float | None:
    """Returns the mean price of a request in USD, or `None` where an answer has none.

    A failed request without a price is left out: nothing is known to have been billed for it.
    """
    return None if bool((np.isnan(answers.usd) & ~answers.failed).any()) else _mean(answers.usd)


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
    ends = zip(
        answers.expected,
        [row.predicted for row in answers.rows],
        answers.answered.tolist(),
        answers.failed.tolist(),
        strict=True,
    )
    found = Counter(ends)
    seen = {label for expected, predicted, _, _ in found for label in (expected, predicted) if label is not None}
    names = [*labels, *sorted(seen - set(labels))]
    index = {label: number for number, label in enumerate(names)}
    table = [[0] * len(names) for _ in names]
    unparsed, lost = [0] * len(names), [0] * len(names)
    for (expected, predicted, answered, failed), many in found.items():
        line = index[expected]
        if answered and predicted is not None:
            table[line][index[predicted]] += many
        else:
            (lost if failed else unparsed)[line] += many
    return {"labels": names, "counts": table, "unparsed": unparsed, "failed": lost}


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


def _mean(values: Floats) -> float | None:
    """Returns the mean of what is known."""
    known = values[~np.isnan(values)].tolist()
    return math.fsum(known) / len(known) if known else None
