"""How often the intervals hold the truth, how often a win is false, how often a true difference shows.

    .venv/bin/python benchmarks/intervals.py [--experiments 2000] [--equals 2000]

Experiments are drawn with a known truth (`tests/support/simulation.py`): right and wrong answers of two arms with exact
accuracies, correlated by item and by group, go through the comparison that a run makes. False wins are counted through
the whole scoring: six arms of one accuracy, contenders chosen on a validation split of their own.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from support.simulation import CLAIMS, Cell, Held, coverage, power, verdict_of_equals

from harness.scoring.statistics import n_for_80_power

PAIRS = ((0.5, 0.5), (0.7, 0.75), (0.9, 0.93), (0.95, 0.95))
SINGLE = [Cell(n=n, accuracies=pair, shared=shared)
          for n, pair, shared in itertools.product((50, 200, 1000), PAIRS, (0.0, 0.5, 0.8))]  # fmt: skip
GROUPED = [Cell(n=n, accuracies=pair, size=size)
           for (n, size), pair in itertools.product(((200, 5), (1000, 5), (1000, 20)), PAIRS)]  # fmt: skip
FEW = 10
"""Below so many discordant pairs an interval may be too careful."""


def covered(cell: Cell, experiments: int) -> Held:
    """One cell."""
    return coverage(cell, experiments, seed=7)


def equals(part: int, n: int, count: int) -> int:
    """Counts false wins among some runs of six equal arms."""
    rng = np.random.default_rng([part, n])
    return sum(verdict_of_equals(rng, n, n, 6, 0.8) in CLAIMS for _ in range(count))


def show_coverage(pool: ProcessPoolExecutor, cells: list[Cell], what: str, experiments: int) -> None:
    """Prints one table and its summary."""
    found = list(pool.map(covered, cells, itertools.repeat(experiments)))
    print(f"\n{what}: {experiments:,} experiments a cell; difference, accuracy of a, called different")
    for cell, held in zip(cells, found, strict=True):
        groups = f", groups of {cell.size}" if cell.size > 1 else f", shared {cell.shared}"
        few = f"  ({cell.discordant:.0f} discordant pairs)" if cell.discordant < FEW else ""
        print(
            f"  n {cell.n:5,}, {cell.accuracies[0]:.2f} and {cell.accuracies[1]:.2f}{groups}: "
            f"{held.difference:.1%}, {held.accuracy:.1%}, {held.decisive:.1%}{few}"
        )
    for name in ("difference", "accuracy"):
        values = [getattr(held, name) for held in found]
        print(f"  {name}: mean {statistics.mean(values):.1%}, lowest {min(values):.1%}, highest {max(values):.1%}")


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--experiments", type=int, default=2_000)
    parser.add_argument("--equals", type=int, default=2_000)
    given = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        show_coverage(pool, SINGLE, "Single items", given.experiments)
        show_coverage(pool, GROUPED, "Grouped items", given.experiments)
        print("\nSix arms of accuracy 80%, contenders by validation: verdicts that claim a difference (target 5%)")
        for n in (100, 400):
            parts = list(pool.map(equals, range(20), itertools.repeat(n), itertools.repeat(given.equals // 20)))
            print(f"  {n} test items: {sum(parts) / (given.equals // 20 * 20):.1%} of {given.equals // 20 * 20:,} runs")
    print("\nPower where 80% is announced (target ±5 points)")
    for difference, discordance in ((0.02, 0.1), (0.05, 0.2), (0.1, 0.3), (0.1, 0.15)):
        n = n_for_80_power(difference, discordance) or 0
        shown = power(n, difference, discordance, given.experiments, seed=11)
        print(f"  difference {difference:.0%}, discordant {discordance:.0%}, {n:,} items: {shown:.1%}")


if __name__ == "__main__":
    main()
