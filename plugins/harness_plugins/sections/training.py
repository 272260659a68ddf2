"""How the trained arms were trained: loss curves and jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.blocks import Axis, Block, Cell, Chart, Column, Point, Results, Series, Table, Text
from harness.words import noted, say

DRAWN = 4
"""Arms whose losses are drawn; the table has all."""
POINTS = 24
"""Points of a line: single steps are noisy, and more points would carry no markers."""
Job = Mapping[str, Any]
Losses = Sequence[tuple[float, float]]
"""Step and loss."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Loss by step of each trained arm, and a table of the jobs."""

    name: ClassVar[str] = "training"
    title: ClassVar[str] = noted("Training")
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
        for name, losses in ((on_train(), train), (arm, measured))
        if losses
    ]
    return Chart(
        title=_finding(arm, train, measured),
        subtitle=_subtitle(train, measured),
        x=Axis(title=say("Step"), low=0),
        y=Axis(title=say("Loss"), low=0),
        series=tuple(series),
    )


def on_train() -> str:
    """Returns the name of the grey line; the other one has the arm's own name and colour."""
    return say("on train")


def _subtitle(train: Losses, measured: Losses) -> str:
    said = say("Cross-entropy of a token, in grey on train.")
    if measured:
        said = say("Cross-entropy of a token, in colour on validation.")
        said = say("Cross-entropy of a token, in colour on validation and in grey on train.") if train else said
    if len(train) > POINTS:
        said += " " + say("On train, points are means of {n} steps.", n=numbers.count(-(-len(train) // POINTS)))
    if len(measured) > POINTS:
        steps = numbers.count(-(-len(measured) // POINTS))
        said += " " + say("On validation, points are means of {n} steps.", n=steps)
    return said


def _windows(losses: Losses) -> list[tuple[float, float]]:
    """Returns the means of at most `POINTS` neighbouring windows of equal size."""
    size = -(-len(losses) // POINTS)
    parts = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _finding(arm: str, train: Losses, measured: Losses) -> str:
    if len(measured) < 2:
        (_, first), (_, last) = train[0], train[-1]
        return say("Loss of {arm} on train goes from {first} to {last}", arm=arm, first=_loss(first), last=_loss(last))
    step, best = min(measured, key=lambda point: point[1])
    last_step, last = measured[-1]
    if step == last_step:
        return say("Loss of {arm} on validation is lowest at the end: {loss}", arm=arm, loss=_loss(last))
    return say(
        "Loss of {arm} on validation is lowest at step {step} of {steps}: {best}, in the end {last}",
        arm=arm,
        step=numbers.count(int(step)),
        steps=numbers.count(int(last_step)),
        best=_loss(best),
        last=_loss(last),
    )


def _loss(value: float) -> str:
    return numbers.number(value, 3 if value < 1 else 2)


def _table(jobs: Sequence[Job]) -> Table:
    arms: list[str | Cell] = [Cell(text=str(job["arm"]), arm=str(job["arm"]), strong=True) for job in jobs]
    columns: list[tuple[Column, list[str | Cell]]] = [
        (Column(title=say("Arm"), head=True), arms),
        (Column(title=say("Trained from")), [str(job.get("base") or numbers.MISSING) for job in jobs]),
        (Column(title=say("Became")), [_became(job) for job in jobs]),
    ]
    wanted = (
        (say("Examples"), lambda job: job.get("n_train")),
        (say("Epochs"), lambda job: _setting(job, "n_epochs")),
        (say("Batch"), lambda job: _setting(job, "batch_size")),
        (say("Rate ×"), lambda job: _setting(job, "learning_rate_multiplier")),
        (say("Steps"), lambda job: job.get("n_steps")),
        (say("Tokens"), lambda job: job.get("trained_tokens")),
        (say("Checkpoints"), lambda job: len(job.get("checkpoints") or ()) or None),
    )
    for title, value in wanted:
        cells: list[str | Cell] = [_number(value(job)) for job in jobs]
        if set(cells) != {numbers.MISSING}:
            columns.append((Column(title=title, numeric=True), cells))
    for title, key, write in ((say("Time"), "seconds", numbers.duration), (say("Shut down on"), "shutdown_date", str)):
        if any(job.get(key) is not None for job in jobs):
            cells = [numbers.MISSING if job.get(key) is None else write(job[key]) for job in jobs]
            columns.append((Column(title=title, numeric=True), cells))
    return Table(
        caption=say("The training jobs, with the settings that the endpoint chose where it was left to it."),
        columns=tuple(column for column, _ in columns),
        rows=tuple(zip(*(cells for _, cells in columns), strict=True)),
    )


def _became(job: Job) -> str | Cell:
    model = job.get("model")
    tags = (say("taken over"),) if job.get("reused") else ()
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
