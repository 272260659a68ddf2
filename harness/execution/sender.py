"""The engine as executors see it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.contract import Done
from harness.errors import HarnessError, UsageError
from harness.execution.carrier import EngineCarrier, GivenUp, Refused
from harness.execution.engine import Engine
from harness.execution.targets import blocking_client
from harness.execution.work import Request
from harness.experiment import LOCAL
from harness.experiment.file import EndpointTable
from harness.journal import Entry, Fault, Journal, Record
from harness.journal.siblings import sibling_notes
from harness.types import Call, Reply

if TYPE_CHECKING:
    from openai import OpenAI


@dataclass(kw_only=True)
class Sender:
    """What an executor gets as `send`; see `harness.contract.Send`."""

    engine: Engine
    journal: Journal
    endpoints: Mapping[str, EndpointTable]
    secret_names: tuple[str, ...]
    tell: Callable[[str], None]
    siblings: tuple[Path, ...] = ()
    """Journals of other runs of the experiment, from which something may be taken over."""
    command: str = field(default_factory=lambda: secrets.token_hex(8))
    """What names this command."""
    _out: dict[str, Request] = field(default_factory=dict)
    """Key → call that was admitted and has not come back."""
    _carried: bool = False
    """Whether other processes carry calls out."""
    _reached: set[str] = field(default_factory=set)
    """Endpoints that may be asked."""
    _down: dict[str, str] = field(default_factory=dict)
    """Endpoint → why nothing more is sent there."""

    def __call__(self, calls: Iterable[Call], done: Done) -> None:
        """Sends calls from this process."""
        self.engine.send(calls, done, more=True)

    @property
    def stopped(self) -> bool:
        """Whether nothing more may be sent."""
        return self.engine.over

    @property
    def carrying(self) -> bool:
        """Whether other processes have calls under way, which will come in."""
        return self._carried and bool(self._out)

    def key(self, call: Call) -> str:
        """Returns what names a call in the journal."""
        return _request(call).key

    def arm(self, call: Call) -> str:
        """Returns the name of the arm that asks."""
        return _request(call).arm

    def here(self, call: Call) -> bool:
        """Whether only this process can send a call."""
        return call.endpoint == LOCAL

    def admit(self, call: Call, tier: str = "", *, patient: bool = False) -> bool | None:
        """Reserves a call's worst case in the budget."""
        request = _request(call)
        if self.stopped:
            return False
        if request.endpoint in self._down:
            self.engine.give_up(request, self._down[request.endpoint], endpoint_down=True)
            return False
        try:
            if request.endpoint not in self._reached:
                self.engine.connect(request.endpoint)  # raises where it must not be asked
                self._reached.add(request.endpoint)
            admitted = self.engine.budget.admit(request, tier)
        except HarnessError as error:
            self.engine.stop(refusal=error)
            return False
        if admitted:
            self._out[request.key] = request
        elif patient:
            return None
        else:
            self.engine.stop(stopped=self.engine.budget.error())
        return admitted

    def give_up(self, call: Call, message: str, *, final: bool) -> None:
        """Says that a call has no answer."""
        request, message = _request(call), self.engine.scrub(message)
        self.engine.budget.release(request)
        self._out.pop(request.key, None)
        if not final:
            self.engine.give_up(request, message, endpoint_down=False)
            return
        self.journal.add([Entry(key=request.key, arm=request.arm, endpoint=request.endpoint, body={}, error=message)])
        self.engine.failed.pop(request.key, None)  # asked for again by the same command
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

    def notes_elsewhere(self, prefix: str) -> Sequence[tuple[str, str]]:
        """Returns what other runs have noted under keys that begin so."""
        return [note for journal in self.siblings for note in sibling_notes(journal, prefix)]

    def carrier(self, *, parts: int, concurrency: int | None = None) -> EngineCarrier:
        """Returns what carries calls out in other processes."""
        self._down.clear()  # it may be back since the last time
        self._carried = True
        return EngineCarrier(
            endpoints=dict(self.endpoints),
            secret_names=self.secret_names,
            parts=parts,
            concurrency=concurrency,
            seed=self.engine.seed,
            price=self.engine.budget.price,
        )

    def take(self, records: Sequence[Any]) -> Collection[str]:
        """Commits what a carrier yielded."""
        kept: list[Record] = []
        answered: list[tuple[Request, Reply]] = []
        settled: set[str] = set()
        for record in records:
            if isinstance(record, Fault):
                self._bill(record.usd or 0.0)
                kept.append(record)
            elif isinstance(record, Refused):
                self.engine.stop(refusal=UsageError(record.message, record.hint))
            elif isinstance(record, Reply):
                asked = _request(record.call)
                self._out.pop(asked.key, None)
                settled.add(asked.key)
                kept.append(self.engine.bought(asked, record))
                answered.append((asked, record))
            elif isinstance(record, Entry | GivenUp):
                request = self._out.pop(record.key, None)
                settled.add(record.key)
                if request is None:  # a worker that was taken for dead had it answered after all
                    continue
                if isinstance(record, GivenUp):
                    self._give_up(request, record)
                elif record.error is not None:
                    kept += self.engine.refused(record)
                else:
                    reply = Reply(record.body, request)
                    reply.timing = {"usd": self.engine.budget.charge(request, reply)}
                    kept += [replace(record, usd=reply.timing["usd"])]
                    kept += self.engine.held.pop(request.arm)
                    answered.append((request, reply))
                self.engine.budget.release(request)
        self.journal.add(kept)
        for request, reply in answered:
            self.engine.heard(request, reply)
        return settled

    def say(self, message: str) -> None:
        """Tells the user."""
        self.tell(self.engine.scrub(message))

    def scrub(self, text: str) -> str:
        """Returns a text without the values of keys."""
        return self.engine.scrub(text)

    def _bill(self, usd: float) -> None:
        """Charges what was billed elsewhere without being an answer."""
        self.engine.budget.spent += usd
        if usd and not self.engine.budget.holds:
            self.engine.stop(stopped=self.engine.budget.error())

    def _give_up(self, request: Request, record: GivenUp) -> None:
        if record.endpoint_down:
            self._down.setdefault(request.endpoint, record.message)
        self.engine.give_up(request, record.message, endpoint_down=record.endpoint_down)


def _request(call: Call) -> Request:
    if not isinstance(call, Request):
        raise TypeError("an executor may only send the calls that it was given")
    return call
