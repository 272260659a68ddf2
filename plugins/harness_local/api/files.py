"""``/v1/files``."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from starlette.responses import FileResponse, JSONResponse, Response

from harness_local.api.errors import ApiError, encodable, invalid, legible, not_found, unknown, unsupported
from harness_local.api.guard import FILE_BYTES, too_large
from harness_local.api.pages import FilesQuery, page
from harness_local.api.schemas import CONTENT, FILE, FILE_GONE, FILES
from harness_local.api.services import services_of
from harness_local.state import OPEN, Row, State

router = APIRouter(prefix="/v1/files")
_PURPOSE = "fine-tune"
_PURPOSES_ELSEWHERE = ("assistants", "batch", "evals", "user_data", "vision")
_CHUNK = 2**20


def _object(row: Row) -> dict[str, Any]:
    # What OpenAI's document knows as text or number alone is left out rather than null.
    return {**row, "object": "file", "status": "processed"}


def _find(request: Request, name: str) -> Row:
    state = services_of(request).state
    row = state.file(name)
    if row is None:
        raise not_found("File object", name, (f["id"] for f in state.files()))
    return row


@router.post("", responses=FILE, form_limits={"max_files": 1, "max_fields": 8, "max_part_size": 2**16})
async def create(
    request: Request,
    file: Annotated[UploadFile, File(description="At most 512 MB of JSON lines.")],
    purpose: Annotated[str, Form(json_schema_extra={"enum": [_PURPOSE]})],
) -> Response:
    """Takes a file."""
    if purpose in _PURPOSES_ELSEWHERE:
        raise unsupported("purpose", f" with the value {purpose!r}")
    if purpose != _PURPOSE:
        raise invalid("purpose", f"'purpose' must be {_PURPOSE}.")
    for field in await request.form():
        if field.split("[", 1)[0] == "expires_after":
            raise unsupported("expires_after")
        if field not in ("file", "purpose"):
            raise unknown(legible(field), ("file", "purpose"))
    name = (file.filename or "upload.jsonl")[:255]
    if not encodable(name):
        raise invalid("file", "The file's name is not UTF-8.")
    return JSONResponse(_object(await _store(services_of(request).state, file, name)))


async def _store(state: State, upload: UploadFile, name: str) -> Row:
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
        return await asyncio.to_thread(state.add_file, temporary, name, _PURPOSE)
    finally:
        temporary.unlink(missing_ok=True)


@router.get("", responses=FILES)
async def listing(request: Request, query: Annotated[FilesQuery, Query()]) -> Response:
    """The files, the newest first."""
    rows = [_object(row) for row in services_of(request).state.files()]
    if query.purpose is not None:
        rows = [row for row in rows if row["purpose"] == query.purpose]
    return JSONResponse(page(rows if query.order == "desc" else rows[::-1], query))


@router.get("/{file}", responses=FILE)
async def retrieve(request: Request, file: str) -> Response:
    """One file's facts."""
    return JSONResponse(_object(_find(request, file)))


@router.get("/{file}/content", responses=CONTENT, response_class=FileResponse)
async def content(request: Request, file: str) -> Response:
    """A file's content."""
    row = _find(request, file)
    return FileResponse(services_of(request).state.content(row["id"]), media_type="application/octet-stream")


@router.delete("/{file}", responses=FILE_GONE)
async def delete(request: Request, file: str) -> Response:
    """Removes a file that no open job needs."""
    row, state = _find(request, file), services_of(request).state
    for job in state.jobs(*OPEN):
        if row["id"] in (job["training_file"], job["validation_file"]):
            raise ApiError(409, f"{row['id']} is in use by {job['id']}.", code="file_in_use")
    state.delete_file(row["id"])
    return JSONResponse({"id": row["id"], "object": "file", "deleted": True})
