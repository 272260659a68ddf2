"""The engine: growing answers, a bounded queue, cancelled work, failures, several pieces of work at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any

import pytest

from harness_local.inference import lane as lanes
from harness_local.inference.engine import BusyError
from harness_local.inference.packed import PackedCache, Rows
from harness_local.inference.work import Progress

PROMPT = "One, two, three"


class Gate:
    """Holds forward passes back until it is opened; then fails as many as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passes = self.tokens = 0
        self.opened = threading.Event()
        self.errors: list[Exception] = []
        forward = PackedCache.forward

        def gated(cache: PackedCache, rows: Rows) -> Any:
            self.passes += 1
            self.tokens += len(rows.ids)
            assert self.opened.wait(30)
            if self.errors:
                raise self.errors.pop()
            return forward(cache, rows)

        monkeypatch.setattr(PackedCache, "forward", gated)

    def await_pass(self, count: int = 1) -> None:
        end = time.monotonic() + 20
        while self.passes < count and time.monotonic() < end:
            time.sleep(0.002)
        assert self.passes >= count


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


@pytest.mark.parametrize("options", [{}, {"temperature": 1.5, "seed": 1}, {"stop": ("a", "e")}, {"max_tokens": 0}])
def test_an_answer_s_progress_adds_up_to_it(lab: Any, options: dict[str, Any]) -> None:
    heard: list[Progress] = []
    outcome = lab.ask(PROMPT, tails=(" four", "", "!"), n=2, **{"max_tokens": 20, **options}, listener=heard.append)
    assert len(outcome.continuations) == 6
    for branch, continuation in enumerate(outcome.continuations):
        mine = [step for step in heard if step.branch == branch]
        assert "".join(step.text for step in mine) == continuation.text
        assert [token for step in mine for token in step.tokens] == continuation.generated
        assert [step.finish for step in mine] == [None] * (len(mine) - 1) + [continuation.finish]
        assert continuation.text == lab.codec.decode([t.id for t in continuation.generated])[: len(continuation.text)]


def test_progress_comes_while_the_answer_grows(lab: Any) -> None:
    seen: list[bool] = []
    future = lab.submit(PROMPT, max_tokens=300, listener=lambda _: seen.append(future.done()))
    future.result(60)
    assert len(seen) > 50
    assert not any(seen[5:])


def test_too_many_pieces_are_refused(build: Callable[..., Any], gate: Gate) -> None:
    lab = build(limit=3)
    waiting = [lab.submit(PROMPT) for _ in range(3)]
    with pytest.raises(BusyError):
        lab.submit(PROMPT)
    assert waiting[1].cancel()
    waiting.append(lab.submit(PROMPT))
    with pytest.raises(BusyError):
        lab.submit(PROMPT)
    gate.opened.set()
    assert all(future.result(60) for future in waiting if not future.cancelled())
    assert [lab.submit(PROMPT).result(60) for _ in range(4)]


