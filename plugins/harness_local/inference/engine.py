"""The thread that computes: takes work from many requests, advances it in shared forward passes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path

from harness_local.inference.adapters import MOST, Adapters
from harness_local.inference.constraints import Constraints
from harness_local.inference.decoder import decoder
from harness_local.inference.head import Head
from harness_local.inference.lane import Lane
from harness_local.inference.prefixes import Room
from harness_local.inference.work import Listener, Outcome, Sampling, Ticket, Work
from harness_local.models.loading import Loaded
from harness_local.models.tokens import Codec

_PREFIX_BYTES = 256 * 2**20
_LINGER_S = 0.05


class BusyError(Exception):
    """More work is waiting than the engine takes on; the message, where there is one, says why."""


class Engine:
    """Computes work, one lane of sequences for each set of weights, taking the lanes in turn.

    Args:
        loaded: The base model.
        codec: Its tokenizer.
        adapter_folder: Where a fine-tuned model's adapter lies, by its id.
        limit: Most pieces of work that may wait or be in progress.
        token_limit: Most prompt tokens of all these together; a single piece may have more.
        adapters: Most fine-tuned models in memory at once.
    """

    def __init__(
        self,
        loaded: Loaded,
        codec: Codec,
        adapter_folder: Callable[[str], Path],
        *,
        limit: int = 2048,
        token_limit: int = 2**20,
        adapters: int = MOST,
    ) -> None:
        self._codec, self._ends = codec, loaded.ends
        self._limit, self._token_limit = limit, token_limit
        self.constraints = Constraints(codec, loaded.ends, loaded.vocabulary)
        self._head = Head(loaded.model)
        self._decoder = decoder(loaded.model)
        self._adapters = Adapters(loaded.model, self._decoder, adapter_folder, most=adapters)
        self._prefixes = Room(_PREFIX_BYTES)
        self._lanes: dict[str | None, Lane] = {}
        self._arrived = threading.Condition()
        self._inbox: list[Ticket] = []
        self._dropped: set[str] = set()
        self._waiting = self._waiting_tokens = 0
        self._stopping = False
        self._last = 1
        self._ended: Future[None] | None = None

    def check_adapter(self, folder: Path) -> None:
        """Makes sure that an adapter can be applied; before `start`, in the thread that will compute.

        Raises:
            AdapterError: It cannot.
            OSError: It cannot be read.
        """
        self._adapters.load(folder)

    def start(self, computing: Executor) -> None:
        """Starts to compute.

        Args:
            computing: The one thread of this process in which torch is used, from the loading of the model on. A
                second thread would get a second pool of helper threads, which then sleep instead of waiting for each
                other briefly: that halves the speed (91 to 52 items/s on two cores).
        """
        self._ended = computing.submit(self._run)

    def stop(self) -> None:
        """Ends the thread after the pass in progress; who still waits gets a `BusyError`."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify()
        if self._ended is not None:
            self._ended.result()

    def submit(self, work: Work, listener: Listener | None = None) -> Future[Outcome]:
        """Queues work; cancel the future when nobody waits for it any more.

        Args:
            work: What to compute.
            listener: Told of each generated piece; the future still brings the whole.

        Raises:
            BusyError: The queue is full.
        """
        ticket = Ticket(work, listener)
        tokens = max(work.tokens, len(work.branches))
        with self._arrived:
            full = self._waiting >= self._limit or self._waiting_tokens + tokens > self._token_limit
            if self._stopping or (self._waiting and full):
                raise BusyError
            self._count(1, tokens)
            self._inbox.append(ticket)
            self._arrived.notify()
        ticket.future.add_done_callback(lambda _: self._count(-1, -tokens))
        return ticket.future

    def drop(self, adapter: str) -> None:
        """Frees an adapter's memory once its lane is idle."""
        with self._arrived:
            self._dropped.add(adapter)
            self._arrived.notify()

    def _count(self, pieces: int, tokens: int) -> None:
        with self._arrived:
            self._waiting += pieces
            self._waiting_tokens += tokens

    def _run(self) -> None:
        import torch

        with torch.inference_mode():
            while self._collect():
                for name in [name for name, lane in self._lanes.items() if lane.busy]:
                    self._step(name)
                self._tidy()
        for lane in self._lanes.values():
            lane.close(BusyError())

    def _step(self, name: str | None) -> None:
        lane = self._lanes[name]
        try:
            self._adapters.use(name)
        except Exception as error:  # nobody can be answered
            self._lanes.pop(name).close(error)
            return
        try:
            self._last = lane.step()
        except Exception as error:  # one bad pass must not end the server
            if _is_out_of_memory(error):
                self._save_memory()
                error = BusyError("There is not enough memory: ask for less at once.")
            lane.abort(error)

    def _save_memory(self) -> None:
        """Gives up what can be computed again."""
        import torch

        self._prefixes.clear()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _tidy(self) -> None:
        """Forgets the lanes of adapters that have left memory."""
        for name in [n for n in self._lanes if n is not None and n not in self._adapters]:
            if not self._lanes[name].busy:
                self._lanes.pop(name).close(KeyError(name))

    def _collect(self) -> bool:
        """Moves what arrived into the lanes; waits when there is nothing to do. False: stop."""
        with self._arrived:
            while not (self._inbox or self._dropped or self._stopping or any(x.busy for x in self._lanes.values())):
                self._arrived.wait()
            self._gather()
            arrived, self._inbox = self._inbox, []
            dropped, self._dropped = self._dropped, set()
        for ticket in arrived:
            self._lane(ticket.work.model).queue.append(ticket)
        for adapter in dropped:
            self._forget(adapter)
        return not self._stopping

    def _gather(self) -> None:
        """Waits briefly for the requests that follow on the answers of the last pass.

        Clients that wait for their answers come in two groups, one computed while the other is answered. Where one of
        them has become small, a pass for it alone costs almost as much as one for half of all: 5 and 27 requests in
        turn take 128 and 315 ms, twice 16 take 350 ms.
        """
        here = len(self._inbox)
        goal = (self._last + here) // 2
        if here and here < goal and not self._stopping and not any(lane.busy for lane in self._lanes.values()):
            self._arrived.wait_for(lambda: len(self._inbox) >= goal or self._stopping, _LINGER_S)

    def _lane(self, name: str | None) -> Lane:
        if name not in self._lanes:
            run, head, room = self._decoder, self._head, self._prefixes
            self._lanes[name] = Lane(run, head, self._codec, self._ends, self.constraints, room)
        return self._lanes[name]

    def _forget(self, adapter: str) -> None:
        self._adapters.drop(adapter)
        if lane := self._lanes.pop(adapter, None):
            lane.close(KeyError(adapter))


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    # On a processor torch says so in words alone.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error)


def warm(engine: Engine, codec: Codec) -> None:
    """Answers one short prompt, so that the first request does not pay for setting up kernels."""
    stem = codec.encode("Hello").ids
    engine.submit(Work(model=None, stem=stem, branches=((),), sampling=Sampling(max_tokens=1))).result()
