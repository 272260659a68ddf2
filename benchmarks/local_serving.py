"""Classifications a second of the local endpoint, over HTTP, against what else runs the same model on a processor.

    .venv/bin/python benchmarks/local_serving.py [--quick] [--items 300] [--naive 40] [--repetitions 3]

The embedded model and the embedded reviews. Few-shot: 8 shots of about 195 tokens. Fine-tuned: bare prompts to an
adapter that is trained first, by a short job. Asked as the `few-shot` backend does, in two ways: to generate at most 4
tokens up to a line break, and for the likelihood of each label. Each way and repetition has shots and items of its own,
so that no server finds its prompts kept from before. 16 requests are in the air at a time, from one `openai` client.
Compared, repetition by repetition:

- naive: `transformers`' `generate`, in a process that does nothing else, 4 tokens, one item at a time; the same with
  the stop text; and one forward pass for each item, whose last position tells the likelihood of the labels. It gets
  the first `--naive` items of a repetition: what an item costs does not depend on how many there are.
- `transformers serve`, plain and with continuous batching (which does not heed stop texts), the same items. It has no
  log-probabilities.
- llama.cpp's own server (in the wheel of `xllamacpp`) over the same quantised file, 16 slots, all items. It has no
  scores of a prompt's tokens, so likelihood is what the first token says, as the backend asks such an endpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.metadata
import itertools
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers import (
    LABELS,
    Served,
    environment,
    fine_tuned,
    free_port,
    ours,
    process,
    reviews,
    served,
    told_if_busy,
    training_lines,
    within,
)

CONCURRENCY, SHOTS, TOKENS, LEARNED = 16, 8, 4, 320
LONGEST_S = 600
LLAMA = "xllamacpp==2026.10.11549"
LLAMA_SERVER = f"""
import sys
import xllamacpp
settings = xllamacpp.CommonParams()
settings.model.path = sys.argv[1]
settings.n_parallel, settings.n_ctx, settings.port = {CONCURRENCY}, {CONCURRENCY} * 512, 0
settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = int(sys.argv[2])
server = xllamacpp.Server(settings)
print(server.listening_address + "/v1", flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """Answers to the first prompts of a repetition, and what they took."""

    answers: Sequence[str | None]
    """Labels; None where an answer is none."""
    seconds: float
    cpu_s: float
    client_cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Contender:
    """Something that classifies."""

    name: str
    kind: str
    """What is asked: contenders of one kind are compared."""
    run: Callable[[Sequence[Any]], Measured]
    all: bool = True
    """Whether it gets all items of a repetition."""
    results: list[Measured] = field(default_factory=list)


# The naive way: a process of its own. The work comes by lines on stdin.


def naive(folder: str, dtype: str, adapter: str = "") -> None:
    """Answers lines of ``{"prompts", "way", "labels"}`` one prompt at a time."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter).eval()

    def generated(prompt: str, **options: Any) -> str:
        inputs = tokenizer(prompt, return_tensors="pt")
        out = model.generate(
            **inputs, max_new_tokens=TOKENS, do_sample=False, pad_token_id=tokenizer.eos_token_id, **options
        )
        return str(tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True))

    def likeliest(prompt: str) -> str:
        firsts = [tokenizer(" " + label)["input_ids"] for label in LABELS]
        assert all(len(ids) == 1 for ids in firsts)
        with torch.inference_mode():
            logits = model(**tokenizer(prompt, return_tensors="pt")).logits[0, -1].float()
        return LABELS[int(logits[[ids[0] for ids in firsts]].argmax())]

    ways: dict[str, Callable[[str], str]] = {
        "generate": generated,
        "stop": lambda prompt: generated(prompt, stop_strings=["\n"], tokenizer=tokenizer),
        "choose": likeliest,
    }
    generated("Hello")
    print("ready", flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        began, used = time.perf_counter(), time.process_time()
        texts = [ways[asked["way"]](prompt) for prompt in asked["prompts"]]
        told = {"texts": texts, "seconds": time.perf_counter() - began, "cpu_s": time.process_time() - used}
        print(json.dumps(told), flush=True)


def by_worker(worker: Any, way: str, parse: Callable[[str], str | None]) -> Callable[[Sequence[Any]], Measured]:
    """Asks a naive process."""

    def run(prompts: Sequence[Any]) -> Measured:
        worker.stdin.write(json.dumps({"way": way, "prompts": [prompt.text for prompt in prompts]}) + "\n")
        worker.stdin.flush()
        told = json.loads(worker.stdout.readline())
        return Measured([parse(text) for text in told["texts"]], told["seconds"], told["cpu_s"])

    return run


# Over HTTP


def by_server(
    server: Served, model: str, answer: Any, parse: Callable[[str], str | None], local: bool = False
) -> Callable[[Sequence[Any]], Measured]:
    """Asks a server as the `few-shot` backend does."""
    from harness_plugins.backends.few_shot import FewShot

    backend = FewShot(endpoint="local" if local else "peer", model=model, answer=answer, max_tokens=TOKENS)

    def run(prompts: Sequence[Any]) -> Measured:
        calls = [backend.calls(prompt, LABELS)[0] for prompt in prompts]
        before, used, began = server.cpu_s, time.process_time(), time.perf_counter()
        replies = asyncio.run(sent(server.url, calls))
        seconds, client_s = time.perf_counter() - began, time.process_time() - used
        answers = [backend.read([reply]).text for reply in replies]
        return Measured([parse(text) for text in answers], seconds, server.cpu_s - before, client_s)

    return run


async def sent(url: str, calls: Sequence[Any]) -> list[Any]:
    """Sends calls to `/completions`; returns the replies in their order."""
    from openai import AsyncOpenAI

    from harness.types import Reply

    replies: list[Any] = [None] * len(calls)
    pending = iter(enumerate(calls))

    async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=300) as client:

        async def worker() -> None:
            for place, call in pending:
                completion = await client.completions.create(**call.body)
                replies[place] = Reply(completion.model_dump(), call)

        await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return replies


# What there is to classify


def few_shot_prompts(draw: random.Random, train: Sequence[Any], items: Sequence[Any], tokens: Any) -> list[Any]:
    """Prompts with 8 shots that have between 185 and 205 tokens together."""
    from harness_plugins.formatters.plain import Plain

    form = Plain()
    while True:
        shots = draw.sample(train, SHOTS)
        prompts = [form.prompt(item, shots, LABELS) for item in items]
        beginning = prompts[0].text.rpartition("\n\nReview: ")[0]
        if 185 <= len(tokens.encode(beginning).ids) <= 205:
            return prompts


def bare_prompts(items: Sequence[Any]) -> list[Any]:
    """Prompts in the form of fine-tuned models."""
    from harness_plugins.formatters.completion import Completion

    return [Completion().prompt(item, (), LABELS) for item in items]


def parsed(text: str) -> str | None:
    """The label that an answer says."""
    from harness import parsing

    return parsing.lenient(text, LABELS)


# The contenders


@contextlib.contextmanager
def contenders(folder: Path, train: Sequence[Any], quick: bool) -> Iterator[list[Contender]]:
    """Starts everything that is compared, each in a process of its own."""
    with contextlib.ExitStack() as stack:
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bf16 = stack.enter_context(ours(temporary / "bf16", "--dtype", "bfloat16"))
        model = fine_tuned(bf16.url, training_lines(train), print, n_epochs=1)
        adapter = next((temporary / "bf16").rglob("adapter_model.safetensors")).parent
        made = our_ways(bf16, "bf16")
        made += [
            Contender("ours bf16, generated", "tuned: generated", by_server(bf16, model, "generate", parsed, True)),
            Contender("ours bf16, likelihood", "tuned: likelihood", by_server(bf16, model, "choose", parsed, True)),
        ]
        made += our_ways(stack.enter_context(ours(temporary / "fp32", "--dtype", "float32")), "fp32")
        for dtype, short in (("bfloat16", "bf16"), ("float32", "fp32")):
            worker = stack.enter_context(worked(folder, dtype))
            ways = [("generate", "generated"), ("choose", "likelihood")]
            made += [
                Contender(f"naive {short}, {title}", f"8-shot: {title}", by_worker(worker, way, parsed), all=False)
                for way, title in ways
            ]
            if short == "bf16":
                stopping = by_worker(worker, "stop", parsed)
                made.append(Contender("naive bf16, with stop", "8-shot: generated", stopping, all=False))
        tuned = stack.enter_context(worked(folder, "bfloat16", adapter))
        for way, title in ways:
            made.append(Contender(f"naive bf16, {title}", f"tuned: {title}", by_worker(tuned, way, parsed), all=False))
        if not quick:
            made += list(peers(stack, folder))
        yield made


@contextlib.contextmanager
def worked(folder: Path, dtype: str, adapter: Path | None = None) -> Iterator[Any]:
    """A naive process, its model loaded."""
    command: list[str | Path] = [sys.executable, __file__, "--worker", folder, dtype, *([adapter] if adapter else [])]
    with process(command) as (child, log):
        if child.stdout.readline().strip() != "ready":
            log.seek(0)
            raise RuntimeError(log.read()[-2000:].decode(errors="replace"))
        yield child


def our_ways(server: Served, short: str) -> list[Contender]:
    """Both ways to ask our server with 8 shots."""
    from harness_local.models.embedded import NAME

    return [
        Contender(f"ours {short}, {title}", f"8-shot: {title}", by_server(server, NAME, answer, parsed, True))
        for answer, title in (("generate", "generated"), ("choose", "likelihood"))
    ]


def peers(stack: contextlib.ExitStack, folder: Path) -> Iterable[Contender]:
    """Other servers, each in an environment of its own."""
    versions = [f"{name}=={importlib.metadata.version(dist).partition('+')[0]}" for name, dist in (
        ("transformers[serving]", "transformers"), ("torch", "torch"))]  # fmt: skip
    program = Path(environment("transformers-serve", versions)).with_name("transformers")
    for title, options in (("transformers serve", ()), ("… continuous batching", ("--continuous-batching",))):
        port = free_port()
        command = [
            program, "serve", folder, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu",
            "--dtype", "bfloat16", *options,
        ]  # fmt: skip
        offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        server = stack.enter_context(served(command, f"http://127.0.0.1:{port}/v1", offline))
        yield Contender(title, "8-shot: generated", by_server(server, str(folder), "generate", parsed), all=False)
    python = environment("llama-cpp", (LLAMA,))
    weights = next(folder.parent.glob("*.gguf"))
    server = stack.enter_context(served([python, "-c", LLAMA_SERVER, weights, str(os.cpu_count())]))
    yield Contender("llama.cpp Q4_1", "8-shot: generated", by_server(server, "any", "generate", parsed))
    yield Contender("llama.cpp Q4_1", "8-shot: likelihood", by_server(server, "any", "choose", parsed))


# The tables


def same(a: Contender, b: Contender) -> str:
    """Share of items to which two contenders gave the same answer, and of how many."""
    pairs = [
        (x, y)
        for one, other in zip(a.results, b.results, strict=False)
        for x, y in zip(one.answers, other.answers, strict=False)
    ]
    return f"{sum(x == y for x, y in pairs) / len(pairs):6.1%} of {len(pairs)}" if pairs else "–"


def rate(one: Measured) -> float:
    """Items a second."""
    return len(one.answers) / one.seconds


def tell(made: Sequence[Contender]) -> None:
    """Prints a table for each kind. Ratios are medians of those within each repetition."""
    for kind in dict.fromkeys(each.kind for each in made):
        alike = [each for each in made if each.kind == kind and each.results]
        # Whatever likelihood costs, the naive way to classify is to generate: ratios are against that.
        base = kind.partition(":")[0] + ": generated"
        plain = [each for each in made if each.results and each.name.startswith("naive") and "stop" not in each.name]
        bounds = {each.name.partition(",")[0]: each for each in plain if each.kind == base}
        twins = {each.name.partition(",")[0]: each for each in plain if each.kind == kind}
        columns = [name for name in ("naive bf16", "naive fp32") if name in bounds]
        print(f"\n{kind}")
        heads = "".join(f"{'× ' + name:>14}{'same answer':>16}" for name in columns)
        print(f"  {'':26}{'items/s':>9}{'CPU ms/item':>13}{'client':>8}{heads}")
        for each in alike:
            cells = ""
            for name in columns:
                pairs = zip(each.results, bounds[name].results, strict=False)
                ratio = statistics.median(rate(a) / rate(b) for a, b in pairs)
                cells += f"{ratio:>13.1f}×{same(each, twins[name]) if name in twins else '–':>16}"
            costs = [
                statistics.median(1000 * getattr(one, which) / len(one.answers) for one in each.results)
                for which in ("cpu_s", "client_cpu_s")
            ]
            speed = statistics.median(map(rate, each.results))
            print(f"  {each.name:26}{speed:9.1f}{costs[0]:13.1f}{costs[1]:8.1f}{cells}")
    print("\ntargets: 8 shots ≥12× naive bf16 (ours bf16), ≥7× naive fp32 (ours fp32); tuned ≥8×; same answer ≥98%")


def measure(given: argparse.Namespace) -> None:
    """Runs everything in turn, then prints."""
    from tokenizers import Tokenizer

    from harness_local.models.embedded import embedded_model

    folder = embedded_model()
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json"))
    train, held_out = reviews()
    draw = random.Random(5)
    draw.shuffle(train)
    learned, pool = train[:LEARNED], iter(train[LEARNED:] + held_out)
    made: list[Contender] = []
    told_if_busy()
    try:
        with within(LONGEST_S), contenders(folder, learned, given.quick) as made:
            for repetition in range(given.repetitions):
                prompts: dict[str, list[Any]] = {}
                for way in ("generated", "likelihood"):
                    # Nobody may find a prompt that was kept from before: several servers keep what they computed.
                    items = list(itertools.islice(pool, given.items))
                    prompts[f"8-shot: {way}"] = few_shot_prompts(draw, learned, items, tokens)
                    prompts[f"tuned: {way}"] = bare_prompts(items)
                for each in made if repetition % 2 == 0 else reversed(made):
                    asked = prompts[each.kind]
                    each.results.append(each.run(asked if each.all else asked[: given.naive]))
    finally:
        print(f"{given.items} items, {CONCURRENCY} at a time, {os.cpu_count()} cores; medians of {given.repetitions}")
        tell(made)


def main() -> None:
    """Reads the options and measures."""
    if sys.argv[1:2] == ["--worker"]:
        naive(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few items, one repetition, no other servers")
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--naive", type=int, default=40, help="items of a repetition for what takes one at a time")
    parser.add_argument("--repetitions", type=int, default=3)
    given = parser.parse_args()
    if 2 * given.repetitions * given.items > 3_000:
        parser.error("there are not enough reviews for so many items and repetitions")
    if given.quick:
        given.items, given.naive, given.repetitions = min(given.items, 64), min(given.naive, 12), 1
    measure(given)


if __name__ == "__main__":
    main()
