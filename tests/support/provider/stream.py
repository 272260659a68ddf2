"""Answers as streams of server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from support.provider.model import tokens


def events(body: Mapping[str, Any], *, usage: bool) -> list[bytes]:
    """Cuts an answer into the events of a stream.

    Args:
        body: The answer in one piece.
        usage: Whether the stream ends with the usage, as `stream_options` may ask.
    """
    head = {key: value for key, value in body.items() if key not in {"choices", "usage"}}
    if head["object"] == "chat.completion":
        head["object"] = "chat.completion.chunk"
    made = [{**head, "choices": [piece]} for choice in body["choices"] for piece in _pieces(choice)]
    if usage and "usage" in body:
        made.append({**head, "choices": [], "usage": body["usage"]})
    return [f"data: {json.dumps(event)}\n\n".encode() for event in made] + [b"data: [DONE]\n\n"]


def _pieces(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    chat = "message" in choice
    text = choice["message"]["content"] if chat else choice["text"]
    open_ended = {"index": choice["index"], "finish_reason": None, "logprobs": None}
    if chat:
        yield {**open_ended, "delta": {"role": "assistant", "content": ""}}
    for number, part in enumerate(tokens(text)):
        logprobs = choice.get("logprobs")
        if logprobs:
            # The first piece brings what is there of each list, the rest comes with the others.
            logprobs = {key: value if number == 0 else [] for key, value in logprobs.items() if value is not None}
        yield {**open_ended, **({"delta": {"content": part}} if chat else {"text": part}), "logprobs": logprobs}
    end: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
    yield {**open_ended, **end, "finish_reason": choice["finish_reason"]}
