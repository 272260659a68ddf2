"""A batch's files: requests become lines, lines become answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import harness


@dataclass(slots=True, kw_only=True)
class Part:
    """The requests of one batch, and its file."""

    calls: dict[str, harness.Call] = field(default_factory=dict)
    """Key → call, in the file's order."""
    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    @property
    def content(self) -> bytes:
        """The file."""
        return b"".join(self.lines)


def parts(
    calls: Iterable[tuple[str, harness.Call]],
    *,
    prefix: str,
    most: int,
    most_bytes: int,
    admit: Callable[[harness.Call], bool],
    too_large: Callable[[str, harness.Call], None],
) -> Iterator[Part]:
    """Fills one file after the other, as far as the budget goes.

    Args:
        calls: Keys and calls.
        prefix: What stands before a call's path in the line's URL.
        most: Requests in a file.
        most_bytes: Bytes in a file.
        admit: Reserves a call's cost; False ends the last file.
        too_large: Takes a call that fits into no file.
    """
    part = Part()
    for key, call in calls:
        line = _line(key, call, prefix)
        if len(line) > most_bytes:
            too_large(key, call)
            continue
        if part.calls and (len(part.calls) >= most or part.size + len(line) > most_bytes):
            yield part
            part = Part()
        if not admit(call):
            break
        part.calls[key] = call
        part.lines.append(line)
        part.size += len(line)
    if part.calls:
        yield part


def _line(key: str, call: harness.Call, prefix: str) -> bytes:
    # ASCII alone: no reader takes a character of a text for the end of the line.
    row = {"custom_id": key, "method": "POST", "url": prefix + call.path, "body": dict(call.body)}
    return json.dumps(row, default=_plain).encode() + b"\n"


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value)


@dataclass(slots=True, kw_only=True)
class Collected:
    """What a batch's files came to, beside its answers."""

    answered: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Key → why asking again would not help."""
    passing: dict[str, str] = field(default_factory=dict)
    """Key → why there is no answer so far."""
    unpaid: set[str] = field(default_factory=set)
    """Those of them for which there is no credit: another batch now would bring them no answer either."""
    broken: int = 0
    """Lines that are no JSON objects."""
    useless: int = 0
    """Lines that are broken, repeated or nobody's."""


def read(
    lines: Iterable[str], keys: frozenset[str], into: Collected, seen: set[str], answer: Callable[[str, Any], None]
) -> None:
    """Reads lines of an output or error file.

    Args:
        lines: In any order.
        keys: The names of the batch's requests.
        into: Where the rest goes.
        seen: The keys that have been read before; it grows.
        answer: Takes key and body of each answer.
    """
    for line in lines:
        row = _object(line)
        key = row.get("custom_id")
        into.broken += not row
        if not isinstance(key, str) or key not in keys or key in seen:
            into.useless += 1
            continue
        seen.add(key)
        response = given if isinstance(given := row.get("response"), dict) else {}
        status, body = response.get("status_code"), response.get("body")
        status = int(status) if isinstance(status, str) and status.isdecimal() else status
        if status == 200 and isinstance(body, dict) and isinstance(body.get("choices"), list) and body["choices"]:
            into.answered += 1
            answer(key, body)
            continue
        error = _error(body if response else row.get("error"))
        unpaid = harness.replies.is_unpaid(status, str(error.get("message")), error.get("code"), error.get("type"))
        final = status in harness.replies.OF_THE_REQUEST and not unpaid  # else asking anew shows what it means
        if unpaid:
            into.unpaid.add(key)
        (into.refused if final else into.passing)[key] = f"{status} {_said(error)}" if response else _said(error)


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _error(given: Any) -> dict[str, Any]:
    """Returns an error as an object, however it stands in a file."""
    inner = given.get("error", given) if isinstance(given, dict) else given
    return inner if isinstance(inner, dict) else {"message": inner} if isinstance(inner, str) else {}


def _said(error: Mapping[str, Any]) -> str:
    """Returns code and message of an error, one line of at most 300 characters."""
    words = [str(error[name]) for name in ("code", "message") if error.get(name)]
    return " ".join(": ".join(words).split())[:300] or "the line has neither answer nor error"
