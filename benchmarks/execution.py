"""Requests a second of the engine, journal included, against the raw floor (`client.post`) in the same run.

    .venv/bin/python benchmarks/execution.py [--requests 20000] [--concurrency 64] [--repetitions 3] [--slow]

The server is the tests' fake provider, in a process of its own on loopback. Runs alternate; medians are printed. Wall
and processor time run from the first request to the last commit; imports are told apart. `--slow` measures the share of
the ideal rate instead, where each answer takes 50 ms: ideal is concurrency / 0.05 s, or what `client.post` reaches.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers import told_if_busy
from support.provider import Provider

from harness.execution.engine import Engine
from harness.execution.targets import Target, client
from harness.execution.work import Request, answer_key
from harness.journal import Journal
from harness.types import Call

SLOW_S = 0.05
IMPORTS = "import time; t = time.process_time(); import openai, harness.pipeline; print(time.process_time() - t)"


class Took(NamedTuple):
    """Seconds."""

    wall: float
    cpu: float


def requests(n: int) -> Iterator[Request]:
    """Yields `n` different chat requests."""
    for index in range(n):
        body = {
            "model": "base-model",
            "messages": [{"role": "user", "content": f"Review: item {index} is a good soup\nSentiment:"}],
            "temperature": 0,
            "max_completion_tokens": 8,
        }
        call = Call(endpoint="fake", path="/chat/completions", body=body)
        yield Request(
            endpoint="fake", path=call.path, body=body, arm="few-shot", key=answer_key("fake", call, "source")
        )


def through_engine(target: Target, n: int) -> Took:
    """Sends everything through the engine into a fresh journal."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        engine = Engine(journal=journal, connect=lambda _name: target)
        took = measured(lambda: engine.send(requests(n), engine.done))
        assert len(journal.known([request.key for request in requests(n)])) == n
        return took


def through_client(target: Target, n: int) -> Took:
    """Sends everything with a pool of workers and nothing around it."""
    import httpx2

    async def pool() -> None:
        pending = requests(n)
        async with client(target) as connection:

            async def worker() -> None:
                for request in pending:
                    await connection.post(request.path, cast_to=httpx2.Response, body=dict(request.body))

            await asyncio.gather(*(worker() for _ in range(target.concurrency)))

    return measured(lambda: asyncio.run(pool()))


def measured(run: Callable[[], None]) -> Took:
    """Returns what one run took."""
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return Took(time.perf_counter() - wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def target_of(base_url: str, concurrency: int) -> Target:
    """The provider as an endpoint."""
    return Target(
        name="fake", base_url=base_url, api_key="none", headers={}, query={}, concurrency=concurrency, timeout_s=60
    )


WAYS: dict[str, Callable[[Target, int], Took]] = {"client.post": through_client, "engine": through_engine}


def alternating(target: Target, n: int, repetitions: int) -> dict[str, list[Took]]:
    """Runs both ways in turn."""
    for run in WAYS.values():  # imports and connections once before anything counts
        run(target, 200)
    figures: dict[str, list[Took]] = {name: [] for name in WAYS}
    for _ in range(repetitions):
        for name, run in WAYS.items():
            figures[name].append(run(target, n))
    return figures


def full_speed(n: int, concurrency: int, repetitions: int) -> None:
    """A server that answers at once."""
    with Provider.start() as provider:
        figures = alternating(target_of(provider.base_url, concurrency), n, repetitions)
    print(f"{n:,} requests, concurrency {concurrency}, median of {repetitions} alternating runs")
    for name, values in figures.items():
        wall, cpu = statistics.median(v.wall for v in values), statistics.median(v.cpu for v in values)
        print(f"{name:<12} {n / wall:8,.0f} requests/s   {cpu / n * 1000:6.3f} CPU ms a request   {wall:6.2f} s")
    ratios = [e.cpu / c.cpu for e, c in zip(figures["engine"], figures["client.post"], strict=True)]
    print(f"CPU of the engine over client.post: {statistics.median(ratios):.2f}× (target 1.5×)")
    told = subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True)
    print(f"start-up apart: {float(told.stdout):.2f} CPU s for imports")


def slow_answers(repetitions: int) -> None:
    """A server whose every answer takes 50 ms."""
    with Provider.start(latency_s=SLOW_S) as provider:
        for concurrency, seconds in ((64, 8), (512, 6)):
            target = target_of(provider.base_url, concurrency)
            n = min(int(concurrency / SLOW_S), 1_500) * seconds
            figures = alternating(target, n, repetitions)
            rates = {name: statistics.median(n / took.wall for took in of) for name, of in figures.items()}
            ideal = concurrency / SLOW_S
            shares = [n / e.wall / min(ideal, n / c.wall) for e, c in zip(*reversed(figures.values()), strict=True)]
            print(
                f"50 ms, concurrency {concurrency}: ideal {ideal:,.0f}/s, client.post {rates['client.post']:,.0f}/s, "
                f"engine {rates['engine']:,.0f}/s: {rates['engine'] / ideal:.0%} of ideal, "
                f"{statistics.median(shares):.0%} of what can be reached"
            )


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--slow", action="store_true", help="a server whose answers take 50 ms")
    given = parser.parse_args()
    told_if_busy()
    if given.slow:
        slow_answers(given.repetitions)
    else:
        full_speed(given.requests, given.concurrency, given.repetitions)


if __name__ == "__main__":
    main()
