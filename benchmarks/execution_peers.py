"""The whole command against whole peers on the same work: N chat calls, exact match, each with its own log.

    .venv/bin/python benchmarks/execution_peers.py [--requests 20000] [--inspect 2000]

The server is the tests' fake provider, in a process of its own on loopback; everybody has 64 requests under way. Wall
and processor time are those of the process from its start to its end. `pydantic_evals` and `inspect_ai` run in virtual
environments of their own. What an item of inspect_ai costs does not fall with their number, so it may get fewer; its
rate is then per request of its own run, start-up included, which at 2,000 is 3% of it.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import execution  # noqa: F401 - puts the tests' support on the path
from peers import LABELS, Finished, environment, finished, told_if_busy
from support.provider import Provider

PYDANTIC = """
import csv, os, sys
from openai import AsyncOpenAI
from pydantic_evals import Case, Dataset
from pydantic_evals.evaluators import Evaluator, EvaluatorContext

class Exact(Evaluator):
    def evaluate(self, ctx: EvaluatorContext) -> bool:
        return ctx.output.strip() == ctx.expected_output

client = AsyncOpenAI(base_url=sys.argv[1], api_key="none", max_retries=0)

async def ask(text: str) -> str:
    reply = await client.chat.completions.create(
        model="base-model", messages=[{"role": "user", "content": text}], temperature=0, max_completion_tokens=8)
    return reply.choices[0].message.content or ""

rows = list(csv.DictReader(open(sys.argv[2], encoding="utf-8")))
cases = [Case(name=str(n), inputs=row["text"], expected_output=row["label"]) for n, row in enumerate(rows)
         if row["split"] == "test"]
report = Dataset(name="bench", cases=cases, evaluators=[Exact()]).evaluate_sync(ask, max_concurrency=64, progress=False)
open(sys.argv[3], "w").write(repr(report.averages()))
print(report.averages().assertions)
"""
INSPECT = """
import csv, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

rows = [row for row in csv.DictReader(open(sys.argv[2], encoding="utf-8")) if row["split"] == "test"][:int(sys.argv[4])]
task = Task(dataset=MemoryDataset([Sample(input=r["text"], target=r["label"]) for r in rows]), solver=generate(),
            scorer=exact())
model = get_model("openai-api/bench/base-model", base_url=sys.argv[1], api_key="none",
                  config=GenerateConfig(temperature=0, max_tokens=8, max_connections=64))
log = eval(task, model=model, log_dir=sys.argv[3], display="none", max_samples=64)[0]
print(next(iter(log.results.scores[0].metrics.values())).value)
"""
EXPERIMENT = """
name = "bench"
[dataset]
plugin = "files"
path = "data.csv"
text = "text"
label = "label"
split = "split"
[endpoints.fake]
base_url = "{url}"
[[arms]]
name = "zero-shot"
backend = {{ plugin = "few-shot", endpoint = "fake", model = "base-model", max_tokens = 8 }}
formatter = {{ plugin = "chat", instruction = "" }}
"""


def data(folder: Path, n: int) -> Path:
    """Writes n test rows, and the few others that an experiment needs."""
    path = folder / "data.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        for number in range(n + 60):
            split = "test" if number < n else "train" if number % 2 else "validation"
            words = f"item {number} {number * 7919 % 10007} is a {'good' if number % 2 else 'poor'} soup"
            writer.writerow([words, LABELS[number % 3], split])
    return path


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--inspect", type=int, default=2_000, help="requests of inspect_ai")
    given = parser.parse_args()
    told_if_busy()
    with tempfile.TemporaryDirectory() as temporary, Provider.start(keep_requests=1) as provider:
        folder, url = Path(temporary), provider.base_url
        rows = data(folder, given.requests)
        (folder / "experiment.toml").write_text(EXPERIMENT.format(url=url), encoding="utf-8")
        evals = environment("pydantic-evals", ("pydantic-evals", "openai"))
        inspect = environment("inspect-ai", ("inspect-ai", "openai"))
        own = [sys.executable, "-m", "harness", "run", folder / "experiment.toml", "--out", folder / "runs", "--quiet"]
        contenders: dict[str, tuple[int, Callable[[], Finished]]] = {
            "harness run": (given.requests, lambda: finished(own)),
            "pydantic_evals": (
                given.requests,
                lambda: finished([evals, "-c", PYDANTIC, url, rows, folder / "report.txt"], quiet_variables()),
            ),
            "inspect_ai": (
                given.inspect,
                lambda: finished(
                    [inspect, "-c", INSPECT, url, rows, folder / "logs", str(given.inspect)], quiet_variables()
                ),
            ),
        }
        rates = {}
        for name, (n, run) in contenders.items():
            before = provider.counts().get("POST /v1/chat/completions", 0)
            done = run()
            sent = provider.counts()["POST /v1/chat/completions"] - before
            rates[name] = n / done.seconds
            print(
                f"{name:<16} {n:>7,} items, {sent:>7,} requests, {done.seconds:6.1f} s: {rates[name]:7,.0f}/s, "
                f"{1000 * done.cpu_s / n:6.2f} CPU s per 1,000, peak {done.peak_mb:,.0f} MB; "
                f"said {done.lines[0][1].strip()[:60]}",
                flush=True,
            )
        for name, wanted in (("pydantic_evals", 4), ("inspect_ai", 25)):
            print(f"harness over {name}: {rates['harness run'] / rates[name]:.1f}× (target {wanted}×)")


def quiet_variables() -> dict[str, str]:
    """Nothing is sent to anybody but the server."""
    return {"DO_NOT_TRACK": "1", "LOGFIRE_SEND_TO_LOGFIRE": "false", "HOME": os.environ.get("HOME", "/")}


if __name__ == "__main__":
    main()
