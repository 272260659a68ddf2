"""`kill -9` at random moments of every stage: the same command finishes, and nothing is lost or paid for twice.

`HARNESS_KILLS` says how often, `HARNESS_KILLS_SEED` repeats the moments of an earlier test.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from support.lab import Lab, task
from support.provider import Provider
from support.stops import ITEMS, KEY, PLANNED, QUALITY, asked, complete, run, running, same, twin, whole, write

KILLS = int(os.environ.get("HARNESS_KILLS", "10"))
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


def test_killed_at_random_moments_it_finishes_and_comes_to_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = int(os.environ.get("HARNESS_KILLS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"HARNESS_KILLS_SEED={seed}")
    slow = {"latency_s": 0.08, "error_500_rate": 0.02, "fault_paths": ["/v1/"]}
    with Provider.start(answers=task(ITEMS), api_key=KEY, job_s=0.0, **QUALITY) as provider:
        undisturbed = Lab.make(tmp_path, ITEMS)
        write(undisturbed, provider, options=f"concurrency = {CONCURRENCY}")
        lab = twin(undisturbed, tmp_path / "lab")
        assert run(undisturbed).code == 0
        provider.reset()
        provider.set(**slow)
        kills = _kill(lab, random.Random(seed))
        done = run(lab)
        assert done.code == 0, done
        failed = sum(count for status, count in provider.statuses().items() if status != "200")
        assert PLANNED <= asked(provider) <= PLANNED + kills * CONCURRENCY + failed
        assert len(provider.jobs()) == 2  # one for each of the two runs
    whole(lab)
    complete(lab)
    same(lab, undisturbed)


def _kill(lab: Lab, draw: random.Random) -> int:
    """Starts the run again and again and kills it, a stage further on each time; returns how often."""
    words = list(STAGES)
    for number in sorted(kill % len(words) for kill in range(KILLS)):
        killed = False
        while not killed:
            with running(lab) as process:
                # a stage that has nothing left to do does not begin again
                process.wait_until(lambda: any(word in process.said() for word in words[number:]))
                time.sleep(draw.uniform(0, STAGES[words[number]]))
                killed = process.process.poll() is None
                process.process.kill()
                process.process.wait()
                assert "Traceback" not in process.said()
            if not killed:  # it was quicker: back to where only the report is missing
                (lab.folder / "report.html").unlink(missing_ok=True)
    return KILLS
