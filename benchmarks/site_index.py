"""Time to build the index of a site of many runs, and what it takes of memory.

.venv/bin/python benchmarks/site_index.py [RUNS]    # 500 by default
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.report import make_results

from harness.site.index import OURS, pairs, read_rows, render_index


def main() -> None:
    """Prints one line."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    data = json.loads(json.dumps(make_results(n=400, arms=10).data))
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder)
        for n in range(number):
            data["run"]["finished"] = f"2026-{1 + n % 12:02d}-{1 + n % 28:02d}T{n % 24:02d}:00:00+00:00"
            (site / f"run-{n:04d}").mkdir()
            (site / f"run-{n:04d}" / "results.json").write_text(json.dumps(data))
            (site / f"run-{n:04d}" / "index.html").write_text(OURS)
        size = len(json.dumps(data)) / 1000
        began = time.perf_counter(), time.process_time()
        rows, _ = read_rows(site)
        page = render_index(rows, pairs(rows))
        seconds, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
        tracemalloc.start()
        read_rows(site)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
    print(
        f"{number} runs of {size:,.0f} kB: index of {len(page) / 1000:,.0f} kB in {seconds:.2f} s"
        f" ({cpu:.2f} s of CPU), {peak:.1f} MB at most while reading"
    )


if __name__ == "__main__":
    main()
