"""Sends requests: workers for each endpoint, retries, and a commit before an answer is used.

How a request leaves is `connection.py`'s, what an attempt is `attempts.py`'s; who may go next, `lanes.py` decides
(docs/decisions/0004-execution.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from harness.collector import patient_collector
from harness.contract import Done
from harness.errors import GateError, HarnessError, UnfinishedError, UsageError
from harness.execution.attempts import attempt, says_nothing
from harness.execution.budget import Budget
from harness.execution.connection import Connection
from harness.execution.faults import MORE_QUOTA, BadBody, Fate, backoff_s, judge, setup_error
from harness.execution.fresh import ABSENT, FRESH, Fresh
from harness.execution.lanes import PATIENCE_S, Feed, Lane
from harness.execution.refusals import Failed, Refusals, refusal
from harness.execution.sending import Committer, Sending
from harness.execution.targets import Target
from harness.execution.work import Request, tokens_of
from harness.journal import Entry, Fault, Record
from harness.replies import speaks_of_credit
from harness.secrets import Scrubber
from harness.types import Call, Reply

ATTEMPTS = 8
"""Attempts for one request before the item is given up; a rate that is full uses none of them up."""
CONNECTION_ATTEMPTS = 4
"""Fewer where nobody answers at all: about 4 s of waiting."""
EMPTY_AGAIN = 2
NOTHING_SAID = Fate(scope="retry", kind="empty-answer", message="the answer is empty")
STRIKES = 5
"""Items out of retries in a row after which the endpoint counts as down; refused items after which the arm does."""
_TIMES = ("started", "service_s", "queue_s", "retry_s", "attempts", "first_token_s", "usd", "tier")
"""What a reply's `timing` may hold: fields of `Entry`."""


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
    held: Refusals = field(default_factory=Refusals)
    """Refused items of arms without any answer, and those that may be refused because of the account."""
    _sending: Sending | None = None
    _heard: set[str] = field(default_factory=set)
    """Arms that had an answer."""

    def send(self, calls: Iterable[Call], done: Done, *, more: bool = False) -> None:
        """Sends requests, in their order as far as arms and endpoints allow, and returns when all are settled.

        Calls are read on only as they are needed. Different endpoints work side by side.

        Args:
            calls: What to send.
            done: Told of each answer.
            more: Others follow: of an arm without any answer, refused items are held on, until `commit_held`.

        Raises:
            UsageError: A key, a permission, a model or a setting is wrong: nothing else would be answered either.
            UnfinishedError: The journal cannot be written.
        """
        targets: dict[str, Target] = {}
        if isinstance(calls, Sequence):  # where all endpoints are known, a wrong one shows before anything is sent
            targets = {name: self.connect(name) for name in {call.endpoint: None for call in calls}}
        try:
            with patient_collector():
                asyncio.run(self._all(calls, targets, done))
        except* HarnessError as group:
            raise _first(group) from None
        finally:
            self._sending = None
        if self.refusal is not None:
            raise self.refusal
        if not more:
            self.commit_held()

    def commit_held(self) -> None:
        """Records the refused items of arms that were not refused as a whole."""
        for refused in self.held.pop_all():
            self.journal.add([*refused])

    def interrupt(self) -> bool:
        """Lets nothing more be sent; for signal handlers. Returns whether something is under way that comes in."""
        if self._sending is None:
            return False
        self.interrupted = True
        self._wake()
        return True

    def stop(self, *, refusal: HarnessError | None = None, stopped: GateError | None = None) -> None:
        """Lets nothing more be sent, on any thread; what is under way comes in. The first reason counts."""
        self.refusal = self.refusal or refusal
        self.stopped = self.stopped or stopped
        self._wake()

    def _wake(self) -> None:
        sending = self._sending
        if sending is not None:
            with suppress(RuntimeError):  # all has come in just now, and the loop is closed
                sending.loop.call_soon_threadsafe(sending.wake)

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
        self.failed.pop(request.key, None)  # asked for again by the same command
        self.progress(request.arm, {"done": 1, "usd": (reply.timing or {}).get("usd") or 0.0, **_usage(reply)})
        if request.arm not in self._heard:
            self._heard.add(request.arm)
            try:
                self.inspect(request, reply)
            except HarnessError as error:
                self.stop(refusal=error)

    def give_up(self, request: Request, message: str, *, endpoint_down: bool) -> None:
        """Takes notice that a request has no answer now."""
        self.failed[request.key] = Failed(message=message, endpoint_down=endpoint_down)
        self.progress(request.arm, {"failed": 1})

    def refused(self, entry: Entry) -> list[Record]:
        """Takes notice of an item that was refused for good; returns what is to be committed now."""
        self.failed.pop(entry.key, None)
        self.progress(entry.arm, {"failed": 1})
        held = self.held.add(entry)
        if entry.arm in self._heard:
            return [*self.held.pop(entry.arm)]
        if held >= STRIKES and not self._answers(entry.arm):
            said = f"refused the first {STRIKES} requests of the arm {entry.arm}: {entry.error}"
            self.stop(refusal=setup_error(self.connect(entry.endpoint), entry.arm, "refused", said))
        return []

    def _answers(self, arm: str) -> bool:
        return arm in self._heard or self.journal.answered(arm)

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
                self.stop(refusal=error)
                return
            if request is None:
                if lane.broke and not self.over:
                    self.stop(stopped=self.budget.error())
                return
            if (vain := lane.down or self.fresh.absent(request)) is not None:
                lane.leave(request)
                lane.settled(request)
                self.give_up(request, vain, endpoint_down=lane.down is not None)
                continue
            try:
                await self._one(lane, connection, request, done, time.perf_counter() - waited_from)
            finally:
                self.budget.release(request)
                lane.settled(request)
                if self.budget.max_usd is not None and self._sending is not None:
                    self._sending.wake()

    async def _one(self, lane: Lane, connection: Connection, request: Request, done: Done, queue_s: float) -> None:
        """Asks until there is an answer or none is to be had; either way it is on disk afterwards."""
        first, number, tries, empty = time.perf_counter(), 0, 0, 0
        while True:
            number += 1
            began, clock = time.time(), time.perf_counter()
            try:
                came = await attempt(connection, lane.target, request, self.scrub)
            except Exception as error:
                fate = self.fresh.judged(request, judge(error, self.scrub))
                tries += fate.kind not in {"rate-limit", FRESH}
                await self._commit([self._fault(request, number, fate, self._billed(request, error))])
                wait_s = await self._settle(lane, request, tries, clock - first, fate)
                lane.leave(request)  # only now: what was learnt counts for whoever comes next
                if wait_s is None or not await self._again(lane, request, wait_s, fate):
                    return
                continue
            reply = Reply(came.body, request)
            usd = self.budget.charge(request, reply)
            if says_nothing(came.body) and empty < self.empty_again and self.budget.holds:
                empty += 1
                await self._commit([self._fault(request, number, NOTHING_SAID, usd)])
                lane.leave(request)
                if not await self._again(lane, request, backoff_s(empty), NOTHING_SAID):
                    return
                continue
            reply.timing = {
                "started": began,
                "service_s": time.perf_counter() - clock,
                "queue_s": queue_s,
                "retry_s": clock - first if number > 1 else 0.0,
                "attempts": number,
                "first_token_s": came.first_token_s,
                "usd": usd,
            }
            lane.learn(request, came.headers)
            lane.clean()
            await self._answered(request, reply, done)
            lane.leave(request)  # until it is on disk it is under way: that is what a crash may lose
            return

    def _billed(self, request: Request, error: Exception) -> float | None:
        """Charges what came instead of an answer and is billed all the same; returns its cost in USD."""
        if not isinstance(error, BadBody) or error.body is None:
            return None
        usd = self.budget.charge(request, Reply(error.body, request))
        if not self.budget.holds:
            self.stop(stopped=self.budget.error())
        return usd

    async def _answered(self, request: Request, reply: Reply, done: Done) -> None:
        if done == self.done:
            await self._commit([self._entry(request, reply), *self.held.pop(request.arm)])
            self.heard(request, reply)
        else:
            await asyncio.to_thread(done, request, reply)

    async def _settle(self, lane: Lane, request: Request, tries: int, spent_s: float, fate: Fate) -> float | None:
        """Draws the conclusions from a failed attempt; returns the seconds to wait before the next, `None`: no next."""
        lane.learn(request, fate.headers)
        if fate.kind == "rate-limit":
            lane.rate.limited(fate.retry_after_s)
        answers = fate.scope in ("account", "text") and self._answers(request.arm)
        if answers and fate.scope == "text" and lane.strikes < STRIKES:
            lane.strikes += 1
            self._doubt(request, fate, tries)
            return None
        if fate.scope == "setup" or (fate.scope == "text" and not answers):
            self.stop(refusal=setup_error(lane.target, request.arm, fate.kind, f"said {fate.message}"))
        if self.over:
            return None
        if fate.scope == "item" or (fate.scope == "account" and not answers):
            if records := self.refused(refusal(request, fate, tries)):
                await self._commit(records)
            return None
        if fate.kind == ABSENT:
            self.give_up(request, fate.message, endpoint_down=False)
            return None
        limit = CONNECTION_ATTEMPTS if fate.kind == "connection" else ATTEMPTS
        final = fate.scope == "endpoint" or answers or lane.down is not None
        wait_s = max(backoff_s(tries), fate.retry_after_s or 0.0)
        if final or tries >= limit or spent_s + wait_s > PATIENCE_S:
            lane.strikes += 1
            if lane.down is None and (final or lane.strikes >= STRIKES or fate.kind == "connection"):
                lane.down = f"the endpoint {lane.target.name} ({lane.target.base_url}): {fate.message}"
                lane.wake_all()
                self._take_back(request.endpoint, lane.down)
            self.give_up(request, fate.message, endpoint_down=lane.down is not None)
            return None
        return wait_s

    def _doubt(self, request: Request, fate: Fate, tries: int) -> None:
        """Takes notice of a 403: it is the one text that is not let through, if the arm answers again after it."""
        if request.arm in self._heard:
            self.held.add(refusal(request, fate, tries))
            self.progress(request.arm, {"failed": 1})
        else:
            self.give_up(request, fate.message, endpoint_down=False)

    def _take_back(self, endpoint: str, why: str) -> None:
        """Gives up items that were held as refused: it was not them."""
        for entry in self.held.pop_of(endpoint, self._heard):
            self.failed[entry.key] = Failed(message=why, endpoint_down=True)

    async def _again(self, lane: Lane, request: Request, wait_s: float, fate: Fate) -> bool:
        """Waits until a request's next attempt may go; False: there is none."""
        await lane.pause(wait_s)
        if await lane.retake(request):
            return True
        if not self.over:  # the endpoint went down meanwhile
            self.give_up(request, lane.down or fate.message, endpoint_down=True)
        return False

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
        given = reply.timing or {}
        times = {"started": time.time()} | {name: given[name] for name in _TIMES if name in given}
        return Entry(key=request.key, arm=request.arm, endpoint=request.endpoint, body=dict(reply), **times)

    def _fault(self, request: Request, attempt: int, fate: Fate, usd: float | None) -> Fault:
        return Fault(
            time=time.time(), key=request.key, arm=request.arm, endpoint=request.endpoint, attempt=attempt,
            kind=fate.kind, message=fate.message, usd=usd,
        )  # fmt: skip

    @property
    def endpoint_down(self) -> bool:
        """Whether a request has no answer because its endpoint has gone."""
        return any(failed.endpoint_down for failed in self.failed.values())

    def unfinished(self) -> UnfinishedError | None:
        """Returns what to tell where requests have no answer."""
        if not self.failed:
            return None
        first = max(self.failed.values(), key=lambda failed: failed.endpoint_down)  # the first of equals
        spent = speaks_of_credit(first.message)
        return UnfinishedError(
            f"{len(self.failed):,} requests have no answer; {first.message}",
            MORE_QUOTA if spent else "what was answered is kept: the same command goes on where this one stopped",
        )


def _usage(reply: Reply) -> dict[str, int]:
    tokens = tokens_of(reply)
    return {} if tokens is None else {"input_tokens": tokens.input, "output_tokens": tokens.output}


def _first(group: BaseExceptionGroup[HarnessError]) -> HarnessError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, HarnessError)  # noqa: S101 - `except*` let nothing else in
    return error
