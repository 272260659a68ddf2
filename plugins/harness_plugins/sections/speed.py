"""How long answers take and how many tokens they need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import harness
from harness import numbers
from harness.blocks import (
    Axis,
    Block,
    Cell,
    Chart,
    Heap,
    Histogram,
    Interval,
    Intervals,
    Point,
    Results,
    Series,
    Table,
    Text,
)
from harness.report import cells
from harness.report.arms import Arm, ranked
from harness.report.facts import by_arm, contenders, latency
from harness.words import noted, say, say_n

STEPS = (*(n / 40 for n in range(1, 40)), 0.99)
BINS = 24
"""Bars of the histogram of tokens at most."""
WIDE = 4
"""A quantity that spans more than that factor has a logarithmic axis."""

Measured: TypeAlias = Mapping[str, Sequence[tuple[float | None, ...]]]
"""Arm → latency and input tokens of each answer."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Latency as shares of requests answered within a time; where the time went; input tokens; training."""

    name: ClassVar[str] = "speed"
    title: ClassVar[str] = noted("Speed and tokens")
    order: ClassVar[int] = 700

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields what at least one arm was measured for."""
        measured = by_arm(results.predictions, "latency_s", "input_tokens")
        for figure in (_latency(results, measured), _tokens(results, measured)):
            if figure is not None:
                yield figure
        for block in (_waits(results), _faults(results), _table(results)):
            if block is not None:
                yield block


def _latency(results: Results, measured: Measured) -> Chart | None:
    import numpy as np

    series, sizes = [], set()
    for arm in ranked(results.data):
        times = [row[0] for row in measured.get(arm["name"], ()) if row[0] is not None]
        if len(times) >= 5 and min(times) > 0:
            waits = np.quantile(times, STEPS).tolist()
            points = tuple(Point(x=wait, y=share) for wait, share in zip(waits, STEPS, strict=True))
            series.append(Series(arm=arm["name"], points=points, line=True))
            sizes.add(len(times))
    if not series:
        return None
    return Chart(
        title=_finding(results),
        subtitle=say(
            "Share of {n} test requests answered within a time; service time of the successful attempt.",
            n=cells.span(sizes),
        ),
        x=Axis(title=say("Latency"), unit="ms", log=True),
        y=Axis(title=say("Share of requests"), unit="share", low=0, high=1),
        series=tuple(series),
    )


def _finding(results: Results) -> str:
    medians = [
        (arm["name"], numbers.ms(median))
        for arm in contenders(results.data)
        if arm is not None and (median := latency(arm, "p50")) is not None
    ]
    if not medians:
        return say("Latency")
    (arm, time), *others = medians
    if not others:
        return say("{arm} answers in {time} (median)", arm=arm, time=time)
    (other, longer), *_ = others
    return say("{arm} answers in {time}, {other} in {longer} (median)", arm=arm, time=time, other=other, longer=longer)


def _tokens(results: Results, measured: Measured) -> Histogram | Intervals | None:
    """Returns how the prompts' lengths are spread; where only their means are known, these."""
    import numpy as np

    means = {arm["name"]: arm["input_tokens_mean"] for arm in ranked(results.data) if arm.get("input_tokens_mean")}
    if not means:
        return None
    counts = {name: [row[1] for row in measured.get(name, ()) if row[1] is not None] for name in means}
    title = _heaviest(means)
    if not all(counts.values()):
        rows = tuple(
            Interval(label=name, arm=name, value=mean, text=numbers.count(mean)) for name, mean in means.items()
        )
        log = max(means.values()) >= WIDE * min(means.values())
        axis = Axis(title=say("Input tokens"), unit="tokens", log=log)
        return Intervals(title=title, subtitle=say("Input tokens per request: mean."), axis=axis, rows=rows)
    edges, log = _bins([value for found in counts.values() for value in found])
    heaps = tuple(
        Heap(
            arm=name, counts=tuple(np.histogram(counts[name], edges)[0].tolist()), value=mean, text=numbers.count(mean)
        )
        for name, mean in means.items()
    )
    return Histogram(
        title=title,
        subtitle=say(
            "Input tokens of {n} test requests each. Marker and figure: the mean; each row is as high as its peak.",
            n=cells.span(map(len, counts.values())),
        ),
        axis=Axis(title=say("Input tokens"), unit="tokens", log=log),
        edges=edges,
        rows=heaps,
    )


def _heaviest(means: Mapping[str, float]) -> str:
    most, least = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    times = means[most] / means[least]
    if len(means) < 2 or times < 1.5:
        return say("Input tokens per request")
    factor = numbers.number(times, 0 if times >= 3 else 1)
    return say("{most} carries {factor} times the tokens of {least}", most=most, factor=factor, least=least)


