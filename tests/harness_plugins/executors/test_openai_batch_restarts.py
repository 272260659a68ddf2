"""Batches that outlive the command: crashed, interrupted or lost, they are taken up, and nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import pytest
from support.batch_bench import KEY, TEXTS, Bench, interrupted, notes, requests, right

import harness
from harness.execution.budget import Budget
from harness.journal import Journal
from harness_plugins.executors import _batch_work


class Crash(BaseException):
    """The process is gone."""


def crash_at(monkeypatch: pytest.MonkeyPatch, number: int, *, after: bool) -> Callable[[], int]:
    """Ends the process, as it were, before or after its `number`-th note or answer."""
    seen = 0
    real = {name: getattr(Journal, name) for name in ("take_note", "add")}

    def doomed(name: str) -> Callable[..., Any]:
        def method(journal: Journal, *values: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == number and not after:
                raise Crash
            made = real[name](journal, *values)
            if seen == number:
                raise Crash
            return made

        return method

    for name in real:
        monkeypatch.setattr(Journal, name, doomed(name))
    return lambda: seen


def changed(bench: Bench) -> Bench:
    """Returns the run of a changed experiment: another journal, with the first one's beside it."""
    return replace(bench, path=bench.path.with_name("changed.sqlite"), siblings=(bench.path,))


def cancelled(bench: Bench) -> list[harness.Call]:
    """Returns calls whose batch a run has handed in, and which was cancelled after it was interrupted."""
    bench.provider.set(batches_stand_still=True)
    calls = requests(TEXTS[:9])
    interrupted(bench, calls, 1)
    with openai.OpenAI(base_url=bench.provider.base_url, api_key=KEY) as client:
        client.batches.cancel(bench.batches()[0]["id"])
    bench.provider.set(batches_stand_still=False)
    return calls


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_record_hands_nothing_in_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """One record after the other is the last: intent, file, batch, answers, end."""
    number, crashed = 0, True
    while crashed:
        number += 1
        calls = requests(TEXTS[:3], arm=f"{after} {number}")
        bench.before = len(bench.provider.batches())
        with monkeypatch.context() as patched:
            crash_at(patched, number, after=after)
            bench.path = bench.path.with_name(f"journal-{number}.sqlite")
            try:
                crashed = False
                bench.run(calls, requests=2, at_least=1, try_first=False)
            except Crash:
                crashed = True
        right(bench.run(calls, requests=2, at_least=1, try_first=False), calls)
        assert set(bench.handed_in().values()) == {1}, number
        left = [key for note in notes(bench) for key in note["keys"]]
        assert set(left) <= {call.key for call in calls}, number  # the end alone was not written down
    assert number > 9  # three records and an end for each of two batches, and the answers


def test_a_batch_is_taken_up_and_its_stranger_left_alone(bench: Bench) -> None:
    bench.provider.set(batches_stand_still=True)
    mine, other = requests(TEXTS[:9], arm="mine"), requests(TEXTS[:9], arm="other", model="gpt-4.1-mini")
    interrupted(bench, [*mine, *other], 2)
    assert len(notes(bench)) == 2
    bench.provider.set(batches_stand_still=False)
    right(bench.run(mine), mine)  # as with --only
    assert [note["keys"][0] in {call.key for call in other} for note in notes(bench)] == [True]
    assert [batch["status"] for batch in bench.batches()] == ["completed", "validating"]
    right(bench.run(other), other)
    assert set(bench.handed_in().values()) == {1}


def test_what_a_batch_under_way_may_cost_is_not_spent_twice(bench: Bench) -> None:
    bench.provider.set(batches_stand_still=True)
    calls = requests(TEXTS[:9])
    interrupted(bench, calls, 1)
    bench.provider.set(batches_stand_still=False)
    more = requests(TEXTS[9:14], model="gpt-4.1-mini")
    budget = Budget(max_usd=0.85, price=lambda _request, usage, _tier: 0.01 if usage.output == 1 else 0.1)
    ran = bench.run([*calls, *more], budget=budget)
    right(ran, [*calls, *more])
    (ended,) = [number for number, line in enumerate(ran.told) if "completed, 8 of 8" in line][-1:]
    (began,) = [number for number, line in enumerate(ran.told) if "for gpt-4.1-mini handed in" in line]
    assert ended < began


