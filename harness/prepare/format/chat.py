"""Rules for chat files: one conversation a line, `{"messages": [{"role": …, "content": …}, …]}`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import nearest
from harness.findings.files import quoted
from harness.numbers import counted
from harness.prepare.format import found
from harness.prepare.format.columns import COMPLETION_KEYS
from harness.prepare.profiles import LARGEST_WEIGHT, Profile
from harness.types import Check

ROLES = ("system", "developer", "user", "assistant")
MESSAGE_KEYS = ("role", "content", "name", "weight", "refusal")
TOOL_ROLES = ("tool", "function")
TOOL_KEYS = ("tools", "functions", "parallel_tool_calls", "tool_calls", "tool_call_id", "function_call")
"""As the API reference of `openai` 3.54 has them for fine-tuning lines (fine-tuning by supervision, chat format)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chat file. What is no object in it stays out of `messages`."""

    number: int
    keys: tuple[str, ...]
    listed: bool
    """Whether `messages` is a list that is not empty."""
    messages: tuple[Mapping[str, Any], ...]
    broken: int
    """Members of the list that are no objects."""
    weight: Any = None

    @property
    def tools(self) -> bool:
        """Whether tools or functions are used anywhere."""
        keys = {*self.keys, *(key for message in self.messages for key, value in message.items() if value)}
        roles = {message.get("role") for message in self.messages if isinstance(message.get("role"), str)}
        return not keys.isdisjoint(TOOL_KEYS) or not roles.isdisjoint(TOOL_ROLES)

    def role(self, place: int) -> Any:
        """Returns the role of the message at `place`, `None` where there is none."""
        return self.messages[place].get("role") if self.messages else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat file."""

    lines: tuple[Line, ...]
    profile: Profile

    @property
    def read(self) -> Iterator[Line]:
        """The lines with messages: what is wrong with the others is said once."""
        return (line for line in self.lines if line.listed)


def lines(values: Sequence[Any]) -> tuple[Line, ...]:
    """Takes lines apart; any JSON value is let pass."""
    return tuple(_line(number, value) for number, value in enumerate(values, 1))


def _line(number: int, value: Any) -> Line:
    fields = value if isinstance(value, Mapping) else {}
    raw = fields.get("messages")
    members = raw if isinstance(raw, list | tuple) else ()
    messages = tuple(each for each in members if isinstance(each, Mapping))
    return Line(
        number=number,
        keys=tuple(str(key) for key in fields),
        listed=bool(members),
        messages=messages,
        broken=len(members) - len(messages),
        weight=fields.get("weight"),
    )


def _error(kind: str, numbers: Sequence[int], what: str, advice: str) -> Iterator[Check]:
    """One finding of level `error` for the lines of these numbers, none where there are none."""
    message = f"{counted(len(numbers), 'line')} {what}"
    yield from found.at(
        numbers, Check(kind=kind, level="error", message=message, heading="quality", advice=advice), "line"
    )


def _those(chat: Chat, wrong: Callable[[Line], bool]) -> list[int]:
    return [line.number for line in chat.read if wrong(line)]


def number_of_examples(chat: Chat) -> Iterator[Check]:
    """`training-examples`."""
    yield from found.examples(len(chat.lines), chat.profile)


def mixed_lines(chat: Chat) -> Iterator[Check]:
    """`mixed-lines`: prompt/completion lines among chat lines."""
    numbers = [line.number for line in chat.lines if not set(line.keys).isdisjoint(COMPLETION_KEYS)]
    yield from _error("mixed-lines", numbers, "of prompt and completion in a chat file", "Write one kind in a file.")


def missing_messages(chat: Chat) -> Iterator[Check]:
    """`missing-messages`: no list of messages."""
    numbers = [line.number for line in chat.lines if not line.listed and set(line.keys).isdisjoint(COMPLETION_KEYS)]
    keys = {key for line in chat.lines if not line.listed for key in line.keys if key != "messages"}
    near = nearest("messages", keys) if keys else ""
    advice = 'Give every line a list "messages" that is not empty' + (f"; {near}" if near.startswith("did") else ".")
    yield from _error("missing-messages", numbers, "without a list of messages", advice)


