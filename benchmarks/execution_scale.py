"""How the engine scales: memory of the execution stage, size of the journal, and the resumption of a finished run.

    .venv/bin/python benchmarks/execution_scale.py [--samples 1000000] [--resume 100000]

Memory: each number of samples in a process of its own, with calls that are made as they are asked for, real HTTP to the
tests' fake provider and a journal on disk; the peak is that of the whole process. Resumption: a run with the simulated
backend is finished first, then the same command is timed.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
import tempfile
import time
from pathlib import Path

from execution import requests, target_of
from peers import finished, told_if_busy
from support.provider import Provider

from harness.execution.engine import Engine
from harness.journal import Journal

SMALL = 10_000
EXPERIMENT = """
name = "scale"
[dataset]
plugin = "files"
path = "data.csv"
text = "text"
label = "label"
split = "split"
[prepare]
duplicates = "exact"
[[arms]]
name = "a"
backend = { plugin = "mock", accuracy = 0.8 }
[[arms]]
name = "majority"
backend = { plugin = "majority" }
"""


def send(base_url: str, n: int) -> None:
    """The child: sends everything and tells its seconds and the journal's bytes for each sample."""
    target = target_of(base_url, 64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        with Journal(path) as journal:
            engine = Engine(journal=journal, connect=lambda _name: target)
            began = time.perf_counter()
            engine.send(requests(n), engine.done)
            seconds = time.perf_counter() - began
        print(seconds, path.stat().st_size / n)


def memory(samples: int) -> None:
    """Compares the peaks of a small and a large number of samples."""
    peaks = {}
    with Provider.start(keep_requests=1) as provider:
        for n in (SMALL, samples):
            child = finished([sys.executable, __file__, "--child", provider.base_url, str(n)])
            seconds, size = map(float, child.lines[-1][1].split())
            peaks[n] = child.peak_mb
            print(
                f"{n:>9,} samples: {n / seconds:6,.0f} requests/s, peak {child.peak_mb:5.0f} MB, "
                f"journal {size:.0f} bytes a sample"
            )
    print(f"peak of {samples:,} over that of {SMALL:,}: {peaks[samples] / peaks[SMALL]:.2f}× (target 1.3×)")


def resume(samples: int) -> None:
    """Times a finished run."""
    draw = random.Random(3)
    words = [f"w{number}" for number in range(3000)]
    with tempfile.TemporaryDirectory() as folder:
        with (Path(folder) / "data.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "split"])
            for number in range(samples + 2_000):
                split = "test" if number < samples else "train" if number % 2 else "validation"
                writer.writerow([f"{number} " + " ".join(draw.choices(words, k=12)), draw.choice("abc"), split])
        (Path(folder) / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
        command = [sys.executable, "-m", "harness", "run", f"{folder}/experiment.toml", "--out", f"{folder}/runs"]
        for what in ("first", "again"):
            child = finished(command)
            print(
                f"{samples:,} test items, {what}: {child.seconds:.2f} s, peak {child.peak_mb:.0f} MB: "
                f"{child.lines[0][1].strip()[:90]}"
            )


def main() -> None:
    """Prints the figures."""
    if sys.argv[1:2] == ["--child"]:
        send(sys.argv[2], int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--resume", type=int, default=100_000)
    given = parser.parse_args()
    told_if_busy()
    if given.samples:
        memory(given.samples)
    if given.resume:
        resume(given.resume)


if __name__ == "__main__":
    main()
