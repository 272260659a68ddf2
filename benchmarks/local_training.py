"""Training: tokens a second, loss and memory of ours against a plain `peft` + `transformers.Trainer` loop.

    .venv/bin/python benchmarks/local_training.py [--quick] [--examples 1200] [--repetitions 2] [--quality]

The embedded model, the embedded reviews in prompt/completion form. Everybody has the same rank, alpha, target modules,
batch of 16, learning rate with its course, epochs, seed and bfloat16 weights; the loss is over completions alone.
The plain loop is what one would write: batches drawn at random, padded to their longest. It adapts all layers; the
default setting of ours adapts the top third, so the plain loop of the same layers stands beside it.

Tokens are the examples' own, padding left out, times epochs; seconds are those of training alone, without imports,
loading and tokenising, which are told apart. Nobody validates during training: all adapters are judged afterwards, by
one and the same code, on examples that nobody saw. ``--quality`` trains both settings of ours with three seeds on all
examples instead, for their accuracy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers import LABELS, Finished, finished, reviews, told_if_busy, training_lines, within

LONGEST_S, LONGEST_QUALITY_S = 900, 3_600
BATCH, EPOCHS, RANK, RATE, ALL, TOP = 16, 2, 8, 1e-3, 30, 10
MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SEEDS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that has ended."""

    seconds: float
    loading_s: float
    peak_mb: float
    loss: float
    """Mean over the completions' tokens of the held-out examples, in nats."""
    accuracy: float
    """Share of held-out examples whose label is the likeliest."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to train."""

    name: str
    plain: bool
    layers: int | None
    """Topmost layers that are adapted; None for our default."""
    results: list[Trained] = field(default_factory=list)


# What runs in a process of its own


def encoded(tokenizer: Any, file: str) -> list[dict[str, list[int]]]:
    """Tokens of a file's lines, prompt and completion apart as ours are, with the end token learned too."""
    made = []
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        prompt = tokenizer(row["prompt"])["input_ids"]
        answer = [*tokenizer(row["completion"])["input_ids"], tokenizer.eos_token_id]
        made.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
    return made


def padded(rows: Sequence[Mapping[str, list[int]]]) -> dict[str, Any]:
    """A batch, padded on the right to its longest."""
    import torch

    longest = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": 0, "labels": -100, "attention_mask": 0}
    return {
        key: torch.tensor([
            (row.get(key) or [1] * len(row["input_ids"])) + [value] * (longest - len(row["input_ids"])) for row in rows
        ])
        for key, value in fill.items()
    }  # fmt: skip


def plain(folder: str, file: str, out: str, seed: str, layers: str) -> None:
    """The plain loop."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments, set_seed

    set_seed(int(seed))
    rows = encoded(AutoTokenizer.from_pretrained(folder), file)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    config = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules=MODULES, task_type="CAUSAL_LM",
        layers_to_transform=list(range(ALL - int(layers), ALL)),
    )  # fmt: skip
    steps = EPOCHS * -(-len(rows) // BATCH)
    settings = TrainingArguments(
        output_dir=out + ".trainer", per_device_train_batch_size=BATCH, num_train_epochs=EPOCHS, learning_rate=RATE,
        lr_scheduler_type="linear", warmup_steps=max(1, round(0.1 * steps)), weight_decay=0.0, max_grad_norm=1.0,
        seed=int(seed), use_cpu=True, save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True,
        remove_unused_columns=False,
    )  # fmt: skip
    trainer = Trainer(get_peft_model(model, config), settings, train_dataset=rows, data_collator=padded)
    print("started", flush=True)
    trainer.train()
    print("done", flush=True)
    trainer.model.save_pretrained(out)


def judge(folder: str, file: str, adapter: str) -> None:
    """Prints the loss and accuracy of an adapter, in float32."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, adapter).eval()
    words = [tokenizer(" " + label)["input_ids"] for label in LABELS]
    assert all(len(word) == 1 for word in words)
    rows = sorted(encoded(tokenizer, file), key=lambda row: len(row["input_ids"]))
    loss, tokens, right = 0.0, 0, 0
    with torch.inference_mode():
        for start in range(0, len(rows), 32):
            batch = padded(rows[start : start + 32])
            learned = batch["labels"][:, 1:] != -100
            hidden = model.base_model.model.model(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
            ).last_hidden_state
            logits = model.base_model.model.lm_head(hidden[:, :-1][learned])
            targets = batch["labels"][:, 1:][learned]
            loss += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
            tokens += len(targets)
            first = learned & (learned.cumsum(1) == 1)
            label = logits[first[learned]][:, [word[0] for word in words]].argmax(1)
            truth = targets[first[learned]]
            right += sum(words[choice][0] == int(token) for choice, token in zip(label.tolist(), truth, strict=True))
    print(json.dumps([loss / tokens, right / len(rows)]), flush=True)


