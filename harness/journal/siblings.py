"""What the journals of other runs have to give: read-only, and whatever cannot be read gives nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.journal import Entry, Job, read_answers, read_job, read_keys, reading


def sibling_answers(path: Path, keys: Sequence[str]) -> dict[str, Entry]:
    """Returns from another run's journal the answers worth taking over: no error and not empty."""
    try:
        with reading(path) as connection:
            found = read_answers(connection, keys)
    except sqlite3.Error:
        return {}  # a journal that cannot be read has nothing to give; the answers are asked anew
    return {key: entry for key, entry in found.items() if entry.error is None and _says_something(entry.body)}


def sibling_keys(path: Path, keys: Sequence[str]) -> set[str]:
    """Returns which of these requests another run's journal has an answer to, or a refusal."""
    try:
        with reading(path) as connection:
            return read_keys(connection, keys)
    except sqlite3.Error:
        return set()


def _says_something(body: Mapping[str, Any]) -> bool:
    """Whether an answer has any text; a run that meets an empty one asks again."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        return bool(body.get("text")) if "text" in body else bool(body)
    messages = [choice.get("message") or choice for choice in choices if isinstance(choice, Mapping)]
    return any(isinstance(one, Mapping) and (one.get("content") or one.get("text")) for one in messages)


def sibling_job(path: Path, tag: str) -> Job | None:
    """Returns a succeeded training job from another run's journal."""
    job = sibling_record(path, tag)
    return job if job is not None and job.model is not None else None


def sibling_notes(path: Path, prefix: str) -> list[tuple[str, str]]:
    """Returns what another run has noted under keys that begin so: key and note."""
    query = "SELECT key, value FROM notes WHERE substr(key, 1, ?) = ? ORDER BY key"
    try:
        with reading(path) as connection:
            return [(str(key), str(value)) for key, value in connection.execute(query, (len(prefix), prefix))]
    except sqlite3.Error:  # no journal, or one of the first schema, which has no notes
        return []


def sibling_record(path: Path, tag: str) -> Job | None:
    """Returns a training job from another run's journal as that run last saw it, whatever became of it."""
    try:
        with reading(path) as connection:
            return read_job(connection, tag)
    except sqlite3.Error:
        return None
