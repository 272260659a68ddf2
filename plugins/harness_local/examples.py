"""Fine-tuning files: reading, checking, and turning lines into tokens with their weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness_local.requests import parse_messages
from harness_local.tokens import Codec
from harness_local.wire import ApiError, Fields, encodable

LEAST = 10
"""Fewest examples of a training file."""


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
    """One example: text for text, or a conversation. `weights` says which assistant messages are learned."""

    prompt: str = ""
    completion: str = ""
    messages: tuple[dict[str, str], ...] = ()
    weights: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """Tokens of one example; `learned` are the places of the tokens whose prediction is trained."""

    ids: tuple[int, ...]
    learned: tuple[int, ...]


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
    if extra := sorted(set(value) - {"prompt", "completion"}):
        raise FileError("invalid_file_format", f"{where}: unexpected key {extra[0][:50]!r}.")
    return Line(prompt=value["prompt"], completion=value["completion"])


def _conversation(value: dict[str, Any], where: str) -> Line:
    weights, cleaned = [], []
    try:
        fields = Fields(value)
        raw = fields.raw("messages")
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
    return Line(messages=messages, weights=tuple(weights))


def samples(lines: Iterable[Line], codec: Codec, end: int, limit: int) -> list[Sample]:
    """Tokens of examples, each cut at `limit` tokens from the end of its prompt's beginning.

    Prompt and completion are tokenised apart and joined, as they are when the model answers. After each learned text
    the token `end` is learned too, so that a fine-tuned model stops by itself.
    """
    return [sample for line in lines for sample in _samples(line, codec, end, limit)]


def _samples(line: Line, codec: Codec, end: int, limit: int) -> Iterator[Sample]:
    if not line.messages:
        yield _joined(codec.encode(line.prompt).ids, codec.encode(line.completion, start=False).ids, end, limit)
        return
    for index, message in enumerate(line.messages):
        if message["role"] == "assistant" and line.weights[index]:
            prompt = codec.chat(line.messages[:index])
            yield _joined(prompt, codec.encode(message["content"], start=False).ids, end, limit)


def _joined(prompt: tuple[int, ...], answer: tuple[int, ...], end: int, limit: int) -> Sample:
    answer = (*answer, end)[: limit - 1]
    # The end of a prompt says what is asked; where something must go, it is the beginning.
    prompt = prompt[-(limit - len(answer)) :]
    return Sample((*prompt, *answer), tuple(range(len(prompt), len(prompt) + len(answer))))
