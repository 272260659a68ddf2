"""The executor `ray` on a cluster of this machine's own: several workers, one of them killed, nothing lost or told."""

from __future__ import annotations

import os
import platform
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.cli import harness as command
from support.lab import Lab, endpoint, few_shot, task
from support.provider import Provider

import harness
from harness.errors import GateError, UnfinishedError, UsageError
from harness.execution.budget import Budget
from harness.execution.engine import Engine
from harness.execution.sender import Sender
from harness.execution.targets import remote_target
from harness.execution.work import Request, answer_key
from harness.experiment.file import EndpointTable
from harness.journal import Journal
from harness.secrets import Scrubber
from harness.types import Call
from harness_plugins.executors import _ray_crew as crew_module
from harness_plugins.executors.local import Local
from harness_plugins.executors.ray_cluster import Ray

RAY = find_spec("ray")
PROGRAMS = ("ray::", *(RAY.submodule_search_locations or () if RAY else ()))
"""How the name of a process of Ray's begins, or the path of its program."""
pytestmark = [
    pytest.mark.xdist_group("ray"),
    pytest.mark.skipif(RAY is None, reason="there is no wheel of ray for this machine"),
]

KEY = "sk-test-ray-0123456789abcdef"
ANSWERS = task(240)
CHAT = "POST /v1/chat/completions"
SLOTS = 8
"""Requests under way, of both workers."""


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Ray, Provider]]:
    """One cluster for all tests here; its workers have the variables that are there when it starts."""
    plugin = Ray(workers=2)
    with pytest.MonkeyPatch.context() as patch, Provider.start(answers=ANSWERS, api_key=KEY) as provider:
        patch.setenv("FAKE_KEY", KEY)
        patch.setenv("WRONG_KEY", "sk-test-wrong-0123456789abcdef")
        before = signal.getsignal(signal.SIGTERM)
        assert plugin._cluster.folder is not None
        assert signal.getsignal(signal.SIGTERM) is before
        yield plugin, provider
        folder = plugin._cluster.folder
        plugin.close()
        assert not folder.exists()
        assert not processes()


@pytest.fixture
def provider(running: tuple[Ray, Provider]) -> Provider:
    running[1].renew()
    return running[1]


@pytest.fixture
def ray(running: tuple[Ray, Provider]) -> Ray:
    return running[0]


@dataclass(kw_only=True)
class Bench:
    """What a run gives to its executor."""

    journal: Journal
    send: Sender
    said: list[str] = field(default_factory=list)

    def carry(self, executor: Ray | Local, calls: Sequence[Call]) -> None:
        executor.run(calls, self.send, self.send.engine.done)

    def answers(self, calls: Sequence[Request]) -> dict[str, Any]:
        entries = self.journal.answers([call.key for call in calls])
        return {key: (entry.error, entry.body.get("choices")) for key, entry in entries.items()}


@pytest.fixture
def bench(provider: Provider, tmp_path: Path) -> Iterator[Bench]:
    with Journal(tmp_path / "journal.sqlite") as journal:
        yield made(provider, journal)


def made(provider: Provider, journal: Journal, budget: Budget | None = None) -> Bench:
    tables = {
        name: EndpointTable(base_url=provider.base_url, api_key_env=variable, concurrency=SLOTS)
        for name, variable in (("fake", "FAKE_KEY"), ("wrong", "WRONG_KEY"), ("late", "LATE_KEY"), ("local", None))
    }
    names = ("FAKE_KEY", "WRONG_KEY", "LATE_KEY")
    engine = Engine(
        journal=journal,
        connect=lambda name: remote_target(name, tables["fake" if name == "local" else name]),
        scrub=Scrubber.of(names),
        budget=budget or Budget(),
    )
    said: list[str] = []
    remote = {name: table for name, table in tables.items() if name != "local"}
    send = Sender(engine=engine, journal=journal, endpoints=remote, secret_names=names, tell=said.append)
    return Bench(journal=journal, send=send, said=said)


def requests(n: int, *, endpoint: str = "fake", arm: str = "a", repeat: int = 0) -> list[Request]:
    return [request(text, endpoint=endpoint, arm=arm, repeat=repeat) for text in list(ANSWERS)[:n]]


