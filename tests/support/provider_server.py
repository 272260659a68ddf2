"""The fake provider's HTTP side: aiohttp's low-level server, so that it is never the bottleneck of a test."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from aiohttp import BodyPartReader, web

from support.provider import INFERENCE, Settings
from support.provider_batches import Batches, whole
from support.provider_embeddings import embeddings
from support.provider_jobs import ApiError, Store
from support.provider_model import Oracle, chat, chat_text, completion, draw
from support.provider_stream import events

_ID = re.compile(r"(?<=/)(?:file-|ftjob-|batch_|ft:)[^/]+")
_META = re.compile(r"metadata\[(.+)\]")


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, headers=headers, content_type="application/json")


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


class Server:
    """Dispatches requests; one for each provider."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.oracle = Oracle(settings)
        self.forget()
        self.clear()
        self.good = 0
        self.held = 0
        self.fresh = settings.fresh_404
        self.replies_to_lose = settings.lose_job_replies
        self.file_replies_to_lose = settings.lose_file_replies
        self.allowance, self.refilled = settings.requests_per_s or 0.0, time.monotonic()

    def forget(self) -> None:
        """Forgets files, jobs, models and batches."""
        self.store = Store(self.settings)
        self.batches = Batches(self.settings, self.store, self._batched)

    def clear(self) -> None:
        """Forgets counts and requests."""
        self.counts: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.attempts: Counter[bytes] = Counter()
        self.asked: Counter[bytes] = Counter()
        self.recent: deque[tuple[str, str, Any, bytes]] = deque(maxlen=self.settings.keep_requests)
        self.in_flight = self.peak = 0

    # --- one request ------------------------------------------------------------------------------------------------
    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request, with whatever goes wrong with it."""
        path = request.path
        if path.startswith("/admin/"):
            return await self._admin(request, path.removeprefix("/admin/"))
        inference = path in INFERENCE
        route = f"{request.method} {path if inference else _ID.sub('{id}', path)}"
        self.counts[route] += 1
        self.in_flight += inference
        self.peak = max(self.peak, self.in_flight)
        try:
            response = await self._held(request, route) or await self._guarded(request, path, inference)
            if self.settings.hold_reply:
                await self._hold(route)
        finally:
            self.in_flight -= inference
        self.statuses[str(response.status) if response.status else "reset"] += 1
        return response

    async def _held(self, request: web.BaseRequest, route: str) -> web.StreamResponse | None:
        """Lets a request wait that is never served, where the settings say so."""
        if self.settings.hold_reply or not await self._hold(route):
            return None
        if request.transport is not None:
            request.transport.abort()
        return _Gone()

    async def _hold(self, route: str) -> bool:
        """Waits as long as the settings hold a route; returns whether they did."""
        if self.settings.hold != route or self.counts[route] <= self.settings.hold_after:
            return False
        self.held += 1
        while self.settings.hold == route:
            await asyncio.sleep(0.005)
        self.held -= 1
        return True

    async def _guarded(self, request: web.BaseRequest, path: str, inference: bool) -> web.StreamResponse:
        multipart = request.content_type == "multipart/form-data"
        raw = b"" if multipart else await request.content.read()
        self.recent.append((request.method, request.raw_path, request.headers, raw))
        try:
            self._authorise(request)
            faulty = path.startswith(tuple(self.settings.fault_paths))
            if faulty:
                await self._delay(raw)
                lost = await self._fault(request, path, raw)
                if lost is not None:
                    return lost
            body: Any = self._infer(path, raw) if inference else await self._route(request, path, raw)
            self.good += inference
            if faulty and self.settings.reply_s:
                await asyncio.sleep(self.settings.reply_s)
        except ApiError as error:
            return _json(self._worded(error.body, request), error.status, error.headers)
        if isinstance(body, web.StreamResponse):
            content = getattr(body, "body", None)
            lost = faulty and isinstance(content, bytes) and self._hits("cut", self.settings.cut_rate, raw)
            return await self._cut(request, content) if lost else body
        cut = faulty and self._hits("cut", self.settings.cut_rate, raw)
        asked = json.loads(raw) if inference else {}
        if asked.get("stream"):
            usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            return await self._stream(request, events(body, usage=usage), cut)
        payload = json.dumps(body).encode()
        if cut:
            return await self._cut(request, payload)
        if faulty and self.settings.dribble_s:
            return await self._stream(request, [payload[n : n + 1] for n in range(len(payload))], cut)
        return web.Response(body=payload, content_type="application/json", headers=self._limits())

    def _worded(self, body: dict[str, Any], request: web.BaseRequest) -> dict[str, Any]:
        if self.settings.leak_key:
            body["error"]["message"] += f" (key: {request.headers.get('Authorization', '')})"
        return body

    def _authorise(self, request: web.BaseRequest) -> None:
        key = self.settings.api_key
        if key is None or request.headers.get("Authorization") == f"Bearer {key}":
            return
        raise ApiError(401, "invalid_api_key", "Incorrect API key provided.")

    # --- faults -----------------------------------------------------------------------------------------------------
    def _hits(self, fault: str, rate: float, raw: bytes) -> bool:
        """Whether `fault` befalls this attempt of this body: drawn from both, so order does not matter."""
        return rate > 0 and draw(self.settings.seed, fault, raw, self.attempts[raw]) < rate

    async def _delay(self, raw: bytes) -> None:
        s = self.settings
        wait = s.latency_s + (s.latency_jitter_s * draw(s.seed, "latency", raw) if s.latency_jitter_s else 0.0)
        if wait:
            await asyncio.sleep(wait)

    def _limits(self) -> dict[str, str] | None:
        rate = self.settings.requests_per_s
        if not rate:
            return None
        return {
            "x-ratelimit-limit-requests": str(int(rate * 60)),
            "x-ratelimit-remaining-requests": str(int(self.allowance)),
            "x-ratelimit-reset-requests": f"{int(1000 / rate)}ms",
        }

    def _too_many(self, code: str, message: str, kind: str) -> ApiError:
        error = ApiError(429, code, message, kind=kind)
        if self.settings.retry_after_s is not None and code != "insufficient_quota":
            error.headers["Retry-After"] = str(self.settings.retry_after_s)
        if self.settings.retry_after_ms is not None and code != "insufficient_quota":
            error.headers["retry-after-ms"] = str(self.settings.retry_after_ms)
        error.headers.update(self._limits() or {})
        return error

    def _over_rate(self) -> bool:
        rate = self.settings.requests_per_s
        if not rate:
            return False
        now = time.monotonic()
        self.allowance = min(rate, self.allowance + (now - self.refilled) * rate)
        self.refilled = now
        if self.allowance < 1:
            return True
        self.allowance -= 1
        return False

    async def _fault(self, request: web.BaseRequest, path: str, raw: bytes) -> web.StreamResponse | None:
        s = self.settings
        if s.fail_first or s.always_500 or s.always_400 or any(self._rates()):
            self.attempts[raw] += 1
        if s.quota_after is not None and self.good >= s.quota_after:
            message = "You exceeded your current quota, please check your plan and billing details."
            raise self._too_many("insufficient_quota", message, "insufficient_quota")
        if self._over_rate() or self._hits("429", s.rate_429, raw):
            raise self._too_many("rate_limit_exceeded", "Rate limit reached for requests.", "requests")
        if self._hits("hang", s.hang_rate, raw):
            await asyncio.sleep(3600)
        if self._hits("reset", s.reset_rate, raw):
            if request.transport is not None:
                request.transport.abort()
            return _Gone()
        if self._hits("blank", s.blank_rate, raw):
            return web.Response(body=b"", content_type="application/json")
        if self._hits("garbage", s.garbage_rate, raw):
            return web.Response(text="<html><body>502 Bad Gateway</body></html>", content_type="text/html")
        if self._hits("500", s.error_500_rate, raw) or (s.fail_first and self.attempts[raw] <= s.fail_first):
            raise ApiError(500, "server_error", "The server had an error while processing your request.")
        self._fixed_faults(path, raw)
        return None

    def _rates(self) -> tuple[float, ...]:
        s = self.settings
        rates = (s.rate_429, s.error_500_rate, s.reset_rate, s.cut_rate, s.garbage_rate, s.empty_rate, s.hang_rate)
        return (*rates, s.blank_rate)

    def _fixed_faults(self, path: str, raw: bytes) -> None:
        s = self.settings
        if path not in INFERENCE or not (s.always_500 or s.always_400):
            return
        body = json.loads(raw)
        asked = chat_text(body["messages"]) if "messages" in body else body.get("prompt", "")
        for prompt in asked if isinstance(asked, list) else [asked]:
            text = self.oracle.find(prompt).text
            if text in s.always_500:
                raise ApiError(500, "server_error", "The server had an error while processing your request.")
            if text in s.always_400:
                raise ApiError(400, "invalid_prompt", "Your prompt was flagged by the content filter.")

    async def _cut(self, request: web.BaseRequest, payload: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(payload)), "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(payload[: len(payload) // 2])
        if request.transport is not None:
            request.transport.close()
        return response

    async def _stream(self, request: web.BaseRequest, pieces: list[bytes], cut: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **(self._limits() or {})})
        await response.prepare(request)
        for piece in pieces[: len(pieces) // 2] if cut else pieces:
            await asyncio.sleep(max(self.settings.stream_pause_s, self.settings.dribble_s))
            await response.write(piece)
        if cut and request.transport is not None:
            request.transport.close()
        return response

    # --- the API ----------------------------------------------------------------------------------------------------
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

    def _infer(self, path: str, raw: bytes) -> dict[str, Any]:
        is_chat = path == INFERENCE[0]
        self._there("chat" if is_chat else "completions", path)
        body = self._body(raw)
        model, needed = body.get("model"), "messages" if is_chat else "prompt"
        if not body.get(needed):
            message = f"Missing required parameter: '{needed}'."
            raise ApiError(400, "missing_required_parameter", message, param=needed)
        model = self._deployed(model)
        tuned = model in self.store.tuned
        if tuned and self.fresh > 0:
            self.fresh -= 1
            raise ApiError(404, "model_not_found", f"The model `{model}` does not exist.", param="model")
        if not tuned and model not in self.settings.models:
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise ApiError(404, "model_not_found", message)
        empty = self._hits("empty", self.settings.empty_rate, raw)
        oracle = self._mood(raw)
        for accuracy in [own for part, own in self.settings.accuracy_of.items() if tuned and part in model][:1]:
            oracle = Oracle(dataclasses.replace(oracle.settings, tuned_accuracy=accuracy))
        answer = (chat if is_chat else completion)(oracle, body, tuned=tuned, empty=empty)
        kind = "chatcmpl" if is_chat else "cmpl"
        return {"id": f"{kind}-{sum(self.counts.values()):08d}", "created": int(time.time()), **answer}

    def _deployed(self, name: Any) -> Any:
        """Returns the model behind a name: where there are deployments, trained models have no other."""
        if self.settings.deployments is None:
            return name
        if name in self.store.tuned:
            raise ApiError(404, "DeploymentNotFound", "The API deployment for this resource does not exist.")
        return self.settings.deployments.get(name, name) or next(reversed(self.store.tuned), name)

    def _mood(self, raw: bytes) -> Oracle:
        """Returns who answers: now and then somebody else, where the same question comes again."""
        s = self.settings
        if not s.flip_rate:
            return self.oracle
        self.asked[raw] += 1
        again = self.asked[raw] - 1
        flips = again and draw(s.seed, "flip", raw, again) < s.flip_rate
        return Oracle(dataclasses.replace(s, seed=s.seed + 1000 * again)) if flips else self.oracle

    def _batched(self, path: str, raw: bytes) -> dict[str, Any]:
        self._fixed_faults(path, raw)
        return self._infer(path, raw)

    def _there(self, feature: str, path: str) -> None:
        if feature in self.settings.without:
            raise ApiError(404, "unknown_url", f"Unknown request URL: {path}.")

    async def _route(self, request: web.BaseRequest, path: str, raw: bytes) -> Any:
        parts = path.removeprefix("/v1/").split("/")
        if parts[0] == "models":
            self._there("models", path)
        match request.method, parts:
            case "GET", ["models"]:
                return {"object": "list", "data": [self._model(name) for name in self._models()]}
            case "GET", ["models", *rest]:
                if (name := "/".join(rest)) in self._models():
                    return self._model(name)
                raise ApiError(404, "model_not_found", f"The model '{name}' does not exist", param="model")
            case "POST", ["embeddings"]:
                self._there("embeddings", path)
                return embeddings(self.settings, self._body(raw))
            case _, ["files", *rest]:
                self._there("files", path)
                return await self._files(request, rest)
            case _, ["fine_tuning", "jobs", *rest]:
                self._there("fine_tuning", path)
                return self._jobs(request, rest, raw)
            case _, ["batches", *rest]:
                self._there("batches", path)
                shown = self.batches.route(request.method, rest, lambda: self._body(raw))
                if shown is None and request.transport is not None:
                    request.transport.abort()
                    return _Gone()
                return _page(shown, parse_qs(request.query_string)) if isinstance(shown, list) else shown
        raise ApiError(404, "unknown_url", f"Unknown request URL: {request.method} {path}.")

    def _models(self) -> list[str]:
        return [*self.settings.models, *self.store.tuned]

    def _model(self, name: str) -> dict[str, Any]:
        shown = {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "test"}
        date = self.settings.shutdown_dates.get(name)
        return {**shown, "shutdown_date": date} if date else shown

    async def _files(self, request: web.BaseRequest, rest: list[str]) -> Any:
        match request.method, rest:
            case "POST", []:
                stored = await self._upload(request)
                if self.file_replies_to_lose > 0 and request.transport is not None:
                    self.file_replies_to_lose -= 1
                    request.transport.abort()
                    return _Gone()
                return stored.show()
            case "GET", []:
                if "file list" in self.settings.without:
                    raise ApiError(405, "method_not_supported", f"Not allowed: GET {request.path}.")
                query = parse_qs(request.query_string)
                wanted = query.get("purpose", [""])[0]
                files = [item for item in reversed(self.store.files.values()) if wanted in {"", item.purpose}]
                return _page([item.show() for item in files], self._kept(query))
            case "GET", [file_id]:
                return self.store.file(file_id).show()
            case "GET", [file_id, "content"]:
                self._there("file content", request.path)
                return web.Response(body=self.store.file(file_id).content, content_type="application/octet-stream")
            case "DELETE", [file_id]:
                self.store.file(file_id)
                del self.store.files[file_id]
                return {"id": file_id, "object": "file", "deleted": True}
        raise ApiError(404, "unknown_url", f"Unknown request URL: {request.path}.")

    async def _upload(self, request: web.BaseRequest) -> Any:
        name, purpose, content = "", "", None
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            if part.name == "purpose":
                purpose = await part.text()
            elif part.name == "file":
                name, content = part.filename or "", await whole(part)
        if content is None or not purpose:
            raise ApiError(400, "missing_required_parameter", "file and purpose are required", param="file")
        if purpose == "fine-tune" and not name.endswith(".jsonl"):
            raise ApiError(400, "invalid_file_format", f"Expected file to have JSONL format; got {name}", param="file")
        return self.store.add_file(name, purpose, content)

    def _jobs(self, request: web.BaseRequest, rest: list[str], raw: bytes) -> Any:
        query = parse_qs(request.query_string, keep_blank_values=True)
        match request.method, rest:
            case "POST", []:
                job = self.store.create(self._body(raw))
                if self.replies_to_lose > 0 and request.transport is not None:
                    self.replies_to_lose -= 1
                    request.transport.abort()
                    return _Gone()
                return job.show()
            case "GET", []:
                return _page(self._listed(query), self._kept(query))
            case "GET", [job_id]:
                return self.store.job(job_id, poll=True).show()
            case "POST", [job_id, "cancel"]:
                return self.store.cancel(job_id).show()
            case "GET", [job_id, "events"]:
                self._there("events", request.path)
                return _page(self.store.job(job_id).events[::-1], self._kept(query))
            case "GET", [job_id, "checkpoints"]:
                self._there("checkpoints", request.path)
                return _page(self.store.job(job_id).checkpoints[::-1], self._kept(query))
        raise ApiError(404, "unknown_url", f"Unknown request URL: {request.path}.")

    def _kept(self, query: Mapping[str, list[str]]) -> dict[str, list[str]]:
        return {name: values for name, values in query.items() if name not in self.settings.ignores}

    def _listed(self, query: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        wanted = {match[1]: values[0] for key, values in query.items() if (match := _META.fullmatch(key))}
        if wanted and "metadata filter" in self.settings.without:
            raise ApiError(400, "unknown_parameter", "Unknown parameter: 'metadata'.", param="metadata")
        if "metadata filter" in self.settings.ignores:
            wanted = {}
        jobs = [self.store.job(job_id).show() for job_id in reversed(self.store.jobs)]
        return [job for job in jobs if wanted.items() <= (job["metadata"] or {}).items()]

    # --- the test's own channel -------------------------------------------------------------------------------------
    async def _admin(self, request: web.BaseRequest, what: str) -> web.Response:
        if what == "set":
            values = json.loads(await request.read())
            self.settings.update(values)
            self.oracle = Oracle(self.settings)
            if "lose_job_replies" in values:
                self.replies_to_lose = self.settings.lose_job_replies
            if "fresh_404" in values:
                self.fresh = self.settings.fresh_404
            if "lose_file_replies" in values:
                self.file_replies_to_lose = self.settings.lose_file_replies
            if "quota_after" in values:
                self.good = 0
            return _json({})
        if what == "forget":
            self.forget()
            return _json({})
        if what == "reset":
            self.clear()
            return _json({})
        if what.startswith("file/"):
            return _json(self.store.file(what.removeprefix("file/")).content.decode("utf-8", "replace"))
        state: dict[str, Any] = {
            "counts": self.counts,
            "statuses": self.statuses,
            "peak": self.peak,
            "held": self.held,
            "files": [file.show() for file in self.store.files.values()],
            "jobs": [job.show() for job in self.store.jobs.values()],
            "batches": [{**batch.show(), "requests": batch.requests} for batch in self.batches.all.values()],
        }
        return _json([self._shown(*item) for item in self.recent] if what == "requests" else state[what])

    def _shown(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> dict[str, Any]:
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        lowered = {name.lower(): value for name, value in headers.items()}
        return {"method": method, "path": path, "headers": lowered, "body": body}


class _Gone(web.Response):
    """Stands for the answer on a connection that is no more."""

    @property
    def status(self) -> int:
        return 0


async def _run(settings: Settings, until_stdin_ends: bool) -> None:
    runner = web.ServerRunner(web.Server(Server(settings).handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    sys.stdout.write(json.dumps({"port": runner.addresses[0][1]}) + "\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    if until_stdin_ends:
        loop = asyncio.get_running_loop()

        def watch() -> None:
            sys.stdin.read()
            loop.call_soon_threadsafe(ended.set)

        threading.Thread(target=watch, daemon=True).start()
    await ended.wait()


def serve(settings: Settings, *, until_stdin_ends: bool) -> None:
    """Serves on a free port of the loopback interface and prints ``{"port": N}``."""
    asyncio.run(_run(settings, until_stdin_ends))
