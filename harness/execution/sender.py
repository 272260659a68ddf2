"""The engine as executors see it, and what carries calls out in other processes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.contract import Done
from harness.errors import HarnessError, UsageError
from harness.execution.engine import Engine, Failed
from harness.execution.targets import blocking_client, remote_target
from harness.execution.work import Request
from harness.experiment import LOCAL
from harness.experiment_file import EndpointTable
from harness.journal import Entry, Fault, Journal, Record
from harness.secrets import Scrubber
from harness.types import Call, Reply

if TYPE_CHECKING:
    from openai import OpenAI

DRAIN_S = 0.05
"""Seconds for which a carrier gathers what has happened before it yields it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """A call that a carrier gave up so far."""

    key: str
    arm: str
    message: str
    endpoint_down: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A key, a model or a setting is wrong: nothing else would be answered either."""

    message: str
    hint: str


class _Outbox:
    """Stands in for the journal where there is none: what would be committed goes out by a queue."""

    def __init__(self) -> None:
        self.out: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def submit(self, records: list[Record], committed: Callable[[], None]) -> None:
        for record in records:
            self.out.put(record)
        committed()

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            self.out.put(record)

    def answered(self, _arm: str) -> bool:
        return False


@dataclass(frozen=True, kw_only=True)
class EngineCarrier:
    """Carries calls out in another process. It holds the names of keys, never a key."""

    endpoints: Mapping[str, EndpointTable]
    secret_names: tuple[str, ...]
    concurrency: int
    seed: int

    def carry(self, calls: Sequence[Call]) -> Iterator[Sequence[Any]]:
        """See `harness.contract.Carrier.carry`."""
        outbox = _Outbox()
        engine = Engine(journal=outbox, connect=self._target, scrub=Scrubber.of(self.secret_names), seed=self.seed)
        worker = threading.Thread(target=self._work, args=(engine, calls, outbox), name="carrier", daemon=True)
        worker.start()
        while True:
            records = [outbox.out.get()]
            worker.join(DRAIN_S)
            while not outbox.out.empty():
                records.append(outbox.out.get())
            if records[-1] is None:
                yield records[:-1]
                return
            yield records

    @staticmethod
    def _work(engine: Engine, calls: Sequence[Call], outbox: _Outbox) -> None:
        try:
            engine.send(calls, engine.done)
        except HarnessError as error:
            outbox.out.put(Refused(message=error.message, hint=error.hint))
        except Exception as error:  # whoever reads the queue must not wait for ever
            outbox.out.put(Refused(message=f"the carrier broke: {type(error).__name__}: {error}", hint=""))
        arms = {call.key: call.arm for call in calls if isinstance(call, Request)}
        for key, failed in engine.failed.items():
            outbox.out.put(GivenUp(key=key, arm=arms[key], message=failed.message, endpoint_down=failed.endpoint_down))
        outbox.out.put(None)

    def _target(self, name: str) -> Any:
        target = remote_target(name, self.endpoints[name])
        return replace(target, concurrency=min(target.concurrency, self.concurrency))


@dataclass(kw_only=True)
class Sender:
    """What an executor gets as `send`; see `harness.contract.Send`."""

    engine: Engine
    journal: Journal
    endpoints: Mapping[str, EndpointTable]
    secret_names: tuple[str, ...]
    tell: Callable[[str], None]
    _out: dict[str, Request] = field(default_factory=dict)
    """Key → call that was admitted and has not come back."""

    def __call__(self, calls: Iterable[Call], done: Done) -> None:
        """Sends calls from this process."""
        self.engine.send(calls, done)

    @property
    def stopped(self) -> bool:
        """Whether nothing more may be sent."""
        return self.engine.over

    def key(self, call: Call) -> str:
        """Returns what names a call in the journal."""
        return _request(call).key

    def here(self, call: Call) -> bool:
        """Whether only this process can send a call."""
        return call.endpoint == LOCAL

    def admit(self, call: Call, tier: str = "") -> bool:
        """Reserves a call's worst case in the budget."""
        request = _request(call)
        try:
            admitted = not self.stopped and self.engine.budget.admit(request, tier)
        except UsageError as error:
            self.engine.refusal = self.engine.refusal or error
            return False
        if admitted:
            self._out[request.key] = request
        elif not self.stopped:
            self.engine.stopped = self.engine.budget.error()
        return admitted

    def give_up(self, call: Call, message: str, *, final: bool) -> None:
        """Says that a call has no answer."""
        request, message = _request(call), self.engine.scrub(message)
        self.engine.budget.release(request)
        self._out.pop(request.key, None)
        if final:
            body: dict[str, Any] = {}
            self.engine.journal.add(
                [Entry(key=request.key, arm=request.arm, endpoint=request.endpoint, body=body, error=message)]
            )
        else:
            self.engine.failed[request.key] = Failed(message=message, endpoint_down=False)
        self.engine.progress(request.arm, {"failed": 1})

    def client(self, endpoint: str) -> OpenAI:
        """Returns a synchronous client of an endpoint."""
        return blocking_client(self.engine.connect(endpoint))

    def note(self, key: str) -> str | None:
        """Returns what was noted under a key."""
        return self.journal.note(key)

    def notes(self) -> Sequence[str]:
        """Returns the keys under which something was noted."""
        return self.journal.notes()

    def take_note(self, key: str, value: str | None) -> None:
        """Notes something in the journal, or forgets it."""
        self.journal.take_note(key, value)

    def carrier(self, *, concurrency: int) -> EngineCarrier:
        """Returns what carries calls out in other processes."""
        return EngineCarrier(
            endpoints=dict(self.endpoints),
            secret_names=self.secret_names,
            concurrency=concurrency,
            seed=self.engine.seed,
        )

    def take(self, records: Sequence[Any]) -> None:
        """Commits what a carrier yielded."""
        kept: list[Record] = []
        answered: list[tuple[Request, Reply]] = []
        for record in records:
            if isinstance(record, Fault):
                kept.append(record)
            elif isinstance(record, Entry):
                request = self._out.pop(record.key, None)
                if request is None:  # a worker that was taken for dead has answered after all
                    continue
                reply = Reply(record.body, request)
                usd = None if record.error else self.engine.budget.charge(request, reply)
                self.engine.budget.release(request)
                kept.append(replace(record, usd=usd))
                answered.append((request, reply))
            elif isinstance(record, GivenUp):
                request = self._out.pop(record.key)
                self.engine.budget.release(request)
                self.engine.failed[record.key] = Failed(message=record.message, endpoint_down=record.endpoint_down)
                self.engine.progress(record.arm, {"failed": 1})
            elif isinstance(record, Refused):
                self.engine.refusal = self.engine.refusal or UsageError(record.message, record.hint)
        self.engine.journal.add(kept)
        for request, reply in answered:
            self.engine.heard(request, reply)

    def say(self, message: str) -> None:
        """Tells the user."""
        self.tell(self.engine.scrub(message))


def _request(call: Call) -> Request:
    if not isinstance(call, Request):
        raise TypeError("an executor may only send the calls that it was given")
    return call
