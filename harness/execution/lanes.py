"""Which request goes next at an endpoint, and when: order, rate, allowances and budget in one place."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from harness.execution.budget import Budget
from harness.execution.rate import Allowances, Rate, Shared
from harness.execution.targets import Target
from harness.execution.work import Request
from harness.numbers import duration

ASIDE = 1_024
"""Most requests that are laid aside because their arm or model has to wait while others may go."""

PATIENCE_S = 900.0
"""Seconds from its first attempt after which a request is given up, whatever is wrong; and the longest wait for an
endpoint that lets nothing through."""


class Feed:
    """Hands calls out by endpoint, reading on only as far as somebody wants one.

    Args:
        calls: All calls, in the order in which they should be sent.
        found: Called with an endpoint's name when its first call turns up.
    """

    def __init__(self, calls: Iterable[Request], found: Callable[[str], None]) -> None:
        self._calls: Iterator[Request] = iter(calls)
        self._found = found
        self._read: dict[str, deque[Request]] = {}

    def open(self, endpoint: str) -> None:
        """Makes an endpoint known."""
        if endpoint not in self._read:
            self._read[endpoint] = deque()
            self._found(endpoint)

    def next(self, endpoint: str | None) -> Request | None:
        """Returns an endpoint's next call, `None` where none is left; without an endpoint it reads one call on."""
        waiting = self._read.get(endpoint or "")
        if waiting:
            return waiting.popleft()
        for request in self._calls:
            self.open(request.endpoint)
            if request.endpoint == endpoint:
                return request
            self._read[request.endpoint].append(request)
            if endpoint is None:
                return request
        return None


