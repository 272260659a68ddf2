"""Rows a second of the rules for training files against the retired `openai tools fine_tunes.prepare_data`.

    .venv/bin/python benchmarks/prepare_rules.py [N]

N synthetic short reviews (`synthetic.py`; 200,000 by default) in prompt/completion form. The tool (openai 0.28.1) gets
a virtual environment of its own (`peers.py`). Two things are timed, each in a fresh process, in turn, and medians
printed:

- reading and checks: the tool's own reader and each of its validators once, as its command calls them, without what
  follows them; ours by `file_findings` (`harness.data_stage.training_files`), which also checks what the tool does
  not. Imports are left out.
- the whole command, `openai tools fine_tunes.prepare_data -f FILE -q`, imports and its writing of files included;
  ours is the same call in a fresh Python, imports included.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from peers import environment
from synthetic import reviews

REPETITIONS = 3
PEER = ("openai==0.28.1", "pandas", "numpy", "setuptools")

OLD = """
import contextlib, io, json, resource, sys, time
from openai import validators
began = time.perf_counter()
with contextlib.redirect_stdout(io.StringIO()):
    table, remediation = validators.read_any_format(sys.argv[1])
    validators.apply_necessary_remediation(None, remediation)
    read = time.perf_counter() - began
    for validator in validators.get_validators():
        found = validator(table)
        if found is not None:
            table = validators.apply_necessary_remediation(table, found)
seconds = time.perf_counter() - began
"""

CHECKS = """
import json, resource, sys, time
from pathlib import Path
import numpy, pyarrow.compute, pyarrow.json
from harness.prepare.profiles import OPENAI
from harness.data_stage.training_files import completion_table, file_findings
began = time.perf_counter()
found = file_findings(Path(sys.argv[1]), OPENAI)
seconds = time.perf_counter() - began
assert found
"""
NEW = f"""{CHECKS}
from harness.prepare.format.raw import layout
began = time.perf_counter()
completion_table(data := Path(sys.argv[1]).read_bytes(), Path(sys.argv[1]), layout(data))
read = time.perf_counter() - began
"""

TOLD = "print(json.dumps([seconds, read, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))"


def write(path: Path, n: int) -> None:
    """Writes `n` lines: a review with a separator, its stars."""
    made = reviews(n)
    with path.open("w", encoding="utf-8") as file:
        for text, label in zip(made.texts, made.labels, strict=True):
            file.write(json.dumps({"prompt": f"{text}\n\n###\n\n", "completion": f" {label}"}) + "\n")


def parts(python: Path | str, script: str, file: Path) -> tuple[float, float, float]:
    """Returns seconds for reading and checks, seconds of them for reading, and the peak of memory in MB."""
    done = subprocess.run([python, "-c", script + TOLD, file], check=True, capture_output=True, text=True)
    seconds, read, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, read, peak


def whole(command: list[Path | str], folder: Path) -> float:
    """Returns the wall seconds of a command, the files that it writes removed again."""
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    for written in folder.glob("*_prepared*"):
        written.unlink()
    return seconds


def main() -> None:
    """Measures and prints."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    python = Path(environment("prepare-data", PEER))
    figures: dict[str, list[tuple[float, float, float]]] = {"old": [], "new": []}
    commands: dict[str, list[float]] = {"old": [], "new": []}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "reviews.jsonl"
        write(file, n)
        print(f"{n:,} rows, {file.stat().st_size / 1e6:.0f} MB, {os.cpu_count()} cores, {REPETITIONS} repetitions")
        tool: list[Path | str] = [python.with_name("openai"), "tools", "fine_tunes.prepare_data", "-f", file, "-q"]
        ours: list[Path | str] = [sys.executable, "-c", CHECKS, file]
        for _ in range(REPETITIONS):
            figures["old"].append(parts(python, OLD, file))
            figures["new"].append(parts(sys.executable, NEW, file))
            commands["old"].append(whole(tool, file.parent))
            commands["new"].append(whole(ours, file.parent))
    for name, title in (("old", "retired tool"), ("new", "harness")):
        seconds, read, peak = (statistics.median(values) for values in zip(*figures[name], strict=True))
        print(
            f"{title:12} reading and checks {seconds:7.2f} s ({read:.2f} s reading), {n / seconds:9,.0f} rows/s, "
            f"peak {peak:5,.0f} MB; whole command {statistics.median(commands[name]):7.2f} s"
        )
    pairs = list(zip(figures["old"], figures["new"], strict=True))
    print(
        f"reading and checks: {statistics.median(old[0] / new[0] for old, new in pairs):.1f}× its rows/s, pair by pair"
    )
    both = zip(commands["old"], commands["new"], strict=True)
    print(f"whole command: {statistics.median(old / new for old, new in both):.1f}×")


if __name__ == "__main__":
    main()
