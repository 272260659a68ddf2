"""Sends requests: a fixed pool of workers for each endpoint, retries, and a commit before an answer is used.

The `openai` client gives authentication, base URL, proxies and the connection; its aiohttp transport and raw bodies,
decoded once, cost a third of its model classes (docs/decisions/0004-execution.md).
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.contract import Done
from harness.errors import GateError, HarnessError, UnfinishedError, UsageError
from harness.execution.budget import Budget
from harness.execution.faults import BadBody, Fate, judge
from harness.execution.targets import Target, client
from harness.execution.work import Request, rounds, tokens_of
from harness.journal import Entry, Fault, Record
from harness.secrets import Scrubber
from harness.types import Call, Reply

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ATTEMPTS = 6
"""Attempts for one request before the item is given up."""
CONNECTION_ATTEMPTS = 4
"""Fewer where nobody answers at all: about 4 s of waiting."""
BACKOFF_S, BACKOFF_MAX_S = 0.5, 20.0
COMMIT_CHECK_S = 5.0
"""Seconds after which a commit that has not come is asked about."""
BUDGET_CHECK_S = 0.02
"""Seconds between two looks at the budget while requests in flight hold the rest of it."""
STRIKES = 5
"""Items out of retries in a row after which the endpoint counts as down."""


@dataclass(slots=True, kw_only=True)
class _Lane:
    """The work of one endpoint while it goes on."""

    target: Target
    client: AsyncOpenAI
    pending: deque[Request]
    strikes: int = 0
    down: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request that has no answer now."""

    message: str
    endpoint_down: bool


class Committer(Protocol):
    """Where answers go: the journal."""

    def submit(self, records: list[Record], committed: Callable[[], None]) -> None:
        """Queues records; `committed` is called once they are safe."""

    def add(self, records: Iterable[Record]) -> None:
        """Returns when records are safe."""

    def answered(self, arm: str) -> bool:
        """Whether an arm has at least one answer."""
        ...


