"""Lists as OpenAI pages them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness_local.api.wire import invalid


def page(rows: Sequence[Mapping[str, Any]], query: Mapping[str, str], *, most: int, default: int) -> dict[str, Any]:
    """A page of rows that have an ``id``.

    Args:
        rows: All of them, in order.
        query: ``limit`` and ``after``, the id of the last row of the page before.
        most: Largest limit.
        default: Limit where none is given.

    Raises:
        ApiError: 400 about ``limit`` or ``after``.
    """
    text = query.get("limit", str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= most:
        raise invalid("limit", f"'limit' must be an integer from 1 to {most}.")
    start = 0
    if after := query.get("after"):
        places = [i for i, row in enumerate(rows) if row["id"] == after]
        if not places:
            raise invalid("after", f"'after' names nothing in this list: {after[:80]!r}.")
        start = places[0] + 1
    shown = list(rows[start : start + int(text)])
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": start + len(shown) < len(rows),
    }


def known_query(query: Mapping[str, str], *names: str) -> None:
    """Refuses query parameters that would otherwise be ignored.

    Raises:
        ApiError: 400, naming the first.
    """
    for name in query:
        if name.split("[", 1)[0] not in names:
            raise invalid(name[:80], f"Unknown parameter: '{name[:80]}'.", "unknown_parameter")
