"""From computed work to response bodies."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

from harness_local.api.requests import ChatRequest, CompletionRequest, Group, Piece
from harness_local.inference.work import Continuation, Outcome, Token
from harness_local.models.tokens import Codec


def completion_works_tails(group: Group, n: int) -> tuple[tuple[int, ...], ...]:
    """The branches of a group: each of its tails `n` times."""
    return tuple(tail.ids for tail in group.tails for _ in range(n))


def completion_body(
    request: CompletionRequest, outcomes: Sequence[Outcome], codec: Codec, fingerprint: str
) -> dict[str, Any]:
    """The body of a completion response."""
    choices: list[dict[str, Any]] = []
    prompt_tokens = cached = generated = 0
    for group, outcome in zip(request.groups, outcomes, strict=True):
        for index, continuation in enumerate(outcome.continuations):
            tail = group.tails[index // request.n]
            generated += len(continuation.generated)
            if index % request.n == 0:
                prompt_tokens += len(group.stem.ids) + len(tail.ids)
                cached += outcome.reused if index == 0 else len(group.stem.ids)
            choice = _choice(request, group.stem, tail, outcome, continuation, codec)
            choices.append({"index": len(choices), **choice})
    return {
        "id": f"cmpl-{secrets.token_hex(12)}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": fingerprint,
        "choices": choices,
        "usage": usage(prompt_tokens, generated, cached),
    }


def _choice(
    request: CompletionRequest, stem: Piece, tail: Piece, outcome: Outcome, done: Continuation, codec: Codec
) -> dict[str, Any]:
    text = stem.text + tail.text + done.text if request.echo else done.text
    choice: dict[str, Any] = {"text": text, "finish_reason": done.finish, "logprobs": None}
    if request.logprobs is None:
        return choice
    tokens: list[Token] = []
    pieces: list[str] = []
    offsets: list[int] = []
    if request.echo:
        tokens += [*outcome.stem, *done.tail]
        for piece, base in ((stem, 0), (tail, len(stem.text))):
            begins = (0, *piece.ends[:-1])
            offsets += [base + begin for begin in begins[: len(piece.ids)]]
            pieces += [piece.text[begin:end] for begin, end in zip(begins, piece.ends, strict=False)]
    at = len(text) - len(done.text)
    for token, piece_text in zip(done.generated, spelled(done.generated, codec), strict=True):
        tokens.append(token)
        pieces.append(piece_text)
        offsets.append(at)
        at += len(piece_text)
    tops = None
    if request.logprobs:
        tops = [None if t.logprob is None else _top(t, piece, codec) for t, piece in zip(tokens, pieces, strict=True)]
    choice["logprobs"] = {
        "tokens": pieces,
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": tops,
        "text_offset": offsets,
    }
    return choice


def _top(token: Token, piece: str, codec: Codec) -> dict[str, float]:
    """The most probable tokens; the one that stands there is always among them."""
    best = {codec.piece(other): logprob for other, logprob in token.top}
    if token.logprob is not None:
        best.setdefault(piece, token.logprob)
    return best


def spelled(tokens: Sequence[Token], codec: Codec) -> list[str]:
    """What each token adds to the text; tokens that spell one character together add it with the last."""
    pieces: list[str] = []
    text = ""
    for count in range(1, len(tokens) + 1):
        longer = codec.decode([token.id for token in tokens[:count]])
        if longer.endswith("\ufffd") and count < len(tokens):
            pieces.append("")
            continue
        pieces.append(longer[len(text) :])
        text = longer
    return pieces


def chat_body(
    request: ChatRequest, prompt_tokens: int, outcome: Outcome, codec: Codec, fingerprint: str
) -> dict[str, Any]:
    """The body of a chat response."""
    choices = []
    for index, done in enumerate(outcome.continuations):
        content = None
        if request.logprobs:
            content = [
                {**_entry(piece, token.logprob), "top_logprobs": [_entry(codec.piece(i), p) for i, p in token.top]}
                for token, piece in zip(done.generated, spelled(done.generated, codec), strict=True)
            ]
        message = {"role": "assistant", "content": done.text, "refusal": None}
        logprobs = None if content is None else {"content": content, "refusal": None}
        choices.append({"index": index, "message": message, "finish_reason": done.finish, "logprobs": logprobs})
    generated = sum(len(done.generated) for done in outcome.continuations)
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.model,
        "system_fingerprint": fingerprint,
        "choices": choices,
        "usage": usage(prompt_tokens, generated, outcome.reused),
    }


def _entry(piece: str, logprob: float | None) -> dict[str, Any]:
    return {"token": piece, "logprob": logprob, "bytes": list(piece.encode())}


def usage(prompt: int, completion: int, cached: int) -> dict[str, Any]:
    """Token counts; `cached` of the prompt's were reused rather than computed."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
