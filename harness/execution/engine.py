"""Sends requests: workers for each endpoint, retries, and a commit before an answer is used.

How a request leaves is `connection.py`'s, what an attempt is `attempts.py`'s; who may go next, `lanes.py` decides
(docs/decisions/0004-execution.md).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.contract import Done
from harness.errors import GateError, HarnessError, UnfinishedError, UsageError
from harness.execution.attempts import attempt, says_nothing
from harness.execution.budget import Budget
from harness.execution.connection import Connection
from harness.execution.faults import MORE_QUOTA, SPENT, Fate, judge
from harness.execution.fresh import ABSENT, FRESH, Fresh
from harness.execution.lanes import Feed, Lane
from harness.execution.sending import Sending, patient_collector
from harness.execution.targets import Target
from harness.execution.work import Request, tokens_of
from harness.journal import Committed, Entry, Fault, Record
from harness.secrets import Scrubber
from harness.types import Call, Reply

ATTEMPTS = 8
"""Attempts for one request before the item is given up; a rate that is full uses none of them up."""
CONNECTION_ATTEMPTS = 4
"""Fewer where nobody answers at all: about 4 s of waiting."""
PATIENCE_S = 900.0
"""Seconds from its first attempt after which a request is given up, whatever is wrong."""
BACKOFF_S, BACKOFF_MAX_S = 0.5, 20.0
EMPTY_AGAIN = 2
NOTHING_SAID = Fate(scope="retry", kind="empty-answer", message="the answer is empty")
STRIKES = 5
"""Items out of retries in a row after which the endpoint counts as down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request that has no answer now."""

    message: str
    endpoint_down: bool


class Committer(Protocol):
    """Where answers go: the journal."""

    def submit(self, records: list[Record], committed: Committed) -> None:
        """Queues records; `committed` is called once they are safe, or with what kept them from it."""

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
    fresh: Fresh = field(default_factory=Fresh)
    inspect: Callable[[Request, Reply], None] = lambda _request, _reply: None
    """Called with the first reply of each arm, once that is on disk; a `HarnessError` of its own ends the command."""
    seed: int = 0
    empty_again: int = EMPTY_AGAIN
    """How often an empty answer is asked for again before it counts as one."""
    refusal: HarnessError | None = None
    """Set when a key, a model or a setting is wrong: what was in flight has come in, nothing more was sent."""
    stopped: GateError | None = None
    """Set when the budget said no: what was in flight has come in, nothing more was sent."""
    interrupted: bool = False
    """Set by `interrupt`: what was in flight has come in, nothing more was sent."""
    failed: dict[str, Failed] = field(default_factory=dict)
    """Key → what happened, for the requests that have no answer."""
    _sending: Sending | None = None
    _heard: set[str] = field(default_factory=set)
    """Arms that had an answer."""
    _refused: dict[str, list[Record]] = field(default_factory=dict)
    """Arm → refused items of an arm without any answer: it may be the arm that is refused, not the items."""

    def send(self, calls: Iterable[Call], done: Done) -> None:
        """Sends requests, in their order as far as arms and endpoints allow, and returns when all are settled.

        Calls are read on only as they are needed. Different endpoints work side by side.

        Raises:
            UsageError: A key, a permission, a model or a setting is wrong: nothing else would be answered either.
            UnfinishedError: The journal cannot be written.
        """
        if isinstance(calls, Sequence):
            if not calls:
                return
            # Where all endpoints are known, a wrong one shows before anything is sent.
            targets = {name: self.connect(name) for name in {call.endpoint: None for call in calls}}
        else:
            targets = {}
        try:
            with patient_collector():
                asyncio.run(self._all(calls, targets, done))
        except* HarnessError as group:
            raise _first(group) from None
        finally:
            self._sending = None
        if self.refusal is not None:
            raise self.refusal
        for arm in list(self._refused):
            self.journal.add(self._refused.pop(arm))

    def interrupt(self) -> bool:
        """Lets nothing more be sent; for signal handlers. Returns whether something is under way that comes in."""
        sending = self._sending
        if sending is None:
            return False
        self.interrupted = True
        with suppress(RuntimeError):  # all has come in just now, and the loop is closed
            sending.loop.call_soon_threadsafe(sending.wake)
        return True

    @property
    def lanes(self) -> Sequence[Lane]:
        """The endpoints at work."""
        return tuple(self._sending.lanes) if self._sending is not None else ()

    @property
    def over(self) -> bool:
        """Whether nothing more may be sent."""
        return self.interrupted or self.refusal is not None or self.stopped is not None

    def done(self, call: Call, reply: Reply) -> None:
        """Commits one answer and returns when it is on disk."""
        if isinstance(call, Request):
            self.journal.add([self.bought(call, reply)])
            self.heard(call, reply)

    def bought(self, request: Request, reply: Reply) -> Entry:
        """Charges a reply that somebody else has brought; returns what is to be committed."""
        timing = dict(reply.timing or {})
        if "usd" not in timing:
            reply.timing = {**timing, "usd": self.budget.charge(request, reply, str(timing.get("tier", "")))}
            self.budget.release(request)
        return self._entry(request, reply)

    def heard(self, request: Request, reply: Reply) -> None:
        """Takes notice of an answer that is on disk."""
        self.progress(request.arm, {"done": 1, "usd": (reply.timing or {}).get("usd") or 0.0, **_usage(reply)})
        if request.arm not in self._heard:
            self._heard.add(request.arm)
            try:
                self.inspect(request, reply)
            except HarnessError as error:
                self.refusal = self.refusal or error

    async def _all(self, calls: Iterable[Call], targets: dict[str, Target], done: Done) -> None:
        requests = (call for call in calls if isinstance(call, Request))
        async with asyncio.TaskGroup() as group:
            sending = Sending(loop=asyncio.get_running_loop())
            self._sending = sending

            def spawn(name: str) -> None:
                group.create_task(self._endpoint(name, targets.get(name), feed, done))

            feed = Feed(requests, spawn)
            for name in targets:
                feed.open(name)
            feed.next(None)

    async def _endpoint(self, name: str, target: Target | None, feed: Feed, done: Done) -> None:
        if target is None:
            target = await asyncio.to_thread(self.connect, name)
        lane = Lane(target=target, feed=feed, budget=self.budget, over=lambda: self.over, heard=self._heard)
        assert self._sending is not None  # noqa: S101 - set where the tasks begin
        self._sending.lanes.append(lane)
        async with Connection(target) as connection, asyncio.TaskGroup() as group:
            for _ in range(target.concurrency):
                group.create_task(self._worker(lane, connection, done))

    async def _worker(self, lane: Lane, connection: Connection, done: Done) -> None:
        while True:
            waited_from = time.perf_counter()
            try:
                request = await lane.take()
            except UsageError as error:  # the budget cannot be kept
                self._stop(refusal=error)
                return
            if request is None:
                if lane.broke and not self.over:
                    self._stop(stopped=self.budget.error())
                return
            if (vain := lane.down or self.fresh.absent(request)) is not None:
                lane.leave(request)
                lane.settled(request)
                self._give_up(request, vain, endpoint_down=lane.down is not None)
                continue
            try:
                await self._one(lane, connection, request, done, time.perf_counter() - waited_from)
            finally:
                self.budget.release(request)
                lane.settled(request)
                if self.budget.max_usd is not None and self._sending is not None:
                    self._sending.wake()

    def _stop(self, *, refusal: HarnessError | None = None, stopped: GateError | None = None) -> None:
        """Lets nothing more be sent; what is under way comes in."""
        self.refusal = self.refusal or refusal
        self.stopped = self.stopped or stopped
        if self._sending is not None:
            self._sending.wake()

    async def _one(self, lane: Lane, connection: Connection, request: Request, done: Done, queue_s: float) -> None:
        """Asks until there is an answer or none is to be had; either way it is on disk afterwards."""
        first, number, tries, empty, paid = time.perf_counter(), 0, 0, 0, 0.0
        while True:
            number += 1
            began, clock = time.time(), time.perf_counter()
            try:
                came = await attempt(connection, lane.target, request, self.scrub)
            except Exception as error:
                fate = self.fresh.judged(request, judge(error))
                tries += fate.kind not in {"rate-limit", FRESH}
                await self._commit([self._fault(request, number, fate)])
                wait_s = await self._settle(lane, request, tries, clock - first, fate)
                lane.leave(request)  # only now: what was learnt counts for whoever comes next
                if wait_s is None or not await self._again(lane, request, wait_s, fate):
                    return
                continue
            reply = Reply(came.body, request)
            usd = self.budget.charge(request, reply)
            if says_nothing(came.body) and empty < self.empty_again and self.budget.holds:
                empty, paid = empty + 1, paid + (usd or 0.0)
                await self._commit([self._fault(request, number, NOTHING_SAID)])
                lane.leave(request)
                if not await self._again(lane, request, _backoff(empty), NOTHING_SAID):
                    return
                continue
            reply.timing = {
                "started": began,
                "service_s": time.perf_counter() - clock,
                "queue_s": queue_s,
                "retry_s": clock - first if number > 1 else 0.0,
                "attempts": number,
                "first_token_s": came.first_token_s,
                "usd": None if usd is None else usd + paid,
            }
            lane.learn(request, came.headers)
            lane.clean()
            await self._answered(request, reply, done)
            lane.leave(request)  # until it is on disk it is under way: that is what a crash may lose
            return

    async def _answered(self, request: Request, reply: Reply, done: Done) -> None:
        if done == self.done:
            await self._commit([self._entry(request, reply), *self._refused.pop(request.arm, [])])
            self.heard(request, reply)
        else:
            await asyncio.to_thread(done, request, reply)

    async def _settle(self, lane: Lane, request: Request, tries: int, spent_s: float, fate: Fate) -> float | None:
        """Draws the conclusions from a failed attempt; returns the seconds to wait before the next, `None`: no next."""
        message = self.scrub(fate.message)
        lane.learn(request, fate.headers)
        if fate.kind == "rate-limit":
            lane.rate.limited(fate.retry_after_s)
        if fate.scope == "setup":
            self._stop(refusal=_setup_error(lane.target, request.arm, fate.kind, message))
        if self.over:
            return None
        if fate.scope == "item":
            await self._refuse(lane, request, tries, message)
            return None
        if fate.kind == ABSENT:
            self._give_up(request, message, endpoint_down=False)
            return None
        limit = CONNECTION_ATTEMPTS if fate.kind == "connection" else ATTEMPTS
        final = fate.scope == "endpoint" or lane.down is not None
        if final or tries >= limit or spent_s > PATIENCE_S:
            lane.strikes += 1
            if lane.down is None and (final or lane.strikes >= STRIKES or fate.kind == "connection"):
                lane.down = f"the endpoint {lane.target.name} ({lane.target.base_url}): {message}"
                lane.wake_all()
            self._give_up(request, message, endpoint_down=lane.down is not None)
            return None
        return max(_backoff(tries), fate.retry_after_s or 0.0)

    async def _again(self, lane: Lane, request: Request, wait_s: float, fate: Fate) -> bool:
        """Waits until a request's next attempt may go; False: there is none."""
        await lane.pause(wait_s)
        if await lane.retake(request):
            return True
        if not self.over:  # the endpoint went down meanwhile
            self._give_up(request, self.scrub(fate.message), endpoint_down=True)
        return False

    def _give_up(self, request: Request, message: str, *, endpoint_down: bool) -> None:
        self.failed[request.key] = Failed(message=message, endpoint_down=endpoint_down)
        self.progress(request.arm, {"failed": 1})

    async def _refuse(self, lane: Lane, request: Request, tries: int, message: str) -> None:
        """Records that an item was refused for good, unless it is the whole arm that is refused."""
        entry = Entry(
            key=request.key, arm=request.arm, endpoint=request.endpoint, body={}, error=message, attempts=tries
        )
        self.progress(request.arm, {"failed": 1})
        if request.arm in self._heard:
            await self._commit([entry])
            return
        held = self._refused.setdefault(request.arm, [])
        held.append(entry)
        if len(held) >= STRIKES and not self.journal.answered(request.arm):
            self._stop(refusal=_setup_error(lane.target, request.arm, "refused", message))

    async def _commit(self, records: list[Record]) -> None:
        """Returns when records are on disk.

        Raises:
            HarnessError: They cannot be written.
        """
        assert self._sending is not None  # noqa: S101 - set where the tasks begin
        committed = self._sending.loop.create_future()
        receipts = self._sending.receipts
        self.journal.submit(records, lambda error: receipts.put(committed, error))
        await committed

    def _entry(self, request: Request, reply: Reply) -> Entry:
        timing = reply.timing or {}
        return Entry(
            key=request.key, arm=request.arm, endpoint=request.endpoint, body=dict(reply),
            started=timing.get("started", time.time()), service_s=timing.get("service_s", 0.0),
            queue_s=timing.get("queue_s", 0.0), retry_s=timing.get("retry_s", 0.0),
            attempts=timing.get("attempts", 1), usd=timing.get("usd"), first_token_s=timing.get("first_token_s"),
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
        first = max(self.failed.values(), key=lambda failed: failed.endpoint_down)  # the first of equals
        spent = any(code in first.message for code in SPENT)
        return UnfinishedError(
            f"{len(self.failed):,} requests have no answer; {first.message}",
            MORE_QUOTA if spent else "what was answered is kept: the same command goes on where this one stopped",
        )


def _backoff(tries: int) -> float:
    """Returns the seconds to wait after so many attempts.

    Full jitter (Brooker 2015): waits spread out, so that a server that comes back is not hit by all at once.
    """
    return random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2 ** max(tries, 1)))


def _usage(reply: Reply) -> dict[str, int]:
    tokens = tokens_of(reply)
    return {} if tokens is None else {"input_tokens": tokens.input, "output_tokens": tokens.output}


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
