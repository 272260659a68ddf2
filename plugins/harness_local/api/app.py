"""The routes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from harness_local.api import answers, requests
from harness_local.api.guard import respond
from harness_local.api.wire import ApiError, model_not_found, parse_object
from harness_local.inference.engine import BusyError, Engine
from harness_local.inference.work import Outcome, Work
from harness_local.models.tokens import Codec
from harness_local.state import State
from harness_local.training.supervisor import Supervisor

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the routes work with.

    Attributes:
        base: Id of the base model.
        created: When it was loaded, seconds since 1970.
        context: Its context length in tokens.
        vocabulary: Number of its tokens.
        fingerprint: What answers depend on beside the request.
    """

    base: str
    created: int
    context: int
    vocabulary: int
    fingerprint: str
    codec: Codec
    engine: Engine
    state: State
    supervisor: Supervisor

    def models(self) -> list[str]:
        """Ids that a request can name, the base first; checkpoints, which are not listed, come last."""
        tuned = [row["id"] for row in self.state.models()]
        return [self.base, *sorted(tuned, key=lambda name: ":ckpt-step-" in name)]

    def adapter(self, model: str) -> str | None:
        """The adapter that a request's model stands for; None for the base.

        Raises:
            ApiError: 404, with the nearest names.
        """
        if model.casefold() == self.base.casefold():
            return None
        if self.state.model(model) is None:
            raise model_not_found(model, self.models())
        return model


def build(services: Services) -> Starlette:
    """The application."""
    from harness_local.api import files, jobs, models

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(services.supervisor.run())
        yield
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    handlers: dict[Any, Any] = {ApiError: _api_error, HTTPException: _http_error, Exception: _bug}
    app = Starlette(
        routes=[
            Route("/health", _health, methods=["GET"]),
            Route("/v1/completions", _completions, methods=["POST"]),
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            *models.ROUTES,
            *files.ROUTES,
            *jobs.ROUTES,
        ],
        exception_handlers=handlers,
        lifespan=lifespan,
    )
    app.state.services = services
    return app


def services_of(request: Request) -> Services:
    """The services of the application that a request came to."""
    found: Services = request.app.state.services
    return found


async def _health(request: Request) -> Response:
    return JSONResponse({"status": "ok", "model": services_of(request).base})


async def _completions(request: Request) -> Response:
    services = services_of(request)
    body = parse_object(await request.body())
    asked = requests.completion(body, services.codec, services.vocabulary)
    adapter = services.adapter(asked.model)
    works = []
    for group in asked.groups:
        longest = len(group.stem.ids) + max(len(tail.ids) for tail in group.tails)
        requests.check_context(longest, asked.sampling.max_tokens, services.context, "prompt")
        works.append(
            Work(
                model=adapter,
                stem=group.stem.ids,
                branches=answers.completion_works_tails(group, asked.n),
                sampling=asked.sampling,
                scored=asked.echo and asked.logprobs is not None,
                top=asked.logprobs or 0,
            )
        )
    outcomes = await compute(request, works)
    return JSONResponse(answers.completion_body(asked, outcomes, services.codec, services.fingerprint))


async def _chat(request: Request) -> Response:
    services = services_of(request)
    asked = requests.chat(parse_object(await request.body()))
    adapter = services.adapter(asked.model)
    if not services.codec.has_chat_template:
        raise ApiError(400, f"{services.base} has no chat template: use /v1/completions.", code="unsupported_model")
    prompt = services.codec.chat(asked.messages)
    requests.check_context(len(prompt), 1, services.context, "messages")
    most = min(asked.sampling.max_tokens, services.context - len(prompt))
    work = Work(
        model=adapter,
        stem=prompt,
        branches=((),) * asked.n,
        sampling=asked.sampling.shortened(most),
        top=asked.top,
    )
    (outcome,) = await compute(request, [work])
    return JSONResponse(answers.chat_body(asked, len(prompt), outcome, services.codec, services.fingerprint))


async def compute(request: Request, works: Iterable[Work]) -> list[Outcome]:
    """Has the engine do work; gives it up when the client goes.

    Raises:
        ApiError: 429 where too much is waiting already.
    """
    engine = services_of(request).engine
    futures: list[asyncio.Future[Outcome]] = []
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        futures += [asyncio.wrap_future(engine.submit(work)) for work in works]
        together = asyncio.gather(*futures)
        racing: set[asyncio.Future[Any]] = {together, gone}
        await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
        if not together.done():
            raise ApiError(499, "The client went away.", code="client_closed_request")
        return list(together.result())
    except BusyError:
        raise ApiError(
            429,
            "Too many requests are waiting already.",
            code="rate_limit_exceeded",
            kind="rate_limit_error",
            headers={"Retry-After": "1"},
        ) from None
    except KeyError:
        raise ApiError(404, "The model was deleted meanwhile.", code="model_not_found", param="model") from None
    finally:
        gone.cancel()
        for future in futures:
            future.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _api_error(_: Request, error: ApiError) -> Response:
    return respond(error)


async def _http_error(request: Request, error: HTTPException) -> Response:
    if error.status_code in (404, 405):
        message = f"Unknown request URL: {request.method} {request.url.path}."
        return respond(ApiError(error.status_code, message, code="unknown_url"))
    return respond(ApiError(error.status_code, str(error.detail)))


async def _bug(_: Request, error: Exception) -> Response:
    return respond(ApiError(500, f"Internal error: {type(error).__name__}.", kind="server_error"))
