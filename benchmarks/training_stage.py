"""What the training stage itself costs a job: launch, following and what is collected at its end.

    .venv/bin/python benchmarks/training_stage.py [--repetitions 5] [--seconds 0 5 60]

The server is the tests' fake provider, in a process of its own on loopback; its jobs take a known number of seconds.
Printed is all of `Trainer.ensure` beyond those seconds (with a fresh journal and files of its own each time: hashing,
uploads, the wait until somebody looks again after the job has ended, results), and in the same run the raw client with
the least that trains: two uploads, one creation, looks every 0.25 s, no journal, tag, events or results.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from execution import target_of
from peers import told_if_busy
from support.provider import Provider

from harness.execution.targets import Target
from harness.journal import Journal
from harness.training import Trainer, upload_of
from harness.types import JobSpec, TrainingFiles

POLL_S = 0.25
SPEC = JobSpec(endpoint="fake", base="base-model", hyperparameters={"n_epochs": 3})


class Took(NamedTuple):
    """Seconds beyond the job's own, processor seconds, and requests."""

    wall: float
    cpu: float
    requests: int


def files(folder: Path, mark: str) -> TrainingFiles:
    """Writes files that no other job has."""
    lines = [json.dumps({"prompt": f"text {number} of {mark}", "completion": " good"}) for number in range(1000)]
    for name, part in (("train", lines), ("validation", lines[:100])):
        folder.joinpath(f"{name}.jsonl").write_text("\n".join(part) + "\n")
    return TrainingFiles(
        train=folder / "train.jsonl", validation=folder / "validation.jsonl", n_train=len(lines), n_validation=100
    )


def through_trainer(target: Target, given: TrainingFiles, folder: Path) -> None:
    """The stage as a run has it."""
    with Journal(folder / "journal.sqlite") as journal:
        trainer = Trainer(journal=journal, connect=lambda _: target, say=lambda *_: None)
        assert trainer.ensure("tuned", SPEC, upload_of(given), target.base_url).model


def through_client(target: Target, given: TrainingFiles, _: Path) -> None:
    """The least that trains."""
    import openai

    with openai.OpenAI(**target.client_settings()) as client:
        uploaded = [
            client.files.create(file=(path.name, path.read_bytes()), purpose="fine-tune").id
            for path in (given.train, given.validation)
            if path is not None
        ]
        job = client.fine_tuning.jobs.create(
            model=SPEC.base, training_file=uploaded[0], validation_file=uploaded[1],
            method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}},
        )  # fmt: skip
        while client.fine_tuning.jobs.retrieve(job.id).status != "succeeded":
            time.sleep(POLL_S)


WAYS = {"client": through_client, "training stage": through_trainer}


def once(name: str, provider: Provider, target: Target, job_s: float, mark: str) -> Took:
    """One job one way."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = files(folder, mark)
        provider.reset()
        wall, cpu = time.perf_counter(), time.process_time()
        WAYS[name](target, given, folder)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Took(wall - job_s, cpu, sum(provider.counts().values()))


def measure(job_s: float, repetitions: int) -> None:
    """Prints the figures of jobs of one length."""
    with Provider.start(job_s=job_s) as provider:
        target = target_of(provider.base_url, 1)
        if not job_s:  # imports and the first connection once before anything counts
            for name in WAYS:
                once(name, provider, target, job_s, f"{name} warm")
        figures: dict[str, list[Took]] = {name: [] for name in WAYS}
        for repetition in range(repetitions):
            for name, of in figures.items():
                of.append(once(name, provider, target, job_s, f"{name} {repetition} {job_s}"))
    for name, of in figures.items():
        wall, most, cpu = statistics.median(t.wall for t in of), max(t.wall for t in of), [t.cpu for t in of]
        print(
            f"job of {job_s:g} s, {name:<14} {wall:6.3f} s beyond it (at most {most:.3f}), "
            f"{statistics.median(cpu):.3f} CPU s, {statistics.median(t.requests for t in of):g} requests"
        )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.0, 5.0, 60.0])
    given = parser.parse_args()
    told_if_busy()
    for job_s in given.seconds:
        measure(job_s, given.repetitions)
    print("target: at most 1 s a job, or 2% of what the job took")


if __name__ == "__main__":
    main()
