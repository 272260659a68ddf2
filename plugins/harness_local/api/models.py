"""``/v1/models``."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from harness_local.api.app import Services, services_of
from harness_local.api.wire import ApiError, model_not_found


def _object(services: Services, model: str) -> dict[str, Any]:
    row = services.state.model(model)
    created = row["created"] if row else services.created
    return {"id": model, "object": "model", "created": created, "owned_by": "user" if row else "local"}


async def _list(request: Request) -> Response:
    services = services_of(request)
    names = [name for name in services.models() if ":ckpt-step-" not in name]
    return JSONResponse({"object": "list", "data": [_object(services, name) for name in names]})


async def _retrieve(request: Request) -> Response:
    services = services_of(request)
    name = services.adapter(request.path_params["model"]) or services.base
    return JSONResponse(_object(services, name))


async def _delete(request: Request) -> Response:
    services = services_of(request)
    name = request.path_params["model"]
    if services.adapter(name) is None:
        raise ApiError(403, "The base model cannot be deleted.", code="permission_denied", param="model")
    if services.state.model(name) is None:
        raise model_not_found(name, services.models())
    services.state.delete_model(name)
    services.engine.drop(name)
    return JSONResponse({"id": name, "object": "model", "deleted": True})


ROUTES = [
    Route("/v1/models", _list, methods=["GET"]),
    Route("/v1/models/{model:path}", _retrieve, methods=["GET"]),
    Route("/v1/models/{model:path}", _delete, methods=["DELETE"]),
]
