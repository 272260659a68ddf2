"""Requests by the batch, over real HTTP: each in one batch, whatever comes back, and nothing bought twice."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Batch
from support.batch_bench import KEY, TEXTS, Bench, Ran, notes, requests, right, said

from harness.errors import UsageError
from harness.execution.budget import Budget
from harness.secrets import Scrubber
from harness.types import Usage
from harness_plugins.executors import _batch_desk, _batch_files, _batch_work
from harness_plugins.executors._batch_tickets import ticket_for
from harness_plugins.executors.openai_batch import OpenAIBatch

CHAT = "POST /v1/chat/completions"


def test_three_parts_in_any_order_each_request_in_one_of_them(bench: Bench) -> None:
    calls = requests(TEXTS)
    ran = bench.run(calls, requests=25)
    right(ran, calls)
    assert sorted(len(batch["requests"]) for batch in bench.batches()) == [9, 25, 25]
    assert bench.provider.counts()[CHAT] == 1  # tried out
    assert set(bench.handed_in().values()) == {1}
    tiers = [(entry.tier, entry.service_s, entry.attempts) for entry in ran.answers.values()]
    assert tiers.count(("batch", 0.0, 1)) == 59
    for batch in bench.batches():
        content = bench.provider.file(batch["input_file_id"])
        row = json.loads(content.splitlines()[0])
        assert (row["method"], row["url"], batch["endpoint"]) == (
            "POST",
            "/v1/chat/completions",
            "/v1/chat/completions",
        )
        assert content.isascii()
        assert batch["metadata"]["harness_tag"]
    assert notes(bench) == []
    assert [line for line in ran.told if "59 of 59" in line or "25 of 25" in line]


def test_megabytes_limit_a_file_and_what_is_larger_goes_at_once(bench: Bench) -> None:
    calls = requests(TEXTS[:20])
    size = len(json.dumps({**calls[0].body}).encode()) + 150
    large = requests([f"{TEXTS[20]} {'x' * 5000} {TEXTS[20]}"])
    ran = bench.run([*calls, *large], megabytes=size * 8 / 1e6)
    assert len(ran.answers) == 21
    assert ran.answers[large[0].key].tier == ""
    assert len(bench.batches()) >= 3
    assert all(len(bench.provider.file(batch["input_file_id"])) <= size * 8 for batch in bench.batches())


def test_a_file_for_each_endpoint_path_and_model(bench: Bench) -> None:
    calls = requests(TEXTS[:6]) + requests(TEXTS[:6], model="gpt-4.1-mini") + requests(TEXTS[:6], endpoint="other")
    right(bench.run(calls), calls)
    found = [{row["body"]["model"] for row in batch["requests"]} for batch in bench.batches()]
    assert sorted(map(str, found)) == ["{'base-model'}", "{'base-model'}", "{'gpt-4.1-mini'}"]


def test_few_requests_go_at_once(bench: Bench) -> None:
    calls = requests(TEXTS[:9])
    right(bench.run(calls, at_least=10), calls)
    assert (bench.provider.counts(), bench.batches()) == ({CHAT: 9}, [])
    more = requests(TEXTS[9:20])
    right(bench.run(more, at_least=10), more)
    assert len(bench.batches()) == 1


def test_without_trying_nothing_is_sent_at_once(bench: Bench) -> None:
    calls = requests(TEXTS[:9])
    right(bench.run(calls, try_first=False, at_least=0), calls)
    assert CHAT not in bench.provider.counts()


def test_what_cannot_work_shows_before_a_file_is_uploaded(bench: Bench) -> None:
    calls = requests(TEXTS[:9], arm="good") + requests(TEXTS[:9], arm="wrong", model="no-such-model")
    error = bench.run(calls).error
    assert isinstance(error, UsageError)
    assert "no-such-model" in str(error)
    assert "POST /v1/files" not in bench.provider.counts()
    assert bench.provider.counts()[CHAT] <= 2
    bench.provider.set(quota_after=0)
    ran = bench.run(requests(TEXTS[:9]))
    assert (len(ran.failed), ran.error) == (9, None)
    assert "POST /v1/files" not in bench.provider.counts()


def test_an_arm_that_is_refused_loses_no_item(bench: Bench) -> None:
    bench.provider.set(always_400=TEXTS)
    calls = requests(TEXTS[:12])
    for _ in range(2):
        ran = bench.run(calls)
        assert isinstance(ran.error, UsageError)
        assert "refused the first 5 requests of the arm a" in str(ran.error)
        assert ran.answers == {}
    bench.provider.set(always_400=[])
    right(bench.run(calls), calls)


def test_lines_that_are_spoilt_cost_nothing_but_their_answer(bench: Bench) -> None:
    bench.provider.set(batch_lines_spoilt=True)
    calls = requests(TEXTS[:12])
    ran = bench.run(calls)
    right(ran, calls)
    assert any(": 5 lines that are broken, repeated or nobody's" in line for line in ran.told)
    assert set(bench.handed_in().values()) == {1}
    assert bench.provider.counts()[CHAT] == 2  # the one that was tried, and the one that was cut off


def test_separators_of_lines_within_an_answer_do_not_cut_it(bench: Bench) -> None:
    odd = "one\u2028two\u0085three\x0bfour\rfive"
    bench.provider.set(answer_template="{label} " + odd)
    calls = requests(TEXTS[:8])
    ran = bench.run(calls)
    assert [said(entry).endswith(odd) for entry in ran.answers.values()] == [True] * 8
    assert set(bench.handed_in().values()) == {1}


def test_an_expired_batch_gives_what_it_has_and_the_rest_is_handed_in_again(bench: Bench) -> None:
    bench.provider.set(batch_expires_after=8)
    calls = requests(TEXTS[:22])
    ran = bench.run(calls)  # 21 in the first batch, 12 tried and handed in again, …
    right(ran, calls)
    assert [len(batch["requests"]) for batch in bench.batches()] == [21, 12, 3]
    assert [batch["status"] for batch in bench.batches()] == ["expired"] * 3


def test_a_request_is_given_up_after_some_batches_and_asked_again_by_the_same_command(bench: Bench) -> None:
    bench.provider.set(batch_expires_after=0)
    calls = requests(TEXTS[:30])
    ran = bench.run(calls)
    assert len(bench.batches()) == _batch_work.ROUNDS
    assert len(ran.answers) == _batch_work.ROUNDS  # those that were tried
    assert len(ran.failed) == 27
    assert "batch_expired" in next(iter(ran.failed.values()))
    bench.provider.set(batch_expires_after=None)
    right(bench.run(calls), calls)


def test_items_that_fail(bench: Bench) -> None:
    bench.provider.set(always_400=(TEXTS[3],), batch_500_once=(TEXTS[5], TEXTS[6], TEXTS[7]))
    calls = requests(TEXTS[:12], arm="items")
    ran = bench.run(calls)
    assert (ran.failed, ran.error) == ({}, None)
    assert "invalid_prompt" in str(ran.answers[calls[3].key].error)
    right(Ran({k: e for k, e in ran.answers.items() if not e.error}, {}, [], False), calls[:3] + calls[4:])
    assert [len(batch["requests"]) for batch in bench.batches()] == [11, 2]


@pytest.mark.parametrize("unpaid", [TEXTS[3:6], TEXTS[:12]], ids=["in its midst", "from the start"])
def test_credit_that_has_run_out_is_no_items_fault(bench: Bench, unpaid: list[str]) -> None:
    bench.provider.set(unpaid_400=unpaid)
    calls = requests(TEXTS[:12])
    ran = bench.run(calls, try_first=False)
    assert ran.error is None
    assert set(ran.failed) == {call.key for call in calls if call.body["messages"][0]["content"] in unpaid}
    assert "400 invalid_request_error: Your credit balance is too low" in next(iter(ran.failed.values()))
    assert len(ran.answers) == 12 - len(unpaid)
    assert len(bench.batches()) == 1  # another would come to nothing as well
    bench.provider.set(unpaid_400=[])
    right(bench.run(calls), calls)


def test_a_batch_that_is_refused_for_want_of_credit_is_handed_in_by_the_next_command(bench: Bench) -> None:
    bench.provider.set(batch_error={"code": "invalid_request_error", "message": "Insufficient Balance", "line": None})
    calls = requests(TEXTS[:9])
    ran = bench.run(calls)
    assert (len(ran.failed), ran.error) == (8, None)
    bench.provider.set(batch_error={})
    right(bench.run(calls), calls)


@pytest.mark.parametrize(
    ("status", "error", "unpaid"),
    [
        (402, {"message": "Insufficient Balance"}, True),
        (402, None, True),
        (400, {"message": "Your credit balance is too low to access the API."}, True),
        (403, {"code": "billing_not_active", "message": "m"}, True),
        (429, {"type": "insufficient_quota", "message": "m"}, True),
        (None, {"code": "insufficient_quota", "message": "m"}, True),
        (429, {"code": "rate_limit_exceeded", "message": "m"}, False),
        (400, {"message": "your prompt about a balance is too long"}, False),
        (500, {"message": "insufficient funds"}, False),
    ],
)
def test_a_line_speaks_of_credit_where_the_same_reply_would_at_once(
    status: int | None, error: Any, unpaid: bool
) -> None:
    response = None if status is None else {"status_code": status, "body": {"error": error}}
    line = json.dumps({"custom_id": "k", "response": response, "error": error if response is None else None})
    found = _batch_files.Collected()
    _batch_files.read([line], frozenset("k"), found, set(), lambda _key, _body: None)
    assert found.unpaid == ({"k"} if unpaid else set())
    assert not unpaid or "k" in found.passing


def test_a_batch_of_which_every_request_is_refused_ends_the_command(bench: Bench) -> None:
    bench.provider.set(always_400=tuple(TEXTS[:9]))
    ran = bench.run(requests(TEXTS[:9]), try_first=False)
    assert isinstance(ran.error, UsageError)
    assert "refused 9 requests of batch_" in str(ran.error)
    assert ran.answers == {}
    assert notes(bench) == []


def test_a_file_that_is_refused_names_line_and_cure(bench: Bench) -> None:
    wrong = {"code": "invalid_request", "message": "Bad thing here.", "line": 3, "param": None}
    bench.provider.set(batch_error=wrong, leak_key=True)
    error = bench.run(requests(TEXTS[:9])).error
    assert isinstance(error, UsageError)
    assert "line 3 of its file: Bad thing here." in error.message
    assert "local" in error.hint
    assert notes(bench) == []


def test_an_endpoint_without_batches_is_named_with_the_cure(bench: Bench) -> None:
    bench.provider.set(without=("batches",))
    error = bench.run(requests(TEXTS[:9])).error
    assert isinstance(error, UsageError)
    assert f"the endpoint fake ({bench.provider.base_url})" in error.message
    assert "/batches" in error.message
    assert 'executor = { plugin = "local" }' in error.hint
    assert notes(bench) == []


def test_a_full_queue_takes_smaller_batches_one_after_the_other(bench: Bench) -> None:
    bench.provider.set(batch_queue=20)
    calls = requests(TEXTS)
    ran = bench.run(calls, try_first=False)
    right(ran, calls)
    went = [len(batch["requests"]) for batch in bench.batches() if batch["status"] == "completed"]
    assert went == [15, 15, 15, 15]
    bench.provider.set(batch_queue=0)
    ran = bench.run(requests(TEXTS[:9], arm="b"), try_first=False)
    assert len(ran.failed) == 9
    assert "queue" in next(iter(ran.failed.values()))


def test_a_lost_reply_of_the_creation_is_looked_up(bench: Bench) -> None:
    bench.provider.set(lose_batch_replies=1)
    calls = requests(TEXTS[:9])
    right(bench.run(calls), calls)
    assert len(bench.batches()) == 1


def test_faults_of_the_endpoint_are_waited_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batch_desk, "ATTEMPTS", 40)
    calls = requests(TEXTS[:20])
    paths = ("/v1/batches", "/v1/files")
    bench.provider.set(fault_paths=paths, error_500_rate=0.15, reset_rate=0.1, garbage_rate=0.1, cut_rate=0.15)
    right(bench.run(calls, requests=7), calls)
    assert set(bench.handed_in().values()) == {1}


@pytest.mark.parametrize("body", ["{}", "[]", "<html>502</html>", '{"object": "list", "data": null}'])
def test_what_is_no_list_is_not_taken_for_an_empty_one(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a batch whose id was lost would be created a second time."""
    monkeypatch.setattr(_batch_desk, "ATTEMPTS", 2)
    monkeypatch.setattr(_batch_desk, "BACKOFF_S", 0.01)
    kind = "text/html" if body.startswith("<") else "application/json"
    answering = httpx2.MockTransport(lambda _: httpx2.Response(200, text=body, headers={"content-type": kind}))
    send: Any = SimpleNamespace(scrub=str)
    with openai.OpenAI(base_url="http://x/v1", api_key=KEY, http_client=httpx2.Client(transport=answering)) as client:
        desk = _batch_desk.Desk(name="fake", client=client, send=send)
        with pytest.raises(_batch_desk.Passing):
            desk.find(ticket_for("fake", "/chat/completions", ("key",), b""))


