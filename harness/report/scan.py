"""Strings shaped like keys: none may leave in a publication."""

from __future__ import annotations

import re
from typing import Any

REDACTED = "[REDACTED]"

KEYS = re.compile(
    r"""(?x) \b(?:
      sk-[A-Za-z0-9_-]{20,}                                   # OpenAI, Anthropic and their kin
    | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_\w{40,}         # GitHub
    | glpat-[\w-]{20,}                                        # GitLab
    | hf_[A-Za-z0-9]{30,}                                     # Hugging Face
    | (?:AKIA|ASIA)[0-9A-Z]{16}                               # AWS
    | AIza[\w-]{35}                                           # Google
    | xox[abeprs]-[\w-]{10,}                                  # Slack
    | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{20,}             # Stripe
    | gsk_[A-Za-z0-9]{40,} | r8_[A-Za-z0-9]{30,}              # Groq, Replicate
    | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}                # JSON Web Tokens
    ) | -----BEGIN\ (?:[A-Z]+\ )*PRIVATE\ KEY-----"""
)
"""Prefixes that issuers chose so that their keys can be found; few false alarms."""


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
