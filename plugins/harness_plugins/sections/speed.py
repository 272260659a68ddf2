"""How long answers take and how many tokens they need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness import numbers
from harness.report.arms import Arm, ranked
from harness.report.blocks import (
    Axis,
    Block,
    Cell,
    Chart,
    Column,
    Interval,
    Intervals,
    Point,
    Results,
    Series,
    Table,
    Text,
)
from harness.report.facts import by_arm, contenders, quantile, tags

STEPS = (*(n / 40 for n in range(1, 40)), 0.99)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Latency as shares of requests answered within a time; where the time went; input tokens; training."""

    name: ClassVar[str] = "speed"
    title: ClassVar[str] = "Speed and tokens"
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


def _latency(results: Results, measured: dict[str, list[tuple[float | None, ...]]]) -> Chart | None:
    series = []
    for arm in ranked(results.data):
        times = sorted(row[0] for row in measured.get(arm["name"], ()) if row[0] is not None)
        if len(times) >= 5 and times[0] > 0:
            points = tuple(Point(x=quantile(times, share), y=share) for share in STEPS)
            series.append(Series(arm=arm["name"], points=points, line=True))
    if not series:
        return None
    return Chart(
        title=_finding(results),
        subtitle="Share of test requests answered within a time; service time of the successful attempt.",
        x=Axis(title="Latency", unit="ms", log=True),
        y=Axis(title="Share of requests", unit="share", low=0, high=1),
        series=tuple(series),
    )


def _finding(results: Results) -> str:
    medians = [
        (arm["name"], numbers.ms(arm["latency_s"]["p50"]))
        for arm in contenders(results.data)
        if arm is not None and (arm.get("latency_s") or {}).get("p50") is not None
    ]
    if not medians:
        return "Latency"
    first = f"{medians[0][0]} answers in {medians[0][1]}"
    return f"{first}, {medians[1][0]} in {medians[1][1]} (median)" if len(medians) > 1 else f"{first} (median)"


def _tokens(results: Results, measured: dict[str, list[tuple[float | None, ...]]]) -> Intervals | None:
    rows = []
    for arm in ranked(results.data):
        mean = arm.get("input_tokens_mean")
        if not mean:
            continue
        counts = sorted(row[1] for row in measured.get(arm["name"], ()) if row[1] is not None)
        low, high = (quantile(counts, 0.05), quantile(counts, 0.95)) if counts else (None, None)
        rows.append(
            Interval(label=arm["name"], arm=arm["name"], value=mean, low=low, high=high, text=numbers.count(mean))
        )
    if not rows:
        return None
    most, least = max(rows, key=lambda row: row.value or 0), min(rows, key=lambda row: row.value or 0)
    times = (most.value or 0) / (least.value or 1)
    title = "Input tokens per request"
    if len(rows) > 1 and times >= 1.5:
        title = (
            f"{most.label} carries {numbers.number(times, 0 if times >= 3 else 1)} times the tokens of {least.label}"
        )
    return Intervals(
        title=title,
        subtitle="Input tokens per request: mean; bar from the 5th to the 95th percentile.",
        axis=Axis(title="Input tokens", unit="tokens", log=times >= 4),
        rows=tuple(rows),
    )


def _waits(results: Results) -> Table | Text | None:
    """Tells service time, waiting and retries apart: only the first is the model's."""
    arms = [arm for arm in ranked(results.data) if arm.get("timed")]
    taken = _taken_over(results)
    if not arms:
        return Text(text=taken) if taken else None
    streamed = any(arm.get("first_token_s") for arm in arms)
    columns = [Column(title="Arm", head=True), Column(title="Service", numeric=True)]
    columns += [Column(title="First token", numeric=True)] if streamed else []
    columns += [Column(title=title, numeric=True) for title in ("Waiting", "Retried", "In retries")]
    rows: list[tuple[str | Cell, ...]] = [
        (
            Cell(text=arm["name"], arm=arm["name"], tags=tags(arm)),
            _middle_and_tail(arm, "latency_s"),
            *([_middle_and_tail(arm, "first_token_s")] if streamed else []),
            _middle_and_tail(arm, "queue_s"),
            f"{numbers.count(arm.get('retried'))} of {numbers.count(arm['timed'])}",
            _middle_and_tail(arm, "retry_s"),
        )
        for arm in arms
    ]
    caption = (
        "Where the time went, median / 95th percentile. Service: the attempt that succeeded. Waiting: for the "
        "endpoint's rate, in our own queue. In retries: attempts that failed and the pauses after them, over the "
        "answers that needed any."
    )
    return Table(caption=f"{caption} {taken}".rstrip(), columns=tuple(columns), rows=tuple(rows))


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
    many = f"{numbers.counted(taken, 'answer')} {'was' if taken == 1 else 'were'}"
    return f"{many} taken over from other runs: they have no times here and are left out."


def _faults(results: Results) -> Text | None:
    """Says which attempts failed, whether or not another one succeeded."""
    told = [
        f"{arm['name']}: " + ", ".join(f"{numbers.count(count)} {kind}" for kind, count in arm["faults"].items())
        for arm in ranked(results.data)
        if arm.get("faults")
    ]
    return Text(text=f"Attempts that failed, in the whole run: {'; '.join(told)}.") if told else None


def _table(results: Results) -> Table | None:
    arms = [arm for arm in ranked(results.data) if arm.get("n")]
    if not arms:
        return None
    keys = {
        "Input": "input_tokens_mean",
        "Cached": "cached_tokens_mean",
        "Output": "output_tokens_mean",
        "Reasoning": "reasoning_tokens_mean",
    }
    used = {title: key for title, key in keys.items() if any(arm.get(key) for arm in arms)}
    money = any(arm.get("training_cost_usd") is not None for arm in arms)
    columns = [Column(title="Arm", head=True), Column(title="Answered", numeric=True)]
    columns += [Column(title=f"{title} tokens", numeric=True) for title in used]
    columns.append(Column(title="Training", numeric=True))
    columns += [Column(title="Training cost", numeric=True)] if money else []
    rows = []
    for arm in arms:
        row: list[str | Cell] = [
            Cell(text=arm["name"], arm=arm["name"], tags=tags(arm)),
            f"{numbers.count(arm.get('answered'))} of {numbers.count(arm.get('n'))}",
            *(_mean(arm.get(key)) for key in used.values()),
            numbers.duration(arm.get("training_s")),
        ]
        rows.append((*row, numbers.usd(arm.get("training_cost_usd"))) if money else tuple(row))
    return Table(caption="Means per request.", columns=tuple(columns), rows=tuple(rows))


def _mean(tokens: float | None) -> str:
    return numbers.number(tokens, 0 if tokens is not None and (tokens >= 100 or tokens == int(tokens)) else 1)


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares speed and tokens."""
    return [Speed]
