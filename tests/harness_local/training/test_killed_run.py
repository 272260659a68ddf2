"""A whole run on the local endpoint, killed in the middle of its training: the same command takes the job up again."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.lab import Lab
from support.stops import SPLIT, running

STEPS = 96
ARM = """
[endpoints.local]
model = "{model}"

[[arms]]
name = "tuned"
backend = {{ plugin = "fine-tuned", endpoint = "local", base = "{base}", n_epochs = 4, batch_size = 1 }}
"""


@pytest.mark.thorough
def test_a_run_killed_in_the_middle_of_a_training_on_this_machine_goes_on(tiny: Path, tmp_path: Path) -> None:
    lab = Lab.make(tmp_path, 60)
    lab.write("", dataset=SPLIT + ARM.format(model=tiny, base=tiny.name))
    state = lab.path / "runs" / "*" / "endpoint" / "state" / "state.sqlite"

    def jobs() -> list[dict[str, object]]:
        (path,) = lab.path.glob(str(state.relative_to(lab.path)))
        with closing(sqlite3.connect(path)) as connection:
            return [json.loads(body) for (body,) in connection.execute("SELECT body FROM jobs")]

    def steps() -> list[int]:
        (path,) = lab.path.glob(str(state.relative_to(lab.path)))
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT data FROM events WHERE type = 'metrics' ORDER BY number")
            return [json.loads(data)["step"] for (data,) in rows]

    with running(lab) as process:
        process.wait_until(lambda: "tuned: Checkpoint created at step" in process.said(), limit_s=300.0)
        process.kill()
    (job,) = jobs()
    assert job["status"] == "running"
    done = lab.run()
    assert done.code == 0, done
    assert f"following {job['id']}, which was launched before" in done.err
    (ended,) = jobs()
    assert (ended["id"], ended["status"]) == (job["id"], "succeeded")
    assert sorted(steps()) == list(range(1, STEPS + 1))  # each once: those of before the kill are not told again
    (arm,) = lab.results()["arms"]
    assert arm["model"] == ended["fine_tuned_model"]
    assert arm["answered"] + arm["unparsed"] == arm["n"] == 30
    assert lab.journal("SELECT count(*) FROM jobs") == [(1,)]
