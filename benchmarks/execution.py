"""Requests a second of the engine, journal included, against the raw floor (`client.post`) in the same run.

    .venv/bin/python benchmarks/execution.py [N] [CONCURRENCY]

The server is the tests' fake provider, in a process of its own on loopback. Runs alternate; medians are printed.
"""

from __future__ import annotations

import asyncio
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.provider import Provider

from harness.execution.engine import Engine
from harness.execution.targets import Target, client
from harness.execution.work import Request, answer_key
from harness.journal import Journal
from harness.types import Call

REPETITIONS = 5


def requests(n: int) -> list[Request]:
    """Makes `n` different chat requests."""
    made = []
    for index in range(n):
        body = {
            "model": "base-model",
            "messages": [{"role": "user", "content": f"Review: item {index} is a good soup\nSentiment:"}],
            "temperature": 0,
            "max_completion_tokens": 8,
        }
        call = Call(endpoint="fake", path="/chat/completions", body=body)
        made.append(
            Request(endpoint="fake", path=call.path, body=body, arm="few-shot", key=answer_key("fake", call, "source"))
        )
    return made


def through_engine(target: Target, work: list[Request]) -> None:
    """Sends everything through the engine into a fresh journal."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal.sqlite") as journal:
        engine = Engine(journal=journal, connect=lambda _name: target)
        engine.send(work, engine.done)
        assert len(journal.answers([request.key for request in work])) == len(work)


def through_client(target: Target, work: list[Request]) -> None:
    """Sends everything with a pool of workers and nothing around it."""
    import httpx2

    async def pool() -> None:
        pending = list(reversed(work))
        async with client(target) as connection:

            async def worker() -> None:
                while pending:
                    request = pending.pop()
                    await connection.post(request.path, cast_to=httpx2.Response, body=dict(request.body))

            await asyncio.gather(*(worker() for _ in range(target.concurrency)))

    asyncio.run(pool())


def measured(run: Callable[[Target, list[Request]], None], target: Target, work: list[Request]) -> tuple[float, float]:
    """Returns wall and CPU seconds of one run."""
    before, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run(target, work)
    after = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter() - wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints the table."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    concurrency = int(sys.argv[2]) if len(sys.argv) > 2 else 64
    work = requests(n)
    figures: dict[str, list[tuple[float, float]]] = {"engine": [], "client.post": []}
    with Provider.start() as provider:
        target = Target(
            name="fake", base_url=provider.base_url, api_key="none", headers={}, query={}, concurrency=concurrency,
            timeout_s=60,
        )  # fmt: skip
        for run in (through_client, through_engine):  # imports and connections once before anything counts
            run(target, work[:200])
        for _ in range(REPETITIONS):
            figures["client.post"].append(measured(through_client, target, work))
            figures["engine"].append(measured(through_engine, target, work))
    print(f"{n:,} requests, concurrency {concurrency}, median of {REPETITIONS} alternating runs")
    for name, values in figures.items():
        wall, cpu = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name:<12} {n / wall:8,.0f} requests/s   {cpu / n * 1000:6.3f} CPU ms a request   {wall:6.2f} s")
    ratios = [e[1] / c[1] for e, c in zip(figures["engine"], figures["client.post"], strict=True)]
    print(f"CPU of the engine over client.post: {statistics.median(ratios):.2f}×")


if __name__ == "__main__":
    main()
