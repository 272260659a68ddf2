"""The engine against a provider over real HTTP: every fault it can meet, and nothing sent that was not planned."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.canned import GOOD, canned
from support.journals import fault_counts
from support.lab import task
from support.provider import Provider

from harness.errors import UnfinishedError, UsageError
from harness.execution import engine as engine_module
from harness.execution import faults
from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.targets import Target
from harness.execution.work import Request, answer_key
from harness.journal import Entry, Journal
from harness.secrets import Scrubber
from harness.types import Call, Reply, Usage

KEY = "sk-test-engine-0123456789"
ANSWERS = task(120)
CHAT = "POST /v1/chat/completions"


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=ANSWERS, api_key=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    monkeypatch.setattr(faults, "BACKOFF_MAX_S", 0.05)


def requests(
    n: int, *, arm: str = "a", endpoint: str = "fake", model: str = "base-model", **body: Any
) -> list[Request]:
    made = []
    for text in list(ANSWERS)[:n]:
        call = Call(
            endpoint=endpoint,
            path="/chat/completions",
            body={"model": model, "messages": [{"role": "user", "content": text}], "temperature": 0, **body},
        )
        key = answer_key(endpoint, call, arm)
        made.append(Request(endpoint=endpoint, path=call.path, body=call.body, arm=arm, key=key))
    return made


def target(provider: Provider, *, name: str = "fake", **changes: Any) -> Target:
    given = {
        "name": name, "base_url": provider.base_url, "api_key": KEY, "headers": {}, "query": {}, "concurrency": 8,
        "timeout_s": 30.0, "key_name": "FAKE_KEY",
    }  # fmt: skip
    return Target(**{**given, **changes})


def engine(provider: Provider, journal: Journal, *, on: dict[str, Target] | None = None, **more: Any) -> Engine:
    targets = on or {"fake": target(provider)}
    return Engine(journal=journal, connect=targets.__getitem__, **more)


def send(made: Engine, of: list[Request]) -> dict[str, Entry]:
    made.send(of, made.done)
    return made.journal.answers([request.key for request in of])


def said(entry: Entry) -> str:
    return str(entry.body["choices"][0]["message"]["content"])


def test_exactly_the_planned_requests_and_each_answer_to_its_own_question(provider: Provider, journal: Journal) -> None:
    provider.set(latency_jitter_s=0.05, accuracy=1.0)  # they arrive out of order
    of = requests(60)
    found = send(engine(provider, journal), of)
    assert provider.counts() == {CHAT: 60}
    assert {request.key: said(found[request.key]) for request in of} == {
        request.key: ANSWERS[request.body["messages"][0]["content"]] for request in of
    }
    provider.set(accuracy=0.6)
    for entry in found.values():
        assert entry.attempts == 1
        assert entry.retry_s == 0.0
        assert 0 < entry.service_s < 60
        assert abs(entry.started - time.time()) < 120


def test_concurrency_is_a_limit_that_is_reached(provider: Provider, journal: Journal) -> None:
    provider.set(together=5, together_after=1)
    send(engine(provider, journal, on={"fake": target(provider, concurrency=5)}), requests(40))
    assert provider.peak_in_flight() == 5


def test_two_thousand_requests(provider: Provider, journal: Journal) -> None:
    of = [
        Request(endpoint="fake", path="/chat/completions", arm="a", key=f"k{number}",
                body={"model": "base-model", "messages": [{"role": "user", "content": f"item {number}"}]})
        for number in range(2000)
    ]  # fmt: skip
    counted: list[int] = []
    made = engine(provider, journal, on={"fake": target(provider, concurrency=64)})
    made.progress = lambda _arm, figures: counted.append(int(figures["done"]))
    found = send(made, of)
    assert len(found) == sum(counted) == 2000
    assert provider.counts() == {CHAT: 2000}
    assert provider.statuses() == {"200": 2000}
    assert provider.peak_in_flight() <= 64


def test_the_client_retries_nothing_of_its_own(provider: Provider, journal: Journal) -> None:
    provider.set(fail_first=2)
    found = send(engine(provider, journal), requests(10))
    assert {entry.attempts for entry in found.values()} == {3}
    assert provider.counts() == {CHAT: 30}
    assert fault_counts(journal) == {"server-error": 20}
    assert all(entry.retry_s > 0 for entry in found.values())
    assert all("x-stainless-retry-count" not in r.headers or r.headers["x-stainless-retry-count"] == "0"
               for r in provider.requests())  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"error_500_rate": 0.3}, "server-error"),
        ({"reset_rate": 0.2}, "reset"),
        ({"cut_rate": 0.2}, None),
        ({"garbage_rate": 0.3}, "bad-body"),
        ({"rate_429": 0.3, "retry_after_s": 0.01}, "rate-limit"),
    ],
    ids=["500", "reset", "cut-off", "garbage", "429"],
)
def test_what_passes_is_asked_again(
    provider: Provider, journal: Journal, fault: dict[str, Any], kind: str | None
) -> None:
    provider.set(**fault)
    of = requests(40)
    made = engine(provider, journal)
    found = send(made, of)
    faults = fault_counts(journal)
    assert set(found) | set(made.failed) == {request.key for request in of}
    assert len(found) >= 38
    assert provider.counts()[CHAT] == len(found) + sum(faults.values())
    assert sum(faults.values()) > 0
    assert kind is None or set(faults) == {kind}


def test_retry_after_is_waited_for(provider: Provider, journal: Journal) -> None:
    provider.set(rate_429=1.0, retry_after_ms=150.0, retry_after_s=60.0)  # milliseconds win over seconds

    def relent() -> None:
        while fault_counts(journal).get("rate-limit", 0) < 2:
            time.sleep(0.005)
        provider.set(rate_429=0.0)

    with ThreadPoolExecutor(1) as pool:
        relented = pool.submit(relent)
        (entry,) = send(engine(provider, journal), requests(1)).values()
        relented.result()
    times = [row[0] for row in journal._connection.execute("SELECT time FROM faults ORDER BY time")]
    times.append(entry.started)
    assert entry.attempts == len(times) >= 3
    assert all(0.14 < after - before < 5 for before, after in itertools.pairwise(times))


def test_a_hanging_attempt_is_given_up_and_asked_again(provider: Provider, journal: Journal) -> None:
    provider.set(hang_rate=0.3)
    made = engine(provider, journal, on={"fake": target(provider, timeout_s=0.4, concurrency=32)})
    found = send(made, requests(20))
    assert len(found) >= 19
    assert set(fault_counts(journal)) == {"timeout"}


def test_an_item_out_of_retries_is_unfinished_and_the_others_are_answered(provider: Provider, journal: Journal) -> None:
    bad = list(ANSWERS)[3]
    provider.set(always_500=[bad])
    made = engine(provider, journal)
    of = requests(20)
    found = send(made, of)
    assert len(found) == 19
    assert provider.counts()[CHAT] == 19 + engine_module.ATTEMPTS
    left = made.unfinished()
    assert isinstance(left, UnfinishedError)
    assert "1 requests have no answer; 500" in left.message
    provider.set(always_500=[])
    again = engine(provider, journal)
    missing = [request for request in of if request.key not in found]
    assert len(send(again, missing)) == 1
    assert again.unfinished() is None


def test_what_is_settled_in_the_end_lacks_no_answer(provider: Provider, journal: Journal) -> None:
    of, texts = requests(20), list(ANSWERS)
    made = engine(provider, journal)
    provider.set(always_500=texts[1:4])
    assert len(send(made, of)) == 17
    provider.set(always_500=texts[3:4], always_400=texts[2:3])  # one is refused for good meanwhile
    assert len(send(made, of[1:4])) == 2
    left = made.unfinished()
    assert isinstance(left, UnfinishedError)
    assert "1 requests have no answer" in left.message
    provider.set(always_500=[], always_400=[])
    assert len(send(made, of[3:4])) == 1
    assert made.unfinished() is None


def test_a_refused_item_is_final_and_alone(provider: Provider, journal: Journal) -> None:
    bad = list(ANSWERS)[3]
    provider.set(always_400=[bad])
    made = engine(provider, journal)
    found = send(made, requests(20))
    assert len(found) == 20
    (refused,) = [entry for entry in found.values() if entry.error]
    assert "invalid_prompt" in str(refused.error)
    assert refused.body == {}
    assert made.unfinished() is None
    assert provider.counts() == {CHAT: 20}


def test_an_arm_whose_every_request_is_refused_stops_the_command(provider: Provider, journal: Journal) -> None:
    provider.set(always_400=list(ANSWERS))
    made = engine(provider, journal, on={"fake": target(provider, concurrency=2)})
    with pytest.raises(UsageError, match="refused the first 5 requests of the arm a: 400 invalid_prompt"):
        send(made, requests(60))
    assert provider.counts()[CHAT] <= 7
    provider.set(always_400=[])  # nothing was written off: all are asked again
    assert all(entry.error is None for entry in send(engine(provider, journal), requests(60)).values())


def test_a_few_refused_items_at_the_start_are_no_refused_arm(provider: Provider, journal: Journal) -> None:
    provider.set(always_400=list(ANSWERS)[:4])
    found = send(engine(provider, journal, on={"fake": target(provider, concurrency=1)}), requests(4))
    assert {bool(entry.error) for entry in found.values()} == {True}
    provider.set(always_400=list(ANSWERS)[:12])
    made = engine(provider, journal)
    journal.add([Entry(key="old", arm="a", endpoint="fake", body={"choices": []})])  # it has answered before
    assert sum(bool(entry.error) for entry in send(made, requests(12)).values()) == 12


def test_refused_items_of_several_sends_show_a_refused_arm(provider: Provider, journal: Journal) -> None:
    provider.set(always_400=list(ANSWERS))
    made = engine(provider, journal, on={"fake": target(provider, concurrency=2)})
    made.send(requests(60)[:1], made.done, more=True)
    with pytest.raises(UsageError, match="refused the first 5 requests of the arm a"):
        made.send(requests(60)[1:5], made.done, more=True)
    assert journal.known([request.key for request in requests(60)]) == set()  # nothing was written off


SETUPS = [
    ({}, {"api_key": "sk-wrong"}, {}, "401", "FAKE_KEY"),
    ({}, {}, {"model": "base-modle"}, "base-modle", "correct `model`"),
    ({}, {"base_url": "{root}/v2"}, {}, "404", "base_url"),
    ({"without": ["temperature"]}, {}, {}, "'temperature' is not supported", "the arm a"),
]


@pytest.mark.parametrize(
    ("fault", "reached", "body", "said_", "cure"), SETUPS, ids=["key", "model", "url", "parameter"]
)
def test_what_nothing_can_mend_stops_at_the_first_request(
    provider: Provider,
    journal: Journal,
    fault: dict[str, Any],
    reached: dict[str, Any],
    body: dict[str, Any],
    said_: str,
    cure: str,
) -> None:
    provider.set(**fault)
    reached = {key: value.format(root=provider.root) for key, value in reached.items()}
    made = engine(provider, journal, on={"fake": target(provider, **reached)})
    with pytest.raises(UsageError) as caught:
        send(made, requests(40, **body))
    assert said_ in caught.value.message
    assert cure in caught.value.hint
    assert len(str(caught.value).splitlines()) <= 3
    assert sum(provider.counts().values()) == 1
    assert journal.answers([request.key for request in requests(40, **body)]) == {}


def test_what_was_in_flight_when_a_key_is_revoked_is_kept(provider: Provider, journal: Journal) -> None:
    of = requests(60)
    made = engine(provider, journal, on={"fake": target(provider, concurrency=10)})
    answered: list[str] = []

    def progress(arm: str, figures: Any) -> None:
        answered.append(arm)
        if len(answered) == 20:
            provider.set(api_key="another")

    made.progress = progress
    try:
        with pytest.raises(UsageError, match="401"):
            send(made, of)
    finally:
        provider.set(api_key=KEY)
    assert len(journal.answers([request.key for request in of])) == provider.statuses()["200"] >= 20


def test_a_quota_that_has_ended_stops_the_endpoint_at_once(provider: Provider, journal: Journal) -> None:
    provider.set(quota_after=10)
    of = requests(60)
    made = engine(provider, journal, on={"fake": target(provider, concurrency=4)})
    found = send(made, of)
    assert len(found) == 10
    assert provider.counts()[CHAT] <= 10 + 4
    left = made.unfinished()
    assert left is not None
    assert left.exit_code == 4
    assert "50 requests have no answer" in left.message
    assert "insufficient_quota" in left.message
    provider.set(quota_after=None)
    provider.reset()
    again = engine(provider, journal)
    assert len(send(again, [request for request in of if request.key not in found])) == 50
    assert provider.counts() == {CHAT: 50}


def test_one_endpoint_down_leaves_the_other_to_finish(provider: Provider, journal: Journal) -> None:
    down = target(provider, name="down", base_url="http://127.0.0.1:9/v1")
    made = engine(provider, journal, on={"fake": target(provider), "down": down})
    found = send(made, [*requests(20), *requests(20, arm="b", endpoint="down")])
    assert len(found) == 20
    assert {entry.arm for entry in found.values()} == {"a"}
    assert len(made.failed) == 20
    left = made.unfinished()
    assert left is not None
    assert "127.0.0.1:9" in left.message
    assert fault_counts(journal) == {"connection": engine_module.CONNECTION_ATTEMPTS}


def test_an_endpoint_that_dies_on_the_way(tmp_path: Path, journal: Journal) -> None:
    with Provider.start(answers=ANSWERS, api_key=KEY) as doomed:
        made = engine(doomed, journal)
        answered: list[str] = []

        def progress(arm: str, figures: Any) -> None:
            answered.append(arm)
            if len(answered) == 15:
                doomed.crash()

        made.progress = progress
        found = send(made, requests(60))
    assert 15 <= len(found) < 60
    assert len(found) + len(made.failed) == 60


def test_nothing_is_sent_where_nothing_is_to_be_sent(provider: Provider, journal: Journal) -> None:
    made = Engine(journal=journal, connect=lambda name: pytest.fail(f"connected to {name}"))
    made.send([], made.done)


def test_first_requests_go_alone(provider: Provider, journal: Journal) -> None:
    """One request of each arm comes first: a wrong model is found before the other arms' money is spent."""
    provider.set(latency_s=0.01)
    made = engine(provider, journal)
    with pytest.raises(UsageError, match="wrong"):
        send(made, [*requests(50, arm="a"), *requests(50, arm="b", model="wrong")])
    assert provider.counts()[CHAT] == 2


