"""Ctrl-C, and the signal that ends programs: once lets come in what is under way, twice stops at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest
from support.cli import Finished
from support.lab import Lab
from support.provider import Provider
from support.stops import CHAT, CONCURRENCY, CREATE, PLANNED, TEST, Running, asked, complete, running, same, whole

GOES_ON = "interrupted: what is complete is kept, the same command goes on"
STOPPING = "stopping: what is under way still comes in and is kept; Ctrl-C again stops at once"
SLEEPER = """
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar
import harness

@dataclass(frozen=True)
class Sleeper:
    name: ClassVar[str] = "sleeper"
    family: ClassVar[str] = "other"
    seconds: float

    @contextmanager
    def open(self, ctx):
        def ask(prompts):
            print("asleep", flush=True)
            time.sleep(self.seconds)
            return [harness.Answer(text="good") for _ in prompts]
        yield ask

@harness.hookimpl
def harness_backends():
    return [Sleeper]
"""


def interrupted(done: Finished) -> None:
    assert done.code == 130, done
    assert done.out == ""
    assert done.err.rstrip().endswith(GOES_ON)
    assert "Traceback" not in done.err


def kept(lab: Lab) -> int:
    return int(lab.journal("SELECT count(*) FROM answers WHERE endpoint != ''")[0][0])


@pytest.fixture
def under_way(provider: Provider, lab: Lab) -> Iterator[Running]:
    """A run in the middle of its test items, each of which takes half a second."""
    with running(lab) as process:
        process.wait_for("naming the contenders")
        provider.set(latency_s=0.1)
        process.wait_for("asking the test items")
        provider.set(latency_s=0.5)
        sent = asked(provider)
        process.wait_until(lambda: asked(provider) >= sent + 2 * CONCURRENCY)
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_while_asking_lets_come_in_what_is_under_way(
    undisturbed: Lab, provider: Provider, lab: Lab, under_way: Running, number: signal.Signals
) -> None:
    provider.set(hold=CHAT, hold_reply=True)  # it is under way however long the next one takes
    with running(lab, err=lab.path / "second.txt") as second:  # another one must not enter meanwhile
        done = second.ended()
    provider.set(hold=None)
    assert done.code == 2, done
    assert f"process {under_way.process.pid} is working on this run" in done.err
    under_way.process.send_signal(number)
    under_way.wait_for(STOPPING)
    sent = asked(provider)
    interrupted(under_way.ended())
    assert asked(provider) == sent
    assert kept(lab) == sent < PLANNED
    assert not (lab.folder / "results.json").exists()
    provider.set(latency_s=0.0)
    done = lab.run()
    assert done.code == 0, done
    assert asked(provider) == PLANNED
    same(lab, undisturbed)


def test_twice_stops_at_once(provider: Provider, lab: Lab, under_way: Running) -> None:
    provider.set(latency_s=30.0)
    sent = asked(provider)
    under_way.wait_until(lambda: asked(provider) >= sent + CONCURRENCY)  # whatever is under way now takes half a minute
    before = kept(lab)
    under_way.process.send_signal(signal.SIGINT)
    under_way.wait_for(STOPPING)
    began = time.monotonic()
    under_way.process.send_signal(signal.SIGINT)
    done = under_way.ended()
    assert time.monotonic() - began < 10.0  # not the half minute that the answers take
    assert done.code == 130, done
    assert "Traceback" not in done.err
    assert kept(lab) >= before > 0
    provider.set(latency_s=0.0)
    assert lab.run().code == 0
    assert PLANNED <= asked(provider) <= PLANNED + CONCURRENCY
    whole(lab)


def test_what_waits_for_a_next_attempt_is_not_under_way(provider: Provider, lab: Lab, under_way: Running) -> None:
    provider.set(rate_429=1.0, retry_after_s=600.0, latency_s=0.0)
    under_way.wait_until(lambda: provider.statuses().get("429", 0) >= CONCURRENCY)  # told to wait for ten minutes
    under_way.process.send_signal(signal.SIGINT)
    interrupted(under_way.ended(limit_s=10.0))


def test_at_every_other_stage_it_stops_and_goes_on(undisturbed: Lab, provider: Provider, lab: Lab) -> None:
    provider.set(job_s=60.0)
    jobs = len(provider.jobs())
    for words in ("preparing the data", "tuned: Created fine-tuning job", "scoring and writing the report"):
        with running(lab) as process:
            process.wait_for(words)
            process.process.send_signal(signal.SIGINT)
            interrupted(process.ended(limit_s=20.0))
        provider.set(job_s=60.0 if words.startswith("preparing") else 0.0)
    assert not (lab.folder / "report.html").exists()
    done = lab.run()
    assert done.code == 0, done
    assert asked(provider) == PLANNED
    assert len(provider.jobs()) == jobs + 1
    assert provider.counts()[CREATE] == 1
    complete(lab)
    same(lab, undisturbed)


@pytest.mark.parametrize("times", [1, 2])
def test_while_an_arm_answers_in_this_process(lab: Lab, times: int) -> None:
    (lab.path / "sleeper.py").write_text(SLEEPER)
    seconds = 1.0 if times == 1 else 60.0
    arms = [f'[[arms]]\nname = "{name}"\nbackend = {{ plugin = "sleeper", seconds = {seconds} }}\n' for name in "ab"]
    lab.write("".join(arms), dataset="[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n")
    with running(lab, "--plugin", "sleeper.py") as process:
        process.wait_for("asleep")
        process.process.send_signal(signal.SIGINT)
        process.wait_for(STOPPING)
        if times == 2:
            process.process.send_signal(signal.SIGINT)
            assert process.ended(limit_s=2.0).code == 130
        else:
            interrupted(process.ended())
    answers = dict(lab.journal("SELECT arm, count(*) FROM answers GROUP BY arm"))
    assert answers == ({"a": TEST} if times == 1 else {})
