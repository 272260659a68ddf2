"""Fine-tuning files: reading, checking, and turning lines into tokens with their weights."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from pydantic import ValidationError

from harness_local.api.bodies import Conversation
from harness_local.api.errors import encodable, refusal
from harness_local.models.tokens import Codec
from harness_local.training.task import TrainingError

LEAST = 10
"""Fewest examples of a training file."""

LARGEST_WEIGHT = 100.0
"""Largest weight of an example."""


class FileError(TrainingError):
    """A training file cannot be used.

    Args:
        code: ``invalid_file_format`` or ``invalid_n_examples``.
        message: Which line, and what was expected.
    """


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

    @property
    def learned(self) -> list[int]:
        """Places of the messages that are learned."""
        told = enumerate(zip(self.messages, self.weights, strict=True))
        return [place for place, (message, learned) in told if learned and message["role"] == "assistant"]


@dataclass(frozen=True, slots=True)
class Sample:
    """Tokens of one example; `learned` are the places of the tokens whose prediction is trained.

    `weight` is no part of what a sample is: the frozen layers say the same of it whatever it weighs. `cut` says whether
    the example was longer than the model's context.
    """

    ids: tuple[int, ...]
    learned: tuple[int, ...]
    weight: float = field(default=1.0, compare=False)
    cut: bool = field(default=False, compare=False)


def read(path: Path, what: str = "training", codec: Codec | None = None) -> list[Line]:
    """Reads and checks a file of prompt/completion or chat lines; empty lines and a byte order mark are let pass.

    Args:
        path: The file.
        what: What it is for, as errors say it.
        codec: Of the model, whose chat template is tried with each conversation; None where that was done.

    Raises:
        FileError: A line is not an example, kinds are mixed, or there are too few.
        OSError: The file cannot be read.
    """
    lines: list[Line] = []
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            if not (text := _text(raw, number)).strip():
                continue
            line = _line(text, number)
            if lines and bool(line.messages) != bool(lines[0].messages):
                message = f"Invalid file format. Line {number}: chat and prompt/completion lines are mixed."
                raise FileError("invalid_file_format", message)
            if line.messages and codec is not None:
                _check_template(line, codec, number)
            lines.append(line)
    if what == "training" and len(lines) < LEAST:
        message = f"Training file has {len(lines)} example(s), but must have at least {LEAST} examples"
        raise FileError("invalid_n_examples", message)
    if not lines:
        raise FileError("invalid_n_examples", f"The {what} file has no examples")
    return lines


def _text(raw: bytes, number: int) -> str:
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        message = f"Invalid file format. Line {number} is not UTF-8: {error.reason}."
        raise FileError("invalid_file_format", message) from None


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


def _check_template(line: Line, codec: Codec, number: int) -> None:
    """Refuses a conversation that the model's chat template does not write: many have roles alternate, or no system."""
    where = f"Invalid file format. Line {number}: the model"
    if not codec.has_chat_template:
        raise FileError("invalid_file_format", f"{where} has no chat template: use prompt/completion lines.")
    try:
        for place in line.learned:
            codec.render(line.messages[:place])
    except TemplateError as error:
        raise FileError("invalid_file_format", f"{where}'s chat template refuses it: {error}") from None


def _weight(value: dict[str, Any], where: str) -> float:
    """An example's weight; 1 where none is given."""
    weight = value.get("weight", 1.0)
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not 0 < weight <= LARGEST_WEIGHT:  # NaN is not above 0
        message = f"{where}: 'weight' must be a number above 0 and at most {LARGEST_WEIGHT:g}."
        raise FileError("invalid_file_format", message)
    return float(weight)


def _conversation(value: dict[str, Any], where: str) -> Line:
    try:
        conversation = Conversation.model_validate(value)
    except ValidationError as error:
        raise FileError("invalid_file_format", f"{where}: {refusal(error.errors()[0]).message}") from None
    messages = tuple(message.plain for message in conversation.messages)
    weights = tuple(message.weight != 0 for message in conversation.messages)
    if messages[0]["role"] == "assistant":
        raise FileError("invalid_file_format", f"{where}: the first message is the assistant's.")
    line = Line(messages=messages, weights=weights, weight=_weight(value, where))
    if not line.learned:
        raise FileError("invalid_file_format", f"{where}: no assistant message to learn from.")
    return line


def samples(lines: Iterable[Line], codec: Codec, end: int, limit: int) -> list[Sample]:
    """Tokens of examples, each of at most `limit`.

    Of one that is longer, the end of the answer goes first, as far as the answer alone is too long, then the beginning
    of the prompt: its end says what is asked.

    Prompt and completion are tokenised apart and joined, as they are when the model answers. After each learned text
    the token `end` is learned too, so that a fine-tuned model stops by itself.
    """
    shared: dict[int, int] = {}  # one object for each token of the vocabulary: a quarter of the memory

    def joined(prompt: Iterable[int], answer: Iterable[int], weight: float) -> Sample:
        asked = tuple(shared.setdefault(token, token) for token in prompt)
        told = tuple(shared.setdefault(token, token) for token in answer)
        kept = told[: limit - 1]
        start = asked[-(limit - len(kept)) :]
        places = tuple(range(len(start), len(start) + len(kept)))
        return Sample((*start, *kept), places, weight, len(asked) + len(told) > limit)

    return [joined(*pair, line.weight) for line in lines for pair in _pairs(line, codec, end)]


def _pairs(line: Line, codec: Codec, end: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Tokens of what is asked and of what is learned."""
    if not line.messages:
        yield codec.encode(line.prompt).ids, (*codec.encode(line.completion, start=False).ids, end)
        return
    for place in line.learned:
        yield codec.chat(line.messages[:place]), (*codec.turn(line.messages[place]["content"]), end)


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