# What compares


def ours(folder: Path, file: Path, out: Path, seed: int, layers: int | None) -> Finished:
    """Our training process, as the server starts it."""
    from harness_local.models.loading import Source
    from harness_local.training.task import Hyperparameters, Task

    out.mkdir()
    Task(
        source=Source(id="base", location=str(folder)), placement=placement(), training=file, validation=None,
        seed=seed, hyperparameters=Hyperparameters(n_epochs=EPOCHS, batch_size=BATCH, lora_layers=layers),
    ).write(out / "task.json")  # fmt: skip
    # The server hands this setting down to the trainings that it starts.
    variables = {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "3000"), "TOKENIZERS_PARALLELISM": "false"}
    return finished([sys.executable, "-P", "-m", "harness_local.training.trainer", out], variables)


def placement() -> Any:
    """All cores, in bfloat16 as the plain loop."""
    from harness_local.models.loading import Placement, threads

    return Placement(device="cpu", dtype="bfloat16", threads=threads())


def event(line: str) -> str:
    """What a line of a training process reports; a line that is no report says itself."""
    try:
        told = json.loads(line)
    except ValueError:
        return line.strip()
    if told["event"] == "failed":
        raise RuntimeError(line)
    return str(told["event"])


def trained(way: Way, seed: int, folder: Path, files: Mapping[str, Path]) -> Trained:
    """Trains once and judges the adapter."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "job"
        if way.plain:
            told = finished([
                sys.executable, __file__, "--worker", "plain", folder, files["train"], out, str(seed), str(way.layers)
            ])  # fmt: skip
            adapter = out
        else:
            told = ours(folder, files["train"], out, seed, way.layers)
            adapter = out / "adapter"
        at = {event(line): when for when, line in told.lines}
        judged = finished([sys.executable, __file__, "--worker", "judge", folder, files["held out"], adapter])
    loss, accuracy = json.loads(judged.lines[-1][1])
    return Trained(at["done"] - at["started"], at["started"], told.peak_mb, loss, accuracy)


def tell(ways: Sequence[Way], tokens: int) -> None:
    """Prints the table. Ratios are medians of those within each repetition, against the plain loop of all layers."""
    base = ways[0]
    heads = ("tokens/s", "× plain", "training s", "before", "peak MB", "loss", "", "accuracy")
    print(" " * 24 + "".join(f"{head:>11}" for head in heads))
    for way in ways:
        if not way.results:
            continue
        seconds = statistics.median(one.seconds for one in way.results)
        ratio = statistics.median(b.seconds / w.seconds for b, w in zip(base.results, way.results, strict=False))
        loss, plain_loss = (statistics.mean(one.loss for one in each.results) for each in (way, base))
        cells = (
            f"{tokens / seconds:,.0f}", f"{ratio:.2f}×", f"{seconds:.1f}",
            f"{statistics.median(one.loading_s for one in way.results):.1f}",
            f"{max(one.peak_mb for one in way.results):,.0f}", f"{loss:.4f}", f"{loss / plain_loss - 1:+.1%}",
            f"{statistics.mean(one.accuracy for one in way.results):.1%}",
        )  # fmt: skip
        print(f"{way.name:24}" + "".join(f"{cell:>11}" for cell in cells))
    print("targets: ours all layers ≥1.7× and its loss within 1%, ours default ≥3×, ours ≤3,072 MB")


def tell_quality(ways: Sequence[Way]) -> None:
    """Prints accuracies over the seeds."""
    for way in ways:
        found = [one.accuracy for one in way.results]
        each = ", ".join(f"{value:.1%}" for value in found)
        print(f"{way.name:26} accuracy {statistics.mean(found) if found else 0:.1%} ({each})")
    if all(way.results for way in ways):
        gap = statistics.mean(a.accuracy - b.accuracy for a, b in zip(ways[0].results, ways[1].results, strict=False))
        print(f"default against all layers {100 * gap:+.1f} points; target: within 1 point, mean of {len(SEEDS)} seeds")


def write(file: Path, examples: Sequence[Any]) -> Path:
    """Writes examples in prompt/completion form."""
    file.write_text("".join(json.dumps(line) + "\n" for line in training_lines(examples)), encoding="utf-8")
    return file


def measure(given: argparse.Namespace) -> None:
    """Trains everything in turn, then prints."""
    from tokenizers import Tokenizer

    from harness_local.models.embedded import embedded_model

    folder = embedded_model()
    train, held_out = reviews()
    random.Random(5).shuffle(train)
    if not given.quality:
        train = train[: given.examples]
    if given.quick:
        held_out = held_out[:100]
    ways = [Way("ours, default", False, None), Way("ours, all layers", False, ALL)]
    if not given.quality:
        ways = [Way("plain, all layers", True, ALL), *ways[::-1], Way("plain, top third", True, TOP)]
    told_if_busy()
    with tempfile.TemporaryDirectory() as temporary:
        files = {
            "train": write(Path(temporary) / "train.jsonl", train),
            "held out": write(Path(temporary) / "held-out.jsonl", held_out),
        }
        # Neither adds a token of its own, so this counts what both train on.
        coder = Tokenizer.from_file(str(folder / "tokenizer.json"))
        rows = map(json.loads, files["train"].read_text(encoding="utf-8").splitlines())
        tokens = EPOCHS * sum(len(coder.encode(r[k]).ids) for r in rows for k in ("prompt", "completion"))
        tokens += EPOCHS * len(train)  # the end token
        began = time.perf_counter()
        try:
            with within(LONGEST_QUALITY_S if given.quality else LONGEST_S):
                for seed in SEEDS if given.quality else range(1, given.repetitions + 1):
                    for way in ways if seed % 2 else reversed(ways):
                        way.results.append(trained(way, seed, folder, files))
        finally:
            print(f"{len(train)} examples, {tokens:,} tokens in {EPOCHS} epochs, {len(held_out)} held out, "
                  f"{os.cpu_count()} cores, {time.perf_counter() - began:.0f} s")  # fmt: skip
            tell_quality(ways) if given.quality else tell(ways, tokens)


def main() -> None:
    """Reads the options and measures."""
    if sys.argv[1:2] == ["--worker"]:
        workers: dict[str, Callable[..., None]] = {"plain": plain, "judge": judge}
        workers[sys.argv[2]](*sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few examples, one repetition")
    parser.add_argument("--quality", action="store_true", help="accuracy of default and all layers over three seeds")
    parser.add_argument("--examples", type=int, default=1_200)
    parser.add_argument("--repetitions", type=int, default=2)
    given = parser.parse_args()
    if given.quick:
        given.examples, given.repetitions = min(given.examples, 160), 1
    measure(given)


if __name__ == "__main__":
    main()
