"""Whole runs by the batch: killed at the worst moments, and equal to what asking at once brings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.batch_bench import KEY, handed_in
from support.lab import Lab, endpoint, few_shot, task
from support.provider import INFERENCE, Provider
from support.stops import running

CHAT = "POST /v1/chat/completions"
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n"
PRICE = '[prices."base-model"]\ninput = 10.0\noutput = 40.0\n'
BY_BATCH = 'executor = { plugin = "openai-batch", at_least = 5, poll_s = 0.05, requests = 50 }'
N_TEST, ARMS = 60, 2


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    monkeypatch.setenv("FAKE_KEY", KEY)
    with Provider.start(answers=task(120), api_key=KEY, seed=5) as running:
        yield running


def lab(path: Path, provider: Provider, head: str) -> Lab:
    path.mkdir(exist_ok=True)
    made = Lab.make(path, 120)
    made.write(few_shot("zero") + few_shot("four", k=4), head=head, dataset=SPLIT + PRICE + endpoint(provider.base_url))
    return made


def answers(of: Lab, where: str = "1") -> int:
    return int(of.journal(f"SELECT count(*) FROM answers WHERE {where}")[0][0]) if of.runs else 0


def test_killed_at_the_worst_moments_nothing_is_handed_in_twice(provider: Provider, tmp_path: Path) -> None:
    run = lab(tmp_path / "run", provider, BY_BATCH)

    # 1. A batch has been created, and its id is written down nowhere.
    provider.set(lose_batch_replies=1, fault_paths=("/v1/batches",), latency_s=0.5, batches_stand_still=True)
    with running(run) as process:
        process.wait_until(lambda: len(provider.batches()) == 1)
        process.kill()
    ((note,),) = run.journal("SELECT value FROM notes")
    assert json.loads(note)["batch"] is None

    # 2. All are under way.
    provider.set(latency_s=0.0)
    with running(run) as process:
        process.wait_until(lambda: provider.counts().get("GET /v1/batches/{id}", 0) >= 4)
        process.kill()
    assert len(provider.batches()) == 3
    assert answers(run, "tier = 'batch'") == 0

    # 3. Some answers are in, the rest lies at the endpoint.
    provider.set(
        batches_stand_still=False, fault_paths=("/v1/files/file-",), latency_s=1.0, always_400=tuple(run.answers)[7:8]
    )
    with running(run) as process:
        process.wait_until(lambda: answers(run, "tier = 'batch'") > 0)
        process.kill()
    collected = answers(run, "tier = 'batch'")
    assert 0 < collected < N_TEST * ARMS - 1
    assert len(run.journal("SELECT key FROM notes")) >= 2

    provider.set(latency_s=0.0, fault_paths=INFERENCE)
    uploads = provider.counts()["POST /v1/files"]
    done = run.run()
    assert done.code == 0, done
    assert provider.counts()["POST /v1/files"] == uploads
    times = handed_in(provider, provider.batches())
    assert set(times.values()) == {1}
    tried = answers(run, "tier = '' AND error IS NULL")
    assert tried == provider.counts()[CHAT]
    assert len(times) + tried == N_TEST * ARMS == answers(run)
    assert run.journal("SELECT key FROM notes") == []

    other = lab(tmp_path / "other", provider, "")
    assert other.run().code == 0
    assert other.said() == run.said()
    shown = ("accuracy", "macro_f1", "answered", "failed", "input_tokens_mean", "output_tokens_mean")
    for name, arm in other.arms().items():
        mine = run.arms()[name]
        assert {key: arm[key] for key in shown} == {key: mine[key] for key in shown}
        assert arm["latency_s"]["p50"] > 0
        assert mine["latency_s"] == {"p50": None, "p95": None, "p99": None}
        assert 0.5 <= mine["cost_per_1k_usd"] / arm["cost_per_1k_usd"] < 0.6
        assert arm["price_shares"] is None
        assert all(0.5 <= share < 0.6 for share in mine["price_shares"].values())
    assert {row["latency_s"] for row in run.predictions()} == {None}

    provider.reset()
    shutil.rmtree(other.path)
    assert run.run().code == 0
    assert provider.counts() == {}


def test_what_is_wrong_ends_the_command(provider: Provider, tmp_path: Path) -> None:
    run = lab(tmp_path / "run", provider, BY_BATCH)
    provider.set(without=("batches",))
    done = run.run()
    assert done.code == 2
    assert "does not answer by the batch" in done.err
    provider.set(without=(), batch_expires_after=0)
    done = run.run()
    assert done.code == 4, done
    assert "batch_expired" in done.err
    provider.set(batch_expires_after=None)
    assert run.run().code == 0
