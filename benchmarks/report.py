"""Size of the page and time to build it from a run's files.

.venv/bin/python benchmarks/report.py [N] [ARMS]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.report import make_results, shipped_sections, write_run

from harness.report.page import build

REPETITIONS = 5


def main() -> None:
    """Prints one line."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    arms = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        write_run(run, make_results(n=n, arms=arms))
        sections = shipped_sections()
        build(run, sections)  # imports once
        seconds = []
        for _ in range(REPETITIONS):
            began = time.perf_counter()
            page = build(run, sections)
            seconds.append(time.perf_counter() - began)
        size = page.stat().st_size / 1000
    median = statistics.median(seconds)
    print(f"{n:,} items × {arms} arms: {size:,.0f} KB, built in {median:.2f} s (median of {REPETITIONS})")


if __name__ == "__main__":
    main()