def line_keys(chat: Chat) -> Iterator[Check]:
    """`line-keys`: other keys than `messages` in a line."""
    known = {"messages", *COMPLETION_KEYS, *TOOL_KEYS} | ({"weight"} if chat.profile.example_weights else set())
    unknown = sorted({key for line in chat.read for key in line.keys} - known)
    numbers = _those(chat, lambda line: not known.issuperset(line.keys))
    what = f"with keys beside messages: {', '.join(map(quoted, unknown[:6]))}"
    yield from _error("line-keys", numbers, what, f"Leave them out: {chat.profile.name} refuses such lines.")


def message_keys(chat: Chat) -> Iterator[Check]:
    """`message-keys`: members of `messages` that are no objects, have no role, or have unknown keys."""
    known = {*MESSAGE_KEYS, *TOOL_KEYS}

    def wrong(line: Line) -> bool:
        return bool(line.broken) or any("role" not in each or not known.issuperset(each) for each in line.messages)

    unknown = sorted({str(key) for line in chat.read for each in line.messages for key in each if key not in known})
    what = "with a message that has no role, or an unknown key"
    if unknown:
        what += f": {', '.join(map(quoted, unknown[:6]))}; {nearest(unknown[0], MESSAGE_KEYS)}"
    yield from _error("message-keys", _those(chat, wrong), what, 'Give every message "role" and "content" alone.')


def unknown_role(chat: Chat) -> Iterator[Check]:
    """`unknown-role`: another role than system, developer, user, assistant."""
    known = (*ROLES, *TOOL_ROLES)

    def strange(message: Mapping[str, Any]) -> bool:
        return "role" in message and message["role"] not in known

    roles = sorted({str(each["role"]) for line in chat.read for each in line.messages if strange(each)})
    if roles:
        numbers = _those(chat, lambda line: any(map(strange, line.messages)))
        what = f"with an unknown role: {', '.join(map(quoted, roles[:6]))}"
        advice = found.advised("Give every message a known role; ", roles[0], ROLES)
        yield from _error("unknown-role", numbers, what, advice)


def missing_content(chat: Chat) -> Iterator[Check]:
    """`missing-content`: a message without text; one that calls a tool needs none."""
    numbers = _those(
        chat, lambda line: any(not _has_text(each) for each in line.messages if set(each).isdisjoint(TOOL_KEYS))
    )
    yield from _error("missing-content", numbers, "with a message without text", "Give every message its content.")


def _has_text(message: Mapping[str, Any]) -> bool:
    content = message.get("content")
    if isinstance(content, list):
        return bool(content) and all(
            isinstance(part, Mapping) and isinstance(part.get("text"), str) for part in content
        )
    return isinstance(content, str) and bool(content)


def no_assistant(chat: Chat) -> Iterator[Check]:
    """`no-assistant`: no message of the assistant to learn from, or only such of weight 0."""
    numbers = _those(
        chat, lambda line: not any(each.get("role") == "assistant" and each.get("weight", 1) for each in line.messages)
    )
    yield from _error(
        "no-assistant", numbers, "without an assistant's message to learn from", "End each with the right answer."
    )


def first_assistant(chat: Chat) -> Iterator[Check]:
    """`first-assistant`: the conversation begins with the assistant."""
    numbers = _those(chat, lambda line: line.role(0) == "assistant")
    yield from _error("first-assistant", numbers, "beginning with the assistant", "Begin each with what the user says.")


def last_not_assistant(chat: Chat) -> Iterator[Check]:
    """`last-not-assistant`: the conversation ends with another than the assistant."""
    numbers = _those(chat, lambda line: bool(line.messages) and line.role(-1) != "assistant")
    yield from _error(
        "last-not-assistant", numbers, "not ending with the assistant", "Cut what stands after the last answer."
    )


