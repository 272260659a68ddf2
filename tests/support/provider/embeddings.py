"""The fake provider's vectors: bags of words, hashed; so texts that share words are alike, on every machine."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Mapping
from typing import Any

from support.provider.errors import ApiError
from support.provider.model import size
from support.provider.settings import Settings

DIMENSIONS = 32


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Returns a text's vector of length 1: each word adds to the place that its hash names."""
    counts = [0.0] * dimensions
    for word in re.findall(r"\w+", text.casefold()):
        counts[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % dimensions] += 1.0
    length = sum(count * count for count in counts) ** 0.5 or 1.0
    return [count / length for count in counts]


def embeddings(settings: Settings, body: Mapping[str, Any]) -> dict[str, Any]:
    """Answers ``/v1/embeddings``; the last text comes first, for places are said and not counted."""
    model, texts = body.get("model"), body.get("input")
    if model not in settings.embedding_models:
        raise ApiError(404, "model_not_found", f"The model `{model}` does not exist or you do not have access to it.")
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        raise ApiError(400, "invalid_request_error", "'$.input' is invalid.", param="input")
    rows = [vector(text, body.get("dimensions") or DIMENSIONS) for text in texts][: settings.embeddings_at_most]
    packed = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": place,
            "embedding": base64.b64encode(struct.pack(f"<{len(row)}f", *row)).decode() if packed else row,
        }
        for place, row in enumerate(rows)
    ]
    used = sum(size(settings, text) for text in texts)
    return {
        "object": "list",
        "data": data[::-1],
        "model": model,
        **({"usage": {"prompt_tokens": used, "total_tokens": used}} if settings.usage else {}),
    }
