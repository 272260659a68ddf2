"""Fine-tuning files: reading, checking, and turning lines into tokens with their weights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness_local.api.requests import parse_messages
from harness_local.api.wire import ApiError, Fields, encodable
from harness_local.models.tokens import Codec

LEAST = 10
"""Fewest examples of a training file."""

LARGEST_WEIGHT = 100.0
"""Largest weight of an example."""


class FileError(Exception):
    """A training file cannot be used.

    Args:
        code: ``invalid_file_format`` or ``invalid_n_examples``.
        message: Which line, and what was expected.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True, slots=True)
class Line:
    """One example: text for text, or a conversation. `weights` says which assistant messages are learned.

    `weight` is the whole example's: how much its loss counts beside that of the others.
    """

    prompt: str = ""
    completion: str = ""
    messages: tuple[dict[str, str], ...] = ()
    weights: tuple[bool, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """Tokens of one example; `learned` are the places of the tokens whose prediction is trained.

    `weight` is no part of what a sample is: the frozen layers say the same of it whatever it weighs.
    """

    ids: tuple[int, ...]
    learned: tuple[int, ...]
    weight: float = field(default=1.0, compare=False)


def read(path: Path, what: str = "training") -> list[Line]:
    """Reads and checks a file of prompt/completion or chat lines; empty lines and a byte order mark are let pass.

    Raises:
        FileError: A line is not an example, kinds are mixed, or there are too few.
    """
    lines = list(_lines(path))
    if len({bool(line.messages) for line in lines}) > 1:
        raise FileError("invalid_file_format", "Invalid file format. Chat and prompt/completion lines are mixed.")
    if what == "training" and len(lines) < LEAST:
        message = f"Training file has {len(lines)} example(s), but must have at least {LEAST} examples"
        raise FileError("invalid_n_examples", message)
    if not lines:
        raise FileError("invalid_n_examples", f"The {what} file has no examples")
    return lines


def _lines(path: Path) -> Iterator[Line]:
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            for number, text in enumerate(stream, 1):
                if text.strip():
                    yield _line(text, number)
    except UnicodeDecodeError as error:
        raise FileError("invalid_file_format", f"Invalid file format. The file is not UTF-8: {error.reason}.") from None


def _line(text: str, number: int) -> Line:
    where = f"Invalid file format. Line {number}"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError("invalid_file_format", f"{where} is not JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise FileError("invalid_file_format", f"{where} is not an object.")
    if "messages" in value:
        return _conversation(value, where)
    for key in ("prompt", "completion"):
        if not isinstance(value.get(key), str) or not encodable(value[key]):
            raise FileError("invalid_file_format", f"{where}: '{key}' must be a string (or give 'messages').")
        if not value[key]:
            raise FileError("invalid_file_format", f"{where}: '{key}' is empty.")
    if extra := sorted(set(value) - {"prompt", "completion", "weight"}):
        raise FileError("invalid_file_format", f"{where}: unexpected key {extra[0][:50]!r}.")
    return Line(prompt=value["prompt"], completion=value["completion"], weight=_weight(value, where))


def _weight(value: dict[str, Any], where: str) -> float:
    """An example's weight; 1 where none is given."""
    weight = value.get("weight", 1.0)
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 < weight <= LARGEST_WEIGHT:  # NaN is not above 0
        message = f"{where}: 'weight' must be a number above 0 and at most {LARGEST_WEIGHT:g}."
        raise FileError("invalid_file_format", message)
    return float(weight)


def _conversation(value: dict[str, Any], where: str) -> Line:
    weights, cleaned = [], []
    try:
        fields = Fields(value)
        raw = fields.raw("messages")
        fields.raw("weight", None)
        fields.finish(("tools", "functions", "parallel_tool_calls"))
        for index, message in enumerate(raw if isinstance(raw, list) else []):
            parts = Fields(message if isinstance(message, dict) else {}, f"messages[{index}].")
            weights.append(parts.integer("weight", 1, high=1) == 1)
            cleaned.append(
                {k: v for k, v in message.items() if k != "weight"} if isinstance(message, dict) else message
            )
        messages = parse_messages(cleaned)
    except ApiError as error:
        raise FileError("invalid_file_format", f"{where}: {error.message}") from None
    if messages[0]["role"] == "assistant":
        raise FileError("invalid_file_format", f"{where}: the first message is the assistant's.")
    if not any(m["role"] == "assistant" and w for m, w in zip(messages, weights, strict=True)):
        raise FileError("invalid_file_format", f"{where}: no assistant message to learn from.")
    return Line(messages=messages, weights=tuple(weights), weight=_weight(value, where))


def samples(lines: Iterable[Line], codec: Codec, end: int, limit: int) -> list[Sample]:
    """Tokens of examples, each cut at `limit` tokens from the end of its prompt's beginning.

    Prompt and completion are tokenised apart and joined, as they are when the model answers. After each learned text
    the token `end` is learned too, so that a fine-tuned model stops by itself.
    """
    return [sample for line in lines for sample in _samples(line, codec, end, limit)]


def _samples(line: Line, codec: Codec, end: int, limit: int) -> Iterator[Sample]:
    if not line.messages:
        answer = codec.encode(line.completion, start=False).ids
        yield _joined(codec.encode(line.prompt).ids, (*answer, end), limit, line.weight)
        return
    for index, message in enumerate(line.messages):
        if message["role"] == "assistant" and line.weights[index]:
            prompt = codec.chat(line.messages[:index])
            yield _joined(prompt, (*codec.encode(message["content"], start=False).ids, end), limit, line.weight)


def _joined(prompt: tuple[int, ...], answer: tuple[int, ...], limit: int, weight: float) -> Sample:
    answer = answer[: limit - 1]
    # The end of a prompt says what is asked; where something must go, it is the beginning.
    prompt = prompt[-(limit - len(answer)) :]
    return Sample((*prompt, *answer), tuple(range(len(prompt), len(prompt) + len(answer))), weight)


def balanced(data: Sequence[Sample]) -> list[Sample]:
    """Samples with weights whose mean over all learned tokens is 1.

    So weights say how examples count beside each other, and the learning rate keeps its meaning: equal weights, however
    large, train as none do.
    """
    if len({sample.weight for sample in data}) < 2:
        return [replace(sample, weight=1.0) for sample in data]
    tokens = sum(len(sample.learned) for sample in data)
    mean = math.fsum(sample.weight * len(sample.learned) for sample in data) / tokens
    return [replace(sample, weight=sample.weight / mean) for sample in data]