@dataclass(kw_only=True)
class Lane:
    """The work of one endpoint while it goes on.

    Args:
        target: The endpoint.
        feed: Where requests come from.
        budget: What may be spent.
        over: Whether nothing more may be sent.
        heard: Arms that had an answer. Of the others one request goes, and nothing else meanwhile: it finds out
            whether the arm can work at all before more is spent.
    """

    target: Target
    feed: Feed
    budget: Budget
    over: Callable[[], bool]
    heard: set[str]
    strikes: int = 0
    """Items out of retries in a row."""
    down: str | None = None
    """Why nothing more is sent there."""
    broke: bool = False
    """The budget does not cover the next request, and nothing is under way that could give some of it back."""
    rate: Rate = field(init=False)
    allowances: Allowances = field(init=False)
    _arms: dict[str, int] = field(default_factory=dict)
    """Arm → its requests under way."""
    _trying: dict[str, str] = field(default_factory=dict)
    """Arm without an answer → the key of its request that is being tried."""
    _aside: dict[tuple[object, str], deque[tuple[int, Request]]] = field(default_factory=dict)
    """Model and arm → requests that have to wait, each with its number in the order."""
    _read: int = 0
    _laid_aside: int = 0
    _under_way: dict[str, Mapping[Shared, float]] = field(default_factory=dict)
    """Key → what a request counts as."""
    _parked: deque[asyncio.Future[None]] = field(default_factory=deque)
    _rings_at: float = math.inf
    _timer: asyncio.TimerHandle | None = None
    _shut: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where nothing more is sent: nobody needs to wait for a next attempt."""

    def __post_init__(self) -> None:
        """Starts with the rate's first limit; what belongs to the run itself needs no careful start."""
        most = self.target.concurrency
        self.rate = Rate(most=most, clock=time.monotonic, limit=most if self.target.local else 0)
        self.allowances = Allowances(clock=time.monotonic)

    async def take(self) -> Request | None:
        """Waits until a request may be sent, and returns it; `None` when there is none left, or nothing may be sent."""
        while not self.over():
            delay, request = self._pick()
            if request is not None or delay == 0.0:
                self.wake(1 if self.rate.active < self.rate.limit or request is None else 0)  # the next may go as well
                return request
            await self._patiently(delay)
        return None

    async def pause(self, seconds: float) -> None:
        """Waits before a next attempt, for as long as there may be one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shut.wait()

    async def retake(self, request: Request) -> bool:
        """Waits until a request that failed may be sent again; False: it must not."""
        while not self.over() and self.down is None:
            delay = self.rate.delay() or self.allowances.delay(request)
            if delay == 0.0:
                self._go(request)
                return True
            await self._patiently(delay)
        return False

    def leave(self, request: Request) -> None:
        """Counts a request whose attempt has ended, well or not."""
        self.rate.ended()
        self.allowances.ended(self._under_way.pop(request.key))
        self._arms[request.arm] -= 1
        self.wake(1)

    def settled(self, request: Request) -> None:
        """Takes notice that a request has its answer on disk, or will have none."""
        if self._trying.get(request.arm) == request.key:
            del self._trying[request.arm]
            self.wake_all()

    def clean(self) -> None:
        """Takes notice of an answer that came without a fault of the endpoint."""
        self.strikes, before = 0, self.rate.limit
        self.rate.clean()
        if self.rate.limit > before:
            self.wake(self.rate.limit - before)

    def learn(self, request: Request, headers: Mapping[str, str]) -> None:
        """Reads what an answer's headers say of the rate."""
        if "x-ratelimit-remaining-requests" in headers or "x-ratelimit-remaining-tokens" in headers:
            self.allowances.learn(request, headers)

    def wake(self, count: int) -> None:
        """Lets workers that wait look again."""
        while self._parked and count > 0:
            future = self._parked.popleft()
            if not future.done():
                future.set_result(None)
                count -= 1

    def wake_all(self) -> None:
        """Lets all workers that wait look again."""
        if self.down is not None or self.over():
            self._shut.set()
        self.wake(len(self._parked))

    def _pick(self) -> tuple[float, Request | None]:
        """Returns the next request, or how long to wait for one; 0 seconds and none: there is no more."""
        wait = self.rate.delay() if self.down is None else 0.0  # what is only given up need not wait
        if wait:
            return wait, None
        wait, first = math.inf, None
        for waiting in self._aside.values():
            blocked = self._blocked(waiting[0][1]) if waiting else math.inf
            if not blocked and (first is None or waiting[0][0] < first[0][0]):
                first = waiting
            wait = min(wait, blocked)
        if first is not None:
            return self._paid(first)
        # At the run's own endpoint arms take turns: nobody overtakes.
        while self._laid_aside < (1 if self.target.local else ASIDE):
            request = self.feed.next(self.target.name)
            if request is None:
                return (wait if self._laid_aside else 0.0), None
            waiting = self._aside.setdefault((request.body.get("model"), request.arm), deque())
            self._read += 1
            waiting.append((self._read, request))
            self._laid_aside += 1
            blocked = self._blocked(waiting[0][1])
            if not blocked:
                return self._paid(waiting)
            wait = min(wait, blocked)
        return wait, None

    def _blocked(self, request: Request) -> float:
        """Returns the seconds for which a request must wait; infinite: until another one has ended."""
        if self.down is not None:
            return 0.0
        if self._trying and (request.arm in self.heard or request.arm in self._trying):
            return math.inf
        if self.target.local and self.rate.active > self._arms.get(request.arm, 0):
            return math.inf
        return self.allowances.delay(request)

    def _paid(self, waiting: deque[tuple[int, Request]]) -> tuple[float, Request | None]:
        """Takes the first of some requests where the budget covers it."""
        if self.down is None and not self.budget.admit(waiting[0][1]):
            self.broke = not self.budget.reserved
            return (0.0 if self.broke else math.inf), None
        _, request = waiting.popleft()
        self._laid_aside -= 1
        self._go(request)
        return 0.0, request

    def _go(self, request: Request) -> None:
        self.rate.began()
        self._under_way[request.key] = self.allowances.began(request)
        self._arms[request.arm] = self._arms.get(request.arm, 0) + 1
        if request.arm not in self.heard:
            self._trying.setdefault(request.arm, request.key)

    async def _patiently(self, delay: float) -> None:
        """Waits; an endpoint that asks for too much of it, with nothing under way, is one that is down."""
        if self.rate.active or not PATIENCE_S < delay < math.inf:
            await self._wait(delay)
            return
        where = f"the endpoint {self.target.name} ({self.target.base_url})"
        self.down = f"{where} lets nothing through for {duration(delay)}, its rate limit is used up"
        self.wake_all()

    async def _wait(self, delay: float) -> None:
        """Waits to be woken: by an end, or by the clock."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._parked.append(future)
        rings_at = loop.time() + delay
        if rings_at < self._rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self._rings_at, self._timer = rings_at, loop.call_later(delay, self._ring)
        await future

    def _ring(self) -> None:
        self._rings_at, self._timer = math.inf, None
        self.wake_all()
