"""Strings shaped like keys: none may leave in a publication."""

from __future__ import annotations

from typing import Any

from harness.keys import KEYS

REDACTED = "[REDACTED]"


def suspects(text: str) -> list[str]:
    """Returns what looks like a key, shortened so that a message gives nothing away."""
    return sorted({f"{found.group()[:6]}…({len(found.group())} characters)" for found in KEYS.finditer(text)})


def redact(value: Any) -> Any:
    """Returns JSON-like data with `[REDACTED]` in place of what looks like a key."""
    if isinstance(value, str):
        return KEYS.sub(REDACTED, value)
    if isinstance(value, dict):
        return {redact(key): redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(redact(item) for item in value)
    return value
