"""``/v1/completions``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from harness_local.api.answers import chunks, finite, heading, spelled, usage, whole
from harness_local.api.bodies import CompletionBody
from harness_local.api.prompts import Group, Piece, check_context, grouped
from harness_local.api.running import Running, computed
from harness_local.api.schemas import COMPLETION
from harness_local.api.services import Services, aside, services_of
from harness_local.api.streaming import streamed
from harness_local.inference.work import Outcome, Progress, Token, Work
from harness_local.models.tokens import Codec

router = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    body: CompletionBody
    groups: tuple[Group, ...]
    works: tuple[Work, ...]
    services: Services

    def voices(self) -> list[list[_Voice]]:
        rows: list[list[_Voice]] = []
        count = 0
        for group in self.groups:
            row = [(group.stem, tail) for tail in group.tails for _ in range(self.body.choices)]
            rows.append([_Voice(self, count + place, *pieces) for place, pieces in enumerate(row)])
            count += len(row)
        return rows

    def usage(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        prompt = sum(len(g.stem.ids) + len(tail.ids) for g in self.groups for tail in g.tails)
        generated = sum(len(done.generated) for outcome in outcomes for done in outcome.continuations)
        # Of prompts that share a beginning, the first computes it and the others reuse it.
        shared = sum(len(g.stem.ids) * (len(g.tails) - 1) for g in self.groups)
        return usage(prompt, generated, shared + sum(outcome.reused for outcome in outcomes))


@router.post("/v1/completions", responses=COMPLETION)
async def create(request: Request, body: CompletionBody) -> Response:
    """Continues texts."""
    services = services_of(request)
    asked = await aside(request, False, _read, body, services)
    head = heading("cmpl", "text_completion", body.model, services.fingerprint)
    if body.stream:
        # Scores of a prompt are known with its outcome only.
        running = Running(services.engine, asked.works, grows=not body.scores_prompt)
        usage_of = asked.usage if body.tells_usage else None
        return await streamed(request, running, chunks(head, running, asked.voices(), usage_of))
    outcomes = await computed(request, services.engine, asked.works)
    return JSONResponse({**head, "choices": whole(asked.voices(), outcomes), "usage": asked.usage(outcomes)})


def _read(body: CompletionBody, services: Services) -> _Asked:
    model = services.adapter(body.model)
    most = 16 if body.max_tokens is None else body.max_tokens
    sampling = body.sampling(most, services.vocabulary)
    groups = grouped(
        body.prompt,
        services.codec,
        vocabulary=services.vocabulary,
        context=services.context,
        together=bool(body.echo),
    )
    works = []
    for group in groups:
        check_context(group.longest, most, services.context, "prompt")
        works.append(
            Work(
                model=model,
                stem=group.stem.ids,
                branches=tuple(tail.ids for tail in group.tails for _ in range(body.choices)),
                sampling=sampling,
                scored=body.scores_prompt,
                top=body.logprobs or 0,
            )
        )
    return _Asked(body=body, groups=groups, works=tuple(works), services=services)


class _Voice:
    """Writes one choice; the first part of an echo holds the prompt."""

    def __init__(self, asked: _Asked, index: int, stem: Piece, tail: Piece) -> None:
        self._index = index
        self._wanted, self._scored = asked.body.logprobs, asked.body.scores_prompt
        self._codec = asked.services.codec
        self._stem, self._tail = stem, tail
        self._prompt = stem.text + tail.text if asked.body.echo else ""
        self._at = len(self._prompt)
        self._stream = self._codec.stream()

    def add(self, step: Progress, outcome: Outcome | None) -> Iterator[dict[str, Any]]:
        """The choice's next part."""
        prompt, self._prompt = self._prompt, ""
        logprobs = None
        if self._wanted is not None:
            rows = list(self._generated(step))
            if outcome is not None and self._scored:
                tokens = [*outcome.stem, *outcome.continuations[step.branch].tail]
                rows = [*zip(tokens, *_placed(self._stem, self._tail), strict=True), *rows]
            logprobs = _logprobs(rows, self._wanted, self._codec)
        yield {"text": prompt + step.text, "index": self._index, "logprobs": logprobs, "finish_reason": step.finish}

    def _generated(self, step: Progress) -> Iterator[tuple[Token, str, int]]:
        for token, piece in spelled(self._stream, step):
            yield token, piece, self._at
            self._at += len(piece)


def _placed(stem: Piece, tail: Piece) -> tuple[list[str], list[int]]:
    """How a prompt's tokens are spelled, and where each begins."""
    pieces: list[str] = []
    offsets: list[int] = []
    for piece, base in ((stem, 0), (tail, len(stem.text))):
        begins = (0, *piece.ends[:-1])[: len(piece.ids)]
        offsets += [base + begin for begin in begins]
        pieces += [piece.text[begin:end] for begin, end in zip(begins, piece.ends, strict=True)]
    return pieces, offsets


def _logprobs(rows: Sequence[tuple[Token, str, int]], wanted: int, codec: Codec) -> dict[str, Any]:
    table: dict[str, Any] = {
        "tokens": [piece for _, piece, _ in rows],
        "token_logprobs": [None if token.logprob is None else finite(token.logprob) for token, _, _ in rows],
        "text_offset": [at for _, _, at in rows],
    }
    if wanted:
        table["top_logprobs"] = [_top(token, piece, codec) for token, piece, _ in rows]
    return table


def _top(token: Token, piece: str, codec: Codec) -> dict[str, float] | None:
    """The most probable tokens; the one that stands there is always among them, as it is spelled there.

    Of tokens that are spelled alike, such as the halves of characters, the most probable counts.
    """
    if token.logprob is None:
        return None
    best: dict[str, float] = {}
    for other, logprob in (*token.top, (token.id, token.logprob)):
        best.setdefault(piece if other == token.id else codec.piece(other), finite(logprob))
    return best
