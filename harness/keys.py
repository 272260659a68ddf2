"""What keys look like: for data that is about to be sent, and for pages that are about to be published."""

from __future__ import annotations

import re

KEYS = re.compile(
    r"""(?x) \b(?:
      # OpenAI, Anthropic, OpenRouter and their kin: sk-…, sk-proj-…, sk-ant-…; hyphenated words have no such part
      sk-(?=[\w-]{0,200}?(?=[A-Za-z]{0,60}[0-9])[A-Za-z0-9]{16})[A-Za-z0-9_-]{20,}
    | (?:xai|gsk|nvapi|pplx)[-_][A-Za-z0-9_-]{40,}           # xAI, Groq, NVIDIA, Perplexity
    | gh[pousr]_[A-Za-z0-9]{36,} | github_pat_\w{40,}         # GitHub
    | glpat-[\w-]{20,}                                        # GitLab
    | hf_[A-Za-z0-9]{30,} | r8_[A-Za-z0-9]{30,}              # Hugging Face, Replicate
    | npm_[A-Za-z0-9]{36} | pypi-AgE[\w-]{50,}                # npm, PyPI
    | (?:AKIA|ASIA)[0-9A-Z]{16}                               # AWS
    | AIza[\w-]{35}                                           # Google
    | xox[abeprs]-[\w-]{10,} | xapp-[0-9]-[\w-]{20,}          # Slack
    | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{20,}             # Stripe
    | [A-Za-z0-9]{52}JQQJ9[A-Za-z0-9]{27}                     # Azure AI services
    | (?:Account|SharedAccess)Key=[A-Za-z0-9+/]{40,90}={1,2}  # Azure connection strings
    | \w{3}[0-9]Q~[\w.~-]{31,34}                              # Microsoft Entra client secrets
    | eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}                # JSON Web Tokens
    ) | -----BEGIN\ (?:[A-Z]+\ )*PRIVATE\ KEY-----
        (?:\s*[A-Za-z0-9+/=]{16,})*                             # the key itself, line for line
        (?:\s*[A-Za-z0-9+/=]*\s*-----END\ (?:[A-Z]+\ )*PRIVATE\ KEY-----)?"""
)
"""Prefixes that issuers chose so that their keys can be found; few false alarms."""

_STARTS = (
    *("sk-", "gh", "github_pat_", "glpat-", "hf_", "xox", "sk_", "rk_", "pk_", "gsk", "r8_", "-----BEGIN", "xai"),
    *("nvapi", "pplx", "npm_", "pypi-", "xapp-"),
)
"""What keys begin with that have a hyphen or an underscore."""


def may_hold_key(text: str) -> bool:
    """Returns `False` only where `KEYS` finds nothing; several times as quick, for texts by the million."""
    if "AKIA" in text or "ASIA" in text or "AIza" in text or "eyJ" in text:
        return True
    if "Q~" in text or "Key=" in text or "JQQJ9" in text:
        return True
    return ("_" in text or "-" in text) and any(start in text for start in _STARTS)
