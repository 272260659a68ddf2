"""Chat lines of fine-tuning files: messages → instruction, text, label, weight.

The form is that of OpenAI's guide on supervised fine-tuning: `{"messages": [{"role": …, "content": …}, …]}`, with an
optional `weight` of 0 or 1 on the assistant's messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import harness
from harness_plugins.datasets._json import JsonLines
from harness_plugins.datasets._notes import shown
from harness_plugins.datasets._source import Source

COLUMNS = ("instruction", "text", "label", "weight")
_INSTRUCTING = ("system", "developer")
_ROLES = (*_INSTRUCTING, "user", "assistant")
_FORM = 'Expected {"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}.'


def is_chat(row: Mapping[str, Any]) -> bool:
    """Whether an object is a chat line."""
    return isinstance(row.get("messages"), list) and not {"text", "label"} & set(row)


def chat(source: Source) -> JsonLines:
    """Reads a file of chat lines as a table; other keys of a line stay columns.

    The label is the last message where that is the assistant's; else there is none. With `source.turns` = "join",
    earlier turns stand before the user's message, each line beginning with its role.

    Raises:
        harness.DataError: A line is no object. While rows are read: a line is no chat (`chat-format`), or has several
            turns (`multi-turn`).
    """
    table = JsonLines(source, _Lines(source).row)
    table.columns = (*COLUMNS, *(key for key in table.first if key not in ("messages", *COLUMNS)))
    return table


class _Lines:
    """Makes rows of chat lines, and compares their instructions."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._instruction: str | None = None

    def row(self, values: Mapping[str, Any], where: str) -> Mapping[str, Any]:
        messages = values.get("messages")
        if not isinstance(messages, list) or not messages:
            raise _no_chat(where, "no list of messages")
        said = [_message(message, where, number) for number, message in enumerate(messages, start=1)]
        instruction = "\n\n".join(content for role, content in said if role in _INSTRUCTING)
        turns = [each for each in said if each[0] not in _INSTRUCTING]
        label = turns.pop()[1] if turns and turns[-1][0] == "assistant" else None
        if not turns or turns[-1][0] != "user":
            raise _no_chat(where, "no user's message before the answer" if label is not None else "no user's message")
        if len(turns) > 1 and self._source.turns == "refuse":
            raise harness.DataError(
                f"{where}: {len(turns)} messages before the answer, expected one user's message (multi-turn)",
                'leave such lines out, or read the conversation as one text: dataset.turns = "join"',
            )
        text = turns[0][1] if len(turns) == 1 else "\n".join(f"{role}: {content}" for role, content in turns)
        self._compare(instruction, where)
        rest = {key: value for key, value in values.items() if key != "messages"}
        weight = self._weight(messages[-1], where) if label is not None else None
        return {**rest, "instruction": instruction, "text": text, "label": label, "weight": weight}

    def _compare(self, instruction: str, where: str) -> None:
        if self._instruction is None:
            self._instruction = instruction
        elif instruction != self._instruction:
            self._source.notes.add("instructions-differ", where)

    def _weight(self, message: Mapping[str, Any], where: str) -> int:
        weight = message.get("weight", 1)
        if weight not in (0, 1):
            raise _no_chat(where, f"weight {shown(weight)}, expected 0 or 1")
        if weight == 0:
            self._source.notes.add("zero-weight", where)
        return int(weight)


def _message(message: object, where: str, number: int) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise _no_chat(where, f"message {number} is no object")
    role, content = message.get("role"), message.get("content")
    if role not in _ROLES:
        raise _no_chat(where, f'message {number} has the role "{shown(role)}", expected {", ".join(_ROLES)}')
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = _joined(content)
    if not isinstance(content, str):
        raise _no_chat(where, f"message {number} ({role}) has no text as its content")
    return role, content


def _joined(parts: Sequence[Any]) -> str | None:
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    return "".join(texts) if all(isinstance(each, str) for each in texts) else None  # type: ignore[arg-type]


def _no_chat(where: str, what: str) -> harness.DataError:
    return harness.DataError(f"{where}: {what} (chat-format)", _FORM)