def test_a_file_that_was_spoilt_on_the_way_is_fetched_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fetched = _batch_desk.Desk.lines, []

    def lines(desk: _batch_desk.Desk, file_id: str) -> list[str]:
        fetched.append(file_id)
        return ["<html>502</html>"] if len(fetched) == 1 else real(desk, file_id)

    monkeypatch.setattr(_batch_desk.Desk, "lines", lines)
    calls = requests(TEXTS[:9])
    right(bench.run(calls), calls)
    assert (len(fetched), len(bench.batches())) == (2, 1)


PAGE = ["<!DOCTYPE html>", "<html>", "<body>Maintenance</body>", "</html>"]


@pytest.mark.parametrize(
    ("instead", "times"),
    [(PAGE, _batch_work.FETCHES + 1), ([], 2), (None, 2), (4, 2)],
    ids=["a page", "nothing", "not there yet", "cut off"],
)
def test_files_that_hold_less_than_was_answered_are_looked_at_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, instead: list[str] | int | None, times: int
) -> None:
    real, fetched = _batch_desk.Desk.lines, []

    def lines(desk: _batch_desk.Desk, file_id: str) -> list[str]:
        fetched.append(file_id)
        if len(fetched) > times:
            return real(desk, file_id)
        if instead is None:
            raise _batch_desk.Unknown("no such file")
        return instead if isinstance(instead, list) else real(desk, file_id)[:instead]

    monkeypatch.setattr(_batch_desk.Desk, "lines", lines)
    calls = requests(TEXTS[:9])
    right(bench.run(calls), calls)
    assert len(bench.batches()) == 1


