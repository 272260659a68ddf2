"""The training process: ``python -m harness_local.training.trainer FOLDER``.

Reads ``task.json`` in the folder, reports one JSON object a line on stdout, leaves the adapter in ``adapter/``. It
ends when its stdin closes, so it never outlives the server. Started again on the same folder, it goes on from the
last snapshot.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness_local.models.loading import load
from harness_local.models.tokens import Codec
from harness_local.training.examples import FileError, Sample, balanced, read, samples
from harness_local.training.lora import Trainable
from harness_local.training.task import BASE_RATE, Hyperparameters, Task

_WARM_UP = 0.1
_CLIP = 1.0
_PART_TOKENS = 1024
_SNAPSHOT_S = 20.0
_CHECKS = 256  # validation examples: their mean loss has a standard error below 0.05 nats, and more cost time
_WINDOW = 8  # steps whose examples go through the frozen layers together


def main() -> None:
    """Trains as the folder on the command line says."""
    folder = Path(sys.argv[1])
    threading.Thread(target=_die_with_server, daemon=True).start()
    try:
        _train(folder)
    except FileError as error:
        report("failed", code=error.code, message=error.message)
    except HarnessError as error:
        report("failed", code="model_not_loadable", message=str(error))


def report(event: str, **facts: Any) -> None:
    """Tells the server."""
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


def _die_with_server() -> None:
    while os.read(0, 4096):  # not through sys.stdin, whose lock a thread may not hold at the end
        pass
    os._exit(3)


@dataclass(slots=True)
class Tally:
    """Sums over the completions' own tokens, the end token left out."""

    loss: float = 0.0
    right: int = 0
    tokens: int = 0

    def add(self, losses: Any, logits: Any, targets: Any, end: int) -> None:
        """Adds the tokens of one batch."""
        own = targets != end
        self.loss += float(losses.detach()[own].sum())
        self.right += int((logits.argmax(-1) == targets)[own].sum())
        self.tokens += int(own.sum())

    @property
    def means(self) -> tuple[float, float]:
        """Mean loss in nats, and share of tokens that would have been chosen."""
        return self.loss / max(1, self.tokens), self.right / max(1, self.tokens)


def batches(data: Sequence[Sample], size: int, seed: str) -> list[list[Sample]]:
    """Examples of like length together, in an order drawn from the seed.

    A batch costs its longest example times its size, so mixing lengths would waste most of it.
    """
    generator = random.Random(seed)
    order = list(data)
    generator.shuffle(order)
    order.sort(key=lambda sample: len(sample.ids))
    grouped = [order[start : start + size] for start in range(0, len(order), size)]
    generator.shuffle(grouped)
    return grouped


