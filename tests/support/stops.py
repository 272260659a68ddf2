"""Runs in processes of their own, stopped at any moment, and what of their results must not depend on that."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import forks
from support.cli import Finished, environment
from support.lab import Lab, endpoint, few_shot, fine_tuned
from support.provider import Provider

KEY = "sk-test-faults-0123456789"
CHAT, COMPLETIONS = "POST /v1/chat/completions", "POST /v1/completions"
CREATE = "POST /v1/fine_tuning/jobs"
ITEMS, TEST, VALIDATION = 120, 60, 12
QUALITY: Mapping[str, Any] = {"accuracy": 0.5, "few_shot_accuracy": 0.6, "tuned_accuracy": 0.9, "seed": 5}
SPLIT = "[prepare]\nsplit = { train = 0.4, validation = 0.1, test = 0.5 }\n"
PRICES = '[prices."base-model"]\ninput = 2.0\noutput = 8.0\ntraining = 5.0\n'
PRICES += '[prices."ft:base-model"]\ninput = 3.0\noutput = 9.0\n'
CHOOSE = '[arms.choose]\n"shots.k" = [2, 4]\n'
ARMS = {
    "zero": few_shot("zero"),
    "best": few_shot("best", k=2, extra=CHOOSE),
    "tuned": fine_tuned("tuned"),
    "classical": '[[arms]]\nname = "classical"\nbackend = { plugin = "classical" }\n',
    "mock": '[[arms]]\nname = "mock"\nbackend = { plugin = "mock" }\n',
}
PLANNED = 3 * VALIDATION + 3 * TEST
"""Requests of a run of all arms: a choice between two prompts, the naming of the better prompt, the test items."""


CONCURRENCY = 8


def write(lab: Lab, provider: Provider, *, options: str = f"concurrency = {CONCURRENCY}") -> None:
    """Writes an experiment of several arms."""
    lab.write("\n".join(ARMS.values()), dataset=SPLIT + PRICES + endpoint(provider.base_url, options=options))


def twin(lab: Lab, path: Path) -> Lab:
    """Returns a lab with the same data and experiment, without its runs."""
    path.mkdir(parents=True)
    for name in ("data.csv", "experiment.toml"):
        shutil.copy(lab.path / name, path)
    return dataclasses.replace(lab, path=path)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A command that is under way."""

    process: forks.Process
    out: Path
    err: Path

    def said(self) -> str:
        """What stands on stderr by now."""
        return self.err.read_text(encoding="utf-8")

    def wait_until(self, true: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Waits for something to happen while the command is under way."""
        limit = time.monotonic() + limit_s
        while not true() and self.process.poll() is None and time.monotonic() < limit:
            time.sleep(0.01)
        assert true(), f"ended with {self.process.poll()}:\n{self.said()}"

    def wait_for_any(self, *words: str) -> None:
        """Waits until one of some words stands on stderr."""
        self.wait_until(lambda: any(word in self.said() for word in words))

    def wait_for(self, *words: str) -> None:
        """Waits until all of some words stand on stderr."""
        self.wait_until(lambda: all(word in self.said() for word in words))

    def kill(self) -> None:
        """Kills the command, and waits until it is gone."""
        self.process.kill()
        self.process.wait()

    def ended(self, limit_s: float = 60.0) -> Finished:
        """Waits for the end."""
        code = self.process.wait(limit_s)
        return Finished(code=code, out=self.out.read_text(encoding="utf-8"), err=self.said())


@contextmanager
def running(lab: Lab, *options: str, err: Path | None = None) -> Iterator[Running]:
    """Starts `harness run` in a lab, in a process and session of its own; the process does not outlive the block.

    Args:
        lab: Where.
        options: Of the command.
        err: Where stderr goes, by default a file in the lab's folder.
    """
    files = lab.path / "stdout.txt", err or lab.path / "stderr.txt"
    env = {"FAKE_KEY": KEY, **environment(None)}
    arguments = ["run", "experiment.toml", *options]
    started = forks.start(arguments, cwd=lab.path, env=env, out=files[0], err=files[1])
    try:
        yield Running(process=started, out=files[0], err=files[1])
    finally:
        started.kill()
        started.wait()


def run(lab: Lab, *options: str) -> Finished:
    """Runs `harness run` in a lab to its end."""
    with running(lab, *options) as process:
        return process.ended()


def asked(provider: Provider) -> int:
    """Requests for answers that the provider has seen, with those that failed."""
    counts = provider.counts()
    return counts.get(CHAT, 0) + counts.get(COMPLETIONS, 0)


TIMES = {
    "started", "finished", "id", "command", "latency_s", "first_token_s", "queue_s", "retry_s", "timed", "retried",
    "attempts", "faults", "failed_attempts", "training_s", "machine_s_per_1k", "seconds", "wall_s", "p95_change",
    "break_even_date",  # so many days after the run's: of two runs, midnight may lie between them
}  # fmt: skip


def timeless(value: Any) -> Any:
    """Returns what must be the same however often a run was stopped: no times, attempts or names of trained models."""
    if isinstance(value, dict):
        left_out = TIMES | ({"per_1k"} if value.get("unit") == "machine_s" else set())
        return {key: timeless(item) for key, item in value.items() if key not in left_out}
    if isinstance(value, list):
        return [timeless(item) for item in value]
    return re.sub(r"ft:base-model:test::\d+|ftjob-\d+", "ft", value) if isinstance(value, str) else value


def same(lab: Lab, undisturbed: Lab) -> None:
    """Checks that a run came to the same as one that nothing happened to."""
    assert lab.said() == undisturbed.said()
    found = list(_differences(timeless(lab.results()), timeless(undisturbed.results())))
    assert not found, "\n".join(found)


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(left, right, f"{path}[{number}]")
    elif one != other and not (isinstance(one, float) and isinstance(other, float) and math.isclose(one, other)):
        yield f"{path}: {one!r} is not {other!r}"


def whole(lab: Lab) -> None:
    """Checks that a finished run's files agree with each other, and that none of them is half-written."""
    predictions, arms = lab.predictions(), lab.arms()
    assert Counter((row["arm"], row["example_id"]) for row in predictions).most_common(1)[0][1] == 1
    assert list(arms) == list(ARMS)
    for name, arm in arms.items():
        status = Counter(row["status"] for row in predictions if row["arm"] == name)
        assert {key: arm[key] for key in ("answered", "unparsed", "failed")} == {
            key: status[key] for key in ("answered", "unparsed", "failed")
        }
        assert arm["n"] == status.total() == TEST
    answers = dict(lab.journal("SELECT arm, count(*) FROM answers GROUP BY arm"))
    # The classical arm answers validation for the thresholds of its confidence: that costs nothing
    extra = {"zero": VALIDATION, "best": 2 * VALIDATION, "classical": VALIDATION}
    assert answers == {name: TEST + extra.get(name, 0) for name in ARMS}
    assert lab.results()["ledger"]["answers"] == sum(answers.values())
    complete(lab)


def complete(lab: Lab) -> None:
    """Checks that no file of a run is half-written."""
    import pyarrow.parquet as pq

    for path in lab.folder.rglob("*"):
        assert not path.name.startswith("."), path
        if path.suffix == ".json":
            json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix == ".parquet":
            pq.read_table(path)
        elif path.suffix == ".html":
            assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