def test_answers_that_are_lost_are_bought_anew_by_the_second_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(_batch_desk.Desk, "lines", lambda _desk, _file_id: PAGE)
        calls = requests(TEXTS[:9])
        ran = bench.run(calls)
        assert (len(ran.failed), len(bench.batches())) == (8, 1)
        reason = next(iter(ran.failed.values()))
        assert "has answered 8, but its files hold 0" in reason
        assert "the same command looks once more" in reason
        again = bench.run(calls)  # still a page; what it hands in anew has one in its place, too
        assert len(again.failed) == 7  # one was tried
        assert len(bench.batches()) == 2
    right(bench.run(calls), calls)
    assert len(bench.batches()) == 2


def test_answers_that_are_lost_are_not_bought_anew_by_the_same_command(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_batch_desk.Desk, "lines", lambda _desk, _file_id: PAGE)
    ran = bench.run(requests(TEXTS[:9]), stages=2)
    assert (len(ran.failed), len(bench.batches())) == (8, 1)


def test_a_file_that_never_comes_is_not_waited_for_without_an_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lines(_desk: _batch_desk.Desk, _file_id: str) -> list[str]:
        raise _batch_desk.Passing("502: a proxy broke off")

    calls = requests(TEXTS[:9])
    with monkeypatch.context() as patched:
        patched.setattr(_batch_desk.Desk, "lines", lines)
        patched.setattr(_batch_work, "PATIENCE_S", 0.3)
        ran = bench.run(calls)
    assert len(ran.failed) == 8
    assert sum("a proxy broke off; it is asked again" in said for said in ran.told) == 1
    right(bench.run(calls), calls)
    assert len(bench.batches()) == 1


