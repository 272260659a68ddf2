"""The local endpoint's start, its memory, and what it costs to change between adapters.

    .venv/bin/python benchmarks/local_memory.py [--quick]

The embedded model, its copy in the cache. Measured are:

- seconds from the start of the process to the answer to a first short prompt, and the memory held then and after 100
  prompts with 8 shots;
- whether `import harness` imports torch, and how long it takes;
- memory with one adapter that has answered and with eight; the adapters are one short training's, in eight folders;
- a request after one to another adapter against a request after one to the same adapter, one at a time; and the time
  that the engine itself takes to change.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local_serving import bare_prompts, few_shot_prompts, sent
from peers import LABELS, Served, fine_tuned, finished, ours, reviews, told_if_busy, training_lines, within

from harness_local.models.embedded import NAME

LONGEST_S = 600
ADAPTERS = 8
IMPORTS = """
import sys, time
began = time.perf_counter()
import harness
print(time.perf_counter() - began, "torch" in sys.modules)
"""
SWITCH = """
import statistics, sys, time
from pathlib import Path
import torch
from harness_local.inference.adapters import Adapters
from harness_local.inference.decoder import decoder
from harness_local.models.loading import find, load, place
folders = {path: Path(path) for path in sys.argv[1:]}
model = load(find(None), place(None, None)).model
adapters = Adapters(model, decoder(model), folders.__getitem__)

def milliseconds():
    for name in folders:
        began = time.perf_counter()
        adapters.use(name)
        yield 1000 * (time.perf_counter() - began)

with torch.inference_mode():
    first = list(milliseconds())
    later = [taken for _ in range(20) for taken in milliseconds()]
print(statistics.median(first), statistics.median(later), max(later))
"""


def first_answer(state: Path) -> tuple[float, float, float]:
    """Seconds until the server is ready and until it has answered, and the memory it then holds in MB."""
    from openai import OpenAI

    began = time.perf_counter()
    with ours(state) as server, OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client:
        client.completions.create(model=NAME, prompt="Hello", max_tokens=1)
        return server.start_s, time.perf_counter() - began, server.rss_mb


def asked(server: Served, model: str, prompts: Sequence[Any]) -> None:
    """Has a model say the likelihood of each label."""
    from harness_plugins.backends.few_shot import FewShot

    backend = FewShot(endpoint="local", model=model, answer="choose")
    asyncio.run(sent(server.url, [backend.calls(prompt, LABELS)[0] for prompt in prompts]))


def copied(state: Path, model: str) -> list[str]:
    """Enters an adapter under further names into the state of a server that has ended; returns all names."""
    from harness_local.state import State

    memory = State(state)
    try:
        row = memory.model(model)
        assert row is not None
        names = [model]
        for number in range(1, ADAPTERS):
            folder = row["folder"].with_name(f"copy-{number}")
            shutil.copytree(row["folder"], folder)
            names.append(f"{model}{number}")
            memory.add_model(names[-1], row["base"], folder)
        return names
    finally:
        memory.close()


def switched(server: Served, names: Sequence[str], prompts: Sequence[Any], rounds: int) -> tuple[float, float]:
    """Milliseconds of a request after one to the same adapter and after one to another, medians."""
    from openai import OpenAI

    same: list[float] = []
    other: list[float] = []
    with OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as client:
        last = ""
        # No prompt twice, for it could be kept; neighbours in length, so that both cases meet the same lengths.
        texts = sorted((prompt.text for prompt in prompts[: 4 * rounds]), key=len)
        for number, prompt in enumerate(texts):
            model = names[number // 2 % 2]  # a a b b a a …
            began = time.perf_counter()
            client.completions.create(model=model, prompt=prompt, max_tokens=1, temperature=0)
            (same if model == last else other).append(1000 * (time.perf_counter() - began))
            last = model
    return statistics.median(same), statistics.median(other[1:])


def started(repetitions: int, folder: Path) -> None:
    """Measures start and imports."""
    times = [first_answer(folder / f"start-{number}") for number in range(repetitions)]
    ready, answer, memory = (statistics.median(column) for column in zip(*times, strict=True))
    print(f"start: ready in {ready:.2f} s, first answer after {answer:.2f} s (target 4), {memory:,.0f} MB then")
    imports = [
        subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(repetitions)
    ]
    seconds = statistics.median(float(one[0]) for one in imports)
    torch = "imports torch" if any(one[1] == "True" for one in imports) else "imports no torch"
    print(f"import harness: {seconds:.2f} s, {torch}")


def adapters(folder: Path, train: Sequence[Any], items: Sequence[Any], rounds: int) -> None:
    """Measures memory and changes of adapters."""
    from tokenizers import Tokenizer

    from harness_local.models.embedded import embedded_model

    tokens = Tokenizer.from_file(str(embedded_model() / "tokenizer.json"))
    shots, bare = few_shot_prompts(random.Random(1), train, items, tokens), bare_prompts(items)
    state = folder / "adapters"
    with ours(state) as server:
        asked(server, NAME, shots)
        print(f"serving: {server.rss_mb:,.0f} MB after {len(shots)} prompts with 8 shots (target 2,048)")
        model = fine_tuned(server.url, training_lines(train[:64]), print, n_epochs=1)
    names = copied(state, model)
    with ours(state) as server:
        asked(server, names[0], bare)
        one = server.rss_mb
        for name in names[1:]:
            asked(server, name, bare)
        many = server.rss_mb
        print(f"adapters: {one:,.0f} MB with 1, {many:,.0f} MB with {ADAPTERS}: {many / one:.2f}× (target 1.3)")
        same, other = switched(server, names[:2], bare_prompts(train[64:]), rounds)
        print(f"a request after the same adapter {same:.1f} ms, after another {other:.1f} ms: "
              f"{other - same:+.1f} ms (target 50)")  # fmt: skip
    weights = sorted(path.parent for path in state.rglob("adapter_model.safetensors"))[:ADAPTERS]
    told = finished([sys.executable, "-c", SWITCH, *weights]).lines[-1][1].split()
    first, later, longest = map(float, told)
    print(f"the engine's own part: loading an adapter {first:.1f} ms, changing among {len(weights)} in memory "
          f"{later:.2f} ms (medians; the longest {longest:.2f} ms)")  # fmt: skip


def main() -> None:
    """Reads the options and measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one start, few requests")
    given = parser.parse_args()
    train, held_out = reviews()
    told_if_busy()
    with tempfile.TemporaryDirectory() as temporary, within(LONGEST_S):
        folder = Path(temporary)
        first_answer(folder / "cold")  # fetches and unpacks the model where that was never done
        started(1 if given.quick else 5, folder)
        adapters(folder, train, held_out[: 20 if given.quick else 100], 10 if given.quick else 40)


if __name__ == "__main__":
    main()