def test_too_many_tokens_are_refused_but_never_a_piece_alone(build: Callable[..., Any], gate: Gate) -> None:
    lab = build(token_limit=50)
    size = len(lab.codec.encode(PROMPT).ids)
    waiting = [lab.submit(PROMPT) for _ in range(50 // size)]
    with pytest.raises(BusyError):
        lab.submit(PROMPT)
    with pytest.raises(BusyError):
        lab.submit("a", n=51)
    waiting.pop().cancel()
    waiting.append(lab.submit(PROMPT))
    gate.opened.set()
    assert all(future.result(60) for future in waiting)
    assert lab.ask(PROMPT * 50, n=60, max_tokens=1)


def test_cancelled_work_is_computed_no_further(lab: Any, gate: Gate) -> None:
    gate.opened.set()
    began = threading.Event()
    future = lab.submit(PROMPT, max_tokens=2000, listener=lambda _: began.set())
    assert began.wait(30)
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result(1)
    lab.ask(PROMPT, max_tokens=1)
    passes = gate.passes
    time.sleep(0.1)
    assert gate.passes == passes < 1000
    assert not any(lane.busy for lane in lab.engine._lanes.values())


def test_work_that_is_cancelled_in_the_queue_is_never_begun(lab: Any, gate: Gate) -> None:
    first = lab.submit(PROMPT, max_tokens=1)
    gate.await_pass()
    queued = [lab.submit(PROMPT) for _ in range(5)]
    for future in queued:
        future.cancel()
    gate.opened.set()
    first.result(60)
    lab.ask(PROMPT, max_tokens=1)
    assert gate.tokens == 2 * len(lab.codec.encode(PROMPT).ids)


def test_a_listener_that_fails_fails_alone(lab: Any) -> None:
    def broken(_: Progress) -> None:
        raise ValueError("deaf")

    bad, good = lab.submit(PROMPT, listener=broken), lab.submit(PROMPT)
    with pytest.raises(ValueError, match="deaf"):
        bad.result(60)
    assert len(good.result(60).continuations[0].generated) == 8


def test_a_pass_that_fails_ends_its_own_work_alone(build: Callable[..., Any], gate: Gate) -> None:
    lab = build()
    first = lab.submit(PROMPT)
    gate.await_pass()
    later = lab.submit(PROMPT)
    gate.errors.append(ZeroDivisionError("in a pass"))
    gate.opened.set()
    with pytest.raises(ZeroDivisionError):
        first.result(60)
    assert later.result(60).continuations[0].text == lab.ask(PROMPT).continuations[0].text


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_without_memory_it_frees_what_it_kept_and_goes_on(
    build: Callable[..., Any], gate: Gate, error: Exception
) -> None:
    gate.opened.set()
    lab = build()
    shots = "number one is one, number two is two, " * 4
    before = [lab.ask(shots + end).continuations[0].text for end in ("a", "b", "c")][-1]
    assert lab.engine._prefixes._held
    gate.errors.append(error)
    with pytest.raises(BusyError):
        lab.ask(shots + "c")
    assert not lab.engine._prefixes._held
    assert lab.ask(shots + "c").continuations[0].text == before


def test_a_prefix_that_cannot_be_computed_leaves_nobody_waiting(build: Callable[..., Any], gate: Gate) -> None:
    gate.opened.set()
    lab = build()
    shots = "number one is one, number two is two, " * 4
    lab.ask(shots + "a")
    gate.errors.append(ZeroDivisionError("in a prefix"))
    with pytest.raises(ZeroDivisionError):
        lab.ask(shots + "b")
    assert lab.ask(shots + "b").reused == 0


def test_who_waits_when_it_stops_is_told(build: Callable[..., Any], gate: Gate) -> None:
    lab = build()
    futures = [lab.submit(PROMPT, max_tokens=2000) for _ in range(3)]
    gate.await_pass()
    stopping = threading.Thread(target=lab.engine.stop)
    stopping.start()
    gate.opened.set()
    for future in futures:
        assert isinstance(future.exception(60), BusyError)
    stopping.join(30)
    with pytest.raises(BusyError):
        lab.submit(PROMPT)


def test_many_answers_take_turns_where_there_is_no_room_for_all(
    build: Callable[..., Any], passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = build()
    free = lab.ask(PROMPT, n=24, max_tokens=12, temperature=1.0, seed=1)
    monkeypatch.setattr(lanes, "_COLUMNS", 100)
    monkeypatch.setattr(lanes, "_EXPECTED", 6)
    del passes[:]
    held: list[int] = []
    tidy = PackedCache.keep_only
    monkeypatch.setattr(PackedCache, "keep_only", lambda s, owners: (held.append(len(s)), tidy(s, owners))[1])
    others = [lab.submit(PROMPT + " and") for _ in range(3)]
    tight = lab.ask(PROMPT, n=24, max_tokens=12, temperature=1.0, seed=1)
    assert [c.text for c in tight.continuations] == [c.text for c in free.continuations]
    assert len({other.result(60).continuations[0].text for other in others}) == 1
    assert len(passes) > 24
    assert max(held) < 24 * 12


def test_a_long_prompt_is_taken_up_while_others_are_answered(lab: Any, passes: list[int]) -> None:
    going = threading.Event()
    long = lab.submit(PROMPT, max_tokens=1500, listener=lambda _: going.set())
    assert going.wait(30)
    lab.ask("word " * 1500, max_tokens=1)
    assert not long.done()
    long.cancel()


def test_answers_are_the_same_alone_and_together(lab: Any) -> None:
    prompts = [f"{PROMPT} {'and on ' * (k % 7)}{k}" for k in range(20)]
    alone = [lab.ask(prompt).continuations[0].text for prompt in prompts]
    together = [lab.submit(prompt) for prompt in prompts * 2]
    assert [future.result(60).continuations[0].text for future in together] == alone * 2
