"""What must not be forgotten of a batch: written down before it exists, until all of its answers are on disk."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

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
    """The endpoint said once that it does not know the batch."""


class Group(NamedTuple):
    """What may stand in one file."""

    endpoint: str
    path: str
    model: str


@dataclass(slots=True, kw_only=True)
class Live:
    """A batch that goes on, with those of its calls that are wanted."""

    ticket: Ticket
    group: Group
    calls: dict[str, harness.Call]
    told: tuple[str, int, int] | None = None
    heard_at: float = field(default_factory=time.monotonic)


def ticket_for(endpoint: str, path: str, keys: tuple[str, ...], content: bytes) -> Ticket:
    """Makes a batch's ticket. Its tag begins with the hash of the file; no two tickets have the same."""
    tag = f"{hashlib.sha256(content).hexdigest()[:32]}-{secrets.token_hex(4)}"
    return Ticket(tag=tag, endpoint=endpoint, path=path, keys=keys, made=time.time())


def keep(send: harness.Send, ticket: Ticket) -> Ticket:
    """Writes a ticket down; it is on disk when this returns."""
    send.take_note(PREFIX + ticket.tag, json.dumps(asdict(ticket)))
    return ticket


def forget(send: harness.Send, ticket: Ticket) -> None:
    """Throws a ticket away: nothing can be had from its batch any more."""
    send.take_note(PREFIX + ticket.tag, None)


def kept(send: harness.Send) -> list[Ticket]:
    """Returns the tickets of batches that were sent before and have not been collected, oldest first."""
    notes = [send.note(name) for name in send.notes() if name.startswith(PREFIX)]
    found = [json.loads(note) for note in notes if note is not None]
    return sorted((Ticket(**{**values, "keys": tuple(values["keys"])}) for values in found), key=lambda one: one.made)
