"""The two ledgers: what a run has cost, and what it would have cost had nothing been taken over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.experiment.file import PriceTable
from harness.journal import Entry, Fault, Job, Journal
from harness.journal.ledger import failed_jobs, line, of
from harness.prices import Prices
from harness.running.arm_prices import failed_usd


def entry(key: str, usd: float | None = None, endpoint: str = "api", **more: Any) -> Entry:
    return Entry(key=key, arm="a", endpoint=endpoint, body={"x": 1}, usd=usd, **more)


def fault(key: str, usd: float | None = None) -> Fault:
    return Fault(time=0, key=key, arm="a", endpoint="api", attempt=1, kind="rate", message="429", usd=usd)


def job(tag: str, **result: Any) -> Job:
    return Job(tag=tag, arm="a", spec={}, files={}, job=tag, model="m", status="succeeded", result=result)


def ledger(path: Path, *records: Entry | Fault | Job) -> dict[str, Any]:
    with Journal(path / "journal.sqlite") as journal:
        journal.add([record for record in records if not isinstance(record, Job)])
        for record in records:
            if isinstance(record, Job):
                journal.save_job(record)
        return of(journal.path)


def test_by_hand(tmp_path: Path) -> None:
    found = ledger(
        tmp_path,
        entry("1", 0.5), entry("2", 0.25, reused="other"), entry("3"), entry("4", error="refused"),
        entry("5", endpoint=""), entry("6", 0.0, endpoint="local"), fault("1"), fault("4"),
        job("j1", usd=2.0), job("j2", usd=4.0, reused="other"), job("j3"),
    )  # fmt: skip
    assert found == {
        "spent_usd": 2.5, "without_reuse_usd": 6.75, "training_usd": 2.0, "answers": 6, "answers_reused": 1,
        "answers_without_price": 1, "failed_attempts": 2,
    }  # fmt: skip
    said = line({"ledger": found})
    assert said == "spent $2.50; $6.75 without what was taken over from other runs; 1 answer without a known price"


def test_what_was_billed_without_an_answer_is_spent(tmp_path: Path) -> None:
    found = ledger(tmp_path, entry("1", endpoint="local"), fault("2", 0.5), fault("2", 0.25), fault("3"))
    assert (found["spent_usd"], found["without_reuse_usd"], found["failed_attempts"]) == (0.75, 0.75, 3)
    (tmp_path / "own").mkdir()
    assert ledger(tmp_path / "own", entry("1", 0.0, endpoint="local"), fault("2", 0.0))["spent_usd"] is None


def test_jobs_that_came_to_nothing_after_some_training(tmp_path: Path) -> None:
    spec = {"base": "small"}
    with Journal(tmp_path / "journal.sqlite") as journal:
        for tag, more in (
            ("lost", {"result": {"trained_tokens": 500}}),
            ("refused", {"result": {"trained_tokens": None}}),
            ("good", {"model": "m", "status": "succeeded", "result": {"trained_tokens": 900}}),
            ("elsewhere", {"result": {"trained_tokens": 700, "reused": "other"}}),
            ("running", {"finished": None, "result": None}),
        ):
            settings: dict[str, Any] = {"model": None, "status": "cancelled", "finished": 1.0, **more}
            journal.save_job(Job(tag=tag, arm="tuned", spec=spec, files={}, job=tag, **settings))
        assert failed_jobs(journal.path) == [("tuned", "small", 500)]
    prices = Prices(own={"small": PriceTable(training=4.0)}, urls={})
    assert failed_usd([("tuned", "small", 500), ("other", "small", 9)], prices, "tuned") == pytest.approx(0.002)
    assert failed_usd([("tuned", "unknown", 500)], prices, "tuned") is None
    assert failed_usd([], prices, "tuned") is None


def test_what_failed_stays_on_record_when_it_is_launched_again(tmp_path: Path) -> None:
    lost: dict[str, Any] = {"status": "cancelled", "finished": 1.0}
    with Journal(tmp_path / "journal.sqlite") as journal:
        for attempt in (1, 2):
            spec = {"base": "small", "attempt": attempt}
            result: dict[str, Any] = {"trained_tokens": 500, "usd": 1.5}
            failed = Job(tag="t", arm="tuned", spec=spec, files={}, job=f"j{attempt}", result=result, **lost)
            journal.save_job(Job(tag="t", arm="tuned", spec=spec, files={}))
            journal.save_job(replace(failed, status="running", finished=None, result=None))
            for _ in range(2):
                journal.save_job(failed)
        result = {"usd": 9.0, "reused": "r"}
        taken = Job(tag="t", arm="tuned", spec={}, files={}, job="j3", model="m", finished=1.0, result=result)
        for _ in range(2):
            journal.save_job(taken)
        assert journal.job("t") == taken
        assert journal.spent() == 3.0
        assert failed_jobs(journal.path) == [("tuned", "small", 500)] * 2
        assert of(journal.path)["training_usd"] == 3.0


def test_nothing_that_costs_is_no_dollar(tmp_path: Path) -> None:
    found = ledger(tmp_path, entry("5", endpoint=""), entry("6", 0.0, endpoint="local"), job("j"))
    assert (found["spent_usd"], found["without_reuse_usd"], found["training_usd"]) == (None, None, None)
    assert line({"ledger": found}) is None
    assert line({}) is None


def test_an_unknown_price_is_no_zero(tmp_path: Path) -> None:
    found = ledger(tmp_path, entry("1"), entry("2", reused="other"))
    assert (found["spent_usd"], found["without_reuse_usd"], found["answers_without_price"]) == (None, None, 2)


def test_what_was_taken_over_alone_costs_nothing(tmp_path: Path) -> None:
    found = ledger(tmp_path, entry("1", 0.5, reused="other"))
    assert (found["spent_usd"], found["without_reuse_usd"]) == (0.0, 0.5)


def test_equal_ledgers_are_said_once_and_estimates_are_marked() -> None:
    found = {"spent_usd": 1.0, "without_reuse_usd": 1.0, "answers_without_price": 0}
    assert line({"ledger": found}) == "spent $1.00"
    assert line({"ledger": found, "arms": [{"tokens_estimated": True}]}) == "spent about $1.00"


@pytest.mark.parametrize("usd", [0.0, 0.125])
def test_a_price_of_zero_is_a_price(tmp_path: Path, usd: float) -> None:
    assert ledger(tmp_path, entry("1", usd))["spent_usd"] == usd
