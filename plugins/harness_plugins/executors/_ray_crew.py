"""The workers of the executor `ray`, and who has what in hand."""

from __future__ import annotations

import platform
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import harness
from harness_plugins.executors._ray_session import Cluster, line_of

LOSSES = 3
"""How often a call may be lost with its worker, and how many workers in a row may be lost before they did anything."""
READY = 4
"""Most chunks that lie with a worker: it never has to wait for more."""
FIRST = 16
"""Calls that are handed out before anything was answered: a wrong key shows by them."""
WAIT_S = 120.0
"""Seconds without any worker before that is the end."""
LOOK_S = 0.5
"""Seconds after which it is looked whether the run was stopped, also where nothing happens."""


class Worker:
    """What runs in a worker process: calls are put in at one end, what happened to them comes out at the other."""

    def __init__(self) -> None:
        self._calls: deque[harness.Call] = deque()
        self._news = threading.Condition()
        self._closed = False
        self._carrying = threading.Lock()
        self._taken = threading.Semaphore(0)

    def start(self) -> tuple[str, str]:
        """Makes it ready, as often as it was stopped; returns the names of its node and of the version there."""
        with self._carrying:
            self._closed = False
        return platform.node(), harness.__version__

    def give(self, calls: Sequence[harness.Call]) -> None:
        """Takes calls to be sent."""
        with self._news:
            if not self._closed:
                self._calls.extend(calls)
            self._news.notify()

    def stop(self) -> None:
        """Lets nothing more be sent; `carry` ends when what is under way has come in."""
        with self._news:
            self._closed = True
            self._calls.clear()
            self._news.notify()

    def carry(self, carrier: harness.Carrier) -> Iterator[Sequence[Any]]:
        """Yields what happens to calls, until it is stopped."""
        with self._carrying:
            while self._wait():
                for records in carrier.carry(_taken_from(self._calls)):
                    yield records
                    self._taken.acquire()

    def taken(self) -> None:
        """Hears that what came last is on disk: until then it counts as under way, so never much can be lost."""
        self._taken.release()

    def _wait(self) -> bool:
        with self._news:
            self._news.wait_for(lambda: self._calls or self._closed)
            return not self._closed


def _taken_from(calls: deque[harness.Call]) -> Iterator[harness.Call]:
    """Yields the calls that have been given; more may come while others are under way, and all may be withdrawn."""
    with suppress(IndexError):
        while True:
            yield calls.popleft()


@dataclass(kw_only=True, eq=False)
class _Hired:
    """A worker as the driver sees it."""

    actor: Any
    waits_for: Any
    """What comes from it next: that it has started, then the stream of what happens."""
    node: str = ""
    works: bool = False
    proven: bool = False
    """Whether anything has come from it."""
    open: dict[str, harness.Call] = field(default_factory=dict)
    """Key → call that it has and that is not settled."""


