"""From the journal's entries to predictions: each question ends as answered, unparsed or failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from harness.errors import UsageError
from harness.execution.counting import counted
from harness.execution.in_process import answer_of
from harness.execution.questions import Question
from harness.execution.refusals import Failed
from harness.execution.work import tokens_of
from harness.experiment import Arm
from harness.journal import Entry
from harness.plugins import attributed, guard
from harness.prices import BATCH
from harness.types import Answer, Example, Prediction, Reply, Status, Usage

Cost: TypeAlias = Callable[[Arm, Usage, str], float | None]
"""Arm, tokens and tier → dollars of an answer, `None` where no price is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A question with its prediction and the entry that it was read from."""

    prediction: Prediction
    entry: Entry | None
    dropped: int = 0
    """Shots that did not fit into the prompt."""
    further: tuple[Entry, ...] = ()
    """Entries of the question's further requests (calibration) that no other item shares."""
    common: tuple[Entry, ...] = ()
    """… and of those that others share."""


def accuracy(answers: Sequence[Answered]) -> float:
    """Returns the share of right answers; -1 where there are none, so that nothing loses to nothing."""
    return sum(answer.prediction.right for answer in answers) / len(answers) if answers else -1.0


def predictions(
    questions: Sequence[Question],
    entries: Mapping[str, Entry],
    failed: Mapping[str, Failed],
    labels: Sequence[str],
    cost: Cost,
) -> list[Answered]:
    """Reads answers back, matched by example id: every question ends as answered, unparsed or failed."""
    shared = Counter(key for question in questions for key in question.keys[1:])
    answered = []
    for question in questions:
        one = replace(_one(question, entries, failed, labels, cost), dropped=question.dropped)
        answered.append(_with_further(one, question, entries, shared, cost) if question.keys[1:] else one)
    if any(one.entry is not None and one.entry.tier == BATCH for one in answered):
        # A batch has no latency, and the few requests beside it that were sent at once would stand for all.
        return [replace(one, prediction=_untimed(one.prediction)) for one in answered]
    return answered


def _with_further(
    one: Answered, question: Question, entries: Mapping[str, Entry], shared: Mapping[str, int], cost: Cost
) -> Answered:
    """Adds to an answer what its question's further requests took, each divided among the items that share it.

    Not where the backend has told other tokens than those of the first request: then it has counted them itself.
    """
    row, first = one.prediction, entries.get(question.key)
    told = None if first is None else tokens_of(first.body)
    if row.status is Status.FAILED or (not row.tokens_estimated and (told is None or told.input != row.input_tokens)):
        return one
    further = [entries[key] for key in question.keys[1:]]
    for entry, request in zip(further, question.requests[1:], strict=True):
        share, usage = shared[entry.key], tokens_of(entry.body) or counted(request, Reply(entry.body, request))
        usd = cost(question.arm, usage, entry.tier)
        row = replace(
            row,
            input_tokens=_more(row.input_tokens, usage.input, share),
            output_tokens=_more(row.output_tokens, usage.output, share),
            cached_tokens=_more(row.cached_tokens, usage.cached, share),
            reasoning_tokens=_more(row.reasoning_tokens, usage.reasoning, share),
            cost_usd=None if row.cost_usd is None or usd is None else row.cost_usd + usd / share,
        )
    own = tuple(entry for entry in further if shared[entry.key] == 1)
    return replace(one, prediction=row, further=own, common=tuple(entry for entry in further if entry not in own))


def _more(tokens: int | None, further: int, share: int) -> int | None:
    return None if tokens is None else tokens + round(further / share)


def _untimed(prediction: Prediction) -> Prediction:
    return replace(prediction, latency_s=None, first_token_s=None, queue_s=None, retry_s=None)


def _one(
    question: Question, entries: Mapping[str, Entry], failed: Mapping[str, Failed], labels: Sequence[str], cost: Cost
) -> Answered:
    found = [entries.get(key) for key in question.keys]
    first = found[0]
    none = _unanswered(question.arm, question.example, question.prompt.shot_ids)
    there = [entry for entry in found if entry is not None]
    refused = next((entry for entry in there if entry.error), None)
    if refused is not None:
        return Answered(prediction=replace(none, error=refused.error, key=refused.key), entry=first)
    if len(there) < len(found):
        missing = question.keys[found.index(None)]
        reason = failed[missing].message if missing in failed else "not asked"
        return Answered(prediction=replace(none, error=reason, key=missing), entry=first)
    return Answered(prediction=_read(question, there, none, labels, cost), entry=first)


