"""Embeddings of any OpenAI-compatible endpoint: which requests bring them, and how the replies are read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import harness

_TEXTS = 64
"""Texts in one request."""
_BYTES = 250_000
"""Bytes of text in one request: providers limit its tokens, and a token has at least one."""
_LONGEST = 8_000
"""Bytes of a text that are sent: the usual models read 8,191 tokens and refuse more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """Where vectors come from."""

    endpoint: str
    model: str
    dimensions: int | None = None
    """Of a vector, where the model can shorten them."""

    def __post_init__(self) -> None:
        if self.dimensions is not None and self.dimensions < 1:
            raise ValueError(f"dimensions = {self.dimensions}, expected a number above 0")

    def calls(self, texts: Sequence[str]) -> tuple[harness.Call, ...]:
        """Describes the requests; the same texts make the same requests, in whatever order they come."""
        extra = {} if self.dimensions is None else {"dimensions": self.dimensions}
        return tuple(
            harness.Call(
                endpoint=self.endpoint,
                path="/embeddings",
                # base64 is what the `openai` client asks for: a third of the bytes
                body={"model": self.model, "input": [_sent(t) for t in part], "encoding_format": "base64", **extra},
                note={"texts": part},
            )
            for part in _parts(sorted(set(texts)))
        )


def read(bodies: Sequence[harness.Reply]) -> dict[str, Any]:
    """Returns text → vector, float32.

    Raises:
        harness.DataError: A reply does not hold one vector for each text, or vectors differ in length.
    """
    vectors: dict[str, Any] = {}
    for body in bodies:
        texts = body.call.note["texts"]
        vectors |= zip(texts, _vectors(body, len(texts)), strict=True)
    if len({len(vector) for vector in vectors.values()}) > 1:
        raise _error("vectors of different lengths came")
    return vectors


def _vectors(body: Mapping[str, Any], n: int) -> list[Any]:
    data = body.get("data")
    if not isinstance(data, list) or len(data) != n or not all(isinstance(each, dict) for each in data):
        raise _error(f"{n} vectors were asked for, {len(data) if isinstance(data, list) else 'none'} came")
    places = [each.get("index", place) for place, each in enumerate(data)]
    if sorted(map(str, places)) != sorted(map(str, range(n))):
        raise _error("vectors came without the places of their texts")
    found = dict(zip(map(int, places), (_vector(each.get("embedding")) for each in data), strict=True))
    return [found[place] for place in range(n)]


def _vector(value: Any) -> Any:
    import numpy as np

    try:
        if isinstance(value, str):
            vector = np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        else:  # an endpoint that knows no base64
            vector = np.array(value, dtype=np.float32)
    except (binascii.Error, TypeError, ValueError):
        raise _error("what came is no vector") from None
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise _error("what came is no vector of numbers")
    return vector


def _error(message: str) -> harness.DataError:
    return harness.DataError(
        f"embeddings: {message}", "is it a model for embeddings, of an OpenAI-compatible endpoint?"
    )


def _sent(text: str) -> str:
    """Returns what is sent of a text: its beginning, and a space for an empty one, which endpoints refuse."""
    raw = text.encode("utf-8", "replace")
    return (raw[:_LONGEST].decode("utf-8", "ignore") if len(raw) > _LONGEST else text) or " "


def _parts(texts: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for text in texts:
        length = min(len(text.encode("utf-8", "replace")), _LONGEST)
        if part and (len(part) == _TEXTS or size + length > _BYTES):
            yield part
            part, size = [], 0
        part.append(text)
        size += length
    if part:
        yield part