def test_an_answer_that_cannot_be_read_stops_before_more_is_sent(provider: Provider, journal: Journal) -> None:
    def inspect(request: Request, reply: Reply) -> None:
        assert journal.answers([request.key])  # paid for: it is on disk already
        raise UsageError("cannot be read")

    with pytest.raises(UsageError, match="cannot be read"):
        send(engine(provider, journal, inspect=inspect), requests(30))
    assert provider.counts() == {CHAT: 1}


def test_an_executor_that_takes_answers_itself(provider: Provider, journal: Journal) -> None:
    made = engine(provider, journal)
    of, taken = requests(12), []

    def done(call: Call, reply: Reply) -> None:
        made.done(call, reply)
        taken.append(reply["model"])

    made.send(of, done)
    assert len(taken) == 12
    assert all(entry.service_s > 0 for entry in journal.answers([request.key for request in of]).values())


# The budget


def priced(_request: Request, usage: Usage, _tier: str) -> float:
    return (usage.input + 3 * usage.output) / 1e4


def test_the_cap_is_never_passed_and_a_higher_one_goes_on(provider: Provider, journal: Journal) -> None:
    of = requests(60, max_completion_tokens=4)

    def counted() -> float:
        found = journal.answers([request.key for request in of])
        return sum(
            (e.body["usage"]["prompt_tokens"] + 3 * e.body["usage"]["completion_tokens"]) / 1e4 for e in found.values()
        )

    for cap in (0.02, 0.035):
        before = sum(provider.counts().values())
        made = engine(provider, journal, budget=Budget(max_usd=cap, price=priced, spent=journal.spent()))
        known = journal.answers([request.key for request in of])
        made.send([request for request in of if request.key not in known], made.done)
        assert made.stopped is not None
        assert made.stopped.exit_code == 3
        assert counted() <= cap
        assert sum(provider.counts().values()) > before
        assert journal.spent() == pytest.approx(counted())
    dearest = max(priced(r, Usage(input=len(str(r.body).encode()), output=4), "") for r in of)
    assert cap - counted() < dearest  # what is left covers none
    made = engine(provider, journal, budget=Budget(max_usd=1.0, price=priced, spent=journal.spent()))
    known = journal.answers([request.key for request in of])
    made.send([request for request in of if request.key not in known], made.done)
    assert made.stopped is None
    assert provider.counts() == {CHAT: 60}


