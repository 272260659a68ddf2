"""The application: routes, and what is answered where something is wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from harness_local.api import chat, completions, files, jobs, models
from harness_local.api.errors import ApiError, no_json, refusal
from harness_local.api.guard import respond
from harness_local.api.schemas import HEALTH
from harness_local.api.services import Services, services_of
from harness_local.api.streaming import bug

_PARTS = (completions, chat, models, files, jobs)


class _Described(FastAPI):
    """An application whose page says what the names of answers stand for."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI page, made when it is first asked for."""
        if self.openapi_schema is None:
            from harness_local.api.answer_types import components

            super().openapi()["components"]["schemas"].update(components())
        page: dict[str, Any] = super().openapi()
        return page


def build(services: Services) -> FastAPI:
    """The application."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(services.supervisor.run())
        yield
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    handlers: dict[Any, Any] = {
        ApiError: _api_error,
        RequestValidationError: _refused,
        HTTPException: _http_error,
        Exception: _bug,
    }
    app = _Described(
        title="finetune-harness local endpoint",
        version="1",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers=handlers,
        lifespan=lifespan,
        telemetry={"tracing": False, "metrics": False},
    )
    app.get("/health", responses=HEALTH)(_health)
    for part in _PARTS:
        app.include_router(part.router)
    app.state.services = services
    return app


async def _health(request: Request) -> Response:
    """Says that the server can answer."""
    return JSONResponse({"status": "ok", "model": services_of(request).base})


async def _api_error(_: Request, error: ApiError) -> Response:
    return respond(error)


async def _refused(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    place, *inside = first["loc"]
    if place == "body" and isinstance(first["input"], bytes):
        return respond(_no_json(request))
    queries = (field.field_info.annotation for field in request.scope["route"].dependant.query_params)
    known = [name for query in queries for name in query.model_fields] if place == "query" else []
    return respond(refusal({**first, "loc": inside}, known))


def _no_json(request: Request) -> ApiError:
    given = request.headers.get("content-type", "none")[:80]
    message = f"Unsupported content type: {given!r}; send application/json."
    return ApiError(400, message, code="unsupported_content_type")


async def _http_error(request: Request, error: HTTPException) -> Response:
    place = f"{request.method} {request.url.path[:200]}"
    if error.status_code == 404:
        return respond(ApiError(404, f"Unknown request URL: {place}.", code="unknown_url"))
    if error.status_code == 405:
        headers = {"Allow": ", ".join(_methods(request.scope))}
        return respond(ApiError(405, f"Not allowed: {place}.", code="method_not_supported", headers=headers))
    cause = error.__cause__
    if isinstance(cause, ApiError):  # the guard's, from inside of the reading of a body
        return respond(cause)
    if isinstance(cause, ValueError | RecursionError):
        return respond(no_json(cause))
    return respond(ApiError(error.status_code, f"The body cannot be read: {error.detail}", code="invalid_body"))


def _methods(scope: Scope) -> list[str]:
    """What can be done with a path; each route knows of its own methods alone."""
    routes = [route for part in _PARTS for route in part.router.routes if isinstance(route, Route)]
    fitting = [route for route in routes if route.matches(scope)[0] is not Match.NONE]
    return sorted({method for route in fitting for method in route.methods or ()}) or ["GET"]


async def _bug(_: Request, error: Exception) -> Response:
    return respond(bug(error))