def test_what_a_batch_says_of_itself_may_be_written_otherwise() -> None:
    whole = {"id": "batch_1", "status": "completed", "output_file_id": "file-1", "created_at": "2026-01-01T00:00:00Z"}

    def batch(**told: Any) -> Batch:
        return Batch.construct(**{**whole, **told})

    assert _batch_desk.counted(batch()) == (0, 0)
    assert _batch_desk.counted(batch(request_counts={"total": "9", "completed": None, "failed": 2})) == (0, 2)
    assert _batch_desk.promised(batch(request_counts={"completed": 12, "failed": 0, "total": 12}), 9) == 9
    assert _batch_desk.promised(batch(output_file_id=None), 9) == 9
    assert _batch_desk.promised(batch(), 9) == 0
    for errors in ("bad file", {"data": ["bad file"]}, {"data": [{"message": "bad file"}]}):
        assert _batch_desk.blamed(batch(errors=errors)) == ("", "bad file", None)
    assert _batch_desk.blamed(batch(errors=None)) == ("", "the endpoint gave no reason", None)


def test_a_budget_lets_go_what_it_covers_and_the_rest_when_there_is_room(bench: Bench) -> None:
    calls = requests(TEXTS[:20])
    spent: list[str] = []

    def price(_request: Any, usage: Usage, tier: str) -> float:
        spent.append(tier)
        return 0.01 if usage.output == 1 else 0.1  # what it costs, what it may cost at worst

    ran = bench.run(calls, budget=Budget(max_usd=1.0, price=price))
    right(ran, calls)
    assert not ran.stopped
    assert len(bench.batches()) >= 2
    assert set(bench.handed_in().values()) == {1}
    assert {"batch"} < set(spent)
    before = len(bench.batches())
    ran = bench.run(requests(TEXTS[20:40], arm="b"), budget=Budget(max_usd=0.155, price=price))
    assert ran.stopped
    assert len(ran.answers) == 6  # the seventh might bring it to 0.16
    assert len(bench.batches()) == before  # room for one at a time: no batch is worth that
    assert ran.failed == {}


