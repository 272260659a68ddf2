"""The fake provider's routes: what a request asks for is done, and what its answer holds."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import BodyPartReader, web

from support.provider.batches import Batches
from support.provider.embeddings import embeddings
from support.provider.errors import ApiError, LostError
from support.provider.faults import Faults
from support.provider.jobs import Store, StoredFile
from support.provider.model import Oracle, chat, chat_text, completion, draw
from support.provider.settings import INFERENCE, Settings

_META = re.compile(r"metadata\[(.+)\]")


def _page(items: list[dict[str, Any]], query: Mapping[str, list[str]]) -> dict[str, Any]:
    after, limit = query.get("after", [""])[0], int(query.get("limit", ["20"])[0])
    ids = [item["id"] for item in items]
    start = ids.index(after) + 1 if after in ids else 0
    shown = items[start : start + limit]
    return {
        "object": "list",
        "data": shown,
        "has_more": start + limit < len(items),
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }


async def _whole(part: BodyPartReader) -> bytes:
    """Returns an uploaded file, however large; aiohttp's own reading ends at 1 MB."""
    content = bytearray()
    while chunk := await part.read_chunk(2**20):
        content += chunk
    return bytes(content)


class Api:
    """All that the provider can do.

    Args:
        settings: What it is.
        faults: Draws the answers that are empty.
    """

    def __init__(self, settings: Settings, faults: Faults) -> None:
        self.settings, self._faults = settings, faults
        self.asked: Counter[bytes] = Counter()
        self._numbers = itertools.count(1)
        self.changed()
        self.forget()

    def changed(self) -> None:
        """Heeds settings that were changed."""
        self._oracle = Oracle(self.settings)

    def forget(self) -> None:
        """Forgets files, jobs, models and batches."""
        self.store = Store(self.settings)
        self.batches = Batches(self.settings, self.store, self.infer)

    # --- answers ----------------------------------------------------------------------------------------------------
    def infer(self, path: str, raw: bytes) -> dict[str, Any]:
        """Answers a prompt."""
        is_chat = path == INFERENCE[0]
        self._there("chat" if is_chat else "completions", path)
        body = self._body(raw)
        needed = "messages" if is_chat else "prompt"
        if not body.get(needed):
            message = f"Missing required parameter: '{needed}'."
            raise ApiError(400, "missing_required_parameter", message, param=needed)
        self._refuse_items(body)
        model = self._deployed(body.get("model"))
        tuned = model in self.store.tuned
        if tuned and self.settings.fresh_404 > 0:
            self.settings.fresh_404 -= 1
            raise ApiError(404, "model_not_found", f"The model `{model}` does not exist.", param="model")
        if not tuned and model not in self.settings.models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise ApiError(404, "model_not_found", message)
        empty = self._faults.hits("empty", self.settings.empty_rate, raw)
        answer = (chat if is_chat else completion)(self._who(model, raw, tuned), body, tuned=tuned, empty=empty)
        kind = "chatcmpl" if is_chat else "cmpl"
        return {"id": f"{kind}-{next(self._numbers):08d}", "created": int(time.time()), **answer}

    def _body(self, raw: bytes) -> dict[str, Any]:
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise ApiError(400, "invalid_json", "We could not parse the JSON body of your request.")
        s = self.settings
        for name in s.without:
            if name in body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                raise ApiError(400, "unsupported_parameter", message, param=name)
        return {name: value for name, value in body.items() if name not in s.ignores} if s.ignores else body

    def _refuse_items(self, body: Mapping[str, Any]) -> None:
        s = self.settings
        if not (s.always_500 or s.always_400 or s.unpaid_400):
            return
        asked = chat_text(body["messages"]) if "messages" in body else body["prompt"]
        for prompt in asked if isinstance(asked, list) else [asked]:
            text = self._oracle.find(prompt).text
            if text in s.always_500:
                raise ApiError(500, "server_error", "The server had an error while processing your request.")
            if text in s.always_400:
                raise ApiError(400, "invalid_prompt", "Your prompt was flagged by the content filter.")
            if text in s.unpaid_400:
                raise ApiError(400, "invalid_request_error", "Your credit balance is too low to access the API.")

    def _deployed(self, name: Any) -> Any:
        """Returns the model behind a name: where there are deployments, trained models have no other."""
        if self.settings.deployments is None:
            return name
        if name in self.store.tuned:
            raise ApiError(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
        return self.settings.deployments.get(name, name) or next(reversed(self.store.tuned), name)

    def _who(self, model: str, raw: bytes, tuned: bool) -> Oracle:
        """Returns who answers: now and then somebody else, where the same question comes again."""
        s = self.settings
        if s.flip_rate:
            again = self.asked[raw]
            self.asked[raw] += 1
            if again and draw(s.seed, "flip", raw, again) < s.flip_rate:
                s = dataclasses.replace(s, seed=s.seed + 1000 * again)
        own = next((accuracy for part, accuracy in s.accuracy_of.items() if tuned and part in model), None)
        if own is not None:
            s = dataclasses.replace(s, tuned_accuracy=own)
        return self._oracle if s is self.settings else Oracle(s)

    # --- the rest ---------------------------------------------------------------------------------------------------
    async def route(self, request: web.BaseRequest, raw: bytes) -> dict[str, Any] | bytes:
        """Answers whatever is no prompt: with an object, or a file's content."""
        path, query = request.path, parse_qs(request.query_string, keep_blank_values=True)
        parts = path.removeprefix("/v1/").split("/")
        kept = {name: values for name, values in query.items() if name not in self.settings.ignores}
        match request.method, parts:
            case "GET", ["models", *rest]:
                self._there("models", path)
                return self._models("/".join(rest))
            case "POST", ["embeddings"]:
                self._there("embeddings", path)
                return embeddings(self.settings, self._body(raw))
            case "POST", ["files"]:
                self._there("files", path)
                return await self._upload(request)
            case method, ["files", *rest]:
                self._there("files", path)
                return self._files(method, rest, kept)
            case method, ["fine_tuning", "jobs", *rest]:
                self._there("fine_tuning", path)
                return self._jobs(method, rest, raw, kept)
            case method, ["batches", *rest]:
                self._there("batches", path)
                shown = self.batches.route(method, rest, lambda: self._body(raw))
                return _page(shown, query) if isinstance(shown, list) else shown
        raise ApiError(404, "unknown_url", f"Unknown request URL: {request.method} {path}.")

    def _there(self, feature: str, path: str) -> None:
        if feature in self.settings.without:
            raise ApiError(404, "unknown_url", f"Unknown request URL: {path}.")

    def _models(self, wanted: str) -> dict[str, Any]:
        """Shows one model; all, where none is named."""
        models = [self._model(name) for name in (*self.settings.models, *self.store.tuned)]
        if not wanted:
            return {"object": "list", "data": models}
        for model in models:
            if model["id"] == wanted:
                return model
        raise ApiError(404, "model_not_found", f"The model '{wanted}' does not exist", param="model")

    def _model(self, name: str) -> dict[str, Any]:
        shown = {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "test"}
        date = self.settings.shutdown_dates.get(name)
        return {**shown, "shutdown_date": date} if date else shown

    async def _upload(self, request: web.BaseRequest) -> dict[str, Any]:
        name, purpose, content = "", "", None
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "purpose":
                purpose = await part.text()
            elif part.name == "file":
                name, content = part.filename or "", await _whole(part)
        if content is None or not purpose:
            raise ApiError(400, "missing_required_parameter", "file and purpose are required", param="file")
        if purpose == "fine-tune" and not name.endswith(".jsonl"):
            raise ApiError(400, "invalid_file_format", f"Expected file to have JSONL format; got {name}", param="file")
        stored = self.store.add_file(name, purpose, content)
        if self.settings.lose_file_replies > 0:
            self.settings.lose_file_replies -= 1
            raise LostError
        return stored.show()

    def _files(self, method: str, rest: list[str], query: Mapping[str, list[str]]) -> dict[str, Any] | bytes:
        match method, rest:
            case "GET", []:
                if "file list" in self.settings.without:
                    raise ApiError(405, "method_not_supported", "Not allowed: GET /v1/files.")
                return _page([file.show() for file in self._listed_files(query)], query)
            case "GET", [file_id]:
                return self.store.file(file_id).show()
            case "GET", [file_id, "content"]:
                self._there("file content", f"/v1/files/{file_id}/content")
                return self.store.file(file_id).content
            case "DELETE", [file_id]:
                self.store.file(file_id)
                del self.store.files[file_id]
                return {"id": file_id, "object": "file", "deleted": True}
        raise ApiError(404, "unknown_url", f"Unknown request URL: {method} /v1/files/{'/'.join(rest)}.")

    def _listed_files(self, query: Mapping[str, list[str]]) -> list[StoredFile]:
        wanted = query.get("purpose", [""])[0]
        return [file for file in reversed(self.store.files.values()) if wanted in ("", file.purpose)]

    def _jobs(self, method: str, rest: list[str], raw: bytes, query: Mapping[str, list[str]]) -> dict[str, Any]:
        match method, rest:
            case "POST", []:
                job = self.store.create(self._body(raw))
                if self.settings.lose_job_replies > 0:
                    self.settings.lose_job_replies -= 1
                    raise LostError
                return job.show()
            case "GET", []:
                return _page(self._listed_jobs(query), query)
            case "GET", [job_id]:
                return self.store.job(job_id, poll=True).show()
            case "POST", [job_id, "cancel"]:
                return self.store.cancel(job_id).show()
            case "GET", [job_id, ("events" | "checkpoints") as what]:
                self._there(what, f"/v1/fine_tuning/jobs/{job_id}/{what}")
                return _page(getattr(self.store.job(job_id), what)[::-1], query)
        raise ApiError(404, "unknown_url", f"Unknown request URL: {method} /v1/fine_tuning/jobs/{'/'.join(rest)}.")

    def _listed_jobs(self, query: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        wanted = {match[1]: values[0] for key, values in query.items() if (match := _META.fullmatch(key))}
        if wanted and "metadata filter" in self.settings.without:
            raise ApiError(400, "unknown_parameter", "Unknown parameter: 'metadata'.", param="metadata")
        if "metadata filter" in self.settings.ignores:
            wanted = {}
        jobs = [self.store.job(job_id).show() for job_id in reversed(self.store.jobs)]
        return [job for job in jobs if wanted.items() <= (job["metadata"] or {}).items()]
