"""Carrying calls in another process, and committing what comes back from there; here in one process, real HTTP."""

from __future__ import annotations

import json
import pickle
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.canned import canned
from support.lab import task
from support.provider import Provider

from harness.errors import GateError, UsageError
from harness.execution import faults
from harness.execution.budget import Budget
from harness.execution.carrier import EngineCarrier, GivenUp, Refused
from harness.execution.engine import STRIKES, Engine
from harness.execution.sender import Sender
from harness.execution.targets import Target, remote_target
from harness.execution.work import Request, answer_key
from harness.experiment.file import EndpointTable, EnvironmentValue
from harness.journal import Entry, Fault, Journal
from harness.types import Call, Reply, Usage

KEY = "sk-test-carrier-0123456789"
ANSWERS = task(60)
CHAT = "POST /v1/chat/completions"


@pytest.fixture(scope="module")
def shared() -> Iterator[Provider]:
    with Provider.start(answers=ANSWERS, api_key=KEY) as running:
        yield running


@pytest.fixture
def provider(shared: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("FAKE_KEY", KEY)
    monkeypatch.delenv("OTHER_KEY", raising=False)
    shared.renew()
    return shared


def tables(provider: Provider, concurrency: int = 8) -> dict[str, EndpointTable]:
    return {
        "fake": EndpointTable(base_url=provider.base_url, api_key_env="FAKE_KEY", concurrency=concurrency),
        "other": EndpointTable(base_url=provider.base_url, headers={"X-Team": EnvironmentValue(env="OTHER_KEY")}),
        "local": EndpointTable(),
    }


def carrier(provider: Provider, *, parts: int = 2, concurrency: int | None = None) -> EngineCarrier:
    return EngineCarrier(
        endpoints=tables(provider), secret_names=("FAKE_KEY",), parts=parts, concurrency=concurrency, seed=1,
        price=half_a_dollar,
    )  # fmt: skip


def half_a_dollar(_call: Request, _usage: Usage, _tier: str) -> float:
    return 0.5


def requests(n: int = 60, *, endpoint: str = "fake", arm: str = "a") -> list[Request]:
    made = []
    for text in list(ANSWERS)[:n]:
        body = {"model": "base-model", "messages": [{"role": "user", "content": text}], "max_tokens": 5}
        call = Call(endpoint=endpoint, path="/chat/completions", body=body)
        key = answer_key(endpoint, call, arm)
        made.append(Request(endpoint=endpoint, path=call.path, body=body, arm=arm, key=key))
    return made


@pytest.fixture
def send(provider: Provider, tmp_path: Path) -> Iterator[Sender]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        known = tables(provider)

        def connect(name: str) -> Target:
            if name == "far":
                raise UsageError("--offline: the endpoint far is not on this machine")
            return remote_target(name, known["fake"])

        engine = Engine(journal=journal, connect=connect)
        yield Sender(engine=engine, journal=journal, endpoints=known, secret_names=("FAKE_KEY",), tell=print)


def answer(call: Request, text: str = "good") -> Entry:
    return Entry(key=call.key, arm=call.arm, endpoint=call.endpoint, body={"choices": [{"text": text}]})


def refused(call: Request) -> Entry:
    return Entry(key=call.key, arm=call.arm, endpoint=call.endpoint, body={}, error="400: no")


def test_it_travels_without_the_key_and_brings_every_answer(provider: Provider) -> None:
    calls = requests()
    made = carrier(provider)
    packed = pickle.dumps(made)
    assert KEY.encode() not in packed
    records = [record for group in pickle.loads(packed).carry(iter(calls)) for record in group]
    assert {record.key for record in records} == {call.key for call in calls}
    assert all(isinstance(record, Entry) and record.error is None for record in records)
    assert provider.counts() == {CHAT: 60}
    assert provider.peak_in_flight() <= 4


def test_it_goes_on_with_more_calls(provider: Provider) -> None:
    made = carrier(provider)
    keys = [record.key for part in (requests(10), requests(20)[10:]) for group in made.carry(part) for record in group]
    assert sorted(keys) == sorted(call.key for call in requests(20))


def test_what_nobody_has_taken_counts_as_under_way(provider: Provider) -> None:
    carried = carrier(provider, parts=2).carry(iter(requests()))
    next(carried)
    time.sleep(0.5)
    assert provider.counts()[CHAT] <= 8  # its 4 slots, and 4 more answers that wait
    assert len([record for group in carried for record in group]) > 40


def test_calls_are_read_as_they_are_needed(provider: Provider) -> None:
    read: list[Request] = []

    def calls() -> Iterator[Request]:
        for call in requests()[5:]:
            read.append(call)
            yield call

    made = carrier(provider, parts=2)
    assert sum(len(group) for group in made.carry(requests(5))) == 5  # the arm can work: nothing waits for that
    carried = made.carry(calls())
    next(carried)
    time.sleep(0.5)
    assert len(read) <= 12
    assert sum(len(group) for group in carried) > 40
    assert len(read) == 55


def test_faults_and_what_is_given_up_come_back(provider: Provider) -> None:
    provider.set(quota_after=0)
    records = [record for group in carrier(provider).carry(requests(20)) for record in group]
    given_up = [record for record in records if isinstance(record, GivenUp)]
    assert {record.key for record in given_up} == {call.key for call in requests(20)}
    assert all(record.endpoint_down for record in given_up)
    faults = [record for record in records if isinstance(record, Fault)]
    assert [fault.kind for fault in faults] == ["quota"] * len(faults)
    assert provider.counts()[CHAT] == len(faults) <= 4


@pytest.mark.parametrize(("endpoint", "variable"), [("fake", "FAKE_KEY"), ("other", "OTHER_KEY")])
def test_a_variable_that_is_missing_there(
    provider: Provider, endpoint: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(variable, raising=False)
    ((record,),) = carrier(provider).carry(requests(5, endpoint=endpoint))
    assert isinstance(record, Refused)
    assert f"on the node {platform.node()} the environment variable {variable} is not set" in record.message
    assert provider.counts() == {}


def test_each_part_of_the_concurrency(provider: Provider) -> None:
    assert carrier(provider, parts=2).slots == 4 + 32  # `local` is sent by the run's own process
    assert carrier(provider, parts=3).slots == 2 + 21
    assert carrier(provider, parts=100).slots == 1 + 1
    assert carrier(provider, parts=2, concurrency=3).slots == 3 + 3


def test_what_is_taken_is_in_the_journal(send: Sender) -> None:
    first, second, third = requests(3)
    assert [send.admit(call) for call in (first, second)] == [True, True]
    fault = Fault(time=1.0, key=second.key, arm="a", endpoint="fake", attempt=1, kind="reset", message="it broke")
    lost = GivenUp(key=second.key, message="it broke", endpoint_down=False)
    assert send.take([answer(first), fault, lost, answer(third)]) == {first.key, second.key, third.key}
    assert set(send.journal.answers([call.key for call in (first, second, third)])) == {first.key}
    assert send.engine.failed.keys() == {second.key}
    assert send.take([answer(first, "bad")]) == {first.key}  # a worker that was taken for dead had it answered too
    assert send.journal.answers([first.key])[first.key].body == {"choices": [{"text": "good"}]}


def test_what_is_refused_for_good_in_the_end_lacks_no_answer(send: Sender) -> None:
    (call,) = requests(1)
    send.give_up(call, "500: later", final=False)
    assert send.engine.failed.keys() == {call.key}
    send.give_up(call, "400: no", final=True)
    assert send.journal.known([call.key]) == {call.key}
    assert send.engine.unfinished() is None


def test_what_was_paid_elsewhere_is_told(send: Sender) -> None:
    told: list[tuple[str, float]] = []
    send.engine.progress = lambda arm, figures: told.append((arm, figures["usd"]))
    send.engine.budget = Budget(price=lambda _call, _usage, tier: 0.5 if tier == "batch" else 1.0)
    first, second = requests(2)
    for call in (first, second):
        send.admit(call)
    reply = Reply({"usage": {"prompt_tokens": 9, "completion_tokens": 1}}, second)
    reply.timing = {"tier": "batch"}
    send.take([answer(first), reply])
    assert told == [("a", 1.0), ("a", 0.5)]
    assert {key: entry.usd for key, entry in send.journal.answers([first.key, second.key]).items()} == {
        first.key: 1.0,
        second.key: 0.5,
    }


def test_an_endpoint_that_is_down_gets_no_more(send: Sender) -> None:
    first, second = requests(2)
    send.admit(first)
    send.take([GivenUp(key=first.key, message="the quota has ended", endpoint_down=True)])
    assert send.admit(second) is False
    assert not send.stopped
    assert send.engine.failed[second.key].message == "the quota has ended"
    send.carrier(parts=1)  # another stage: it may be back
    assert send.admit(second) is True


def test_what_is_billed_there_without_an_answer_is_charged(
    send: Sender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    usage = {"prompt_tokens": 3, "completion_tokens": 1}
    answers = [json.dumps({"choices": choices, "usage": usage}).encode() for choices in ([], [{"text": " good"}])]
    calls = requests(2)
    send.engine.budget = Budget(max_usd=1.4, price=half_a_dollar)
    assert [send.admit(call) for call in calls] == [True, True]
    with canned(*answers) as (url, _):
        send.endpoints = {"fake": EndpointTable(base_url=url)}
        for group in pickle.loads(pickle.dumps(send.carrier(parts=1))).carry(calls[:1]):
            send.take(group)
    assert send.journal.answers([calls[0].key])[calls[0].key].usd == 0.5
    assert send.engine.budget.spent == send.journal.spent() == 1.0
    assert isinstance(send.engine.stopped, GateError)  # the second call may cost more than the 0.4 that are left


def test_a_patient_executor_waits_for_what_is_under_way(send: Sender) -> None:
    def price(_call: Request, usage: Usage, _tier: str) -> float:
        return float(usage.input + usage.output)

    first, second = requests(2)
    send.engine.budget = Budget(max_usd=300, price=price)
    assert send.admit(first) is True
    assert send.admit(second, patient=True) is None
    assert not send.stopped
    send.take([Entry(**{**vars_of(answer(first)), "body": {"usage": {"prompt_tokens": 9, "completion_tokens": 1}}})])
    assert send.journal.answers([first.key])[first.key].usd == 10
    assert send.admit(second, patient=True) is True
    assert send.admit(requests(3)[2]) is False
    assert isinstance(send.engine.stopped, GateError)


def vars_of(entry: Entry) -> dict[str, object]:
    return {name: getattr(entry, name) for name in ("key", "arm", "endpoint", "body")}


def test_an_endpoint_that_must_not_be_asked(send: Sender) -> None:
    (call,) = requests(1, endpoint="far")
    assert send.admit(call) is False
    assert send.stopped
    with pytest.raises(UsageError, match="--offline"):
        send(iter(()), send.engine.done)


def test_refused_items_wait_for_the_arms_first_answer(send: Sender) -> None:
    calls = requests(STRIKES + 1)
    for call in calls:
        send.admit(call)
    send.take([refused(call) for call in calls[: STRIKES - 1]])
    assert send.journal.answers([call.key for call in calls]) == {}
    send.take([answer(calls[-1])])
    assert len(send.journal.answers([call.key for call in calls])) == STRIKES
    send.take([refused(calls[STRIKES - 1])])
    assert not send.stopped
    assert len(send.journal.answers([call.key for call in calls])) == STRIKES + 1


def test_an_arm_that_is_refused(send: Sender) -> None:
    calls = requests(STRIKES)
    for call in calls:
        send.admit(call)
    send.take([refused(call) for call in calls])
    with pytest.raises(UsageError, match=f"refused the first {STRIKES} requests of the arm a: 400: no"):
        send(iter(()), send.engine.done)
    assert send.journal.answers([call.key for call in calls]) == {}


def test_each_attempt_that_may_be_billed_comes_home(provider: Provider) -> None:
    provider.set(empty_rate=0.5)
    records = [record for group in carrier(provider).carry(requests(30)) for record in group]
    texts = [record.body["choices"][0]["message"]["content"] for record in records if isinstance(record, Entry)]
    assert len(texts) == 30 == provider.counts()[CHAT]
    assert 0 < texts.count("") < 30