def test_where_no_tokens_are_counted_the_worst_case_is_taken_for_spent(provider: Provider, journal: Journal) -> None:
    provider.set(usage=False)
    made = engine(provider, journal, budget=Budget(max_usd=0.1, price=priced))
    found = send(made, requests(60, max_completion_tokens=4))
    assert made.stopped is not None
    assert 0 < len(found) < 60
    assert all(entry.usd and entry.usd > 0.005 for entry in found.values())
    assert journal.spent() <= 0.1


def test_a_cap_without_a_price_is_refused_before_anything_is_sent(provider: Provider, journal: Journal) -> None:
    made = engine(provider, journal, budget=Budget(max_usd=1.0))
    with pytest.raises(UsageError, match="no price is known for the model base-model") as caught:
        send(made, requests(20))
    assert '[prices."base-model"]' in caught.value.hint
    assert provider.counts() == {}


# Secrets, disks, odd bodies


def test_no_key_comes_into_the_journal_or_a_message(provider: Provider, journal: Journal, tmp_path: Path) -> None:
    text = f"the key is {KEY} as you know"
    provider.set(answer_template="{label} " + KEY, leak_key=True, fail_first=1, always_400=[list(ANSWERS)[2]])
    try:
        found = send(engine(provider, journal, scrub=Scrubber((KEY,))), requests(10))
    finally:
        provider.set(answer_template="{label}")
    assert len(found) == 10
    assert any("[hidden]" in said(entry) for entry in found.values() if not entry.error)
    assert any(entry.error and "[hidden]" in entry.error for entry in found.values())
    assert KEY not in str(found)
    journal.close()
    for path in tmp_path.iterdir():
        assert KEY.encode() not in path.read_bytes(), path
    assert KEY not in repr(target(provider))
    assert text


