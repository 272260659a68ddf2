"""The leaderboard: every arm with its accuracy, size, cost and speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import harness
from harness import numbers
from harness.blocks import Block, Cell, Column, Results, Table, Text
from harness.report import cells
from harness.report.arms import Arm, looks, ranked
from harness.report.facts import Data, Measure, contenders, cost_measure, latency
from harness.words import noted, say, say_n

SHIPPED = frozenset({
    "accuracy", "accuracy_strict", "balanced_accuracy", "brier", "ece", "expected_label_mae", "log_loss", "macro_f1",
    "mae", "mae_all", "micro_f1", "off_by_one", "quadratic_kappa", "spearman", "weighted_f1",
})  # fmt: skip
"""Figures of the metrics that ship; they have their places on the page."""


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
        yield _table(results.data, arms)
        yield from _further(arms)
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


def _further(arms: Sequence[Arm]) -> Iterable[Block]:
    """Yields a table of the figures that metrics of others add, by the names that they gave them."""
    given = [arm.get("metrics") or {} for arm in arms]
    names = sorted({name for one in given for name, value in one.items() if value is not None} - SHIPPED)
    if names:
        rows = (
            (cells.arm(arm), *(Cell(text=numbers.significant(one.get(name))) for name in names))
            for arm, one in zip(arms, given, strict=True)
        )
        yield Table(
            caption=say("Figures of further metrics."), columns=cells.heads(say("Arm"), *names), rows=tuple(rows)
        )


def _table(data: Data, arms: Sequence[Arm]) -> Table:
    measure, among = cost_measure(data), looks(data)
    errors = any(arm.get("mae") is not None for arm in arms)
    columns = (
        Column(title=say("Rank"), numeric=True),
        Column(title=say("Arm"), head=True),
        Column(title=say("Accuracy (95% CI)"), numeric=True),
        Column(title=say("Macro-F1 (95% CI)") if any(map(_scores, arms)) else say("Macro-F1"), numeric=True),
        *([Column(title=say("Mean error"), numeric=True)] if errors else []),
        Column(title=say("Tokens in / out"), numeric=True),
        Column(title=measure.brief, numeric=True),
        Column(title=say("Latency p50 / p95 / p99"), numeric=True),
    )
    best = {
        "accuracy": _best((arm.get("accuracy") for arm in arms), max),
        "macro_f1": _best((arm.get("macro_f1") for arm in arms), max),
        "mae": _best((arm.get("mae") for arm in arms), min),
        "cost": _best(map(measure.of, arms), min),
        "p95": _best(map(latency, arms), min),
    }
    rows = tuple((numbers.count(among[arm["name"]].rank), *_row(arm, measure, best, errors=errors)) for arm in arms)
    first, _ = contenders(data)
    place = next((n for n, arm in enumerate(arms) if first is not None and arm["name"] == first["name"]), None)
    caption = say(
        "Sorted by accuracy. Arms whose paired 95% interval to the first of their rank includes zero share it. "
        "Bold: the best value of a column; shaded: the arm the verdict speaks of."
    )
    return Table(caption=caption, columns=columns, rows=rows, highlight=place)


def _row(arm: Arm, measure: Measure, best: Mapping[str, float | None], *, errors: bool) -> tuple[str | Cell, ...]:
    """Writes an arm, from its name on; values that are the best of their column stand out."""

    def strong(column: str, value: float | None) -> bool:
        return value is not None and value == best[column]

    accuracy, f1, mae = arm.get("accuracy"), arm.get("macro_f1"), arm.get("mae")
    share, cost = cells.share(accuracy, arm.get("accuracy_ci")), measure.of(arm)
    return (
        replace(cells.arm(arm), strong=True, note=_origin(arm)),
        replace(share, note=share.note.removesuffix("%"), strong=strong("accuracy", accuracy)),
        Cell(text=numbers.decimal(f1), note=_scores(arm), strong=strong("macro_f1", f1)),
        *([Cell(text=numbers.decimal(mae, 2), strong=strong("mae", mae))] if errors else []),
        _pair(arm.get("input_tokens_mean"), arm.get("output_tokens_mean")),
        Cell(text=measure.write(cost), strong=strong("cost", cost)),
        Cell(text=_milliseconds(arm), strong=strong("p95", latency(arm))),
    )


def _origin(arm: Arm) -> str:
    if arm.get("of") and arm["of"] != arm["name"]:
        if arm.get("family") == "fine-tuned":
            return say("another seed of {arm}", arm=arm["of"])
        return say("another draw of {arm}", arm=arm["of"])
    shots = arm.get("shots")
    if not shots or arm.get("family") != "few-shot":
        return ""
    return say_n(shots, "{n} shot", "{n} shots", n=numbers.count(shots))


def _scores(arm: Arm) -> str:
    """Writes the bounds of an arm's macro-F1, which is no share: `0.887–0.966`."""
    low, high = ((arm.get("intervals") or {}).get("macro_f1") or {}).get("ci") or (None, None)
    return "" if low is None or high is None else f"{numbers.decimal(low)}–{numbers.decimal(high)}"


def _best(values: Iterable[float | None], choose: Callable[[list[float]], float]) -> float | None:
    """Returns the best value of a column, `None` where no two can be compared."""
    known = [value for value in values if value is not None]
    return choose(known) if len(known) > 1 else None


def _pair(tokens_in: float | None, tokens_out: float | None) -> str:
    if tokens_in is None and tokens_out is None:
        return numbers.MISSING
    return f"{numbers.count(tokens_in)} / {numbers.count(tokens_out)}"


def _milliseconds(arm: Arm) -> str:
    times = [latency(arm, share) for share in ("p50", "p95", "p99")]
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
