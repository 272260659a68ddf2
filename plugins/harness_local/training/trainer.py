"""The training process: ``python -m harness_local.training.trainer FOLDER``.

Reads ``task.json`` in the folder, reports one JSON object a line on stdout, leaves the adapter in ``adapter/``. It
ends when its stdin closes, so it never outlives the server. Started again on the same folder, it goes on from the
last snapshot.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from filelock import FileLock

from harness.errors import HarnessError
from harness_local.disk import complete
from harness_local.models.loading import load
from harness_local.models.tokens import Codec
from harness_local.parent import when_stdin_ends
from harness_local.training.examples import FileError, Line, Sample, balanced, read, samples
from harness_local.training.lora import Trainable
from harness_local.training.task import BASE_RATE, Task, TrainingError

_CLIP = 1.0
_PART_TOKENS = 1024
_SNAPSHOT_S = 20.0
_CHECKS = 256  # validation examples: their mean loss has a standard error below 0.05 nats, and more cost time
_WINDOW = 8  # steps whose examples go through the frozen layers together


def main() -> None:
    """Trains as the folder on the command line says."""
    # The server's pipe carries reports alone: what libraries print goes where errors go, to the log.
    tell = Teller(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    # Who interrupts the server sends these to all its processes; the server then decides, and its end ends this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    when_stdin_ends(lambda: os._exit(3))
    train(Path(sys.argv[1]), tell)


def train(folder: Path, tell: Teller) -> None:
    """Carries out the task in a folder; what went wrong is told, too, unless it is a bug.

    Args:
        folder: Where ``task.json`` is, and where adapter, checkpoints and snapshots go.
        tell: Tells the server.
    """
    try:
        # The process of a server that was just killed may take a moment to end.
        with FileLock(folder / "lock", timeout=60):
            _train(folder, tell)
    except TrainingError as error:
        tell("failed", code=error.code, message=error.message, param=error.param)
    except HarnessError as error:
        tell("failed", code="model_not_loadable", message=str(error), param="model")
    except OSError as error:
        tell("failed", code="storage_error", message=f"A file of the training could not be read or written: {error}")


class Teller:
    """Tells the server, one JSON object a line.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def __call__(self, event: str, **facts: Any) -> None:
        """Tells what happened."""
        self._stream.write(json.dumps({"event": event, **facts}) + "\n")
        self._stream.flush()
        self._last = time.monotonic()

    def alive(self) -> None:
        """Gives a sign of life, where there was none for a minute."""
        if time.monotonic() - self._last > 60:
            self("alive")


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


def rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Learning rate of a step (from 0): up to the peak over the share `warmup`, then down to 0 in a straight line."""
    warm = max(1, round(warmup * steps))
    return peak * (step + 1) / warm if step < warm else peak * (steps - step) / max(1, steps - warm)


def _weighted(losses: Any, part: Sequence[Sample]) -> Any:
    """Losses of a part's learned tokens, each times its example's weight."""
    weights = [sample.weight for sample in part for _ in sample.learned]
    return losses if all(weight == 1.0 for weight in weights) else losses * losses.new_tensor(weights)


def _train(folder: Path, tell: Teller) -> None:
    import torch

    task = Task.load(folder / "task.json")
    torch.manual_seed(task.seed)
    torch.use_deterministic_algorithms(task.placement.device == "cpu")
    torch.utils.deterministic.fill_uninitialized_memory = False  # guards against bugs that are not there; costs a tenth
    lines = _read(task.training, "training")
    checks = _read(task.validation, "validation") if task.validation else []
    # Its backward pass in bfloat16 is quicker than that of fused attention on a processor.
    loaded = load(task.source, task.placement, attention="eager" if task.placement.device == "cpu" else "sdpa")
    codec, end = Codec(loaded.tokenizer), int(loaded.tokenizer.eos_token_id)
    data = balanced(samples(lines, codec, end, loaded.context))
    settings = task.hyperparameters.resolved(len(data), loaded.model.config.num_hidden_layers)
    run = Run(folder, Trainable(loaded, task, settings), task.seed, end, tell)
    run.train(data, samples(checks, codec, end, loaded.context))
    tokens = (settings.n_epochs or 0) * sum(len(sample.ids) for sample in data)
    tell("done", trained_tokens=tokens)


def _read(path: Path, what: str) -> list[Line]:
    try:
        return read(path, what)
    except FileError as error:
        raise TrainingError(error.code, error.message, f"{what}_file") from None


class Run:
    """One training from start, or from its last snapshot, to end.

    Every step is told as it is done. What was told up to a snapshot is kept with it and told again by whoever goes on
    from there, since the server may have ended before it heard of it; it knows what it has heard already.

    Args:
        folder: Where snapshots and the adapter go.
        trainable: The model.
        seed: Of the order of batches.
        end: The token that ends an answer.
        tell: Tells the server.
    """

    def __init__(self, folder: Path, trainable: Trainable, seed: int, end: int, tell: Teller) -> None:
        import torch

        self._folder, self._trainable, self._settings = folder, trainable, trainable.settings
        self._seed, self._end, self._tell = seed, end, tell
        self._optimizer = torch.optim.AdamW(trainable.parameters, lr=0.0, weight_decay=0.0)
        self._told: list[dict[str, Any]] = []
        self._saved = time.monotonic()

    def train(self, data: Sequence[Sample], validation: Sequence[Sample]) -> None:
        """Trains, telling each step, and saves the adapter.

        Raises:
            TrainingError: The loss grew beyond all numbers.
            OSError: The disk refuses.
        """
        size, epochs = self._settings.batch_size or 1, self._settings.n_epochs or 1
        each = -(-len(data) // size)
        done = self._restore()
        self._tell(
            "started", step=done, steps=epochs * each, examples=len(data), cut=sum(sample.cut for sample in data),
            hyperparameters=asdict(self._settings),
        )  # fmt: skip
        for facts in self._told:
            self._tell(**facts)
        checks = _some(validation, self._seed)
        self._trainable.plan([*_windows(self._order(data, 0)), checks])
        for epoch in range(done // each, epochs):
            order = self._order(data, epoch)
            # Windows begin at fixed steps, so that a restart computes the same sums in the same order.
            windows = _windows(order)
            for index, batch in enumerate(order):
                step = epoch * each + index
                if step < done:
                    continue
                self._trainable.foresee(windows[index // _WINDOW])
                facts = self._step(batch, step, epochs * each)
                last = index == each - 1
                valid = self._validate(checks, size) if last and checks else (None, None)
                facts |= {"valid_loss": valid[0], "valid_mean_token_accuracy": valid[1]}
                if last and checks and len(checks) == len(validation):
                    facts |= {"full_valid_loss": valid[0], "full_valid_mean_token_accuracy": valid[1]}
                self._done(step + 1, epoch + 1, facts, last=last)
        self._save(self._folder / "adapter")

    def _order(self, data: Sequence[Sample], epoch: int) -> list[list[Sample]]:
        return batches(data, self._settings.batch_size or 1, f"{self._seed}/{epoch}")

    def _done(self, step: int, epoch: int, facts: dict[str, Any], *, last: bool) -> None:
        """Writes and tells what a step came to: first what lasts, then the news of it."""
        news = [{"event": "step", "step": step, "epoch": epoch, **facts}]
        if last:
            self._save(self._folder / "checkpoints" / str(step))
            news.append({**news[0], "event": "checkpoint"})
        self._told += news
        if last or time.monotonic() - self._saved > _SNAPSHOT_S:
            self._snapshot(step)
            self._saved = time.monotonic()
        for report in news:
            self._tell(**report)

    def _step(self, batch: Sequence[Sample], step: int, steps: int) -> dict[str, Any]:
        import torch

        peak = BASE_RATE * (self._settings.learning_rate_multiplier or 1.0)
        for group in self._optimizer.param_groups:
            group["lr"] = rate(step, steps, peak, self._settings.warmup_ratio or 0.0)
        tally, learned = Tally(), sum(len(sample.learned) for sample in batch)
        for part in parts(batch):
            logits, targets = self._trainable.logits(part)
            losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
            (_weighted(losses, part).sum() / learned).backward()
            tally.add(losses, logits, targets, self._end)
            self._tell.alive()
        norm = torch.nn.utils.clip_grad_norm_(self._trainable.parameters, _CLIP)
        loss, accuracy = tally.means
        if not math.isfinite(loss + float(norm)):
            message = f"At step {step + 1} the loss is no number any more. A lower learning_rate_multiplier may help."
            raise TrainingError("training_diverged", message, "hyperparameters.learning_rate_multiplier")
        self._optimizer.step()
        self._optimizer.zero_grad()
        return {"train_loss": loss, "train_mean_token_accuracy": accuracy}

    def _validate(self, checks: Sequence[Sample], size: int) -> tuple[float, float]:
        import torch

        tally = Tally()
        self._trainable.foresee(checks)
        with torch.no_grad():
            for part in (p for batch in batches(checks, max(size, 64), "validation") for p in parts(batch)):
                logits, targets = self._trainable.logits(part)
                losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
                tally.add(losses, logits, targets, self._end)
                self._tell.alive()
        return tally.means

    def _save(self, target: Path) -> None:
        """Writes the adapter as safetensors."""
        with _writing(target) as temporary:
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
        with _writing(target) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary / "state.safetensors")
            temporary.joinpath("told.json").write_text(json.dumps(self._told), encoding="utf-8")
        for old in target.parent.iterdir():
            if old != target:
                shutil.rmtree(old, ignore_errors=True)

    def _restore(self) -> int:
        """Takes up the last snapshot; returns the number of steps it stands for."""
        import torch
        from safetensors.torch import load_file

        found = sorted(self._folder.glob("snapshots/[0-9]*"))
        if not found:
            return 0
        tensors = load_file(found[-1] / "state.safetensors")
        with torch.no_grad():
            for index, parameter in enumerate(self._trainable.parameters):
                parameter.copy_(tensors[f"{index}.value"])
                means = {key: tensors[f"{index}.{key}"].to(parameter.device) for key in ("exp_avg", "exp_avg_sq")}
                self._optimizer.state[parameter] = {"step": tensors[f"{index}.step"], **means}
        told = found[-1] / "told.json"
        if told.exists():  # earlier versions wrote none
            self._told = json.loads(told.read_text("utf-8"))
        return int(found[-1].name)


def _windows(order: Sequence[Sequence[Sample]]) -> list[list[Sample]]:
    """Batches, a few together."""
    starts = range(0, len(order), _WINDOW)
    return [[sample for batch in order[start : start + _WINDOW] for sample in batch] for start in starts]


def _some(checks: Sequence[Sample], seed: int) -> list[Sample]:
    """At most `_CHECKS` of the validation examples, the same ones at the end of every epoch."""
    return random.Random(f"{seed}/checks").sample(checks, min(len(checks), _CHECKS))


@contextmanager
def _writing(target: Path) -> Iterator[Path]:
    """A folder to fill, as `complete` makes it; whoever writes there, a disk that refuses is an `OSError`."""
    from safetensors import SafetensorError

    try:
        with complete(target) as temporary:
            yield temporary
    except SafetensorError as error:
        raise OSError(f"{target}: {error}") from error


if __name__ == "__main__":
    main()
