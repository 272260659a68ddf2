"""`kill -9` at random moments of every stage: the same command finishes, and nothing is lost or paid for twice.

`HARNESS_KILLS_SEED` repeats the moments of an earlier test.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time

import pytest
from support.lab import Lab
from support.provider import Provider
from support.stops import PLANNED, asked, complete, run, running, same, whole, write

CONCURRENCY = 16
STAGES = {
    "": 1.5,
    "preparing the data": 1.0,
    "choosing on validation": 0.5,
    "naming the contenders": 1.5,  # and the training that follows
    "asking the test items": 1.5,
    "scoring and writing": 1.0,
}
"""What stands on stderr when a stage begins → seconds within which it is stopped."""


@pytest.mark.parametrize("kills", [6, pytest.param(30, marks=pytest.mark.thorough)])
def test_killed_at_random_moments_it_finishes_and_comes_to_the_same(
    undisturbed: Lab, provider: Provider, lab: Lab, kills: int
) -> None:
    seed = int(os.environ.get("HARNESS_KILLS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"HARNESS_KILLS_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
    write(lab, provider, options=f"concurrency = {CONCURRENCY}")
    provider.set(reply_s=0.08, error_500_rate=0.02, fault_paths=["/v1/"])
    jobs = len(provider.jobs())
    _kill(lab, random.Random(seed), kills)
    done = run(lab)
    assert done.code == 0, done
    failed = sum(count for status, count in provider.statuses().items() if status != "200")
    assert PLANNED <= asked(provider) <= PLANNED + kills * CONCURRENCY + failed
    # Killed between intent and launch, it may find another test's job under the same tag.
    assert jobs <= len(provider.jobs()) <= jobs + 1
    whole(lab)
    complete(lab)
    same(lab, undisturbed)


def test_killed_between_a_launch_and_its_record_it_launches_nothing_more(
    undisturbed: Lab, provider: Provider, lab: Lab
) -> None:
    provider.set(reply_s=0.5, fault_paths=["/v1/fine_tuning/"])
    jobs = len(provider.jobs())
    with running(lab) as process:
        process.wait_until(lambda: len(provider.jobs()) > jobs)
        process.kill()
        assert "launched" not in process.said()
    provider.set(reply_s=0.0)
    done = lab.run()
    assert done.code == 0, done
    assert "which was launched before" in done.err
    assert len(provider.jobs()) == jobs + 1
    same(lab, undisturbed)


def test_what_a_killed_run_left_half_written_is_cleared_away(lab: Lab) -> None:
    assert lab.run().code == 0
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    for place in (".", "data", "models", "training", "endpoint/adapters"):
        (lab.folder / place).mkdir(parents=True, exist_ok=True)
        (lab.folder / place / f".writing-{dead.pid}-x").write_text("half")
    lab.folder.joinpath("report.html").unlink()
    done = lab.run()
    assert done.code == 0, done
    complete(lab)


def _kill(lab: Lab, draw: random.Random, kills: int) -> None:
    """Starts the run again and again and kills it, a stage further on each time."""
    words = list(STAGES)
    for number in sorted(kill % len(words) for kill in range(kills)):
        killed = False
        while not killed:
            for report in (lab.path / "runs").glob("*/report.html"):
                report.unlink()  # it was quicker: back to where the report is missing
            with running(lab) as process:
                process.wait_for_any(*words[number:])  # a stage that has nothing left to do does not begin again
                time.sleep(draw.uniform(0, STAGES[words[number]]))
                killed = process.process.poll() is None
                process.kill()
                assert "Traceback" not in process.said()
