"""The fake provider's batches: a file of requests goes in; a file of answers, in another order, comes out."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.provider.errors import ApiError, LostError
from support.provider.jobs import Store
from support.provider.settings import Settings

ENDED = ("completed", "failed", "expired", "cancelled")
MOST = 50_000


@dataclass(slots=True, kw_only=True)
class Batch:
    """One batch; `answered` and `refused` are the lines of its two files so far."""

    id: str
    endpoint: str
    input_file_id: str
    metadata: Mapping[str, str] | None
    requests: list[dict[str, Any]] = field(default_factory=list)
    answered: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    status: str = "validating"
    created: float = field(default_factory=time.time)
    times: dict[str, int] = field(default_factory=dict)
    errors: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def show(self) -> dict[str, Any]:
        """Returns the batch object."""
        moments = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
        counts = {"total": len(self.requests), "completed": len(self.answered), "failed": len(self.refused)}
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": self.endpoint,
            "input_file_id": self.input_file_id,
            "completion_window": "24h",
            "status": self.status,
            "created_at": int(self.created),
            "expires_at": int(self.created) + 86_400,
            **{f"{name}_at": self.times.get(name) for name in moments},
            "output_file_id": self.files.get("output"),
            "error_file_id": self.files.get("error"),
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "request_counts": counts,
            "metadata": self.metadata,
        }

    def become(self, status: str) -> None:
        """Goes on to a status."""
        self.status = status
        self.times[status] = int(time.time())


class Batches:
    """All batches of a provider.

    Args:
        settings: How they behave.
        store: Where files lie.
        answer: URL and body of one request → the answer's body, or an `ApiError`.
    """

    def __init__(self, settings: Settings, store: Store, answer: Callable[[str, bytes], dict[str, Any]]) -> None:
        self.settings, self.store, self.answer = settings, store, answer
        self.all: dict[str, Batch] = {}
        self.failed_once: set[str] = set()

    def route(self, method: str, rest: list[str], body: Callable[[], dict[str, Any]]) -> Any:
        """Answers what is asked below ``/v1/batches`` with a batch or a list."""
        match method, rest:
            case "POST", []:
                batch = self.create(body())
                if self.settings.lose_batch_replies > 0:
                    self.settings.lose_batch_replies -= 1
                    raise LostError
                return batch.show()
            case "GET", []:
                return [batch.show() for batch in reversed(self.all.values())]
            case "GET", [batch_id]:
                return self.batch(batch_id, poll=True).show()
            case "POST", [batch_id, "cancel"]:
                return self.cancel(batch_id).show()
        raise ApiError(404, "unknown_url", f"Unknown request URL: {method} /v1/batches.")

    def create(self, body: Mapping[str, Any]) -> Batch:
        """Takes a batch in; its file is judged when it is validated."""
        for name in ("input_file_id", "endpoint", "completion_window"):
            if not body.get(name):
                raise ApiError(400, "missing_required_parameter", f"Missing required parameter: '{name}'.", param=name)
        if body["completion_window"] != "24h":
            raise ApiError(400, "invalid_value", "completion_window must be 24h", param="completion_window")
        if body["endpoint"] not in ("/v1/chat/completions", "/v1/completions"):
            raise ApiError(400, "invalid_value", f"Invalid value: '{body['endpoint']}'.", param="endpoint")
        if self.store.file(str(body["input_file_id"])).purpose != "batch":
            raise ApiError(400, "invalid_file", "The file's purpose is not batch", param="input_file_id")
        batch = Batch(
            id=f"batch_{len(self.all) + 1:06d}",
            endpoint=body["endpoint"],
            input_file_id=body["input_file_id"],
            metadata=body.get("metadata"),
        )
        self.all[batch.id] = batch
        return batch

    def batch(self, batch_id: str, *, poll: bool = False) -> Batch:
        """Returns a batch by id, or raises 404; `poll` lets it go on."""
        if batch_id not in self.all:
            raise ApiError(404, "not_found", f"No batch found with id '{batch_id}'.", param="id")
        batch = self.all[batch_id]
        if poll and batch.status not in ENDED and not self.settings.batches_stand_still:
            self._advance(batch)
        return batch

    def cancel(self, batch_id: str) -> Batch:
        """Cancels a batch that is under way; what was answered can be had."""
        batch = self.batch(batch_id)
        if batch.status in ENDED:
            raise ApiError(409, "invalid_status", f"Cannot cancel a batch with status '{batch.status}'.")
        batch.become("cancelling")
        return batch

    def _advance(self, batch: Batch) -> None:
        if batch.status == "validating":
            self._validate(batch)
        elif batch.status == "in_progress":
            self._work(batch)
        elif batch.status == "finalizing":
            self._write(batch)
            batch.become("completed")
        elif batch.status == "cancelling":
            self._write(batch)
            batch.become("cancelled")

    def _validate(self, batch: Batch) -> None:
        batch.errors = self._problems(batch)
        queued = sum(len(other.requests) for other in self.all.values() if other.status not in ENDED)
        room = self.settings.batch_queue
        if not batch.errors and room is not None and queued > room:
            message = f"Enqueued token limit reached. Limit: {room} enqueued. Please try again later."
            batch.errors = [{"code": "token_limit_exceeded", "message": message, "line": None, "param": None}]
        if batch.errors:
            batch.become("failed")
        else:
            batch.become("in_progress")

    def _problems(self, batch: Batch) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = [dict(self.settings.batch_error)] if self.settings.batch_error else []
        seen: set[str] = set()
        models: set[Any] = set()
        lines = self.store.file(batch.input_file_id).content.decode().split("\n")
        for number, line in enumerate((line for line in lines if line), 1):
            row = json.loads(line)
            models.add(row["body"]["model"])
            if row["custom_id"] in seen or row["url"] != batch.endpoint or row["method"] != "POST" or len(models) > 1:
                found.append({"code": "invalid_line", "message": "This line is wrong.", "line": number, "param": None})
            seen.add(row["custom_id"])
            batch.requests.append(row)
        if len(batch.requests) > MOST:
            found.append({"code": "too_many_tasks", "message": "Too many requests.", "line": None, "param": None})
        return found

    def _work(self, batch: Batch) -> None:
        for row in batch.requests[: self.settings.batch_expires_after]:
            raw = json.dumps(row["body"]).encode()
            try:
                if any(text in repr(row["body"]) for text in self._failing(row["custom_id"])):
                    raise ApiError(500, "server_error", "The server had an error.")
                response = {"status_code": 200, "request_id": "r", "body": self.answer(row["url"], raw)}
                into = batch.answered
            except ApiError as error:
                response = {"status_code": error.status, "request_id": "r", "body": error.body}
                into = batch.refused
            into.append(self._line(row, response, None))
        if self.settings.batch_expires_after is None:
            batch.become("finalizing")
            return
        for row in batch.requests[self.settings.batch_expires_after :]:
            gone = {"code": "batch_expired", "message": "This request could not be executed before the batch expired."}
            batch.refused.append(self._line(row, None, gone))
        self._write(batch)
        batch.become("expired")

    def _failing(self, custom_id: str) -> tuple[str, ...]:
        if custom_id in self.failed_once:
            return ()
        self.failed_once.add(custom_id)
        return self.settings.batch_500_once

    @staticmethod
    def _line(row: Mapping[str, Any], response: Any, error: Any) -> dict[str, Any]:
        return {"id": f"br-{row['custom_id'][:8]}", "custom_id": row["custom_id"], "response": response, "error": error}

    def _write(self, batch: Batch) -> None:
        for name, rows in (("output", batch.answered), ("error", batch.refused)):
            mixed = random.Random(batch.id).sample(rows, len(rows))
            lines = [json.dumps(row, ensure_ascii=False) for row in mixed]
            if name == "output" and lines and self.settings.batch_lines_spoilt:
                stray = json.dumps({**mixed[0], "custom_id": "nobody's"})
                lines = [lines[0], *lines, stray, "null", "[]", lines[-1][: len(lines[-1]) // 2]]
                del lines[-5]  # the last answer is there as a cut-off line only
            if lines:
                content = "\n".join(lines).encode("utf-8", "surrogatepass")
                batch.files[name] = self.store.add_file(f"{batch.id}_{name}.jsonl", "batch_output", content).id
