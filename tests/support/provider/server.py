"""The fake provider's HTTP side: aiohttp's low-level server, so that it is never the bottleneck of a test."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from support.provider.api import Api
from support.provider.errors import ApiError, LostError
from support.provider.faults import Faults
from support.provider.settings import INFERENCE, Settings
from support.provider.stream import events

_ID = re.compile(r"(?<=/)(?:file-|ftjob-|batch_|ft:)[^/]+")


def _json(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=json.dumps(body).encode(), status=status, headers=headers, content_type="application/json")


@dataclass(kw_only=True)
class Seen:
    """What came since counts were last forgotten."""

    recent: deque[tuple[str, str, Any, bytes]]
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    peak: int = 0


class Server:
    """Takes requests, counts them, and sends what they come to; one for each provider."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.faults = Faults(settings)
        self.api = Api(settings, self.faults)
        self.held = 0
        self.clear()

    def clear(self) -> None:
        """Forgets counts and requests; what a process that was killed has left under way counts no more either."""
        self.seen = Seen(recent=deque(maxlen=self.settings.keep_requests))
        self.faults.clear()
        self.api.asked.clear()

    # --- one request ------------------------------------------------------------------------------------------------
    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers one request, with whatever goes wrong with it."""
        path = request.path
        if path.startswith("/admin/"):
            return await self._admin(request, path.removeprefix("/admin/"))
        inference = path in INFERENCE
        route = f"{request.method} {path if inference else _ID.sub('{id}', path)}"
        seen = self.seen
        seen.counts[route] += 1
        seen.in_flight += inference
        seen.peak = max(seen.peak, seen.in_flight)
        try:
            response = await self._held(request, route, seen)
        except LostError:
            if request.transport is not None:
                request.transport.abort()
            response = _Gone()
        finally:
            seen.in_flight -= inference
        seen.statuses[str(response.status) if response.status else "reset"] += 1
        return response

    async def _held(self, request: web.BaseRequest, route: str, seen: Seen) -> web.StreamResponse:
        """Serves a request, or lets it wait as the settings say: before, and never served then, or after."""
        if not self.settings.hold_reply and await self._hold(route):
            raise LostError
        if request.path in INFERENCE and seen.counts[route] > self.settings.together_after:
            await self._gathered(seen)
        response = await self._served(request, request.path, seen)
        if self.settings.hold_reply:
            await self._hold(route)
        return response

    async def _hold(self, route: str) -> bool:
        """Waits as long as the settings hold a route; returns whether they did."""
        if self.settings.hold != route or self.seen.counts[route] <= self.settings.hold_after:
            return False
        self.held += 1
        while self.settings.hold == route:
            await asyncio.sleep(0.005)
        self.held -= 1
        return True

    async def _gathered(self, seen: Seen) -> None:
        """Waits for others, which come however slow the machine is."""
        end = time.monotonic() + 60
        while seen.peak < self.settings.together and time.monotonic() < end:
            await asyncio.sleep(0.005)

    async def _served(self, request: web.BaseRequest, path: str, seen: Seen) -> web.StreamResponse:
        inference = path in INFERENCE
        multipart = request.content_type == "multipart/form-data"
        raw = b"" if multipart else await request.content.read()
        seen.recent.append((request.method, request.raw_path, request.headers, raw))
        try:
            self._authorise(request)
            faulty = path.startswith(tuple(self.settings.fault_paths))
            if faulty and (instead := await self.faults.befall(raw)) is not None:
                return instead
            body = self.api.infer(path, raw) if inference else await self.api.route(request, raw)
            self.faults.good += inference and seen is self.seen
            if faulty and self.settings.reply_s:
                await asyncio.sleep(self.settings.reply_s)
        except ApiError as error:
            if self.settings.leak_key:
                error.body["error"]["message"] = f"{error} (key: {request.headers.get('Authorization', '')})"
            return _json(error.body, error.status, error.headers)
        cut = faulty and self.faults.hits("cut", self.settings.cut_rate, raw)
        asked = json.loads(raw) if inference else {}
        if isinstance(body, dict) and asked.get("stream"):
            usage = bool((asked.get("stream_options") or {}).get("include_usage"))
            return await self._stream(request, events(body, usage=usage), cut)
        return await self._sent(request, body, cut, slowly=faulty and self.settings.dribble_s > 0)

    def _authorise(self, request: web.BaseRequest) -> None:
        key = self.settings.api_key
        if key is None or request.headers.get("Authorization") == f"Bearer {key}":
            return
        raise ApiError(401, "invalid_api_key", "Incorrect API key provided.")

    async def _sent(
        self, request: web.BaseRequest, body: dict[str, Any] | bytes, cut: bool, slowly: bool
    ) -> web.StreamResponse:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        if cut:
            return await self._cut(request, payload)
        if slowly:
            return await self._stream(request, [payload[n : n + 1] for n in range(len(payload))], cut)
        kind = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        return web.Response(body=payload, content_type=kind, headers=self.faults.limits())

    async def _cut(self, request: web.BaseRequest, payload: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(payload)), "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(payload[: len(payload) // 2])
        if request.transport is not None:
            request.transport.close()
        return response

    async def _stream(self, request: web.BaseRequest, pieces: list[bytes], cut: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **self.faults.limits()})
        await response.prepare(request)
        for piece in pieces[: len(pieces) // 2] if cut else pieces:
            await asyncio.sleep(max(self.settings.stream_pause_s, self.settings.dribble_s))
            await response.write(piece)
        if cut and request.transport is not None:
            request.transport.close()
        return response

    # --- the test's own channel -------------------------------------------------------------------------------------
    async def _admin(self, request: web.BaseRequest, what: str) -> web.Response:
        if what == "set":
            values = json.loads(await request.read())
            self.settings.update(values)
            self.api.changed()
            if "quota_after" in values:
                self.faults.good = 0
            return _json({})
        if what == "forget":
            self.api.forget()
            return _json({})
        if what == "reset":
            self.clear()
            return _json({})
        store = self.api.store
        if what.startswith("file/"):
            return _json(store.file(what.removeprefix("file/")).content.decode("utf-8", "replace"))
        state: dict[str, Any] = {
            "counts": self.seen.counts,
            "statuses": self.seen.statuses,
            "peak": self.seen.peak,
            "held": self.held,
            "files": [file.show() for file in store.files.values()],
            "jobs": [job.show() for job in store.jobs.values()],
            "batches": [{**batch.show(), "requests": batch.requests} for batch in self.api.batches.all.values()],
        }
        return _json([_shown(*item) for item in self.seen.recent] if what == "requests" else state[what])


def _shown(method: str, path: str, headers: Mapping[str, str], raw: bytes) -> dict[str, Any]:
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