def request(text: str, *, endpoint: str = "fake", arm: str = "a", repeat: int = 0) -> Request:
    body = {"model": "base-model", "messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 5}
    call = Call(endpoint=endpoint, path="/chat/completions", body=body)
    key = answer_key(endpoint, call, arm, repeat)
    return Request(endpoint=endpoint, path=call.path, body=body, arm=arm, key=key)


def processes(programs: tuple[str, ...] = PROGRAMS) -> list[psutil.Process]:
    """All of Ray's that this process has started: by program, for another one may have Ray's folders in its path."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if child.status() != psutil.STATUS_ZOMBIE and any(
                part.startswith(programs) for part in child.cmdline()[:3]
            ):
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def workers() -> list[psutil.Process]:
    return processes(("ray::Worker",))


def test_the_same_answers_as_from_this_process(provider: Provider, bench: Bench, tmp_path: Path, ray: Ray) -> None:
    provider.set(together=SLOTS // 2 + 1, together_after=1)  # one worker alone waits for the other
    calls = requests(120) + requests(120, arm="b")
    bench.carry(ray, calls)
    assert provider.counts() == {CHAT: 240}
    assert SLOTS // 2 < provider.peak_in_flight() <= SLOTS
    with Journal(tmp_path / "other.sqlite") as journal:
        other = made(provider, journal)
        other.carry(Local(), calls)
        assert other.answers(calls) == bench.answers(calls)
    assert len(bench.answers(calls)) == 240
    for entry in bench.journal.answers([call.key for call in calls]).values():
        assert (entry.attempts, entry.retry_s) == (1, 0.0)
        assert 0 < entry.service_s < 60
        assert abs(entry.started - time.time()) < 120
    assert bench.said == []


def test_a_killed_worker_loses_what_it_had_under_way(
    provider: Provider, bench: Bench, ray: Ray, capfd: pytest.CaptureFixture[str]
) -> None:
    provider.set(latency_s=0.1)
    calls = requests(240)
    killed: list[int] = []

    def kill() -> None:
        while provider.counts().get(CHAT, 0) < 80:
            time.sleep(0.02)
        victim = workers()[0]
        victim.kill()
        killed.append(victim.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    bench.carry(ray, calls)
    killer.join()
    assert killed
    assert len(bench.answers(calls)) == 240
    assert all(error is None and choices for error, choices in bench.answers(calls).values())
    # its half of the slots, and as many answers on their way to the journal
    assert 240 <= provider.counts()[CHAT] <= 240 + SLOTS
    assert [line for line in bench.said if line.startswith(f"a worker was lost ({platform.node()})")]
    assert bench.send.engine.unfinished() is None
    assert capfd.readouterr() == ("", "")  # Ray has its own way of saying it


def test_a_wrong_key_shows_before_much_is_sent(provider: Provider, bench: Bench, ray: Ray) -> None:
    read = []

    class Many(Sequence[Call]):
        """More calls than anybody wants in memory."""

        def __len__(self) -> int:
            return 1_000_000

        def __getitem__(self, at: Any) -> Any:
            raise NotImplementedError

        def __iter__(self) -> Iterator[Call]:
            for number in range(1_000_000):
                read.append(number)
                yield request(f"text {number}", endpoint="wrong")

    with pytest.raises(UsageError, match="401") as error:
        bench.carry(ray, Many())
    assert error.value.exit_code == 2
    assert "WRONG_KEY" in str(error.value)
    assert provider.counts() == {CHAT: 1}
    assert len(read) < 100


def test_a_variable_that_a_worker_lacks(
    provider: Provider, bench: Bench, ray: Ray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATE_KEY", KEY)  # the workers were started without it
    with pytest.raises(UsageError, match="LATE_KEY is not set") as error:
        bench.carry(ray, requests(20, endpoint="late"))
    assert f"on the node {platform.node()}" in error.value.message
    assert provider.counts() == {}


def test_another_version_on_a_node(provider: Provider, bench: Bench, ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    there = harness.__version__
    monkeypatch.setattr(harness, "__version__", "99.0")
    with pytest.raises(UsageError, match=f"has finetune-harness {there}, this machine 99.0"):
        bench.carry(ray, requests(20))
    assert provider.counts() == {}


def test_a_quota_that_ends(provider: Provider, bench: Bench, ray: Ray) -> None:
    provider.set(quota_after=40)
    calls = requests(240)
    bench.carry(ray, calls)
    left = bench.send.engine.unfinished()
    assert isinstance(left, UnfinishedError)
    assert "insufficient_quota" in left.message
    answered = len(bench.answers(calls))
    assert answered == provider.statuses()["200"]
    assert len(bench.send.engine.failed) == 240 - answered  # none is forgotten
    assert provider.statuses()["429"] <= 2 * SLOTS
    provider.set(quota_after=None)
    bench.send.engine.failed.clear()
    bench.carry(ray, [call for call in calls if call.key not in bench.answers(calls)])
    assert len(bench.answers(calls)) == 240


def test_items_that_are_refused_and_an_arm_that_is(provider: Provider, bench: Bench, ray: Ray) -> None:
    texts = list(ANSWERS)
    provider.set(always_400=texts[3:9])
    calls = requests(40)
    bench.carry(ray, [calls[0], *calls[3:9], *calls[9:]])
    errors = [error for error, _ in bench.answers(calls).values() if error]
    assert len(errors) == 6
    assert len(bench.answers(calls)) == 38
    provider.set(always_400=texts)
    with pytest.raises(UsageError, match="refused the first 5 requests of the arm b"):
        bench.carry(ray, requests(200, arm="b"))
    assert bench.answers(requests(200, arm="b")) == {}
    assert provider.statuses()["400"] < 40


def test_the_budget_is_used_up_and_kept(provider: Provider, tmp_path: Path, ray: Ray) -> None:
    def price(_request: Request, usage: Any, _tier: str) -> float:
        return float(usage.input + usage.output) / 1000

    cap = 1.0
    with Journal(tmp_path / "capped.sqlite") as journal:
        bench = made(provider, journal, Budget(max_usd=cap, price=price))
        calls = requests(240)
        bench.carry(ray, calls)
        assert isinstance(bench.send.engine.stopped, GateError)
        answered = len(bench.answers(calls))
        assert answered == provider.counts()[CHAT]
        spent = bench.send.engine.budget.spent
        worst = len(str(calls[0].body)) / 1000 + 1
        assert cap - worst <= spent <= cap  # it waited for what was under way before it gave up
        assert bench.send.engine.budget.reserved == 0


def test_what_only_this_process_can_send(provider: Provider, bench: Bench, ray: Ray) -> None:
    here, there = requests(20, endpoint="local"), requests(20)
    bench.carry(ray, [call for pair in zip(here, there, strict=True) for call in pair])
    assert provider.counts() == {CHAT: 40}
    assert len(bench.answers(here + there)) == 40
    bench.carry(ray, requests(5, endpoint="local", arm="alone"))
    assert len(bench.answers(requests(5, endpoint="local", arm="alone"))) == 5


def test_no_worker_to_be_had(provider: Provider, bench: Bench, ray: Ray, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self) -> None:
            raise OSError("this node has no room")

        def start(self) -> None:
            pass

    class Slow(Broken):
        def __init__(self) -> None:
            time.sleep(60)

    nobody = "no worker is to be had in a cluster of 2 processors"
    ray._cluster.idle.clear()
    monkeypatch.setattr(crew_module, "Worker", Broken)
    with pytest.raises(UnfinishedError, match=f"{nobody}: OSError: this node has no room") as error:
        bench.carry(ray, requests(20))
    assert error.value.exit_code == 4
    monkeypatch.setattr(crew_module, "Worker", Slow)
    monkeypatch.setattr(crew_module, "WAIT_S", 1.0)
    with pytest.raises(UnfinishedError, match=f"{nobody}: none has started within 1 s"):
        bench.carry(ray, requests(20))
    assert provider.counts() == {}


def test_no_key_in_the_session(running: tuple[Ray, Provider], bench: Bench, ray: Ray) -> None:
    bench.carry(ray, requests(20))
    folder = ray._cluster.folder
    assert folder is not None
    assert folder.stat().st_mode & 0o077 == 0
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    for secret in (KEY, os.environ["WRONG_KEY"], os.environ["RAY_AUTH_TOKEN"]):
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_it_listens_here_only(running: tuple[Ray, Provider]) -> None:
    found = []
    for process in [psutil.Process(), *processes()]:
        with suppress(psutil.NoSuchProcess):  # a worker that is not needed any more ends by itself
            listening = (one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)
            found += [connection.laddr.ip for connection in listening]
    assert len(found) > 3
    assert {address.removeprefix("::ffff:") for address in found} == {"127.0.0.1"}


def test_a_running_cluster_is_joined(
    running: tuple[Ray, Provider], provider: Provider, ray: Ray, tmp_path: Path
) -> None:
    import ray as module

    while ray._cluster.idle:  # they would hold the cluster's processors
        module.kill(ray._cluster.idle.pop())
    address = module.get_runtime_context().gcs_address
    lab = Lab.make(tmp_path, n=40, split=("train", "test"))
    head = f'executor = {{ plugin = "ray", address = "{address}", workers = 1 }}'
    lab.write(few_shot("zero"), head=head, dataset=f'split = "split"\n{endpoint(provider.base_url)}')
    done = command("run", "experiment.toml", cwd=tmp_path)
    assert done.code == 0, done
    assert provider.counts() == {CHAT: 20}
    assert module.is_initialized()
    assert module.cluster_resources()["CPU"] == 2  # it goes on


def test_nobody_listens_there(bench: Bench) -> None:
    with pytest.raises(UnfinishedError, match=r"the cluster at 127\.0\.0\.1:1 cannot be reached"):
        bench.carry(Ray(address="127.0.0.1:1"), requests(3))


@pytest.mark.parametrize("options", [{"workers": 0}, {"chunk": 0}, {"concurrency": -1}, {"address": "ray://head:1"}])
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Ray(**options)
