"""``/v1/fine_tuning/jobs``."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from harness_local.api.app import Services, services_of
from harness_local.api.pages import known_query, page
from harness_local.api.wire import ApiError, Fields, invalid, not_found, parse_object
from harness_local.state import Row, new_id
from harness_local.training.examples import FileError, read
from harness_local.training.supervisor import OPEN

_AUTO = "auto"


async def _create(request: Request) -> Response:
    services = services_of(request)
    fields = Fields(parse_object(await request.body()))
    model = services.adapter(fields.text("model")) or services.base
    training = _file(services, "training_file", fields.text("training_file"))
    named = fields.text("validation_file", None)
    validation = None if named is None else _file(services, "validation_file", named)
    suffix = fields.text("suffix", None, most=64)
    if suffix is not None and not re.fullmatch(r"[\w.-]+", suffix, flags=re.ASCII):
        raise invalid("suffix", "'suffix' may hold letters, digits, '-', '_' and '.' alone.")
    seed = fields.integer("seed", None, high=2**31 - 1)
    metadata = _metadata(fields)
    hyperparameters = _hyperparameters(fields)
    fields.neutral("integrations", [])
    fields.finish(("integrations",))
    await _check_files(services, training, validation)
    body = {
        "id": new_id("ftjob"),
        "object": "fine_tuning.job",
        "created_at": int(time.time()),
        "model": model,
        "status": "queued",
        "training_file": training,
        "validation_file": validation,
        "seed": secrets.randbelow(2**31) if seed is None else seed,
        "hyperparameters": {
            name: hyperparameters.get(name, _AUTO) for name in ("n_epochs", "batch_size", "learning_rate_multiplier")
        },
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
        "metadata": metadata,
        "user_provided_suffix": suffix,
        "fine_tuned_model": None,
        "finished_at": None,
        "estimated_finish": None,
        "trained_tokens": None,
        "result_files": [],
        "integrations": [],
        "error": None,
        "organization_id": "local",
    }
    with services.state.transaction():
        services.state.add_job(body)
        services.state.add_event(body["id"], f"Created fine-tuning job: {body['id']}")
        services.state.add_event(body["id"], f"Validating training file: {training}")
        services.state.add_event(body["id"], "Files validated, moving job to queued state")
    services.supervisor.wake()
    services.engine.expect_adapters()
    return JSONResponse(body)


def _file(services: Services, name: str, file: str) -> str:
    row = services.state.file(file)
    if row is None:
        known = (f["id"] for f in services.state.files() if f["purpose"] == "fine-tune")
        error = not_found("File object", file[:100], known, param=name)
        raise ApiError(400, error.message, code="invalid_file", param=name)
    if row["purpose"] != "fine-tune":
        raise invalid(name, f"{file} was not uploaded with the purpose 'fine-tune'.", "invalid_file_purpose")
    return file


def _metadata(fields: Fields) -> dict[str, str] | None:
    metadata = fields.raw("metadata", None)
    if metadata is None:
        return None
    good = isinstance(metadata, dict) and len(metadata) <= 16
    if not good or not all(isinstance(v, str) and len(v) <= 512 and len(k) <= 64 for k, v in metadata.items()):
        raise invalid("metadata", "'metadata' must hold up to 16 strings of up to 512 characters.")
    return dict(metadata)


def _hyperparameters(fields: Fields) -> dict[str, Any]:
    """Settings from ``method.supervised.hyperparameters`` or from the older top-level field."""
    table = fields.table("hyperparameters", None)
    method = fields.table("method", None)
    if method is not None:
        kind = method.text("type")
        if kind != "supervised":
            raise invalid("method.type", f"Unsupported parameter: 'method.type' {kind[:40]!r}: supervised alone is "
                          "supported here.", "unsupported_parameter")  # fmt: skip
        supervised = method.table("supervised", None)
        method.finish(("dpo", "reinforcement"))
        if supervised is not None:
            table = supervised.table("hyperparameters", None) or table
            supervised.finish()
    if table is None:
        return {}
    values = {
        "n_epochs": _or_auto(table, "n_epochs", "integer", 1, 50),
        "batch_size": _or_auto(table, "batch_size", "integer", 1, 256),
        "learning_rate_multiplier": _or_auto(table, "learning_rate_multiplier", "number", 1e-4, 100),
        "lora_rank": _or_auto(table, "lora_rank", "integer", 1, 256),
        "lora_alpha": _or_auto(table, "lora_alpha", "number", 1e-3, 1024),
        "lora_layers": _or_auto(table, "lora_layers", "integer", 1, 1000),
    }
    table.finish()
    return {name: value for name, value in values.items() if value is not None}


def _or_auto(table: Fields, name: str, kind: str, low: float, high: float) -> Any:
    value = table.raw(name, None)
    if value is None or value == _AUTO:
        return value
    table.give_back(name, value)
    return getattr(table, kind)(name, low=low, high=high)


async def _check_files(services: Services, training: str, validation: str | None) -> None:
    """Reads the files once, so that a bad line is reported now and not hours later."""
    for file, what in ((training, "training"), (validation, "validation")):
        if file is None:
            continue
        try:
            lines = await asyncio.to_thread(read, services.state.content(file), what)
        except FileError as error:
            raise ApiError(400, error.message, code=error.code, param=f"{what}_file") from None
        if lines[0].messages and not services.codec.has_chat_template:
            message = f"{services.base} has no chat template: use prompt/completion lines."
            raise ApiError(400, message, code="invalid_file_format", param=f"{what}_file")


def _find(request: Request) -> Row:
    state = services_of(request).state
    name = request.path_params["job"]
    body = state.job(name)
    if body is None:
        raise not_found("fine-tune job", name[:100], (j["id"] for j in state.jobs()), code="fine_tune_not_found")
    return body


async def _list(request: Request) -> Response:
    query = request.query_params
    known_query(query, "after", "limit", "metadata")
    rows = services_of(request).state.jobs()
    for name, value in query.items():
        if name == "metadata":
            if value != "null":
                raise invalid("metadata", "Filter as metadata[key]=value, or metadata=null for jobs without any.")
            rows = [row for row in rows if not row["metadata"]]
        elif match := re.fullmatch(r"metadata\[(.+)\]", name):
            rows = [row for row in rows if (row["metadata"] or {}).get(match[1]) == value]
    return JSONResponse(page(rows, query, most=100, default=20))


async def _retrieve(request: Request) -> Response:
    return JSONResponse(_find(request))


async def _cancel(request: Request) -> Response:
    job = _find(request)
    if job["status"] not in OPEN:
        raise ApiError(400, f"Job {job['id']} has already {job['status']}.", code="invalid_job_state")
    return JSONResponse(services_of(request).supervisor.cancel(job["id"]))


async def _events(request: Request) -> Response:
    known_query(request.query_params, "after", "limit")
    job = _find(request)
    rows = [
        {
            "object": "fine_tuning.job.event",
            **{key: row[key] for key in ("id", "created_at", "level", "message", "type", "data")},
        }
        for row in services_of(request).state.events(job["id"])
    ]
    return JSONResponse(page(rows, request.query_params, most=1000, default=20))


async def _checkpoints(request: Request) -> Response:
    known_query(request.query_params, "after", "limit")
    rows = services_of(request).state.checkpoints(_find(request)["id"])
    return JSONResponse(page(rows, request.query_params, most=100, default=10))


async def _unsupported(request: Request) -> Response:
    raise ApiError(400, f"{request.url.path.rsplit('/', 1)[-1]} is not supported here.", code="unsupported_operation")


ROUTES = [
    Route("/v1/fine_tuning/jobs", _create, methods=["POST"]),
    Route("/v1/fine_tuning/jobs", _list, methods=["GET"]),
    Route("/v1/fine_tuning/jobs/{job}", _retrieve, methods=["GET"]),
    Route("/v1/fine_tuning/jobs/{job}/cancel", _cancel, methods=["POST"]),
    Route("/v1/fine_tuning/jobs/{job}/pause", _unsupported, methods=["POST"]),
    Route("/v1/fine_tuning/jobs/{job}/resume", _unsupported, methods=["POST"]),
    Route("/v1/fine_tuning/jobs/{job}/events", _events, methods=["GET"]),
    Route("/v1/fine_tuning/jobs/{job}/checkpoints", _checkpoints, methods=["GET"]),
]