@dataclass(kw_only=True)
class Crew:
    """All workers, and what each of them has in hand."""

    cluster: Cluster
    send: harness.Send
    carrier: harness.Carrier
    chunk: int
    _team: list[_Hired] = field(default_factory=list)
    _calls: Iterator[harness.Call] = field(default_factory=lambda: iter(()))
    _next: harness.Call | None = None
    _again: deque[harness.Call] = field(default_factory=deque)
    """Calls whose worker was lost."""
    _lost: dict[str, int] = field(default_factory=dict)
    """Key → how often."""
    _useless: int = 0
    """Workers in a row that were lost before they did anything."""
    _proven: bool = False
    """Whether anything has been settled."""
    _stopping: bool = False

    def carry(self, first: harness.Call, others: Iterator[harness.Call], workers: int) -> None:
        """Sees to it that all calls are settled, or as many as may be sent."""
        self._next, self._calls = first, others
        try:
            for _ in range(workers):
                self._hire()
            self._work()
        except BaseException:
            for hired in self._team:
                self.cluster.ray.kill(hired.actor)
            raise

    def _work(self) -> None:
        seen = time.monotonic()
        while self._team:
            if not self._stopping and (self.send.stopped or not self._work_left()):
                self._stop()
            self._hear()
            if not self._stopping:
                self._hand_out()
            if any(hired.works for hired in self._team):
                seen = time.monotonic()
            elif time.monotonic() - seen > WAIT_S:
                raise self._nobody(f"none has started within {WAIT_S:.0f} s")

    def _work_left(self) -> bool:
        return self._next is not None or bool(self._again) or any(hired.open for hired in self._team)

    def _hire(self) -> None:
        made = self.cluster.ray.remote(Worker).options(
            num_cpus=1, max_restarts=0, max_task_retries=0, max_concurrency=4, scheduling_strategy="SPREAD"
        )
        actor = self.cluster.idle.pop() if self.cluster.idle else made.remote()
        self._team.append(_Hired(actor=actor, waits_for=actor.start.remote()))

    def _stop(self) -> None:
        """Lets nothing more be sent; workers end when what is under way has come in."""
        self._stopping = True
        for hired in list(self._team):
            hired.actor.stop.remote()
            if not hired.works:
                self._release(hired)

    def _release(self, hired: _Hired) -> None:
        """Lets a worker go that has nothing more to do; another call of `run` may have need of it."""
        self._team.remove(hired)
        self.cluster.idle.append(hired.actor)

    # Calls go out

    def _hand_out(self) -> None:
        """Keeps all workers busy, the idlest first; before anything was answered, one of them with a few calls."""
        while able := [hired for hired in self._team if hired.works and len(hired.open) <= (READY - 1) * self.chunk]:
            if not self._proven and any(hired.open for hired in self._team):
                return
            calls = self._some(self.chunk if self._proven else min(self.chunk, FIRST))
            if not calls:
                return
            hired = min(able, key=lambda one: len(one.open))
            hired.open |= {self.send.key(call): call for call in calls}
            hired.actor.give.remote(calls)

    def _some(self, count: int) -> list[harness.Call]:
        calls: list[harness.Call] = []
        while len(calls) < count and not self.send.stopped:
            if self._again:
                calls.append(self._again.popleft())
                continue
            if self._next is None:
                break
            busy = bool(calls) or any(hired.open for hired in self._team)
            admitted = self.send.admit(self._next, patient=busy)
            if admitted is None:  # the budget may cover it when others have come in
                break
            if admitted:
                calls.append(self._next)
            self._next = next(self._calls, None)
        return calls

    # What happened comes in

    def _hear(self) -> None:
        """Commits what has come from all workers, and replaces those that were lost."""
        waiting = {hired.waits_for: hired for hired in self._team}
        self.cluster.ray.wait(list(waiting), num_returns=1, timeout=LOOK_S)
        ready, _ = self.cluster.ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        records: list[Any] = []
        heard: list[_Hired] = []
        lost: list[tuple[_Hired, str]] = []
        for hired in [waiting[reference] for reference in ready]:
            try:
                if hired.works:
                    records += self.cluster.ray.get(next(hired.waits_for))
                    heard.append(hired)
                else:
                    self._begin(hired)
            except StopIteration:
                self._release(hired)
            except self.cluster.ray.exceptions.RayError as error:
                lost.append((hired, line_of(error)))
        if heard:
            settled = set(self.send.take(records))
            self._proven, self._useless = self._proven or bool(settled), 0
            for hired in heard:
                hired.proven = True
                hired.actor.taken.remote()
                for key in settled & hired.open.keys():
                    del hired.open[key]
        for hired, reason in lost:
            self._replace(hired, reason)

    def _begin(self, hired: _Hired) -> None:
        hired.node, version = self.cluster.ray.get(hired.waits_for)
        if version != harness.__version__:
            raise harness.UsageError(
                f"the node {hired.node} has finetune-harness {version}, this machine {harness.__version__}",
                f"pip install 'finetune-harness[ray]=={harness.__version__}' on every node",
            )
        hired.works = True
        hired.waits_for = hired.actor.carry.options(num_returns="streaming").remote(self.carrier)

    def _replace(self, hired: _Hired, reason: str) -> None:
        """Hands a lost worker's calls to others, and hires another one."""
        self._team.remove(hired)
        self.cluster.ray.kill(hired.actor)
        if self._stopping:
            return
        self._useless += not hired.proven
        if self._useless >= LOSSES:
            raise self._nobody(reason)
        left = list(hired.open.items())
        self.send.say(f"a worker was lost ({hired.node or 'not started'}); {len(left):,} of its requests go to others")
        for key, call in left:
            self._lost[key] = self._lost.get(key, 0) + 1
            if self._lost[key] < LOSSES:
                self._again.append(call)
            else:
                self.send.give_up(call, f"lost {LOSSES} times with the worker that sent it: {reason}", final=False)
        self._hire()

    def _nobody(self, reason: str) -> harness.UnfinishedError:
        offers = self.cluster.ray.cluster_resources().get("CPU", 0)
        return harness.UnfinishedError(
            f"no worker is to be had in a cluster of {offers:.0f} processors: {reason}",
            f"is finetune-harness {harness.__version__} with the extra ray on every node? The same command goes on",
        )
