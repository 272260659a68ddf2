"""How the trained arms were trained: loss curves and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.report.blocks import Axis, Block, Cell, Chart, Column, Point, Results, Series, Table, Text

DRAWN = 4
"""Arms whose losses are drawn; the table has all."""
POINTS = 24
"""Points of a line: single steps are noisy, and more points would carry no markers."""
ON_TRAIN = "on train"
"""The name of the grey line; the other one has the arm's own name and colour."""

Job = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Loss by step of each trained arm, and a table of the jobs."""

    name: ClassVar[str] = "training"
    title: ClassVar[str] = "Training"
    order: ClassVar[int] = 450

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields a figure for each arm with losses, the jobs as a table, and what came of those that failed."""
        jobs = list(results.data.get("training") or ())
        if not jobs:
            return
        figures = [figure for job in jobs if (figure := _figure(job)) is not None]
        yield from figures[:DRAWN]
        yield _table(jobs)
        for job in jobs:
            if job.get("reason"):
                yield Text(text=f"{job['arm']}: {job['reason']}")


def _losses(job: Job, name: str) -> list[tuple[float, float]]:
    return [(step["step"], step[name]) for step in job.get("steps") or () if step.get(name) is not None]


def _figure(job: Job) -> Chart | None:
    train = _losses(job, "train_loss")
    measured = _losses(job, "valid_loss") or _losses(job, "full_valid_loss")
    if max(len(train), len(measured)) < 2:
        return None
    arm = str(job["arm"])
    series = [
        Series(arm=name, points=tuple(Point(x=x, y=y) for x, y in _windows(losses)), line=True)
        for name, losses in ((ON_TRAIN, train), (arm, measured))
        if losses
    ]
    said = [
        f"in {colour} on {split}{_means(losses)}"
        for colour, split, losses in (("colour", "validation", measured), ("grey", "train", train))
        if losses
    ]
    return Chart(
        title=_finding(arm, train, measured),
        subtitle=f"Cross-entropy of a token, {' and '.join(said)}.",
        x=Axis(title="Step", low=0),
        y=Axis(title="Loss", low=0),
        series=tuple(series),
    )


def _means(losses: Sequence[tuple[float, float]]) -> str:
    return f" (means of {numbers.count(-(-len(losses) // POINTS))} steps)" if len(losses) > POINTS else ""


def _windows(losses: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the means of at most `POINTS` neighbouring windows of equal size."""
    size = -(-len(losses) // POINTS)
    parts = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _finding(arm: str, train: Sequence[tuple[float, float]], measured: Sequence[tuple[float, float]]) -> str:
    if len(measured) < 2:
        (_, first), (_, last) = train[0], train[-1]
        return f"Loss of {arm} on train goes from {_loss(first)} to {_loss(last)}"
    step, best = min(measured, key=lambda point: point[1])
    last_step, last = measured[-1]
    if step == last_step:
        return f"Loss of {arm} on validation is lowest at the end: {_loss(last)}"
    where = f"at step {numbers.count(int(step))} of {numbers.count(int(last_step))}"
    return f"Loss of {arm} on validation is lowest {where}: {_loss(best)}, in the end {_loss(last)}"


def _loss(value: float) -> str:
    return numbers.number(value, 3 if value < 1 else 2)


def _table(jobs: Sequence[Job]) -> Table:
    arms: list[str | Cell] = [Cell(text=str(job["arm"]), arm=str(job["arm"]), strong=True) for job in jobs]
    columns: list[tuple[Column, list[str | Cell]]] = [
        (Column(title="Arm", head=True), arms),
        (Column(title="Trained from"), [str(job.get("base") or numbers.MISSING) for job in jobs]),
        (Column(title="Became"), [_became(job) for job in jobs]),
    ]
    wanted = (
        ("Examples", lambda job: job.get("n_train")),
        ("Epochs", lambda job: _setting(job, "n_epochs")),
        ("Batch", lambda job: _setting(job, "batch_size")),
        ("Rate ×", lambda job: _setting(job, "learning_rate_multiplier")),
        ("Steps", lambda job: job.get("n_steps")),
        ("Tokens", lambda job: job.get("trained_tokens")),
        ("Checkpoints", lambda job: len(job.get("checkpoints") or ()) or None),
    )
    for title, value in wanted:
        cells: list[str | Cell] = [_number(value(job)) for job in jobs]
        if set(cells) != {numbers.MISSING}:
            columns.append((Column(title=title, numeric=True), cells))
    for title, key, write in (("Time", "seconds", numbers.duration), ("Shut down on", "shutdown_date", str)):
        if any(job.get(key) is not None for job in jobs):
            cells = [numbers.MISSING if job.get(key) is None else write(job[key]) for job in jobs]
            columns.append((Column(title=title, numeric=True), cells))
    return Table(
        caption="The training jobs, with the settings that the endpoint chose where it was left to it.",
        columns=tuple(column for column, _ in columns),
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
    )


def _became(job: Job) -> str | Cell:
    model = job.get("model")
    tags = ("taken over",) if job.get("reused") else ()
    return Cell(text=str(model), tags=tags) if model else str(job.get("status") or numbers.MISSING)


def _setting(job: Job, name: str) -> Any:
    return (job.get("hyperparameters") or {}).get(name)


def _number(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return numbers.count(value)
    return numbers.MISSING if value is None else f"{value:g}" if isinstance(value, float) else str(value)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the training."""
    return [Training]
