"""The leaderboard: every arm with its accuracy, size, cost and speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.blocks import Block, Cell, Column, Results, Table, Text
from harness.report.arms import Arm, looks, ranked
from harness.report.facts import contenders, cost_measure, tags
from harness.words import noted, say, say_n


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """All arms in one table, the best first."""

    name: ClassVar[str] = "results"
    title: ClassVar[str] = noted("Results")
    order: ClassVar[int] = 100

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields the table, and how many answers were lost, cut, or counted without the endpoint's word."""
        arms = ranked(results.data)
        if not arms:
            return
        yield _table(results, arms)
        lost = [arm for arm in arms if arm.get("unparsed") or arm.get("failed")]
        if lost:
            said = "; ".join(f"{arm['name']}: {_lost(arm)}" for arm in lost)
            n = numbers.count(lost[0].get("n"))
            yield Text(text=say("Counted as wrong, of {n} each: {arms}.", n=n, arms=said))
        cut = [arm for arm in arms if arm.get("truncated")]
        if cut:
            yield Text(text=say("Cut by the token limit: {arms}.", arms="; ".join(map(_cut, cut))))
        guessed = [arm["name"] for arm in arms if arm.get("tokens_estimated")]
        if guessed:
            yield Text(
                text=say(
                    "Tokens and costs of {arms} are estimated: its endpoint does not say what it has counted, so the "
                    "tokens were counted here.",
                    arms=", ".join(guessed),
                )
            )


def _table(results: Results, arms: Sequence[Arm]) -> Table:
    data = results.data
    among, measure = looks(data), cost_measure(data)
    costs = [measure.of(arm) for arm in arms]
    f1, accuracy = [arm.get("macro_f1") for arm in arms], [arm.get("accuracy") for arm in arms]
    maes = [arm.get("mae") for arm in arms]
    times = [_times(arm) for arm in arms]
    columns = [
        Column(title=say("Rank"), numeric=True),
        Column(title=say("Arm"), head=True),
        Column(title=say("Accuracy (95% CI)"), numeric=True),
        Column(title=say("Macro-F1 (95% CI)") if _any_scores(arms) else say("Macro-F1"), numeric=True),
        *([Column(title=say("Mean error"), numeric=True)] if any(value is not None for value in maes) else []),
        Column(title=say("Tokens in / out"), numeric=True),
        Column(title=measure.brief, numeric=True),
        Column(title=say("Latency p50 / p95 / p99"), numeric=True),
    ]
    rows = []
    for arm, cost, time in zip(arms, costs, times, strict=True):
        look = among[arm["name"]]
        ci = arm.get("accuracy_ci")
        row: list[str | Cell] = [
            str(look.rank) if look.rank is not None else numbers.MISSING,
            Cell(text=arm["name"], arm=arm["name"], strong=True, tags=tags(arm), note=_origin(arm)),
            Cell(
                text=numbers.percent(arm.get("accuracy")),
                note=numbers.percent_interval(*ci).removesuffix("%") if ci else "",
                strong=_best(arm.get("accuracy"), accuracy, max),
            ),
            Cell(
                text=numbers.decimal(arm.get("macro_f1")),
                note=_scores((arm.get("intervals") or {}).get("macro_f1")),
                strong=_best(arm.get("macro_f1"), f1, max),
            ),
        ]
        if len(columns) == 8:
            row.append(Cell(text=numbers.decimal(arm.get("mae"), 2), strong=_best(arm.get("mae"), maes, min)))
        row += [
            _pair(arm.get("input_tokens_mean"), arm.get("output_tokens_mean")),
            Cell(text=measure.write(cost), strong=_best(cost, costs, min)),
            Cell(text=_milliseconds(time), strong=_best(time[1], [t[1] for t in times], min)),
        ]
        rows.append(tuple(row))
    first, _ = contenders(data)
    place = next((n for n, arm in enumerate(arms) if first is not None and arm["name"] == first["name"]), None)
    caption = say(
        "Sorted by accuracy. Arms whose paired 95% interval to the first of their rank includes zero share it. "
        "Bold: the best value of a column; shaded: the arm the verdict speaks of."
    )
    return Table(caption=caption, columns=tuple(columns), rows=tuple(rows), highlight=place)


def _origin(arm: Arm) -> str:
    if arm.get("of") and arm["of"] != arm["name"]:
        return say("another draw of {arm}", arm=arm["of"])
    shots = arm.get("shots")
    if not shots or arm.get("family") != "few-shot":
        return ""
    return say_n(shots, "{n} shot", "{n} shots", n=numbers.count(shots))


def _any_scores(arms: Sequence[Arm]) -> bool:
    return any(_scores((arm.get("intervals") or {}).get("macro_f1")) for arm in arms)


def _scores(interval: Mapping[str, Any] | None) -> str:
    """Writes the bounds of a score that is no share: `0.887–0.966`."""
    low, high = (interval or {}).get("ci") or (None, None)
    return "" if low is None or high is None else f"{numbers.decimal(low)}–{numbers.decimal(high)}"


def _best(value: float | None, values: Sequence[float | None], choose: object) -> bool:
    known = [v for v in values if v is not None]
    return value is not None and len(known) > 1 and value == (max(known) if choose is max else min(known))


def _pair(tokens_in: float | None, tokens_out: float | None) -> str:
    if tokens_in is None and tokens_out is None:
        return numbers.MISSING
    return f"{numbers.count(tokens_in)} / {numbers.count(tokens_out)}"


def _times(arm: Arm) -> tuple[float | None, ...]:
    latency = arm.get("latency_s") or {}
    return latency.get("p50"), latency.get("p95"), latency.get("p99")


def _milliseconds(times: Sequence[float | None]) -> str:
    if all(value is None for value in times):
        return numbers.MISSING
    return " / ".join(numbers.ms(value).removesuffix(" ms") for value in times) + " ms"


def _lost(arm: Arm) -> str:
    parts = []
    if arm.get("unparsed"):
        parts.append(say("{n} unparsed", n=numbers.count(arm["unparsed"])))
    if arm.get("failed"):
        parts.append(say("{n} failed", n=numbers.count(arm["failed"])))
    return ", ".join(parts)


def _cut(arm: Arm) -> str:
    cost, n = arm.get("truncated_cost_usd"), arm["truncated"]
    priced = "" if cost is None else f" ({numbers.usd(cost)})"
    answers = say_n(n, "{n} answer", "{n} answers", n=numbers.count(n))
    return f"{arm['name']}: {answers}{priced}"


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the leaderboard."""
    return [Leaderboard]