@dataclass(kw_only=True)
class Engine:
    """Carries requests out over the endpoints' own clients."""

    journal: Committer
    connect: Callable[[str], Target]
    """Endpoint name → how it is reached; called only where there is something to send."""
    scrub: Scrubber = field(default_factory=Scrubber)
    progress: Callable[[str, Mapping[str, Any]], None] = lambda _arm, _figures: None
    """Told of every answer: arm and figures."""
    budget: Budget = field(default_factory=Budget)
    inspect: Callable[[Request, Reply], None] = lambda _request, _reply: None
    """Called with the first reply of each arm, once that is on disk; a `HarnessError` of its own ends the command."""
    seed: int = 0
    refusal: HarnessError | None = None
    """Set when a key, a model or a setting is wrong: what was in flight has come in, nothing more was sent."""
    stopped: GateError | None = None
    """Set when the budget said no: what was in flight has come in, nothing more was sent."""
    failed: dict[str, Failed] = field(default_factory=dict)
    """Key → what happened, for the requests that have no answer."""
    _heard: set[str] = field(default_factory=set)
    """Arms that had an answer."""
    _refused: dict[str, list[Record]] = field(default_factory=dict)
    """Arm → refused items of an arm without any answer: it may be the arm that is refused, not the items."""

    def send(self, calls: Iterable[Call], done: Done) -> None:
        """Sends requests and returns when each is answered or given up.

        Raises:
            UsageError: A key, a permission, a model or a setting is wrong: nothing else would be answered either.
            UnfinishedError: The journal cannot be written.
        """
        requests = [call for call in calls if isinstance(call, Request)]
        by_endpoint: dict[str, list[Request]] = {}
        for request in requests:
            by_endpoint.setdefault(request.endpoint, []).append(request)
        targets = {name: self.connect(name) for name in by_endpoint}
        if requests:
            try:
                asyncio.run(self._all([(targets[name], of) for name, of in by_endpoint.items()], done))
            except* HarnessError as group:
                raise _first(group) from None
        if self.refusal is not None:
            raise self.refusal
        for arm in list(self._refused):
            self.journal.add(self._refused.pop(arm))

    @property
    def over(self) -> bool:
        """Whether nothing more may be sent."""
        return self.refusal is not None or self.stopped is not None

    def done(self, call: Call, reply: Reply) -> None:
        """Commits one answer and returns when it is on disk."""
        if isinstance(call, Request):
            timing = dict(reply.timing or {})
            if "usd" not in timing:
                reply.timing = {**timing, "usd": self.budget.charge(call, reply, timing.get("tier", ""))}
                self.budget.release(call)
            self.journal.add([self._entry(call, reply)])
            self.heard(call, reply)

    def heard(self, request: Request, reply: Reply) -> None:
        """Takes notice of an answer that is on disk."""
        self.progress(request.arm, {"done": 1, **_usage(reply)})
        if request.arm not in self._heard:
            self._heard.add(request.arm)
            try:
                self.inspect(request, reply)
            except HarnessError as error:
                self.refusal = self.refusal or error

    async def _all(self, work: list[tuple[Target, list[Request]]], done: Done) -> None:
        async with asyncio.TaskGroup() as group:
            for target, requests in work:
                group.create_task(self._endpoint(target, requests, done))

    async def _endpoint(self, target: Target, requests: list[Request], done: Done) -> None:
        async with client(target) as connection:
            lane = _Lane(target=target, client=connection, pending=deque())
            for turn in rounds(requests, local=target.local, seed=self.seed):
                lane.pending.extend(turn)
                await self._pool(lane, done)

    async def _pool(self, lane: _Lane, done: Done) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(lane.target.concurrency, len(lane.pending))):
                group.create_task(self._worker(lane, done))

    async def _worker(self, lane: _Lane, done: Done) -> None:
        while lane.pending and not self._over():
            request = lane.pending.popleft()
            if lane.down is None and not await self._affordable(request):
                if self._over():
                    return
                self.stopped = self.budget.error()
                lane.down = self.stopped.message
            if lane.down is not None:
                self.failed[request.key] = Failed(message=lane.down, endpoint_down=True)
                self.progress(request.arm, {"failed": 1})
            else:
                try:
                    await self._one(lane, request, done)
                finally:
                    self.budget.release(request)

    def _over(self) -> bool:
        return self.refusal is not None

    async def _affordable(self, request: Request) -> bool:
        """Reserves a request's worst case; where requests in flight stand in the way, it waits for what they cost."""
        try:
            while not self.budget.admit(request):
                if self._over() or not self.budget.reserved:
                    return False
                await asyncio.sleep(BUDGET_CHECK_S)
        except UsageError as error:
            self.refusal = self.refusal or error
            return False
        return True

    async def _one(self, lane: _Lane, request: Request, done: Done) -> None:
        """Asks until there is an answer or none is to be had; either way it is on disk afterwards."""
        first = time.perf_counter()
        attempt = 0
        while True:
            attempt += 1
            began, clock = time.time(), time.perf_counter()
            try:
                reply = await self._attempt(lane, request)
            except Exception as error:
                fate = judge(error)
                await self._commit([self._fault(request, attempt, fate)])
                if not await self._go_on(lane, request, attempt, fate):
                    return
                continue
            reply.timing = {
                "started": began,
                "service_s": time.perf_counter() - clock,
                "retry_s": clock - first if attempt > 1 else 0.0,
                "attempts": attempt,
                "usd": self.budget.charge(request, reply),
            }
            lane.strikes = 0
            await self._answered(request, reply, done)
            return

    async def _answered(self, request: Request, reply: Reply, done: Done) -> None:
        if done == self.done:
            await self._commit([self._entry(request, reply), *self._refused.pop(request.arm, [])])
            self.heard(request, reply)
        else:
            await asyncio.to_thread(done, request, reply)

    async def _attempt(self, lane: _Lane, request: Request) -> Reply:
        import httpx2

        response = await lane.client.post(request.path, cast_to=httpx2.Response, body=request.body)
        try:
            body = json.loads(self.scrub(response.text) if self.scrub.values else response.content)
        except ValueError:
            raise BadBody("the body is no JSON, or was cut off") from None
        if not isinstance(body, dict):
            raise BadBody("the body is no JSON object")
        if body.get("error") and "choices" not in body:  # some gateways send their errors with status 200
            raise BadBody(f"an error came instead of an answer: {json.dumps(body['error'])[:300]}")
        return Reply(body, request)

    async def _go_on(self, lane: _Lane, request: Request, attempt: int, fate: Fate) -> bool:
        """Waits before the next attempt and returns whether there is one."""
        message = self.scrub(fate.message)
        if fate.scope == "setup":
            self.refusal = self.refusal or _setup_error(lane.target, request.arm, fate.kind, message)
        if self._over():
            return False
        if fate.scope == "item":
            await self._refuse(lane, request, attempt, message)
            return False
        limit = CONNECTION_ATTEMPTS if fate.kind == "connection" else ATTEMPTS
        if fate.scope == "endpoint" or attempt >= limit or lane.down is not None:
            lane.strikes += 1
            if lane.down is None and (fate.scope == "endpoint" or lane.strikes >= STRIKES or fate.kind == "connection"):
                lane.down = f"the endpoint {lane.target.name} ({lane.target.base_url}): {message}"
            self.failed[request.key] = Failed(message=message, endpoint_down=lane.down is not None)
            self.progress(request.arm, {"failed": 1})
            return False
        # Full jitter: waits spread out, so that a server that comes back is not hit by all at once.
        wait = random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2**attempt))
        await asyncio.sleep(max(wait, fate.retry_after_s or 0.0))
        return not self._over()

    async def _refuse(self, lane: _Lane, request: Request, attempt: int, message: str) -> None:
        """Records that an item was refused for good, unless it is the whole arm that is refused."""
        entry = Entry(
            key=request.key, arm=request.arm, endpoint=request.endpoint, body={}, error=message, attempts=attempt
        )
        self.progress(request.arm, {"failed": 1})
        if request.arm in self._heard:
            await self._commit([entry])
            return
        held = self._refused.setdefault(request.arm, [])
        held.append(entry)
        if len(held) >= STRIKES and not self.journal.answered(request.arm):
            self.refusal = self.refusal or _setup_error(lane.target, request.arm, "refused", message)

    async def _commit(self, records: list[Record]) -> None:
        loop = asyncio.get_running_loop()
        committed = loop.create_future()

        def tell() -> None:
            with suppress(RuntimeError):  # the loop was closed by an interruption: nobody waits any more
                loop.call_soon_threadsafe(_resolve, committed)

        self.journal.submit(records, tell)
        while True:
            finished, _ = await asyncio.wait([committed], timeout=COMMIT_CHECK_S)
            if finished:
                return
            self.journal.submit([], lambda: None)  # raises where the disk refused

    def _entry(self, request: Request, reply: Reply) -> Entry:
        timing = reply.timing or {}
        return Entry(
            key=request.key, arm=request.arm, endpoint=request.endpoint, body=dict(reply), queue_s=0.0,
            started=timing.get("started", time.time()), service_s=timing.get("service_s", 0.0),
            retry_s=timing.get("retry_s", 0.0), attempts=timing.get("attempts", 1), usd=timing.get("usd"),
            tier=timing.get("tier", ""),
        )  # fmt: skip

    def _fault(self, request: Request, attempt: int, fate: Fate) -> Fault:
        return Fault(
            time=time.time(), key=request.key, arm=request.arm, endpoint=request.endpoint, attempt=attempt,
            kind=fate.kind, message=self.scrub(fate.message),
        )  # fmt: skip

    def unfinished(self) -> UnfinishedError | None:
        """Returns what to tell where requests have no answer."""
        if not self.failed:
            return None
        down = [failed for failed in self.failed.values() if failed.endpoint_down]
        first = (down or list(self.failed.values()))[0]
        return UnfinishedError(
            f"{len(self.failed):,} requests have no answer; {first.message}",
            "what was answered is kept: the same command goes on where this one stopped",
        )


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _usage(reply: Reply) -> dict[str, int]:
    tokens = tokens_of(reply)
    return {} if tokens is None else {"input_tokens": tokens[0], "output_tokens": tokens[2]}


def _setup_error(target: Target, arm: str, kind: str, message: str) -> UsageError:
    where = f"the endpoint {target.name} ({target.base_url})"
    cures = {
        "authentication": f"put a valid key into the environment variable {target.key_name or 'of its api_key_env'}",
        "permission": "the key may not do this; ask its owner, or use another one",
        "unknown-model": "correct `model` in the experiment",
        "not-found": "is base_url right, up to and including /v1?",
        "unsupported": f"change this setting of the arm {arm}, e.g. its `answer`, or in `extra_body`",
        "refused": f"change the arm {arm}, or leave it out with --only",
    }
    said = f"refused the first {STRIKES} requests of the arm {arm}:" if kind == "refused" else "said"
    return UsageError(f"{where} {said} {message}", cures.get(kind, ""))


def _first(group: BaseExceptionGroup[HarnessError]) -> HarnessError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, HarnessError)  # noqa: S101 - `except*` let nothing else in
    return error
