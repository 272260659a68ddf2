"""One endpoint's side for files and batches: uploads, creates, finds again, asks how far, fetches."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import harness
from harness.replies import RETRIED, is_unpaid, moment, retry_after
from harness_plugins.executors._batch_tickets import Ticket, keep

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

T = TypeVar("T")
TAG = "harness_tag"
ATTEMPTS = 8
BACKOFF_S, BACKOFF_MAX_S = 0.5, 20.0
LONGEST_S = 600.0
"""Seconds that are waited at most before the next attempt, whatever the endpoint asks for."""
OLDER_S = 86_400.0
"""Batches that were created so long before a ticket was written are not searched; clocks may differ."""
LOCALLY = 'set executor = { plugin = "local" }; the same command then asks at once, at the full price'
ABSENT = frozenset({404, 405, 501})


class Passing(Exception):  # noqa: N818 - it never leaves the executor
    """It does not go now; later it may.

    Args:
        message: What the endpoint said.
        hopeless: Whether asking again soon is no use.
        retry_after_s: Seconds that the endpoint asks to wait.
    """

    def __init__(self, message: str, *, hopeless: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.hopeless, self.retry_after_s = hopeless, retry_after_s


class Unknown(Exception):  # noqa: N818 - it never leaves the executor
    """The endpoint has no such thing."""


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Speaks with one endpoint."""

    name: str
    client: openai.OpenAI
    send: harness.Send

    def __str__(self) -> str:
        return f"the endpoint {self.name} ({str(self.client.base_url).rstrip('/')})"

    def submit(self, ticket: Ticket, content: bytes, prefix: str) -> Ticket:
        """Uploads a file and creates its batch; each id is on disk before the next step.

        Raises:
            Passing: It does not go now. Whether there is a batch all the same is found out by the ticket's tag.
            UsageError: The endpoint has no batches, or refuses this one.
        """
        file = (f"batch-{ticket.tag}.jsonl", content)
        where: Any = prefix + ticket.path  # what it may be is the endpoint's business
        try:
            uploaded = self._again(lambda: _named(self.client.files.create(file=file, purpose="batch"))).id
            ticket = keep(self.send, replace(ticket, file=uploaded))
            created = self._again(
                lambda: _named(
                    self.client.batches.create(
                        input_file_id=uploaded,
                        endpoint=where,
                        completion_window="24h",
                        metadata={TAG: ticket.tag},
                    )
                ),
                between=lambda: self._search(ticket),
            )
        except Unknown as error:
            raise self._absent(error) from None
        return keep(self.send, replace(ticket, batch=created.id))

    def find(self, ticket: Ticket) -> Ticket | None:
        """Looks for the batch of a ticket that has no id: a crash may lie between its creation and that record.

        Raises:
            Passing: The endpoint does not say now.
            UsageError: It has no batches, or refuses.
        """
        try:
            found = self._again(lambda: self._search(ticket))
        except Unknown as error:
            raise self._absent(error) from None
        return None if found is None else keep(self.send, replace(ticket, batch=found.id))

    def batch(self, ticket: Ticket) -> Batch:
        """Returns how a batch stands; asks once.

        Raises:
            Passing: The endpoint does not say now.
            Unknown: It does not know the batch.
            UsageError: It refuses.
        """
        return self._once(lambda: _named(self.client.batches.retrieve(str(ticket.batch))))

    def lines(self, file_id: str) -> list[str]:
        """Returns the lines of a file, cut at line feeds only.

        Raises:
            Passing: It cannot be had whole now.
            Unknown: The endpoint does not have it any more.
            UsageError: It refuses.
        """
        return self._again(lambda: list(self._fetched(file_id)))

    def _fetched(self, file_id: str) -> Iterator[str]:
        rest = b""
        with self.client.files.with_streaming_response.content(file_id) as response:
            for piece in response.iter_bytes():
                *whole, rest = (rest + piece).split(b"\n")
                yield from map(self._text, filter(bytes.strip, whole))
        if rest.strip():
            yield self._text(rest)

    def _text(self, line: bytes) -> str:
        return self.send.scrub(line.decode("utf-8", "replace"))

    def _search(self, ticket: Ticket) -> Batch | None:
        page = self.client.batches.list(limit=100)  # newest first
        while True:
            batches: list[Batch] | None = getattr(page, "data", None)
            if not isinstance(batches, list):  # not to be taken for an empty list: the batch would be created again
                raise ValueError("the reply is no list of batches")  # noqa: TRY004 - `_once` takes it for a passing fault
            for batch in batches:
                if (batch.metadata or {}).get(TAG) == ticket.tag:
                    return batch
                if ticket.file is not None and batch.input_file_id == ticket.file:
                    return batch
                if (moment(batch.created_at) or ticket.made) < ticket.made - OLDER_S:
                    return None
            if not page.has_next_page():
                return None
            page = page.get_next_page()

    def _again(self, ask: Callable[[], T], between: Callable[[], T | None] | None = None) -> T:
        """Asks until there is an answer, some times; `between` looks whether a lost reply was a good one."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if attempt > 1 and between is not None and (found := self._once(between)) is not None:
                    return found
                return self._once(ask)
            except Passing as error:
                if attempt == ATTEMPTS or error.hopeless:
                    raise
                wait = random.uniform(0, min(BACKOFF_MAX_S, BACKOFF_S * 2**attempt))
                time.sleep(max(wait, error.retry_after_s))
        raise AssertionError("unreachable")

    def _once(self, ask: Callable[[], T]) -> T:
        import httpx2
        import openai

        try:
            return ask()
        except openai.APIStatusError as error:
            raise self._judged(error) from None
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, AttributeError) as error:
            # a connection that broke, or a proxy's page where an object is due, over which the client stumbles
            raise Passing(self.send.scrub(f"{self}: {error}")) from None

    def _judged(self, error: openai.APIStatusError) -> Exception:
        status = error.status_code
        said = " ".join(self.send.scrub(str(error.message)).split())[:300]  # a cut key would not be found
        message = f"{self} said {said}"
        if status in ABSENT:
            return Unknown(said)
        if is_unpaid(status, said, error.code, error.type):
            return Passing(message, hopeless=True)
        if status in RETRIED or status >= 500:
            return Passing(message, retry_after_s=min(retry_after(error.response.headers) or 0.0, LONGEST_S))
        cures = {401: "put a valid key into the variable of its api_key_env", 413: "make the executor's megabytes less"}
        return harness.UsageError(message, cures.get(status, LOCALLY))

    def _absent(self, error: Unknown) -> harness.UsageError:
        return harness.UsageError(
            f"{self} does not answer by the batch, it has no /files or no /batches ({error})",
            LOCALLY,
        )


def counted(batch: Batch) -> tuple[int, int]:
    """Returns how many of a batch's requests are answered and how many have failed; 0 where it is not told."""
    counts: Any = batch.request_counts
    completed, failed = (getattr(counts, name, None) for name in ("completed", "failed"))
    return (completed if isinstance(completed, int) else 0), (failed if isinstance(failed, int) else 0)


def promised(batch: Batch, requests: int) -> int:
    """Returns how many of a batch's requests its files must hold an answer to; all, where it names no file at all."""
    if batch.status == "completed" and not batch.output_file_id and not batch.error_file_id:
        return requests
    return min(counted(batch)[0], requests)


def blamed(batch: Batch) -> tuple[str, str, int | None]:
    """Returns code, message and line of the first error of a batch that has failed; endpoints write it in many ways."""
    errors: Any = getattr(batch.errors, "data", batch.errors)
    first = errors[0] if isinstance(errors, list) and errors else errors
    message = getattr(first, "message", first) or "the endpoint gave no reason"
    return str(getattr(first, "code", None) or ""), str(message), getattr(first, "line", None)


def _named(reply: T) -> T:
    """Returns an object that has an id, as each of the API's has."""
    if not isinstance(getattr(reply, "id", None), str):
        raise ValueError("the reply is no object of the API")  # noqa: TRY004 - `_once` takes it for a passing fault
    return reply
