"""A batch's files: requests become lines, lines become answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import harness

RETRIED = frozenset({408, 409, 424, 425, 429, 498, 499})
"""Client errors that pass; 424, 498 and 499 are of gateways."""
PASSING = RETRIED | {401, 402, 403, 404}
"""Client errors that do not speak of the one request: asking it anew shows what they mean."""


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
        elif isinstance(status, int) and 400 <= status < 500 and status not in PASSING:
            into.refused[key] = f"{status} {said(body)}"
        else:
            into.passing[key] = f"{status} {said(body)}" if response else said(row.get("error"))


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def said(error: Any) -> str:
    """Returns code and message of an error as it stands in a file, one line of at most 300 characters."""
    inner = error.get("error", error) if isinstance(error, dict) else {}
    inner = inner if isinstance(inner, dict) else {}
    words = [str(inner[name]) for name in ("code", "message") if inner.get(name)]
    return " ".join(": ".join(words).split())[:300] or "the line has neither answer nor error"