def message_weight(chat: Chat) -> Iterator[Check]:
    """`message-weight`: a message's weight is neither 0 nor 1, or it is not the assistant's."""

    def wrong(message: Mapping[str, Any]) -> bool:
        weight = message.get("weight", 1)
        return isinstance(weight, bool) or weight not in (0, 1) or ("weight" in message and not _assistant(message))

    numbers = _those(chat, lambda line: any(map(wrong, line.messages)))
    what = "with a message's weight that is not 0 or 1, or not the assistant's"
    yield from _error("message-weight", numbers, what, "Weights of messages are 0 or 1, and the assistant's alone.")


def _assistant(message: Mapping[str, Any]) -> bool:
    return bool(message.get("role") == "assistant")


def example_weight(chat: Chat) -> Iterator[Check]:
    """`example-weight`: weights of whole lines that are missing in some, not above 0 or too large."""
    weighted = [line for line in chat.read if "weight" in line.keys]
    if not weighted or not chat.profile.example_weights:
        return

    def fine(weight: Any) -> bool:
        return isinstance(weight, int | float) and not isinstance(weight, bool) and 0 < weight <= LARGEST_WEIGHT

    yield from found.weights(_those(chat, lambda line: not fine(line.weight)), "line")


def tool_lines(chat: Chat) -> Iterator[Check]:
    """`tool-lines`: tools and functions are not compared here, so such lines are refused by name."""
    numbers = [line.number for line in chat.lines if line.tools]
    yield from _error(
        "tool-lines", numbers, "with tools or functions", "Leave them out: plain answers alone are trained."
    )


def _systems(chat: Chat) -> list[tuple[int, str | None]]:
    """Line number and system message, `None` where there is none."""
    return [(line.number, _system(line)) for line in chat.read]


def _system(line: Line) -> str | None:
    for message in line.messages:
        if message.get("role") in ("system", "developer"):
            return json.dumps(message.get("content"), sort_keys=True, default=str)
    return None


def missing_system(chat: Chat) -> Iterator[Check]:
    """`missing-system`: some lines have no system message and others have one; none at all is a fact for the record."""
    systems = _systems(chat)
    yield from without_system([number for number, text in systems if text is None], len(systems))


def without_system(without: Sequence[int], lines: int) -> Iterator[Check]:
    """`missing-system`, from the numbers of the lines that have no system message, of `lines`."""
    n = len(without)
    if n and n == lines:
        yield Check(
            kind="missing-system",
            level="ok",
            message="no line has a system message",
            figures=found.where(without),
            heading="quality",
        )
        return
    check = Check(
        kind="missing-system",
        level="warning",
        message=f"{counted(n, 'line')} of {lines:,} {'has' if n == 1 else 'have'} no system message",
        heading="quality",
        advice="Begin all with it or none, as the model will be asked.",
    )
    yield from found.at(without, check, "line")


def inconsistent_system(chat: Chat) -> Iterator[Check]:
    """`inconsistent-system`: system messages that differ."""
    different = {text for _, text in _systems(chat) if text is not None}
    if len(different) > 1:
        yield Check(
            kind="inconsistent-system",
            level="warning",
            message=f"{len(different):,} different system messages",
            figures={"messages": len(different)},
            heading="quality",
            advice="Use the one that the model will be asked with.",
        )


def duplicate_rows(chat: Chat) -> Iterator[Check]:
    """`duplicate-rows`: a conversation that stands in an earlier line already."""
    seen: set[str] = set()
    numbers = []
    for line in chat.read:
        text = _text(line.messages)
        if text in seen:
            numbers.append(line.number)
        seen.add(text)
    yield from found.repeats(numbers, len(chat.lines), "line")


def conflicting_completions(chat: Chat) -> Iterator[Check]:
    """`conflicting-completions`: conversations that differ in their last message alone."""
    answers: dict[str, set[str]] = {}
    asked = [(line.number, _text(line.messages[:-1]), _text(line.messages[-1:])) for line in chat.read if line.messages]
    for _, question, answer in asked:
        answers.setdefault(question, set()).add(answer)
    numbers = [number for number, question, _ in asked if len(answers[question]) > 1]
    yield from found.conflicts(numbers, sum(len(each) > 1 for each in answers.values()), "line")


def _text(messages: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps([[str(each.get("role")), each.get("content")] for each in messages], sort_keys=True, default=str)
