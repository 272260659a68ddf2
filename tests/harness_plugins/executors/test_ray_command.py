"""`harness run` with the executor `ray`: killed, interrupted and where Ray is not installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from support.lab import Lab, call, endpoint, few_shot
from support.provider import Provider
from support.stops import running

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(find_spec("ray") is None, reason="there is no wheel of ray for this machine"),
]

KEY = "sk-test-ray-command-0123456789"
CHAT = "POST /v1/chat/completions"
SPLIT = ("train", "test", "test", "test")
SLOTS = 8
N = 90
"""Test items."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab.make(tmp_path_factory.mktemp("ray"), n=N // 3 * 4, split=SPLIT)


@pytest.fixture(scope="module")
def shared(lab: Lab) -> Iterator[Provider]:
    with Provider.start(answers=lab.answers, api_key=KEY) as started:
        yield started


@pytest.fixture
def provider(shared: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """The module's provider, as new."""
    monkeypatch.setenv("FAKE_KEY", KEY)
    shared.renew()
    return shared


def write(lab: Lab, provider: Provider, executor: str) -> Path:
    table = endpoint(provider.base_url, options=f"concurrency = {SLOTS}")
    head = f'executor = {{ plugin = "{executor}"{", workers = 2" if executor == "ray" else ""} }}'
    return lab.write(few_shot("zero") + few_shot("two", k=2), head=head, dataset=f'split = "split"\n{table}')


def options(out: str) -> list[str]:
    return ["--out", out, "--no-reuse"]


AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
"""Two idle processes of Ray that look for a killed driver for a minute, and end then: no setting shortens that."""


def alive(session: int) -> list[str]:
    """What still runs of a command and of what it started, wherever that has moved."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()).strip())
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
    return found


def folder(lab: Lab, out: str) -> Path:
    (found,) = (lab.path / out).glob("*/manifest.json")
    return found.parent


def test_killed_and_gone_on_with(lab: Lab, provider: Provider) -> None:
    provider.set(latency_s=0.1)
    write(lab, provider, "ray")
    with running(lab, *options("killed")) as first:
        first.wait_until(lambda: provider.counts().get(CHAT, 0) >= N // 2)
        first.kill()
    provider.set(latency_s=0.0)
    sent = provider.counts()[CHAT]
    with running(lab, *options("killed")) as second:
        done = second.ended(limit_s=120)
    assert done.code == 0, done
    assert "ray" not in done.out.lower()
    assert KEY not in done.out + done.err
    # lost at most: the slots, and as many answers on their way to the journal
    assert N // 2 <= sent < 2 * N
    assert 2 * N <= provider.counts()[CHAT] <= 2 * N + 2 * SLOTS
    write(lab, provider, "local")
    assert call("run", lab.path / "experiment.toml", "--out", lab.path / "local", "--no-reuse").code == 0
    assert lab.said(folder(lab, "killed")) == lab.said(folder(lab, "local"))
    assert len(lab.said(folder(lab, "killed"))) == 2 * N
    assert set(alive(first.process.pid)) <= AGENTS
    assert alive(second.process.pid) == []


def test_interrupted(lab: Lab, provider: Provider) -> None:
    provider.set(latency_s=0.2)
    write(lab, provider, "ray")
    with running(lab, *options("interrupted")) as process:
        process.wait_until(lambda: provider.counts().get(CHAT, 0) >= N // 2)
        session = process.process.pid
        os.killpg(session, signal.SIGINT)  # as a terminal does: to everybody in the foreground
        done = process.ended()
    assert done.code == 130, done
    assert "what is under way still comes in" in done.err
    ((kept,),) = lab.journal("SELECT count(*) FROM answers", folder(lab, "interrupted"))
    assert kept == provider.counts()[CHAT] < 2 * N
    ends = time.monotonic() + 10
    while alive(session) and time.monotonic() < ends:
        time.sleep(0.05)
    assert alive(session) == []


def test_ray_is_not_installed(lab: Lab, provider: Provider) -> None:
    write(lab, provider, "ray")
    blocked = "import sys; sys.modules['ray'] = None; from harness.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "run", "experiment.toml", "--out", "absent"],
        cwd=lab.path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "the executor ray needs the package ray" in done.stderr
    assert "pip install 'finetune-harness[ray]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert provider.counts() == {}
