"""``/v1/models``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from harness_local.api.errors import ApiError
from harness_local.api.schemas import MODEL, MODEL_GONE, MODELS
from harness_local.api.services import Services, services_of
from harness_local.state import OPEN, is_checkpoint

router = APIRouter(prefix="/v1/models")


def _object(services: Services, model: str) -> dict[str, Any]:
    row = services.tuned(model)
    created = row["created"] if row else services.created
    return {"id": model, "object": "model", "created": created, "owned_by": "user" if row else "local"}


@router.get("", responses=MODELS)
async def listing(request: Request) -> Response:
    """The base model and what was made of it."""
    services = services_of(request)
    names = [name for name in services.models() if not is_checkpoint(name)]
    return JSONResponse({"object": "list", "data": [_object(services, name) for name in names]})


@router.get("/{model:path}", responses=MODEL)
async def retrieve(request: Request, model: str) -> Response:
    """One model."""
    services = services_of(request)
    return JSONResponse(_object(services, services.adapter(model) or services.base))


@router.delete("/{model:path}", responses=MODEL_GONE)
async def delete(request: Request, model: str) -> Response:
    """Removes a fine-tuned model that no open job trains on."""
    services = services_of(request)
    name = services.adapter(model)
    if name is None:
        raise ApiError(403, "The base model cannot be deleted.", code="permission_denied", param="model")
    if job := next((job["id"] for job in services.state.jobs(*OPEN) if job["model"] == name), None):
        message = f"{name} is in use by {job}, which trains on it: cancel the job first, or wait until it has ended."
        raise ApiError(409, message, code="model_in_use", param="model")
    services.state.delete_model(name)
    services.engine.drop(name)
    return JSONResponse({"id": name, "object": "model", "deleted": True})