def test_a_batch_that_nobody_knows_is_handed_in_anew_at_the_second_asking(bench: Bench) -> None:
    bench.provider.set(batches_stand_still=True)
    calls = requests(TEXTS[:9])
    interrupted(bench, calls, 1)
    bench.provider.set(without=("batches",))
    ran = bench.run(calls)
    assert "does not know batch_" in next(iter(ran.failed.values()))
    bench.provider.set(without=(), batches_stand_still=False)
    right(bench.run(calls), calls)  # it was there all the time
    assert len(bench.batches()) == 1


def test_a_cancelled_batch_is_not_handed_in_again_by_itself(bench: Bench) -> None:
    calls = cancelled(bench)
    ran = bench.run(calls)
    assert len(bench.batches()) == 1
    assert len(ran.failed) == 8
    assert "cancelled" in next(iter(ran.failed.values()))
    right(bench.run(calls), calls)


def test_nothing_heard_for_long_ends_the_wait_and_keeps_the_batch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = requests(TEXTS[:9])
    bench.provider.set(fault_paths=("/v1/batches/",), error_500_rate=1.0)
    monkeypatch.setattr(_batch_work, "PATIENCE_S", 0.2)
    ran = bench.run(calls)
    assert "nothing was heard of batch_" in next(iter(ran.failed.values()))
    bench.provider.set(error_500_rate=0.0)
    right(bench.run(calls), calls)
    assert len(bench.batches()) == 1


def test_what_another_run_has_handed_in_is_waited_for(bench: Bench) -> None:
    bench.provider.set(batches_stand_still=True)
    calls, more = requests(TEXTS[:9]), requests(TEXTS[9:14], model="gpt-4.1-mini")
    interrupted(bench, calls, 1)
    bench.provider.set(batches_stand_still=False)
    second = changed(bench)
    ran = second.run([*calls, *more], try_first=False)  # an arm was added
    right(ran, [*calls, *more])
    assert "was handed in before: 8 of its answers are wanted" in ran.told[0]
    assert set(bench.handed_in().values()) == {1}
    assert [note["keys"] for note in notes(second)] == [[]]  # it is not taken up again
    assert len(notes(bench)[0]["keys"]) == 8
    third = replace(second, path=bench.path.with_name("third.sqlite"), siblings=(second.path, bench.path))
    right(third.run(calls), calls)  # what the second wanted may not have been all
    assert len(bench.batches()) == 2


@pytest.mark.parametrize("failed", [(), (1, 2, 5, 6)], ids=["all answered", "some come back"])
def test_a_batch_whose_calls_stand_under_two_names_by_now_is_waited_for(bench: Bench, failed: tuple[int, ...]) -> None:
    bench.provider.set(batches_stand_still=True, batch_500_once=tuple(TEXTS[number] for number in failed))
    calls = requests(TEXTS[:9], arm=f"split {failed}")
    interrupted(bench, calls, 1)
    bench.provider.set(batches_stand_still=False)
    # Another run names the URL twice; the keys are those of the URL.
    split = [*calls[:3], *(replace(call, endpoint="fake-2") for call in calls[3:])]
    second = changed(bench)
    ran = second.run(split, try_first=False)
    right(ran, split)
    assert "was handed in before: 8 of its answers are wanted" in ran.told[0]
    again = {calls[number].key for number in failed}
    assert bench.handed_in() == {call.key: 2 if call.key in again else 1 for call in calls[1:]}
    assert len(bench.batches()) == (3 if failed else 1)  # what comes back goes to its own endpoint


def test_a_batch_of_another_run_that_came_to_nothing_is_not_taken_up_for_ever(bench: Bench) -> None:
    calls = cancelled(bench)
    second = changed(bench)
    assert len(second.run(calls).failed) == 8  # cancelled is cancelled, until the command is given again
    right(second.run(calls), calls)


def test_a_crash_before_another_runs_batch_has_an_id(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = requests(TEXTS[:3])
    with monkeypatch.context() as patched:
        crash_at(patched, 3, after=False)  # the batch is there, its id is not written down
        with pytest.raises(Crash):
            bench.run(calls, at_least=1, try_first=False)
    right(changed(bench).run(calls, at_least=1, try_first=False), calls)
    assert set(bench.handed_in().values()) == {1}


def test_chance_is_not_taken_over(bench: Bench) -> None:
    bench.provider.set(batches_stand_still=True)
    calls = requests(TEXTS[:9], temperature=0.7)
    interrupted(bench, calls, 1)
    bench.provider.set(batches_stand_still=False)
    assert changed(bench).run(calls, try_first=False).failed == {}
    assert set(bench.handed_in().values()) == {1, 2}
