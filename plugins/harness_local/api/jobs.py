"""``/v1/fine_tuning/jobs``."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from harness_local.api.bodies import JobBody
from harness_local.api.errors import ApiError, invalid, legible, not_found, unknown
from harness_local.api.pages import CheckpointsQuery, EventsQuery, JobsQuery, nothing_after, page, shown
from harness_local.api.schemas import CHECKPOINTS, EVENTS, JOB, JOBS
from harness_local.api.services import Services, services_of
from harness_local.state import OPEN, Row, new_id
from harness_local.training.examples import FileError, read
from harness_local.training.task import ALL, TrainingError, check_shape

router = APIRouter(prefix="/v1/fine_tuning/jobs")
_AUTO = "auto"
_METADATA: dict[str, Any] = {
    "name": "metadata",
    "in": "query",
    "required": False,
    "style": "deepObject",
    "explode": True,
    "description": "`metadata[key]=value`, or `metadata=null` for jobs without any.",
    "schema": {"type": "object", "additionalProperties": {"type": "string"}},
}


@router.post("", responses=JOB)
async def create(request: Request, body: JobBody) -> Response:
    """Queues a training."""
    services = services_of(request)
    model = services.adapter(body.model) or services.base
    _check_shape(services.tuned(model), body.settings)
    training = _file(services, "training_file", body.training_file)
    validation = None if body.validation_file is None else _file(services, "validation_file", body.validation_file)
    await _check_files(services, training, validation)
    job = _job(body, model)
    with services.state.transaction():
        services.state.add_job(job)
        services.state.add_event(job["id"], f"Created fine-tuning job: {job['id']}")
        services.state.add_event(job["id"], f"Validating training file: {training}")
        services.state.add_event(job["id"], "Files validated, moving job to queued state")
    services.supervisor.wake()
    return JSONResponse(job)


def _job(body: JobBody, model: str) -> Row:
    settings = body.settings
    return {
        "id": new_id("ftjob"),
        "object": "fine_tuning.job",
        "created_at": int(time.time()),
        "model": model,
        "status": "queued",
        "training_file": body.training_file,
        "validation_file": body.validation_file,
        "seed": secrets.randbelow(2**31) if body.seed is None else body.seed,
        "hyperparameters": {
            name: settings.get(name, _AUTO) for name in ("n_epochs", "batch_size", "learning_rate_multiplier")
        },
        "method": {"type": "supervised", "supervised": {"hyperparameters": settings}},
        "metadata": body.metadata,
        "user_provided_suffix": body.suffix,
        "fine_tuned_model": None,
        "finished_at": None,
        "estimated_finish": None,
        "trained_tokens": None,
        "result_files": [],
        "integrations": [],
        "error": None,
        "organization_id": "local",
    }


def _file(services: Services, name: str, file: str) -> str:
    row = services.state.file(file)
    if row is None:
        known = (f["id"] for f in services.state.files() if f["purpose"] == "fine-tune")
        raise ApiError(400, not_found("File object", file, known).message, code="invalid_file", param=name)
    if row["purpose"] != "fine-tune":
        raise invalid(name, f"{file} was not uploaded with the purpose 'fine-tune'.", "invalid_file_purpose")
    return file


def _check_shape(tuned: Row | None, asked: Row) -> None:
    """Refuses to train an adapter on in another shape, as far as that can be told without the model.

    Args:
        tuned: The record of the model that is trained on; None for the base.
        asked: The job's hyperparameters.

    Raises:
        ApiError: 400, with the setting.
    """
    if tuned is None:
        return
    try:
        config = json.loads((tuned["folder"] / "adapter_config.json").read_text(encoding="utf-8"))
        shape = {"lora_rank": config["r"], "lora_alpha": float(config["lora_alpha"])}
        if asked.get("lora_targets") != ALL:
            shape["lora_targets"] = sorted(config["target_modules"])
        layers = len(config["layers_to_transform"] or ())
    except (OSError, ValueError, LookupError, TypeError):
        return  # the training itself will say what is wrong with it
    if asked.get("lora_layers", _AUTO) != _AUTO and asked["lora_layers"] < layers:  # more may be more than there are
        shape["lora_layers"] = layers
    try:
        check_shape(asked, shape)
    except TrainingError as error:
        raise ApiError(400, error.message, code=error.code, param=error.param) from None


async def _check_files(services: Services, training: str, validation: str | None) -> None:
    """Reads the files once, so that a bad line is reported now and not hours later."""
    for file, what in ((training, "training"), (validation, "validation")):
        if file is None:
            continue
        try:
            await asyncio.to_thread(read, services.state.content(file), what, services.codec)
        except FileError as error:
            raise ApiError(400, error.message, code=error.code, param=f"{what}_file") from None
        except OSError:
            raise invalid(f"{what}_file", f"{file} was deleted meanwhile.", "invalid_file") from None


def _find(request: Request, name: str) -> Row:
    state = services_of(request).state
    body = state.job(name)
    if body is None:
        raise not_found("fine-tune job", name, (j["id"] for j in state.jobs()), code="fine_tune_not_found")
    return body


@router.get("", responses=JOBS, openapi_extra={"parameters": [_METADATA]})
async def listing(request: Request, query: Annotated[JobsQuery, Query()]) -> Response:
    """The jobs, the newest first."""
    rows = services_of(request).state.jobs()
    for name, value in query.filters.items():
        if name == "metadata":
            if value != "null":
                raise invalid("metadata", "Filter as metadata[key]=value, or metadata=null for jobs without any.")
            rows = [row for row in rows if not row["metadata"]]
        elif match := re.fullmatch(r"metadata\[(.+)\]", name, re.DOTALL):
            rows = [row for row in rows if (row["metadata"] or {}).get(match[1]) == value]
        else:
            raise unknown(legible(name), ("after", "limit", "metadata"))
    return JSONResponse(page(rows, query))


@router.get("/{job}", responses=JOB)
async def retrieve(request: Request, job: str) -> Response:
    """One job."""
    return JSONResponse(_find(request, job))


@router.post("/{job}/cancel", responses=JOB)
async def cancel(request: Request, job: str) -> Response:
    """Ends a job."""
    row = _find(request, job)
    if row["status"] not in OPEN:
        raise ApiError(400, f"Job {job} has already {row['status']}.", code="invalid_job_state")
    return JSONResponse(services_of(request).supervisor.cancel(job))


@router.post("/{job}/pause", responses=JOB)
@router.post("/{job}/resume", responses=JOB)
async def refuse(request: Request, job: str) -> Response:
    """Is not supported."""
    _find(request, job)
    what = request.url.path.rsplit("/", 1)[-1]
    raise ApiError(400, f"Unsupported operation: '{what}' is not supported here.", code="unsupported_operation")


@router.get("/{job}/events", responses=EVENTS)
async def events(request: Request, job: str, query: Annotated[EventsQuery, Query()]) -> Response:
    """What happened to a job, the newest first."""
    name, state = _find(request, job)["id"], services_of(request).state
    try:
        rows = state.events(name, limit=query.limit + 1, after=query.after or None)
    except KeyError:
        raise nothing_after(query.after or "") from None
    return JSONResponse(shown([_event(row) for row in rows[: query.limit]], more=len(rows) > query.limit))


def _event(row: Row) -> dict[str, Any]:
    facts = {key: row[key] for key in ("id", "created_at", "level", "message", "type")}
    return {"object": "fine_tuning.job.event", **facts, "data": row["data"] or {}}


@router.get("/{job}/checkpoints", responses=CHECKPOINTS)
async def checkpoints(request: Request, job: str, query: Annotated[CheckpointsQuery, Query()]) -> Response:
    """What a job saved on its way, the newest first."""
    return JSONResponse(page(services_of(request).state.checkpoints(_find(request, job)["id"]), query))
