"""The workers of a Ray cluster send the requests; answers come back to this process, which keeps the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import harness
from harness_plugins.executors._ray_crew import READY, Crew
from harness_plugins.executors._ray_session import Cluster, processors


@dataclass(frozen=True, kw_only=True)
class Ray:
    """Sends requests from the workers of a Ray cluster."""

    name: ClassVar[str] = "ray"

    address: str | None = None
    """``HOST:PORT`` of a running cluster's head, or ``auto`` on one of its nodes; by default a cluster of this
    machine's own is started for the run."""
    workers: int | None = None
    """Worker processes; by default as many as this machine has processors, or a joined cluster nodes, at least 2."""
    concurrency: int | None = None
    """Requests that each worker has under way at most; by default its part of each endpoint's concurrency."""
    chunk: int | None = None
    """Requests that are handed to a worker at a time, and a quarter of what lies with it at most; by default as many
    as it can have under way."""

    def __post_init__(self) -> None:
        """Checks the options."""
        for option in ("workers", "concurrency", "chunk"):
            value = getattr(self, option)
            if value is not None and value < 1:
                raise ValueError(f"{option} is {value}; at least 1 is expected")
        if self.address is not None and "://" in self.address:
            raise ValueError(
                f'address "{self.address}": "auto" or HOST:PORT of the head is expected, and the run has to be started '
                "on one of the cluster's nodes; Ray's client protocol cannot stream answers"
            )

    def run(
        self,
        calls: Sequence[harness.Call],
        send: harness.Send,
        done: Callable[[harness.Call, harness.Reply], None],
    ) -> None:
        """Hands calls to workers and commits what comes back; those that only this process can send go last.

        Raises:
            UsageError: Ray is not installed, or the cluster is not fit for it.
            UnfinishedError: There is no cluster, or no worker to be had.
        """
        mine: list[harness.Call] = []
        others = _others(calls, send, mine)
        first = next(others, None)
        if first is not None:
            workers = self._cluster.workers(self.workers)
            carrier = send.carrier(parts=workers, concurrency=self.concurrency)
            share = -(-len(calls) // (READY * workers))
            chunk = self.chunk or min(carrier.slots, share)  # where there are few, nobody gets them all
            crew = Crew(cluster=self._cluster, send=send, carrier=carrier, chunk=chunk)
            crew.carry(first, others, workers)
        send(iter(() if send.stopped else mine), done)  # raises what a worker was refused with

    def close(self) -> None:
        """Leaves the cluster; one that was started for the run ends."""
        opened = self.__dict__.pop("_cluster", None)
        if opened is not None:
            opened.close()

    @cached_property
    def _cluster(self) -> Cluster:
        return Cluster.join(self.address) if self.address else Cluster.start(self.workers or processors())


@harness.hookimpl
def harness_executors() -> list[type[Ray]]:
    """Declares the executor."""
    return [Ray]


def _others(calls: Iterable[harness.Call], send: harness.Send, mine: list[harness.Call]) -> Iterator[harness.Call]:
    """Yields the calls that other processes can send, and puts the rest into `mine`."""
    for call in calls:
        if send.here(call):
            mine.append(call)
        else:
            yield call
