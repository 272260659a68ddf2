"""`harness run` with the executor `ray`: killed, interrupted and where Ray is not installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from support.cli import HARNESS
from support.lab import Lab, call, endpoint, few_shot
from support.provider import Provider

pytestmark = [
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
def provider(lab: Lab) -> Iterator[Provider]:
    with Provider.start(answers=lab.answers, api_key=KEY) as running:
        yield running


def write(lab: Lab, provider: Provider, executor: str) -> Path:
    table = endpoint(provider.base_url, options=f"concurrency = {SLOTS}")
    head = f'executor = {{ plugin = "{executor}"{", workers = 2" if executor == "ray" else ""} }}'
    return lab.write(few_shot("zero") + few_shot("two", k=2), head=head, dataset=f'split = "split"\n{table}')


def start(lab: Lab, out: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [HARNESS, "run", "experiment.toml", "--out", out, "--no-reuse"],
        cwd=lab.path,
        env={**os.environ, "FAKE_KEY": KEY, "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    ends = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True


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


def test_killed_and_gone_on_with(lab: Lab, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.reset()
    provider.set(latency_s=0.1)
    write(lab, provider, "ray")
    first = start(lab, "killed")
    assert wait(lambda: provider.counts().get(CHAT, 0) >= N // 2, 60), first.communicate()
    first.kill()
    first.communicate()
    provider.set(latency_s=0.0)
    sent = provider.counts()[CHAT]
    second = start(lab, "killed")
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert "ray" not in out.lower()
    assert KEY not in out + err
    # lost at most: the slots, and as many answers on their way to the journal
    assert sent <= 2 * N
    assert 2 * N <= provider.counts()[CHAT] <= 2 * N + 2 * SLOTS
    monkeypatch.setenv("FAKE_KEY", KEY)
    write(lab, provider, "local")
    assert call("run", lab.path / "experiment.toml", "--out", lab.path / "local", "--no-reuse").code == 0
    assert lab.said(folder(lab, "killed")) == lab.said(folder(lab, "local"))
    assert len(lab.said(folder(lab, "killed"))) == 2 * N
    assert set(alive(first.pid)) <= AGENTS
    assert alive(second.pid) == []


def test_interrupted(lab: Lab, provider: Provider) -> None:
    provider.reset()
    provider.set(latency_s=0.2)
    write(lab, provider, "ray")
    running = start(lab, "interrupted")
    assert wait(lambda: provider.counts().get(CHAT, 0) >= N // 2, 60), running.communicate()
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to everybody in the foreground
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "what is under way still comes in" in err
    ((kept,),) = lab.journal("SELECT count(*) FROM answers", folder(lab, "interrupted"))
    assert kept == provider.counts()[CHAT] < 2 * N
    assert wait(lambda: alive(running.pid) == [], 10), alive(running.pid)


def test_ray_is_not_installed(lab: Lab, provider: Provider) -> None:
    provider.reset()
    write(lab, provider, "ray")
    blocked = "import sys; sys.modules['ray'] = None; from harness.cli import main; main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "run", "experiment.toml", "--out", "absent"],
        cwd=lab.path,
        env={**os.environ, "FAKE_KEY": KEY},
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
