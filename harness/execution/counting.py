"""Tokens of requests counted here: for estimates, and for endpoints that do not say what they have counted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.types import Call, Reply, Usage

if TYPE_CHECKING:
    from harness.tokens import Vocabulary


def prompt_tokens(bodies: Sequence[Mapping[str, Any]], vocabulary: Vocabulary) -> list[int]:
    """Returns the prompt tokens of each request; a text that many of them share is counted once.

    What an endpoint adds around messages is an estimate, and a JSON schema counts as its text.
    """
    from harness.tokens import PER_MESSAGE, PER_REPLY

    parts: list[list[str]] = []
    beside: list[int] = []
    for body in bodies:
        messages = body.get("messages")
        if isinstance(messages, list | tuple):
            beside.append(PER_REPLY + PER_MESSAGE * len(messages))
            parts.append([text for message in messages for text in _texts(message)])
        else:
            prompt = body.get("prompt", body.get("input"))  # texts of a request for embeddings
            beside.append(0)
            parts.append([prompt] if isinstance(prompt, str) else [str(each) for each in prompt or ()])
        wanted = body.get("response_format")
        if wanted:
            parts[-1].append(json.dumps(wanted, ensure_ascii=False, default=dict))
    distinct = list(dict.fromkeys(text for texts in parts for text in texts))
    counts = dict(zip(distinct, (int(count) for count in vocabulary.count(distinct)), strict=True))
    return [extra + sum(counts[text] for text in texts) for extra, texts in zip(beside, parts, strict=True)]


def counted(call: Call, reply: Reply) -> Usage:
    """Returns a request's tokens as far as they can be counted from here: an estimate."""
    from harness.tokens import vocabulary_of

    vocabulary = vocabulary_of(str(call.body.get("model", "")))
    said = [_said(choice.get("message") or choice) for choice in _tables(reply.get("choices"))]
    return Usage(input=prompt_tokens([call.body], vocabulary)[0], output=int(vocabulary.count(said).sum()))


def _texts(message: Any) -> list[str]:
    """Returns what counts of a prompt's message: its role and what it says."""
    role = message.get("role") if isinstance(message, Mapping) else None
    return [*([role] if isinstance(role, str) else []), _said(message)]


def _said(message: Any) -> str:
    """Returns what a message says, or the text of a completion."""
    if not isinstance(message, Mapping):
        return ""
    content = message.get("content", message.get("text"))
    if isinstance(content, list | tuple):
        content = "".join(str(part.get("text") or "") for part in _tables(content))
    return content if isinstance(content, str) else ""


def _tables(value: Any) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []
