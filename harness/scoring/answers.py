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
Codes: TypeAlias = NDArray[np.intp]

OWN = "own"
"""Rule of an answer that a formatter read in a way of its own, such as by the words that stand for its labels."""
UNSURE = -1.0
"""Stands for the confidence of an answer that has none, or none that can be: it is never taken."""
SUM_TOLERANCE = 1e-3
"""How far probabilities may be from summing to 1: files with results from elsewhere round theirs."""
CACHEABLE_TOKENS = 1024
"""Prompts shorter than this are never cached (OpenAI's prompt caching starts at 1,024 tokens)."""
UNANSWERED = 0.5
"""An arm that leaves more than this share of the items unparsed or failed is no opponent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """What is known of an arm's requests, sorted by example id: row order changes nothing, not even a sum's last bit.

    What several figures need stands in columns, so that the rows are not passed over for each; what is not known in a
    column of numbers is NaN.
    """

    ids: tuple[str, ...]
    expected: tuple[str, ...]
    right: Flags
    failed: Flags
    usd: Floats
    """What each cost."""
    input: Floats
    output: Floats
    cached: Floats
    reasoning: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers(Requests):
    """The requests of one arm with the answers to them."""

    rows: tuple[Prediction, ...]
    names: tuple[str, ...]
    """The labels that occur, sorted; the two columns that follow hold their places."""
    expected_code: Codes
    predicted_code: Codes
    """−1 where there is no label."""
    answered: Flags
    sure: Floats
    """How sure each answer is; `UNSURE` where that is not known."""

    @classmethod
    def of(cls, arm: ArmFacts) -> Answers:
        """Sorts and checks the answers of `arm`.

        Raises:
            HarnessError: Two answers to one example: they would be paired wrongly.
        """
        rows = tuple(sorted(arm.predictions, key=attrgetter("example_id")))
        ids = tuple([row.example_id for row in rows])
        if len(set(ids)) < len(ids):
            twice = next(one for one, other in pairwise(ids) if one == other)
            raise HarnessError(f"arm {arm.name!r} has two answers to example {twice!r}")
        expected, predicted = [row.expected for row in rows], [row.predicted for row in rows]
        names = tuple(sorted({*expected, *(label for label in predicted if label is not None)}))
        places: dict[str | None, int] = {name: place for place, name in enumerate(names)} | {None: -1}
        codes = [np.array([places[label] for label in labels], dtype=np.intp) for labels in (expected, predicted)]
        answered = are(rows, Status.ANSWERED)
        return cls(
            ids=ids,
            rows=rows,
            expected=tuple(expected),
            names=names,
            expected_code=codes[0],
            predicted_code=codes[1],
            answered=answered,
            failed=are(rows, Status.FAILED),
            right=answered & (codes[0] == codes[1]),
            sure=confidences(rows, answered),
            usd=floats([row.cost_usd for row in rows]),
            input=floats([row.input_tokens for row in rows]),
            output=floats([row.output_tokens for row in rows]),
            cached=floats([row.cached_tokens for row in rows]),
            reasoning=floats([row.reasoning_tokens for row in rows]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labelled(self) -> Flags:
        """Which answers give a label."""
        return self.answered & (self.predicted_code >= 0)


def complete(answers: Mapping[str, Answers], n_test: int) -> list[str]:
    """Returns the arms that answered the same `n_test` items, as the first arm that answered so many did."""
    whole = [name for name, arm in answers.items() if len(arm) == n_test > 0]
    return [name for name in whole if answers[name].ids == answers[whole[0]].ids]


def are(rows: Sequence[Prediction], status: Status) -> Flags:
    """Returns which answers ended so."""
    return np.array([row.status is status for row in rows], dtype=np.bool_)


def is_right(rows: Sequence[Prediction]) -> Flags:
    """Returns which answers are right."""
    right = np.array([row.predicted == row.expected for row in rows], dtype=np.bool_)
    return right & are(rows, Status.ANSWERED)


def confidences(rows: Sequence[Prediction], answered: Flags | None = None) -> Floats:
    """Returns how sure each answer is, `UNSURE` where that is not known or cannot be, or where there is no answer.

    Args:
        rows: The answers.
        answered: Which of them are, where that is known already.
    """
    told = floats([row.confidence for row in rows])
    there = are(rows, Status.ANSWERED) if answered is None else answered
    return np.where(there & (told >= 0) & (told <= 1), told, UNSURE)


def probabilities(rows: Sequence[Prediction], labels: Sequence[str]) -> Floats | None:
    """Returns answers × labels; `None` where an answer comes without probabilities, or with what are none.

    Those are none that are negative, not finite, lack a label's, or are far from summing to 1.
    """
    if any(row.probabilities is None for row in rows):
        return None
    table = np.array([[(row.probabilities or {}).get(label, math.nan) for label in labels] for row in rows])
    table = table.reshape(len(rows), len(labels))
    sound = np.isfinite(table).all() and (table >= 0).all() and (np.abs(table.sum(axis=1) - 1) <= SUM_TOLERANCE).all()
    return table if sound else None


def floats(values: Sequence[Any]) -> Floats:
    """Returns a column of numbers, NaN where there is none."""
    return np.array(values, dtype=np.float64)  # NumPy takes None for NaN


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
    exact = [row.strict is not None and row.strict == row.predicted for row in answers.rows]
    found["exact"] = int((np.array(exact, dtype=np.bool_) & ~answers.failed).sum())
    # Many answers are equal, and reading takes longer than counting
    others = Counter(
        [
            (row.response, row.predicted)
            for row, plain, lost in zip(answers.rows, exact, answers.failed.tolist(), strict=True)
            if not plain and not lost
        ]
    )
    for (response, predicted), many in others.items():
        reading = parsing.read(response, labels)
        found[reading.rule if reading.label == predicted else OWN] += many
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
    rows = answers.rows
    columns = (
        floats([row.latency_s for row in rows]),
        floats([row.first_token_s for row in rows]),
        floats([row.queue_s for row in rows]),
        floats([row.retry_s for row in rows]),
    )
    timed = ~np.isnan(columns[0])
    latency, streamed, queue, retries = (column[timed & ~np.isnan(column)] for column in columns)
    retries = retries[retries != 0]
    return {
        "latency_s": percentiles(latency),
        "first_token_s": percentiles(streamed) if len(streamed) else None,
        "queue_s": percentiles(queue),
        "retry_s": percentiles(retries),
        "timed": int(timed.sum()),
        "retried": len(retries),
    }


def percentiles(seconds: Floats) -> dict[str, float | None]:
    """Returns the median, 95th and 99th percentile, by linear interpolation; `None` where there is nothing."""
    if not len(seconds):
        return {"p50": None, "p95": None, "p99": None}
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}


def confusion(answers: Answers, labels: Sequence[str]) -> Figures:
    """Counts answers by expected (row) and predicted (column) label; unparsed and failed ones stand beside.

    Labels outside the set that occur all the same are added at its end, sorted.
    """
    names = [*labels, *(name for name in answers.names if name not in set(labels))]
    size, index = len(names), {label: number for number, label in enumerate(names)}
    places = np.array([index[name] for name in answers.names], dtype=np.intp)
    line = places[answers.expected_code] if len(answers) else answers.expected_code
    told = answers.labelled
    cells = line[told] * size + places[answers.predicted_code[told]] if told.any() else np.zeros(0, dtype=np.intp)
    table = np.bincount(cells, minlength=size * size).reshape(size, size)
    unparsed = np.bincount(line[~told & ~answers.failed], minlength=size)
    lost = np.bincount(line[~told & answers.failed], minlength=size)
    return {"labels": names, "counts": table.tolist(), "unparsed": unparsed.tolist(), "failed": lost.tolist()}


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