def test_no_key_is_kept_of_what_comes_back(bench: Bench) -> None:
    bench.provider.set(answer_template="{label} " + KEY)
    ran = bench.run(requests(TEXTS[:8]), try_first=False)
    assert len(ran.answers) == 8
    assert KEY not in str([entry.body for entry in ran.answers.values()])
    bench.provider.set(fault_paths=("/v1/files",), leak_key=True, api_key="another")
    error = bench.run(requests(TEXTS[8:16]), try_first=False).error
    assert isinstance(error, UsageError)
    assert "401" in str(error)
    assert KEY not in str(error)


@pytest.mark.parametrize(
    "wrong",
    [{"requests": 0}, {"requests": 50_001}, {"megabytes": 0}, {"megabytes": 201}, {"poll_s": 0}, {"at_least": -1}],
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OpenAIBatch(**wrong)


def test_no_part_of_a_key_is_left_at_the_cut_of_a_refusal() -> None:
    client: Any = SimpleNamespace(base_url="http://127.0.0.1/v1/")
    send: Any = SimpleNamespace(scrub=Scrubber((KEY,)))
    response = httpx2.Response(400, request=httpx2.Request("POST", "http://127.0.0.1/v1/batches"))
    for before in range(1, 311):
        error = openai.BadRequestError(f"{'.' * before}{KEY}{'.' * 600}"[:600], response=response, body=None)
        assert KEY[:6] not in str(_batch_desk.Desk(name="fake", client=client, send=send)._judged(error)), before


BROKE = "Your credit balance is too low to access the API."


@pytest.mark.parametrize(
    ("status", "message", "hopeless"),
    [(402, "not now", True), (400, BROKE, True), (424, "not now", False), (498, "", False), (503, BROKE, False)],
)
def test_what_passes_is_no_fault_of_the_experiment(status: int, message: str, hopeless: bool) -> None:
    client: Any = SimpleNamespace(base_url="http://127.0.0.1/v1/")
    send: Any = SimpleNamespace(scrub=Scrubber(()))
    response = httpx2.Response(status, request=httpx2.Request("POST", "http://127.0.0.1/v1/batches"))
    error = openai.APIStatusError(message, response=response, body=None)
    judged = _batch_desk.Desk(name="fake", client=client, send=send)._judged(error)
    assert isinstance(judged, _batch_desk.Passing)
    assert judged.hopeless is hopeless
