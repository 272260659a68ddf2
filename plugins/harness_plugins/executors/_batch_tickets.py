"""What must not be forgotten of a batch: written down before it exists, until all of its answers are on disk."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple, Self

import harness

PREFIX = "openai-batch/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One batch, from the intent on."""

    tag: str
    """Stands in the batch's metadata: by it a batch is found whose id was lost in a crash."""
    endpoint: str
    path: str
    keys: tuple[str, ...]
    """What the requests are named in its file, line by line."""
    made: float
    """Seconds since the epoch."""
    file: str | None = None
    batch: str | None = None
    lost: bool = False
    """The endpoint said once that it does not know the batch, or did not give what it says to have answered."""
    said_by: str = ""
    """The command that was told so, and that must not buy its requests anew itself."""
    elsewhere: bool = False
    """Another run has handed it in."""

    def wanted(self, calls: Mapping[str, harness.Call]) -> dict[str, harness.Call]:
        """Returns those of some calls, by key, whose answers its batch brings."""
        found = {key: calls[key] for key in self.keys if key in calls}
        # What asks for chance each run draws for itself, as with answers that are there.
        return {key: call for key, call in found.items() if not (self.elsewhere and call.body.get("temperature"))}


class Group(NamedTuple):
    """What may stand in one file."""

    endpoint: str
    path: str
    model: str

    @classmethod
    def of(cls, call: harness.Call) -> Self:
        """Returns where a call belongs."""
        return cls(call.endpoint, call.path, str(call.body.get("model")))


@dataclass(slots=True, kw_only=True)
class Live:
    """A batch that goes on, with those of its calls that are wanted."""

    ticket: Ticket
    group: Group
    """Whose endpoint is asked. Some of the calls may belong to others: names of one URL."""
    calls: dict[str, harness.Call]
    told: tuple[str, int, int] | None = None
    heard_at: float = field(default_factory=time.monotonic)
    short: int = 0
    """Looks at which its files held less than it has answered."""
    passing: str = ""
    """What has come in the place of its files."""

    def news(self, status: str, answered: int, failed: int) -> str | None:
        """Says how far it is, where that is another status than was told, or a twentieth more of its requests."""
        now = (status, answered, failed)
        step = 0 if self.told is None else answered + failed - self.told[1] - self.told[2]
        if self.told is not None and status == self.told[0] and step < len(self.ticket.keys) / 20:
            return None
        self.told = now
        more = f", {failed:,} failed" if failed else ""
        return f"{self.ticket.batch}: {status}, {answered:,} of {len(self.ticket.keys):,} answered{more}"


def ticket_for(endpoint: str, path: str, keys: tuple[str, ...], content: bytes) -> Ticket:
    """Makes a batch's ticket. Its tag begins with the hash of the file; no two tickets have the same."""
    tag = f"{hashlib.sha256(content).hexdigest()[:32]}-{secrets.token_hex(4)}"
    return Ticket(tag=tag, endpoint=endpoint, path=path, keys=keys, made=time.time())


def keep(send: harness.Send, ticket: Ticket) -> Ticket:
    """Writes a ticket down; it is on disk when this returns."""
    send.take_note(PREFIX + ticket.tag, json.dumps(asdict(ticket)))
    return ticket


def forget(send: harness.Send, ticket: Ticket) -> None:
    """Throws a ticket away: nothing can be had from its batch any more.

    The run that handed it in may still keep it: of such a one a ticket without keys is left, lest it be taken up again.
    """
    send.take_note(PREFIX + ticket.tag, json.dumps(asdict(replace(ticket, keys=()))) if ticket.elsewhere else None)


def kept(send: harness.Send) -> list[Ticket]:
    """Returns the tickets of batches that have not been collected: this run's, then those of others, oldest first."""
    own = {name: note for name in send.notes() if name.startswith(PREFIX) and (note := send.note(name)) is not None}
    others: dict[str, Ticket] = {}
    for name, note in send.notes_elsewhere(PREFIX):
        ticket = replace(_ticket(note), elsewhere=True, lost=False)
        if name not in own and ticket.keys and (name not in others or others[name].batch is None):
            others[name] = ticket
    return [*sorted(map(_ticket, own.values()), key=_made), *sorted(others.values(), key=_made)]


def _ticket(note: str) -> Ticket:
    values = json.loads(note)
    return Ticket(**{**values, "keys": tuple(values["keys"])})


def _made(ticket: Ticket) -> float:
    return ticket.made
