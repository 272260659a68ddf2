"""Seconds that scoring takes: all comparisons of many arms, and a million predictions.

    .venv/bin/python benchmarks/scoring.py [--repetitions 3]

Seconds are the processor's, so that a busy machine tells about the same.

The comparisons are those of a run with groups (10,000 resamples of groups for every interval). The predictions are a
whole `results.json`: ten arms with 100,000 answers each, metrics of the shipped plugins apart.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from peers import told_if_busy
from support.results import ARMS, make_arm, make_examples, make_run
from support.simulation import drawn

from harness.scoring.bootstrap import group_codes, resampled_means
from harness.scoring.comparisons import Panel, Resamples, compare_all
from harness.scoring.results import build


def comparisons(arms: int, n: int, size: int) -> float:
    """Returns the seconds of all comparisons: the contenders with each other and with everybody else."""
    names = tuple(f"arm {place}" for place in range(arms))
    right = drawn(np.random.default_rng(3), n, np.linspace(0.7, 0.9, arms).tolist(), 0.5, size, 0.3)
    ids = [f"{item:08}" for item in range(n)]
    groups = {name: str(item // size) for item, name in enumerate(ids)} if size > 1 else {}
    began = time.process_time()
    codes = group_codes(ids, groups)
    means = resampled_means(right, codes, 7)
    panel = Panel(names=names, right=right, resamples=Resamples(groups=int(codes.max()) + 1, means=means))
    lines = compare_all(panel, (names[0], names[1]), names, 0.02)
    assert len(lines) == arms * (arms - 1) // 2
    return time.process_time() - began


def predictions(total: int) -> float:
    """Returns the seconds from answers to the whole of `results.json`."""
    arms = 10
    examples = make_examples(total // arms)
    made = [make_arm(ARMS[place % len(ARMS)], examples, seed=place) for place in range(arms)]
    facts = [replace(arm, name=f"{arm.name} {place}") for place, arm in enumerate(made)]
    run = make_run(examples)
    began = time.process_time()
    build(run, facts)
    return time.process_time() - began


def median(run: Callable[[], float], repetitions: int) -> float:
    """Returns the median of several runs."""
    return statistics.median(run() for _ in range(repetitions))


def main() -> None:
    """Prints the seconds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    told_if_busy()
    for size, what in ((1, "each item on its own"), (5, "groups of 5")):
        seconds = median(lambda size=size: comparisons(10, 10_000, size), given.repetitions)  # type: ignore[misc]
        print(f"10 arms, 10,000 items, 10,000 resamples, {what}, 45 comparisons: {seconds:.2f} s (target 2)")
    print(f"1,000,000 predictions scored: {median(lambda: predictions(1_000_000), 1):.1f} s (target 5)")


if __name__ == "__main__":
    main()
