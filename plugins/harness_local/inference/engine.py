"""The thread that computes: takes work from many requests, advances it in shared forward passes."""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from harness_local.inference import attention
from harness_local.inference.head import Head
from harness_local.inference.lane import Lane
from harness_local.inference.work import Listener, Outcome, Ticket, Work
from harness_local.models.loading import Loaded
from harness_local.models.tokens import Codec

_BASE_PREFIXES = 192 * 2**20
_ADAPTER_PREFIXES = 64 * 2**20
_LINGER_S = 0.05


class BusyError(Exception):
    """More work is waiting than the engine takes on."""


class Engine:
    """Computes work, one lane of sequences for each set of weights, taking the lanes in turn.

    Args:
        loaded: The base model.
        codec: Its tokenizer.
        adapter_folder: Where a fine-tuned model's adapter lies, by its id.
        limit: Most pieces of work that may wait.
    """

    def __init__(
        self, loaded: Loaded, codec: Codec, adapter_folder: Callable[[str], Path], *, limit: int = 2048
    ) -> None:
        self._model, self._codec, self._ends = loaded.model, codec, loaded.ends
        self._adapter_folder = adapter_folder
        self._limit = limit
        self._head = Head(loaded.model)
        attention.use(loaded.model)
        self._adapters: Any = None  # the model wrapped by peft, from the first adapter on
        self._lanes: dict[str | None, Lane] = {}
        self._arrived = threading.Condition()
        self._inbox: list[Ticket] = []
        self._dropped: set[str] = set()
        self._waiting = 0
        self._stopping = False
        self._last = 1
        self._ended: Future[None] | None = None

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

    @staticmethod
    def expect_adapters() -> None:
        """Says that fine-tuned models will be asked for: their library takes a second or two to import."""
        threading.Thread(target=importlib.import_module, args=("peft",), daemon=True).start()

    def submit(self, work: Work, listener: Listener | None = None) -> Future[Outcome]:
        """Queues work; cancel the future when nobody waits for it any more.

        Args:
            work: What to compute.
            listener: Told of each generated piece; the future still brings the whole.

        Raises:
            BusyError: The queue is full.
        """
        ticket = Ticket(work, listener)
        with self._arrived:
            if self._stopping or self._waiting >= self._limit:
                raise BusyError
            self._waiting += 1
            self._inbox.append(ticket)
            self._arrived.notify()
        ticket.future.add_done_callback(self._answered)
        return ticket.future

    def drop(self, adapter: str) -> None:
        """Frees an adapter's memory once its lane is idle."""
        with self._arrived:
            self._dropped.add(adapter)
            self._arrived.notify()

    def _answered(self, _: Future[Outcome]) -> None:
        with self._arrived:
            self._waiting -= 1

    def _run(self) -> None:
        import torch

        with torch.inference_mode():
            while self._collect():
                for name in [name for name, lane in self._lanes.items() if lane.busy]:
                    self._step(name)
        for lane in self._lanes.values():
            lane.fail(BusyError())

    def _step(self, name: str | None) -> None:
        lane = self._lanes[name]
        try:
            with self._weights(name):
                self._last = lane.step()
        except Exception as error:  # one bad request must not end the server
            lane.fail(error)

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
            room = _BASE_PREFIXES if name is None else _ADAPTER_PREFIXES
            self._lanes[name] = Lane(self._model, self._head, self._codec, self._ends, room)
        return self._lanes[name]

    def _forget(self, adapter: str) -> None:
        lane = self._lanes.pop(adapter, None)
        if lane is not None:
            lane.fail(KeyError(adapter))
        if self._adapters is not None and _key(adapter) in self._adapters.peft_config:
            self._adapters.delete_adapter(_key(adapter))

    @contextlib.contextmanager
    def _weights(self, name: str | None) -> Iterator[None]:
        """The model with one adapter, or none, switched on."""
        if name is None:
            with self._adapters.disable_adapter() if self._adapters is not None else contextlib.nullcontext():
                yield
            return
        self._activate(name)
        yield

    def _activate(self, name: str) -> None:
        from peft import PeftModel

        key = _key(name)
        if self._adapters is None:
            folder = self._adapter_folder(name)
            self._adapters = PeftModel.from_pretrained(self._model, folder, key, autocast_adapter_dtype=False)
            self._adapters.eval()
        elif key not in self._adapters.peft_config:
            self._adapters.load_adapter(self._adapter_folder(name), key, autocast_adapter_dtype=False)
        if self._adapters.active_adapter != key:
            self._adapters.set_adapter(key, inference_mode=True)


def _key(adapter: str) -> str:
    """The name under which peft holds an adapter: module names may not contain dots."""
    return adapter.replace(".", "_").replace(":", "_")


def warm(engine: Engine, codec: Codec) -> float:
    """Answers one short prompt, so that the first request does not pay for setting up kernels; returns seconds."""
    from harness_local.inference.work import Sampling

    began = time.perf_counter()
    stem = codec.encode("Hello").ids
    engine.submit(Work(model=None, stem=stem, branches=((),), sampling=Sampling(max_tokens=1))).result()
    return time.perf_counter() - began
