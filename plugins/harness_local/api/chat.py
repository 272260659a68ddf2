"""``/v1/chat/completions``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from jinja2 import TemplateError
from starlette.responses import JSONResponse, Response

from harness_local.api.answers import chunks, finite, heading, spelled, usage, whole
from harness_local.api.bodies import ChatBody
from harness_local.api.errors import ApiError, invalid
from harness_local.api.prompts import check_context
from harness_local.api.running import Running, computed
from harness_local.api.schemas import CHAT
from harness_local.api.services import Services, aside, services_of
from harness_local.api.streaming import streamed
from harness_local.inference.work import Outcome, Progress, Token, Work
from harness_local.models.tokens import Codec

router = APIRouter()
_MAX_TOKENS = 512


@router.post("/v1/chat/completions", responses=CHAT)
async def create(request: Request, body: ChatBody) -> Response:
    """Answers a conversation."""
    services = services_of(request)
    # The first schema has the vocabulary read, which takes most of a second.
    work = await aside(request, body.response_format is not None, _read, body, services)
    voices = [[_Voice(body, index, services.codec) for index in range(body.choices)]]
    if body.stream:
        head = heading("chatcmpl", "chat.completion.chunk", body.model, services.fingerprint)
        running = Running(services.engine, [work], grows=True)
        usage_of = partial(_usage, work) if body.tells_usage else None
        return await streamed(request, running, chunks(head, running, voices, usage_of))
    head = heading("chatcmpl", "chat.completion", body.model, services.fingerprint)
    outcomes = await computed(request, services.engine, [work])
    return JSONResponse({**head, "choices": whole(voices, outcomes), "usage": _usage(work, outcomes)})


def _read(body: ChatBody, services: Services) -> Work:
    model = services.adapter(body.model)
    if not services.codec.has_chat_template:
        raise ApiError(400, f"{services.base} has no chat template: use /v1/completions.", code="unsupported_model")
    try:
        prompt = services.codec.chat([message.plain for message in body.messages])
    except TemplateError as error:
        raise invalid("messages", f"The model's chat template refuses these messages: {error}") from None
    check_context(len(prompt), 1, services.context, "messages")
    schema = None if body.response_format is None else body.response_format.schema_text
    if schema is not None:
        services.check_schema(schema)
    most = body.max_completion_tokens or body.max_tokens or _MAX_TOKENS
    return Work(
        model=model,
        stem=prompt,
        branches=((),) * body.choices,
        sampling=body.sampling(min(most, services.context - len(prompt)), services.vocabulary, schema),
        top=body.top_logprobs or 0,
    )


def _usage(work: Work, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    (outcome,) = outcomes
    generated = sum(len(done.generated) for done in outcome.continuations)
    return usage(len(work.stem), generated, outcome.reused)


class _Voice:
    """Writes one choice: a message, or its deltas."""

    def __init__(self, body: ChatBody, index: int, codec: Codec) -> None:
        self._index, self._codec, self._streamed = index, codec, bool(body.stream)
        self._wanted = bool(body.logprobs)
        self._begun = False
        self._stream = codec.stream()

    def add(self, step: Progress, _: Outcome | None) -> Iterator[dict[str, Any]]:
        """The choice's next parts: a role first, then text, and why it ends by itself."""
        logprobs = {"content": list(self._entries(step)), "refusal": None} if self._wanted else None
        if not self._streamed:
            message = {"role": "assistant", "content": step.text, "refusal": None}
            yield {"index": self._index, "message": message, "logprobs": logprobs, "finish_reason": step.finish}
            return
        if not self._begun:
            self._begun = True
            yield self._delta({"role": "assistant", "content": "", "refusal": None})
        if step.text or (self._wanted and step.tokens):
            yield self._delta({"content": step.text}, logprobs)
        if step.finish is not None:
            yield self._delta({}, finish=step.finish)

    def _delta(
        self, delta: dict[str, Any], logprobs: dict[str, Any] | None = None, finish: str | None = None
    ) -> dict[str, Any]:
        return {"index": self._index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}

    def _entries(self, step: Progress) -> Iterator[dict[str, Any]]:
        for token, piece in spelled(self._stream, step):
            yield {**_entry(piece, token.logprob or 0.0), "top_logprobs": self._top(token)}

    def _top(self, token: Token) -> list[dict[str, Any]]:
        return [_entry(self._codec.piece(other), logprob) for other, logprob in token.top]


def _entry(piece: str, logprob: float) -> dict[str, Any]:
    return {"token": piece, "logprob": finite(logprob), "bytes": list(piece.encode())}
