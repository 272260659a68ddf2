"""The engine and an endpoint's limits: what headers say is obeyed before a 429 comes, a 429 slows everybody down."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from support.journals import fault_counts
from support.provider import Provider

from harness.errors import UsageError
from harness.execution import engine as engine_module
from harness.execution import faults
from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.lanes import ASIDE
from harness.execution.targets import Target
from harness.execution.work import Request
from harness.journal import Journal

CHAT = "POST /v1/chat/completions"


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start() as running:
        yield running


def request(number: int, arm: str = "a", endpoint: str = "fake", **body: Any) -> Request:
    messages = [{"role": "user", "content": f"item {number}"}]
    return Request(
        endpoint=endpoint, path="/chat/completions", arm=arm, key=f"{endpoint} {arm} {number}",
        body={"model": "base-model", "messages": messages, **body},
    )  # fmt: skip


def target(provider: Provider, **changes: Any) -> Target:
    given = {
        "name": "fake", "base_url": provider.base_url, "api_key": "none", "headers": {}, "query": {}, "concurrency": 32,
        "timeout_s": 30.0,
    }  # fmt: skip
    return Target(**{**given, **changes})


def engine(journal: Journal, *targets: Target, **more: Any) -> Engine:
    return Engine(journal=journal, connect={one.name: one for one in targets}.__getitem__, **more)


def test_what_headers_leave_is_obeyed_before_a_429_comes(provider: Provider, journal: Journal) -> None:
    provider.set(requests_per_s=60.0, latency_s=0.02)
    made = engine(journal, target(provider))
    began = time.perf_counter()
    made.send([request(n, arm) for n in range(60) for arm in "ab"], made.done)
    assert provider.statuses() == {"200": 120}
    assert time.perf_counter() - began > 0.9  # 60 at once, then 60 a second
    arms = Counter(row[0] for row in rows(journal, "SELECT arm FROM answers ORDER BY started LIMIT 60"))
    assert min(arms.values()) > 20  # both had their share of the first second


def test_a_limit_that_models_share_is_obeyed_too(provider: Provider, journal: Journal) -> None:
    provider.set(requests_per_s=60.0, latency_s=0.03)
    made = engine(journal, target(provider))
    models = ("base-model", "gpt-4.1-mini", "gpt-4.1-nano")
    made.send([request(n, model, model=model) for n in range(50) for model in models], made.done)
    refused = fault_counts(journal).get("rate-limit", 0)
    assert refused <= 3  # before each model's first answer nothing is known of it
    arms = Counter(row[0] for row in rows(journal, "SELECT arm FROM answers ORDER BY started LIMIT 90"))
    assert min(arms.values()) > 20


def test_waiting_for_the_rate_is_queueing_and_no_service(provider: Provider, journal: Journal) -> None:
    provider.set(requests_per_s=20.0, latency_s=0.02)
    made = engine(journal, target(provider))
    made.send([request(n) for n in range(40)], made.done)
    waits = [row[0] for row in rows(journal, "SELECT queue_s FROM answers ORDER BY queue_s")]
    assert waits[0] < 0.1
    assert waits[-1] > 0.5
    assert max(row[0] for row in rows(journal, "SELECT service_s FROM answers")) < 0.5
    assert rows(journal, "SELECT DISTINCT retry_s, attempts FROM answers") == [(0.0, 1)]


def test_a_429_makes_everybody_wait_and_uses_up_no_attempts(
    provider: Provider, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "ATTEMPTS", 1)
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    provider.set(rate_429=0.4, retry_after_s=0.2, latency_s=0.01)
    made = engine(journal, target(provider))
    made.send([request(n) for n in range(60)], made.done)
    assert made.failed == {}
    assert len(journal.answers([request(n).key for n in range(60)])) == 60
    refused = [row[0] for row in rows(journal, "SELECT time FROM faults ORDER BY time")]
    begun = [row[0] for row in rows(journal, "SELECT started FROM answers")]
    last = [time for time, following in itertools.pairwise([*refused, refused[-1] + 9]) if following - time > 0.15]
    # After a 429 nothing begins that could not have been under way already.
    assert all(not any(time + 0.03 < start < time + 0.19 for start in begun) for time in last)


def test_the_limit_shrinks_once_for_each_episode(provider: Provider, journal: Journal) -> None:
    provider.set(rate_429=0.3, retry_after_s=0.05, latency_s=0.01)
    seen: list[Any] = []
    made = engine(journal, target(provider, concurrency=20))
    made.progress = lambda _arm, _figures: seen.append(made.lanes[0].rate)
    made.send([request(n) for n in range(60)], made.done)
    assert seen[-1].limit == 16


def test_a_slow_start_reaches_the_limit(provider: Provider, journal: Journal) -> None:
    seen: list[int] = []
    made = engine(journal, target(provider, concurrency=64))

    def look(_arm: str, _figures: object) -> None:
        limit = made.lanes[0].rate.limit
        if limit not in seen:
            seen.append(limit)
            provider.set(together=limit)

    made.progress = look
    made.send([request(n) for n in range(400)], made.done)
    assert seen == [20, 40, 64]
    assert provider.peak_in_flight() == 64


def test_errors_of_the_server_do_not_shrink_it(
    provider: Provider, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    provider.set(error_500_rate=0.2, latency_s=0.02)
    seen: list[int] = []
    made = engine(journal, target(provider, concurrency=40))
    made.progress = lambda _arm, _figures: seen.append(made.lanes[0].rate.limit)
    made.send([request(n) for n in range(300)], made.done)
    assert made.failed == {}
    assert seen == sorted(seen)
    assert seen[-1] == 40


def test_calls_are_read_on_only_as_they_are_needed(provider: Provider, journal: Journal) -> None:
    read: list[int] = []
    answered: list[int] = []
    ahead: list[int] = []

    def calls() -> Iterator[Request]:
        for number in range(4000):
            read.append(number)
            yield request(number)

    def progress(_arm: str, _figures: object) -> None:
        answered.append(1)
        ahead.append(len(read) - len(answered))

    made = engine(journal, target(provider), progress=progress)
    made.send(calls(), made.done)
    assert len(answered) == 4000
    assert max(ahead) <= ASIDE + 3 * 32  # laid aside; under way; waiting for a commit
    assert ahead[-1000] <= 3 * 32


def test_endpoints_work_side_by_side_though_one_comes_late_in_the_order(provider: Provider, journal: Journal) -> None:
    provider.set(latency_s=0.1)
    made = engine(journal, target(provider, concurrency=5), target(provider, name="other", concurrency=5))
    order = [request(n, arm, name) for arm, name in (("a", "fake"), ("b", "other")) for n in range(51)]
    made.send(order, made.done)
    assert provider.counts() == {CHAT: 102}
    spans = rows(journal, "SELECT endpoint, min(started), max(started) FROM answers GROUP BY endpoint")
    assert max(first for _, first, _ in spans) < min(last for _, _, last in spans)


def test_arms_take_turns_at_the_endpoint_of_the_run(provider: Provider, journal: Journal) -> None:
    provider.set(latency_s=0.02)
    made = engine(journal, target(provider, local=True, concurrency=8))
    order = [request(n, arm) for turn in range(3) for arm in "ab" for n in range(turn * 16, turn * 16 + 16)]
    made.send(order, made.done)
    spans = rows(journal, "SELECT arm, started, started + service_s FROM answers ORDER BY started")
    turns = [(arm, list(of)) for arm, of in itertools.groupby(spans, key=lambda row: row[0])]
    assert len(turns) == 6
    for (_, before), (_, after) in itertools.pairwise(turns):
        assert min(row[1] for row in after) >= max(row[2] for row in before) - 0.005


def test_a_stream_gives_the_same_answer_and_the_time_to_its_first_token(provider: Provider, journal: Journal) -> None:
    plain = engine(journal, target(provider))
    streamed = engine(journal, target(provider, stream=True))
    asked = {"logprobs": True, "top_logprobs": 2}
    plain.send([request(n, "plain", **asked) for n in range(10)], plain.done)
    provider.set(stream_pause_s=0.05)
    streamed.send([request(n, "streamed", **asked) for n in range(10)], streamed.done)
    for number in range(10):
        keys = [request(number, arm).key for arm in ("plain", "streamed")]
        found = journal.answers(keys)
        one, other = (found[key].body for key in keys)
        assert told(one) == told(other)
        assert one.keys() == other.keys()
        entry = found[keys[1]]
        assert entry.first_token_s is not None
        assert 0.05 < entry.first_token_s < entry.service_s - 0.1
        assert found[keys[0]].first_token_s is None


def test_a_stream_that_is_cut_off_is_asked_again(
    provider: Provider, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    provider.set(cut_rate=0.4)
    made = engine(journal, target(provider, stream=True))
    made.send([request(n) for n in range(40)], made.done)
    assert made.failed == {}
    assert set(fault_counts(journal)) <= {"bad-body", "reset"}
    assert all(
        e.body["choices"][0]["message"]["content"] for e in journal.answers([f"fake a {n}" for n in range(40)]).values()
    )


def test_a_server_that_dribbles_is_given_up_in_time(
    provider: Provider, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "ATTEMPTS", 2)
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    provider.set(dribble_s=0.02)  # each byte comes in time, the whole would take 6 s, twice
    made = engine(journal, target(provider, timeout_s=0.5))
    began = time.perf_counter()
    made.send([request(0)], made.done)
    assert time.perf_counter() - began < 6
    assert fault_counts(journal) == {"timeout": 2}


def test_blank_bodies_are_asked_again(provider: Provider, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    provider.set(blank_rate=0.3)
    made = engine(journal, target(provider))
    made.send([request(n) for n in range(40)], made.done)
    assert made.failed == {}
    assert fault_counts(journal).keys() == {"bad-body"}
    assert "the body is empty" in {row[0] for row in rows(journal, "SELECT message FROM faults")}


def test_an_empty_answer_gets_two_more_chances(
    provider: Provider, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    provider.set(empty_rate=0.4)
    spent = Budget(price=lambda _request, usage, _tier: float(usage.output > 0) + 1.0)
    made = engine(journal, target(provider), budget=spent)
    made.send([request(n) for n in range(60)], made.done)
    assert made.failed == {}
    sent = provider.counts()[CHAT]
    found = journal.answers([request(n).key for n in range(60)]).values()
    empty = [entry for entry in found if not entry.body["choices"][0]["message"]["content"]]
    assert 0 < len(empty) < 15
    assert {entry.attempts for entry in empty} == {3}
    assert {entry.attempts for entry in found} == {1, 2, 3}
    assert sent == sum(entry.attempts for entry in found)
    assert fault_counts(journal) == {"empty-answer": sent - 60}
    # Each attempt was billed: an answer tells what it cost, those before it stand by themselves.
    assert journal.spent() == spent.spent == sent + 60 - len(empty)
    assert sum(entry.usd or 0 for entry in found) == 120 - len(empty)


def test_a_clock_that_jumps_changes_no_duration(
    provider: Provider, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = time.time, itertools.count()
    monkeypatch.setattr(time, "time", lambda: real() + (-86_400 if next(calls) % 2 else 86_400))
    provider.set(latency_s=0.02, rate_429=0.2, retry_after_s=0.05)
    made = engine(journal, target(provider))
    made.send([request(n) for n in range(40)], made.done)
    assert made.failed == {}
    for service, queue, retry in rows(journal, "SELECT service_s, queue_s, retry_s FROM answers"):
        assert 0.02 <= service < 5
        assert 0 <= queue < 5
        assert 0 <= retry < 10


def test_an_interruption_lets_come_in_what_is_under_way(provider: Provider, journal: Journal) -> None:
    provider.set(latency_s=0.2)
    counted: list[int] = []

    def progress(_arm: str, _figures: object) -> None:
        counted.append(1)
        if len(counted) == 30:
            assert made.interrupt()

    made = engine(journal, target(provider, concurrency=10), progress=progress)
    made.send([request(n) for n in range(300)], made.done)
    assert made.interrupted
    assert made.over
    sent = provider.counts()[CHAT]
    assert 30 <= sent <= 45
    assert len(counted) == sent == rows(journal, "SELECT count(*) FROM answers")[0][0]
    assert not made.interrupt()  # nothing is under way any more


def test_a_setup_error_ends_what_waits_for_the_rate(provider: Provider, journal: Journal) -> None:
    provider.set(requests_per_s=5.0)
    made = engine(journal, target(provider))
    wrong = request(5, "wrong", model="nobody")
    began = time.perf_counter()
    with pytest.raises(UsageError, match="nobody"):
        made.send([*(request(n) for n in range(5)), wrong, *(request(n) for n in range(6, 60))], made.done)
    assert time.perf_counter() - began < 5


def told(body: Mapping[str, Any]) -> tuple[Any, ...]:
    choice = body["choices"][0]
    content, logprobs = choice["message"]["content"], choice["logprobs"]["content"]
    return body["object"], content, logprobs, choice["finish_reason"], body["usage"], body["model"]


def rows(journal: Journal, query: str) -> list[Any]:
    return journal._connection.execute(query).fetchall()
