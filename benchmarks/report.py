"""Size of the page, time and memory to build it from a run's files, and time until its explorer can be used.

.venv/bin/python benchmarks/report.py [N …]    # samples of four arms; by default 0, 1,000, 10,000 and 100,000
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers import told_if_busy
from support.report import make_results, shipped_sections, write_run

from harness.report.page import build
from harness.report.reading import Samples

ARMS = 4
CHROMIUM = Path("/usr/bin/chromium")
MOST = {0: (250, None, None), 1_000: (500, 2.0, 0.5), 10_000: (3_000, 2.0, 1.0), 100_000: (None, 20.0, 1.5)}
"""Samples → most KB of the page, seconds to build it, seconds until its explorer can be used."""
OPENINGS = 3


@dataclass(frozen=True, kw_only=True)
class Built:
    """What building one page took, in a process of its own."""

    seconds: float
    cpu_s: float
    peak_mb: float


def built(run: Path, out: Path, samples: Samples, inline_all: bool) -> Built:
    """Builds a page; the interpreter's start and imports of the command line are not counted."""
    sections = shipped_sections()
    began, cpu = time.perf_counter(), time.process_time()
    build(run, sections, out, samples, inline_all)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return Built(seconds=seconds, cpu_s=cpu, peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def usable(path: Path) -> float | None:
    """Returns the seconds from opening a page until its explorer can be used, the best of several openings."""
    if not CHROMIUM.exists():
        return None
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        times = []
        for _ in range(OPENINGS):
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector(".explorer.x-ready")
            times.append(page.evaluate("performance.getEntriesByName('explorer')[0].startTime") / 1000)
            page.close()
        browser.close()
    return min(times)


def line(n: int, run: Path, folder: Path, inline_all: bool = False) -> str:
    """Builds and opens one page and says what that took."""
    out = folder / "page.html"
    samples: Samples = "all" if n else "none"
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        took = pool.apply(built, (run, out, samples, inline_all))
    beside = sum(path.stat().st_size for path in folder.glob("page.chunks/*"))
    size, most, soon = (None, None, None) if inline_all else MOST.get(n, (None, None, None))
    opened = usable(out) if n else None
    name = f"{n:,} samples{' (--inline-all)' if inline_all else ''}"
    built_in = f"built in {took.seconds:.2f} s, {took.cpu_s:.2f} s of them computing{_target(most, 'g')}"
    parts = [
        f"{name}: {out.stat().st_size / 1000:,.0f} KB{_target(size, ',.0f')}",
        f"{beside / 1000:,.0f} KB beside it" if beside else "",
        f"{built_in}, {took.peak_mb:,.0f} MB at the peak",
        "" if opened is None else f"to be used after {opened:.2f} s{_target(soon, 'g')}",
    ]
    return ", ".join(part for part in parts if part)


def _target(most: float | None, form: str) -> str:
    return "" if most is None else f" (target {most:{form}})"


def main(sizes: Sequence[int]) -> None:
    """Prints a line for each size."""
    told_if_busy()
    for n in sizes:
        with tempfile.TemporaryDirectory() as folder:
            run = write_run(Path(folder) / "run", make_results(n=n or 1_000, arms=ARMS))
            print(line(n, run, Path(folder)), flush=True)
            if n >= 100_000:
                print(line(n, run, Path(folder), inline_all=True), flush=True)


if __name__ == "__main__":
    main([int(text) for text in sys.argv[1:]] or list(MOST))