def _read(
    question: Question, entries: Sequence[Entry], none: Prediction, labels: Sequence[str], cost: Cost
) -> Prediction:
    """Reads a question's entries, none of which is missing or an error, into the prediction that there is none of."""
    first = entries[0]
    sent = not first.reused and first.endpoint != ""  # what answers in this process waits for nobody
    answer = _answer(question, entries)
    timed = replace(
        none,
        latency_s=answer.latency_s if question.arm.imported else None if first.reused else first.service_s,
        first_token_s=first.first_token_s if sent else None,
        queue_s=first.queue_s if sent else None,
        retry_s=first.retry_s if sent else None,
        attempts=first.attempts,
        reused=first.reused is not None,
    )
    if answer.error is not None:
        return replace(timed, error=answer.error, key=question.key)
    with attributed(question.arm.formatter, "parse"):
        label = guard.label(question.arm.formatter, question.arm.formatter.parse(answer.text, labels), labels)
    strict = answer.text.strip()
    usage, estimated = _usage(question, answer, first)
    return replace(
        timed,
        predicted=label,
        status=Status.UNPARSED if label is None else Status.ANSWERED,
        strict=strict if strict in labels else None,
        response=answer.text,
        input_tokens=usage.input if usage else None,
        output_tokens=usage.output if usage and estimated else answer.output_tokens,
        cached_tokens=answer.cached_tokens,
        reasoning_tokens=answer.reasoning_tokens,
        cost_usd=cost(question.arm, usage, first.tier) if usage and answer.cost_usd is None else answer.cost_usd,
        confidence=(answer.probabilities or {}).get(label) if label is not None else None,
        probabilities=answer.probabilities,
        truncated=answer.truncated,
        tokens_estimated=estimated,
    )


def _unanswered(arm: Arm, example: Example, shot_ids: tuple[str, ...] = ()) -> Prediction:
    return Prediction(
        arm=arm.name,
        example_id=example.id,
        expected=example.label,
        predicted=None,
        status=Status.FAILED,
        shot_ids=shot_ids,
    )


def unasked(arm: Arm, example: Example, reason: str) -> Answered:
    """Returns how a question ends that could not even be put."""
    return Answered(prediction=replace(_unanswered(arm, example), error=reason), entry=None)


def _usage(question: Question, answer: Answer, first: Entry) -> tuple[Usage | None, bool]:
    """Returns an answer's tokens, and whether they were counted here because the endpoint did not say."""
    if answer.input_tokens is not None:
        told = tokens_of(first.body) if question.requests else None
        given, output = answer.input_tokens, answer.output_tokens or 0
        cached = min(answer.cached_tokens or 0, given)
        written = min(told.cache_write if told else 0, given - cached)
        thought = min(answer.reasoning_tokens or 0, output)
        return Usage(input=given, cached=cached, cache_write=written, output=output, reasoning=thought), False
    if not question.requests:
        return None, False
    return counted(question.requests[0], Reply(first.body, question.requests[0])), True


def inspect(question: Question, reply: Reply) -> None:
    """Reads an arm's first reply, so that what cannot work is found before more is spent.

    Raises:
        PluginError: The backend cannot read it.
        UsageError: The backend says that it is no answer.
    """
    if len(question.requests) != 1:
        return
    with attributed(question.arm.backend, "read"):
        answer = guard.answer(question.arm.backend, "read", question.arm.backend.read([reply]))  # type: ignore[attr-defined]
    if answer.error is not None:
        raise UsageError(
            f"the arm {question.arm.name}: the endpoint {reply.call.endpoint} cannot answer as asked: {answer.error}",
            "change the arm, or leave it out with --only",
        )


def _answer(question: Question, entries: Sequence[Entry]) -> Answer:
    if not question.requests:
        return answer_of(entries[0])
    replies = [Reply(entry.body, request) for entry, request in zip(entries, question.requests, strict=True)]
    with attributed(question.arm.backend, "read"):
        return guard.answer(question.arm.backend, "read", question.arm.backend.read(replies))  # type: ignore[attr-defined]