def parts(batch: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """A batch in parts whose activations fit a fixed room; their gradients add up to the batch's."""
    most = max(1, _PART_TOKENS // max(len(sample.ids) for sample in batch))
    for start in range(0, len(batch), most):
        yield batch[start : start + most]


def rate(step: int, steps: int, peak: float) -> float:
    """Learning rate of a step (from 0): up to the peak over the first tenth, then down to 0 in a straight line."""
    warm = max(1, round(_WARM_UP * steps))
    return peak * (step + 1) / warm if step < warm else peak * (steps - step) / max(1, steps - warm)


def _weighted(losses: Any, part: Sequence[Sample]) -> Any:
    """Losses of a part's learned tokens, each times its example's weight."""
    weights = [sample.weight for sample in part for _ in sample.learned]
    return losses if all(weight == 1.0 for weight in weights) else losses * losses.new_tensor(weights)


def _train(folder: Path) -> None:
    import torch

    task = Task.load(folder / "task.json")
    torch.manual_seed(task.seed)
    torch.use_deterministic_algorithms(task.placement.device == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # guards against bugs that are not there; costs a tenth
    lines = read(task.training)
    checks = read(task.validation, "validation") if task.validation else []
    # Its backward pass in bfloat16 is quicker than that of fused attention on a processor.
    loaded = load(task.source, task.placement, attention="eager" if task.placement.device == "cpu" else "sdpa")
    codec, end = Codec(loaded.tokenizer), int(loaded.tokenizer.eos_token_id)
    data = balanced(samples(lines, codec, end, loaded.context))
    settings = task.hyperparameters.resolved(len(data), loaded.model.config.num_hidden_layers)
    run = Run(folder, Trainable(loaded, task, settings), settings, task.seed, end)
    run.train(data, _some(samples(checks, codec, end, loaded.context), task.seed))
    tokens = (settings.n_epochs or 0) * sum(len(sample.ids) for sample in data)
    report("done", trained_tokens=tokens)


def _some(checks: list[Sample], seed: int) -> list[Sample]:
    """At most `_CHECKS` of the validation examples, the same ones at the end of every epoch."""
    return random.Random(f"{seed}/checks").sample(checks, min(len(checks), _CHECKS))


class Run:
    """One training from start, or from its last snapshot, to end.

    Args:
        folder: Where snapshots and the adapter go.
        trainable: The model.
        settings: Resolved hyperparameters.
        seed: Of the order of batches.
        end: The token that ends an answer.
    """

    def __init__(self, folder: Path, trainable: Trainable, settings: Hyperparameters, seed: int, end: int) -> None:
        import torch

        self._folder, self._trainable, self._settings = folder, trainable, settings
        self._seed, self._end = seed, end
        self._optimizer = torch.optim.AdamW(trainable.parameters, lr=0.0, weight_decay=0.0)
        self._peak = BASE_RATE * (settings.learning_rate_multiplier or 1.0)

    def train(self, data: Sequence[Sample], checks: Sequence[Sample]) -> None:
        """Trains, reporting each step, and saves the adapter."""
        size, epochs = self._settings.batch_size or 1, self._settings.n_epochs or 1
        each = -(-len(data) // size)
        steps = epochs * each
        done = self._restore()
        report("started", steps=steps, examples=len(data), step=done, hyperparameters=asdict(self._settings))
        saved = time.monotonic()
        for epoch in range(done // each, epochs):
            order = batches(data, size, f"{self._seed}/{epoch}")
            for index, batch in enumerate(order):
                step = epoch * each + index
                if step < done:
                    continue
                # Windows begin at fixed steps, so that a restart computes the same sums in the same order.
                window = index - index % _WINDOW
                self._trainable.foresee([sample for coming in order[window : window + _WINDOW] for sample in coming])
                loss, accuracy = self._step(batch, rate(step, steps, self._peak))
                last = index == each - 1
                valid = self._validate(checks, size) if last and checks else (None, None)
                report(
                    "step", step=step + 1, epoch=epoch + 1, train_loss=loss, train_mean_token_accuracy=accuracy,
                    valid_loss=valid[0], valid_mean_token_accuracy=valid[1],
                )  # fmt: skip
                if last or time.monotonic() - saved > _SNAPSHOT_S:
                    self._snapshot(step + 1)
                    saved = time.monotonic()
                if last:
                    self._save(self._folder / "checkpoints" / str(step + 1))
                    report("checkpoint", step=step + 1, epoch=epoch + 1)
        self._save(self._folder / "adapter")

    def _step(self, batch: Sequence[Sample], learning_rate: float) -> tuple[float, float]:
        import torch

        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        tally, learned = Tally(), sum(len(sample.learned) for sample in batch)
        for part in parts(batch):
            logits, targets = self._trainable.logits(part)
            losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
            (_weighted(losses, part).sum() / learned).backward()
            tally.add(losses, logits, targets, self._end)
        torch.nn.utils.clip_grad_norm_(self._trainable.parameters, _CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()
        return tally.means

    def _validate(self, checks: Sequence[Sample], size: int) -> tuple[float, float]:
        import torch

        tally = Tally()
        self._trainable.foresee(checks)
        with torch.no_grad():
            for part in (p for batch in batches(checks, max(size, 64), "validation") for p in parts(batch)):
                logits, targets = self._trainable.logits(part)
                losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
                tally.add(losses, logits, targets, self._end)
        return tally.means

    def _save(self, target: Path) -> None:
        """Writes the adapter as safetensors; the folder appears when it is complete."""
        with _complete(target) as temporary:
            self._trainable.adapter.save_pretrained(temporary, safe_serialization=True)

    def _snapshot(self, step: int) -> None:
        """Writes all that a restart needs, one folder for each step; then drops the one before."""
        from safetensors.torch import save_file

        tensors: dict[str, Any] = {}
        for index, parameter in enumerate(self._trainable.parameters):
            state = self._optimizer.state[parameter]
            tensors |= {f"{index}.value": parameter.detach(), f"{index}.step": state["step"]}
            tensors |= {f"{index}.{key}": state[key] for key in ("exp_avg", "exp_avg_sq")}
        target = self._folder / "snapshots" / f"{step:09}"
        with _complete(target) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary / "state.safetensors")
        for old in target.parent.iterdir():
            if old != target:
                shutil.rmtree(old, ignore_errors=True)

    def _restore(self) -> int:
        """Takes up the last snapshot; returns the number of steps it stands for."""
        import torch
        from safetensors.torch import load_file

        found = sorted(self._folder.glob("snapshots/[0-9]*/state.safetensors"))
        if not found:
            return 0
        tensors = load_file(found[-1])
        with torch.no_grad():
            for index, parameter in enumerate(self._trainable.parameters):
                parameter.copy_(tensors[f"{index}.value"])
                keys = ("step", "exp_avg", "exp_avg_sq")
                self._optimizer.state[parameter] = {key: tensors[f"{index}.{key}"] for key in keys}
        return int(found[-1].parent.name)


class _complete:  # noqa: N801 - reads as a function
    """A folder to fill that takes its name only when all went well."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._temporary = target.with_name(f".{target.name}.part")

    def __enter__(self) -> Path:
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        return self._temporary

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            shutil.rmtree(self._target, ignore_errors=True)
            self._temporary.replace(self._target)


if __name__ == "__main__":
    main()
