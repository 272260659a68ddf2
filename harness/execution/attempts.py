"""One attempt: a request goes out, its body comes back decoded once."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.execution.connection import Connection
from harness.execution.faults import BadBody
from harness.execution.targets import Target
from harness.execution.work import Request
from harness.secrets import Scrubber

if TYPE_CHECKING:
    from openai import AsyncOpenAI


EMBEDDINGS = "/embeddings"
"""The path whose answers are vectors instead of choices."""


class Came(NamedTuple):
    """What came back."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    first_token_s: float | None = None
    """Seconds to the first piece of text, where the answer was streamed."""


async def attempt(connection: Connection, target: Target, request: Request, scrub: Scrubber) -> Came:
    """Sends a request once.

    Raises:
        BadBody: What came is no answer.
        TimeoutError: It did not come whole within the endpoint's time limit.
        openai.APIError: The endpoint or the connection failed.
        aiohttp.ClientError: The connection failed.
    """
    # The client's own limit is one for each read: a server that dribbles would never reach it.
    async with asyncio.timeout(target.timeout_s):
        if target.stream and request.path != EMBEDDINGS:
            return await _streamed(connection.client, request, scrub)
        content, headers = await connection.post(request.path, request.body)
    try:
        body = json.loads(scrub(content.decode("utf-8", "replace")) if scrub.finds(content) else content)
    except ValueError:
        said = "the body is empty" if not content.strip() else "the body is no JSON, or was cut off"
        raise BadBody(said) from None
    return Came(_answer(body, request.path), headers)


def _answer(body: object, path: str) -> dict[str, Any]:
    """Returns a body that is an answer.

    Raises:
        BadBody: It is none: what is wrong may pass.
    """
    if not isinstance(body, dict):
        raise BadBody("the body is no JSON object")
    billed = body if isinstance(body.get("usage"), dict) else None
    choices = body.get("data" if path == EMBEDDINGS else "choices")
    if body.get("error") and not choices:  # some gateways send their errors with status 200
        raise BadBody(_came_instead(body["error"]), billed)
    if not choices or not isinstance(choices, list):
        raise BadBody("the answer has no vectors" if path == EMBEDDINGS else "the answer has no choices", billed)
    for choice in choices if path != EMBEDDINGS else ():
        if not _is_choice(choice):
            raise BadBody(f"a choice of the answer is none of the API's: {json.dumps(choice)[:300]}", billed)
        if choice.get("error") or choice.get("finish_reason") == "error":  # as OpenRouter says that a provider broke
            raise BadBody(_came_instead(choice.get("error") or "the provider broke off"), billed)
    return body


def _is_choice(choice: object) -> bool:
    """Whether a choice has the types of the API where it has something: an object, a text, a message."""
    if not isinstance(choice, dict) or not isinstance(choice.get("finish_reason"), str | None):
        return False
    message, logprobs = choice.get("message"), choice.get("logprobs")
    if not isinstance(message, dict | None) or not isinstance(logprobs, dict | None):
        return False
    content = message.get("content") if message else None
    return isinstance(choice.get("text"), str | None) and isinstance(content, str | list | None)


def _came_instead(error: object) -> str:
    return f"an error came instead of an answer: {json.dumps(error)[:300]}"


def says_nothing(body: Mapping[str, Any]) -> bool:
    """Whether an answer is empty though nothing says why: neither a limit, a filter nor a refusal."""
    choices = body.get("choices")
    return bool(choices) and all(
        isinstance(choice, Mapping)
        and choice.get("finish_reason") in {"stop", None}
        and not (choice.get("text") or any((choice.get("message") or {}).get(k) for k in ("content", "refusal")))
        for choice in choices or ()
    )


async def _streamed(client: AsyncOpenAI, request: Request, scrub: Scrubber) -> Came:
    """Asks for a stream and puts the answer together, in the form that it would have had in one piece."""
    from openai import AsyncStream

    body = {**request.body, "stream": True, "stream_options": {"include_usage": True}}
    began = time.perf_counter()
    stream = await client.post(request.path, cast_to=object, body=body, stream=True, stream_cls=AsyncStream[object])
    async with stream:
        try:
            whole, first = await assembled(stream, began)
        except ValueError:
            raise BadBody("a piece of the stream is no JSON, or was cut off") from None
    if scrub.values:
        whole = json.loads(scrub(json.dumps(whole, ensure_ascii=False)))
    return Came(_answer(whole, request.path), stream.response.headers, first)


async def assembled(chunks: AsyncIterator[Any], began: float) -> tuple[dict[str, Any], float | None]:
    """Puts a stream's chunks together.

    Args:
        chunks: Chunks of `chat.completion.chunk` or `text_completion` objects.
        began: `time.perf_counter()` of the request.

    Returns:
        The body that the answer in one piece would have had, and the seconds to the first piece of text.

    Raises:
        BadBody: It ended before the answer did.
    """
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    first: float | None = None
    async for chunk in chunks:
        if not isinstance(chunk, dict):
            raise BadBody("a piece of the stream is no JSON object")
        for choice in chunk.get("choices") or ():
            if not isinstance(choice, dict) or not _is_piece(choice):
                raise BadBody("a piece of the stream is none of the API's")
            if _add(choices.setdefault(choice.get("index", 0), {}), choice) and first is None:
                first = time.perf_counter() - began
        whole |= {key: value for key, value in chunk.items() if key != "choices" and value is not None}
    if any(choice.get("finish_reason") is None for choice in choices.values()):
        raise BadBody("the stream was cut off")
    whole["choices"] = [choices[index] for index in sorted(choices)]
    whole["object"] = str(whole.get("object", "")).removesuffix(".chunk")
    return whole, first


def _is_piece(choice: Mapping[str, Any]) -> bool:
    """Whether a stream's choice has the types of the API where it has something."""
    delta = choice.get("delta")
    texts = [choice.get("text"), delta.get("content") if isinstance(delta, dict) else None]
    return all(isinstance(text, str | None) for text in texts) and isinstance(choice.get("logprobs"), dict | None)


def _add(choice: dict[str, Any], piece: Mapping[str, Any]) -> bool:
    """Adds a piece to its choice; returns whether it brought text."""
    choice["index"] = piece.get("index", 0)
    choice["finish_reason"] = piece.get("finish_reason") or choice.get("finish_reason")
    delta = piece.get("delta")
    if isinstance(delta, Mapping):
        message = choice.setdefault("message", {"role": "assistant", "content": ""})
        text = delta.get("content") or ""
        message["content"] += text
        message |= {key: value for key, value in delta.items() if key not in {"content", "role"} and value is not None}
    else:
        text = piece.get("text") or ""
        choice["text"] = choice.get("text", "") + text
    for key, values in (piece.get("logprobs") or {}).items():
        if isinstance(values, list):
            choice["logprobs"] = choice.get("logprobs") or {}
            choice["logprobs"][key] = (choice["logprobs"].get(key) or []) + values
    return bool(text)