def _bins(values: Sequence[float]) -> tuple[tuple[float, ...], bool]:
    """Returns the edges of at most `BINS` bins for whole numbers, and whether they are logarithmic."""
    low, high = min(values), max(values)
    if low > 0 and high >= WIDE * low:
        ratio = (high / low) ** (1 / BINS)
        return (*(low * ratio**n for n in range(BINS)), high), True
    step = max(1, math.ceil((high - low) / BINS))
    number = max(1, math.ceil((high - low) / step))
    return tuple(low + step * n for n in range(number + 1)), False


def _waits(results: Results) -> Table | Text | None:
    """Tells service time, waiting and retries apart: only the first is the model's."""
    arms = [arm for arm in ranked(results.data) if arm.get("timed")]
    taken = _taken_over(results)
    if not arms:
        return Text(text=taken) if taken else None
    streamed = any(arm.get("first_token_s") for arm in arms)
    first = [say("First token")] if streamed else []
    titles = (say("Service"), *first, say("Waiting"), say("Retried"), say("In retries"))
    rows: list[tuple[str | Cell, ...]] = [
        (
            cells.arm(arm),
            _middle_and_tail(arm, "latency_s"),
            *([_middle_and_tail(arm, "first_token_s")] if streamed else []),
            _middle_and_tail(arm, "queue_s"),
            _retried(arm),
            _middle_and_tail(arm, "retry_s"),
        )
        for arm in arms
    ]
    caption = say(
        "Where the time went, median / 95th percentile. Service: the attempt that succeeded. Waiting: for the "
        "endpoint's rate, in our own queue. In retries: attempts that failed and the pauses after them, over the "
        "answers that needed any."
    )
    return Table(caption=f"{caption} {taken}".rstrip(), columns=cells.heads(say("Arm"), *titles), rows=tuple(rows))


def _retried(arm: Arm) -> str:
    if arm.get("imported"):  # how often they were asked elsewhere is not known
        return numbers.MISSING
    return say("{n} of {total}", n=numbers.count(arm.get("retried")), total=numbers.count(arm["timed"]))


def _middle_and_tail(arm: Arm, key: str) -> str:
    found = arm.get(key) or {}
    if found.get("p50") is None:
        return numbers.MISSING
    return f"{numbers.ms(found['p50'])} / {numbers.ms(found.get('p95'))}"


def _taken_over(results: Results) -> str:
    """Says how many answers have no time of this run."""
    taken = sum(arm.get("reused") or 0 for arm in ranked(results.data))
    if not taken:
        return ""
    return say_n(
        taken,
        "{n} answer was taken over from other runs: it has no time here and is left out.",
        "{n} answers were taken over from other runs: they have no times here and are left out.",
        n=numbers.count(taken),
    )


def _faults(results: Results) -> Text | None:
    """Says which attempts failed, whether or not another one succeeded."""
    told = [
        f"{arm['name']}: " + ", ".join(f"{numbers.count(count)} {kind}" for kind, count in arm["faults"].items())
        for arm in ranked(results.data)
        if arm.get("faults")
    ]
    return Text(text=say("Attempts that failed, in the whole run: {arms}.", arms="; ".join(told))) if told else None


def _table(results: Results) -> Table | None:
    arms = [arm for arm in ranked(results.data) if arm.get("n")]
    if not arms:
        return None
    keys = {
        say("Input tokens"): "input_tokens_mean",
        say("Cached tokens"): "cached_tokens_mean",
        say("Output tokens"): "output_tokens_mean",
        say("Reasoning tokens"): "reasoning_tokens_mean",
    }
    used = {title: key for title, key in keys.items() if any(arm.get(key) for arm in arms)}
    money = any(arm.get("training_cost_usd") is not None for arm in arms)
    titles = (say("Answered"), *used, say("Training"), *([say("Training cost")] if money else []))
    rows = []
    for arm in arms:
        row: list[str | Cell] = [
            cells.arm(arm),
            say("{n} of {total}", n=numbers.count(arm.get("answered")), total=numbers.count(arm.get("n"))),
            *(_mean(arm.get(key)) for key in used.values()),
            numbers.duration(arm.get("training_s")),
        ]
        rows.append((*row, numbers.usd(arm.get("training_cost_usd"))) if money else tuple(row))
    return Table(caption=say("Means per request."), columns=cells.heads(say("Arm"), *titles), rows=tuple(rows))


def _mean(tokens: float | None) -> str:
    return numbers.number(tokens, 0 if tokens is not None and (tokens >= 100 or tokens == int(tokens)) else 1)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares speed and tokens."""
    return [Speed]
