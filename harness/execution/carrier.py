"""What carries calls out in other processes: the engine there, with a queue in place of the journal."""

from __future__ import annotations

import platform
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness.errors import HarnessError, UsageError
from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.targets import Target, remote_target
from harness.execution.work import Request
from harness.experiment.file import EndpointTable
from harness.journal import GROUP, Record
from harness.secrets import Scrubber, unsendable
from harness.types import Call, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A call that was given up so far."""

    key: str
    message: str
    endpoint_down: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A key, a model or a setting is wrong: nothing else would be answered either."""

    message: str
    hint: str


class _Outbox:
    """Stands in for the journal: what would be committed goes to whoever reads, and is safe once it has been read."""

    def __init__(self) -> None:
        self._out: queue.SimpleQueue[tuple[Sequence[Any], Callable[[BaseException | None], None]] | None]
        self._out = queue.SimpleQueue()

    def submit(self, records: Sequence[Any], committed: Callable[[BaseException | None], None]) -> None:
        self._out.put((records, committed))

    def add(self, records: Iterable[Any]) -> None:
        self._out.put((list(records), _nobody_waits))

    def answered(self, _arm: str) -> bool:
        """Says yes: whether it is an arm that is refused, and not an item, is judged where the journal is."""
        return True

    def end(self) -> None:
        """Says that nothing more comes."""
        self._out.put(None)

    def groups(self) -> Iterator[list[Record]]:
        """Yields what has come, in groups; a group is safe when the next one is asked for."""
        while (first := self._out.get()) is not None:
            got = [first]
            while len(got) < GROUP and not self._out.empty():
                more = self._out.get()
                if more is None:
                    self.end()
                    break
                got.append(more)
            yield [record for records, _ in got for record in records]
            for _, committed in got:
                committed(None)


@dataclass(frozen=True, kw_only=True)
class EngineCarrier:
    """Carries calls out in another process. It holds the names of keys, never a key.

    Args:
        endpoints: Name → where it is.
        secret_names: Environment variables whose values are taken out of whatever comes back.
        parts: How many processes share each endpoint's concurrency.
        concurrency: The most for each process and endpoint.
        seed: The run's.
        price: What a failed attempt that is billed costs; see `Budget`.
    """

    endpoints: Mapping[str, EndpointTable]
    secret_names: tuple[str, ...]
    parts: int
    concurrency: int | None
    seed: int
    price: Callable[[Request, Usage, str], float | None]

    @property
    def slots(self) -> int:
        """Calls that one process has under way at most."""
        return sum(self._part(table) for table in self.endpoints.values() if table.base_url is not None) or 1

    def carry(self, calls: Iterable[Call]) -> Iterator[Sequence[Any]]:
        """See `harness.contract.Carrier.carry`."""
        worker = threading.Thread(target=self._work, args=(calls,), name="carrier", daemon=True)
        worker.start()
        yield from self._outbox.groups()
        worker.join()

    # Kept from one call of `carry` to the next: the engine knows which arms have been heard.

    @cached_property
    def _outbox(self) -> _Outbox:
        return _Outbox()

    @cached_property
    def _engine(self) -> Engine:
        scrub = Scrubber.of(self.secret_names)
        # Whether the cap allows another attempt is not known here: each empty answer must come home to be charged.
        return Engine(
            journal=self._outbox, connect=self._target, scrub=scrub, seed=self.seed, empty_again=0,
            budget=Budget(price=self.price), progress=self._progress,
        )  # fmt: skip

    def _work(self, calls: Iterable[Call]) -> None:
        try:
            # Handed on as an iterator, so that it is read as it goes and not first counted.
            self._engine.send(iter(calls), self._engine.done)
        except HarnessError as error:
            self._outbox.add([Refused(message=error.message, hint=error.hint)])
        except Exception as error:  # whoever reads must not wait for ever
            self._outbox.add([Refused(message=f"a worker broke: {type(error).__name__}: {error}", hint="")])
        finally:
            self._give_up()
            self._outbox.end()

    def _progress(self, _arm: str, figures: Mapping[str, Any]) -> None:
        if "failed" in figures:
            self._give_up()

    def _give_up(self) -> None:
        """Says at once what has no answer, so that it can be replaced by other calls."""
        while self._engine.failed:
            key, failed = self._engine.failed.popitem()
            self._outbox.add([GivenUp(key=key, message=failed.message, endpoint_down=failed.endpoint_down)])

    def _target(self, name: str) -> Target:
        table = self.endpoints[name]
        for variable in table.variables:
            if (why := unsendable(variable)) is not None:
                raise UsageError(
                    f"on the node {platform.node()} the environment variable {variable} {why}, "
                    f"which holds what the endpoint {name} wants",
                    f"export {variable}=… on every node before its worker processes are started",
                )
        return replace(remote_target(name, table), concurrency=self._part(table))

    def _part(self, table: EndpointTable) -> int:
        part = max(1, table.concurrency // self.parts)
        return part if self.concurrency is None else min(part, self.concurrency)


def _nobody_waits(_error: BaseException | None) -> None:
    """Takes notice of a commit that nobody waits for."""