def test_a_full_disk_ends_the_sending(provider: Provider, journal: Journal) -> None:
    pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(UnfinishedError, match="full"):
        send(engine(provider, journal), requests(120))
    assert provider.counts()[CHAT] < 120


@pytest.mark.parametrize(
    "odd",
    [b"[1, 2]", b"", b"\xff\xfe", b'"text"', b'{"error": {"message": "upstream is busy"}}', GOOD[:40]],
    ids=["list", "empty", "bytes", "text", "error", "half"],
)
def test_a_body_that_is_no_answer_is_asked_again(provider: Provider, journal: Journal, odd: bytes) -> None:
    with canned(odd, GOOD) as (url, asked):
        found = send(engine(provider, journal, on={"fake": target(provider, base_url=f"{url}/v1")}), requests(1))
    assert len(asked) == 2
    assert [said(entry) for entry in found.values()] == ["good"]
    assert fault_counts(journal) == {"bad-body": 1}


@pytest.mark.parametrize(
    "usage",
    [
        b'"many"',
        b"null",
        b"[]",
        b'{"prompt_tokens": "7"}',
        b'{"prompt_tokens": -1}',
        b'{"prompt_tokens": 3, "prompt_tokens_details": 3}',
    ],
)
def test_odd_usage_harms_nothing(provider: Provider, journal: Journal, usage: bytes) -> None:
    body = b'{"choices": [{"message": {"content": "good"}}], "usage": ' + usage + b"}"
    with canned(body) as (url, _):
        made = engine(
            provider,
            journal,
            on={"fake": target(provider, base_url=f"{url}/v1")},
            budget=Budget(max_usd=9, price=priced),
        )
        found = send(made, requests(2))
    assert len(found) == 2
