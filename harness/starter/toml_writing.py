"""Values as TOML writes them. The files that are written are for people: comments and layout are the writer's own."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.errors import DataError

Value = str | bool | int | float | Sequence[str] | Sequence[int] | Sequence[bool]


def string(text: str) -> str:
    """Returns a basic string on one line (TOML 1.0: JSON's escapes, and DEL has to be escaped too).

    Raises:
        DataError: The text holds half of a surrogate pair, which no file in UTF-8 can hold.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{text[:60]!a} cannot be written into an experiment file: it holds half of a surrogate pair",
            "correct it in the data",
        ) from None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def block(text: str) -> str:
    """Returns a string over several lines, for texts that people will edit; on one line where it has no line break."""
    if "\n" not in text:
        return string(text)
    lines = [string(line)[1:-1] for line in text.split("\n")]
    if '"""' not in text and not text.endswith('"'):
        lines = [line.replace('\\"', '"') for line in lines]
    return '"""\n' + "\n".join(lines) + '"""'


def value(given: Value) -> str:
    """Returns a string, truth value, number or list of them."""
    if isinstance(given, str):
        return string(given)
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, int | float):
        return repr(given)
    return f"[{', '.join(value(each) for each in given)}]"
