"""Files that `harness prepare` has written: their columns are known and need no guess."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness.guessing.rules import Guess

_COLUMNS = ("id", "split", "label", "text", "fields", "group", "slices", "time")
_UNREAD = frozenset({"id", "fields", "slices"})
"""Columns that are for programs alone."""


def readable(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows of such a file without the columns that no experiment should name."""
    return [{name: value for name, value in row.items() if name not in _UNREAD} for row in rows]


def known(rows: Sequence[Mapping[str, Any]]) -> dict[str, Guess | None]:
    """Says what the columns of such a file are: option → column, `None` where it has none.

    The texts are the columns of the fields; where a field's name was not free for one, the column with all of them.

    Args:
        rows: As they stand in the file.
    """
    names = tuple(dict.fromkeys(name for row in rows for name in json.loads(row["fields"])))
    free = names and not {*names} & {*_COLUMNS}
    splits = {row["split"] for row in rows}
    columns: dict[str, str | tuple[str, ...] | None] = {
        "text": names if free else ("text",),
        "label": "label",
        "group": "group" if any(row["group"] for row in rows) else None,
        "time": "time" if all(row["time"] for row in rows) else None,
        "split": "split" if all(splits) and {"train", "test"} <= splits else None,
    }
    why = "`harness prepare` has written this file"
    return {
        option: None if value is None else Guess(option=option, value=value, confidence="sure", reason=why)
        for option, value in columns.items()
    }
