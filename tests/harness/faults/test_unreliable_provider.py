"""Runs against a provider that fails in every way it can: they come to the same, and all items are accounted for."""

from __future__ import annotations

import pytest
from support.lab import Lab
from support.provider import Provider
from support.stops import CREATE, PLANNED, TEST, asked, run, same, whole, write

from harness.execution import faults

FAULTS = {"rate_429": 0.1, "error_500_rate": 0.05, "reset_rate": 0.01, "cut_rate": 0.01, "blank_rate": 0.01}


def test_every_fault_at_once_changes_nothing_but_the_times(undisturbed: Lab, provider: Provider, lab: Lab) -> None:
    provider.set(**FAULTS, hang_rate=0.01, latency_jitter_s=0.1)
    write(lab, provider, options="concurrency = 16\ntimeout_s = 1.0")
    done = run(lab)
    assert done.code == 0, done
    whole(lab)
    same(lab, undisturbed)
    # every fault was met, and every request beyond the plan was one that a fault had spoilt
    kinds = dict(lab.journal("SELECT kind, count(*) FROM faults GROUP BY kind"))
    assert set(kinds) == {"rate-limit", "server-error", "reset", "bad-body", "timeout"}
    assert asked(provider) == PLANNED + sum(kinds.values())
    assert lab.results()["ledger"]["failed_attempts"] == sum(kinds.values())
    assert provider.counts()[CREATE] == 1
    # answers came out of order: some that were asked for later had come before
    ends = lab.journal("SELECT started + service_s FROM answers WHERE endpoint != '' ORDER BY started")
    assert ends != sorted(ends)


def test_answers_that_stay_empty_are_unparsed_and_counted(
    undisturbed: Lab, provider: Provider, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "BACKOFF_S", 0.01)
    provider.set(empty_rate=0.6)  # so often that some stay empty after both retries, however the draws fall
    done = lab.run()
    assert done.code == 0, done
    whole(lab)
    remote = {name: arm for name, arm in lab.arms().items() if name in {"zero", "best", "tuned"}}
    empty = sum(row["response"] == "" for row in lab.predictions())
    assert 0 < empty == sum(arm["unparsed"] for arm in remote.values())
    assert sum(arm["answered"] for arm in remote.values()) == 3 * TEST - empty
    assert asked(provider) == PLANNED + sum(arm["faults"].get("empty-answer", 0) for arm in remote.values())
    before = {row[:2]: row for row in undisturbed.said()}  # all others are what they were
    changed = [row for row in lab.said() if row != before[row[:2]] and row[0] != "best"]
    assert {row[4] for row in changed} == {"unparsed"}, "more than 20 of 120 are to be expected"
