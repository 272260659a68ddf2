"""``/v1/files``."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from harness_local.api.app import services_of
from harness_local.api.guard import FILE_BYTES, too_large
from harness_local.api.pages import known_query, page
from harness_local.api.wire import ApiError, encodable, invalid, not_found
from harness_local.state import Row, State
from harness_local.training.supervisor import OPEN

_PURPOSES = ("fine-tune",)
_CHUNK = 2**20


def _object(row: Row) -> dict[str, Any]:
    return {**row, "object": "file", "status": "processed", "status_details": None, "expires_at": None}


def _find(request: Request) -> Row:
    state = services_of(request).state
    name = request.path_params["file"]
    row = state.file(name)
    if row is None:
        raise not_found("File object", name[:100], (f["id"] for f in state.files()))
    return row


async def _create(request: Request) -> Response:
    state = services_of(request).state
    try:
        async with request.form(max_files=1, max_fields=8, max_part_size=2**16) as form:
            upload, purpose = form.get("file"), form.get("purpose")
            if not isinstance(upload, UploadFile):
                raise invalid("file", "Missing required parameter: 'file', as multipart/form-data.")
            if purpose not in _PURPOSES:
                raise invalid("purpose", f"'purpose' must be one of {', '.join(_PURPOSES)}.")
            if extra := sorted(set(form) - {"file", "purpose"}):
                raise invalid(extra[0][:80], f"Unsupported parameter: '{extra[0][:80]}'.", "unsupported_parameter")
            name = (upload.filename or "upload.jsonl")[:255]
            if not encodable(name):
                raise invalid("file", "The file's name is not UTF-8.")
            row = await _store(state, upload, name, purpose)
    except MultiPartException as error:
        raise ApiError(400, f"The body is not multipart/form-data: {error.message}", code="invalid_body") from None
    return JSONResponse(_object(row))


async def _store(state: State, upload: UploadFile, name: str, purpose: str) -> Row:
    """Writes an upload beside the files and moves it in when it is complete."""
    handle, path = tempfile.mkstemp(prefix=".upload-", dir=state.folder / "files")
    temporary = Path(path)
    try:
        size = 0
        with os.fdopen(handle, "wb") as stream:
            while chunk := await upload.read(_CHUNK):
                size += len(chunk)
                if size > FILE_BYTES:
                    raise too_large(FILE_BYTES)
                stream.write(chunk)
        if not size:
            raise invalid("file", "The file is empty.")
        return await asyncio.to_thread(state.add_file, temporary, name, purpose)
    finally:
        temporary.unlink(missing_ok=True)


async def _list(request: Request) -> Response:
    query = request.query_params
    known_query(query, "after", "limit", "order", "purpose")
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise invalid("order", "'order' must be asc or desc.")
    rows = [_object(row) for row in services_of(request).state.files()]
    if "purpose" in query:
        rows = [row for row in rows if row["purpose"] == query["purpose"]]
    return JSONResponse(page(rows if order == "desc" else rows[::-1], query, most=10_000, default=10_000))


async def _retrieve(request: Request) -> Response:
    return JSONResponse(_object(_find(request)))


async def _content(request: Request) -> Response:
    row = _find(request)
    return FileResponse(services_of(request).state.content(row["id"]), media_type="application/octet-stream")


async def _delete(request: Request) -> Response:
    row, state = _find(request), services_of(request).state
    for job in state.jobs(*OPEN):
        if row["id"] in (job["training_file"], job["validation_file"]):
            raise ApiError(409, f"{row['id']} is in use by {job['id']}.", code="file_in_use")
    state.delete_file(row["id"])
    return JSONResponse({"id": row["id"], "object": "file", "deleted": True})


ROUTES = [
    Route("/v1/files", _create, methods=["POST"]),
    Route("/v1/files", _list, methods=["GET"]),
    Route("/v1/files/{file}/content", _content, methods=["GET"]),
    Route("/v1/files/{file}", _retrieve, methods=["GET"]),
    Route("/v1/files/{file}", _delete, methods=["DELETE"]),
]
