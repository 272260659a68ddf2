"""The decision: the verdict in plain words, what it saves by volume, what would change it, and what was not tested."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import harness
from harness import numbers
from harness.blocks import Block, Calculator, Cell, Column, Passage, Results, Table
from harness.report import cells, flip_points, plain
from harness.report.facts import Data, amount
from harness.report.untested import untested
from harness.words import noted, say


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Four sentences, the decision by volume, a calculator, the flip points, and the limits of the run."""

    name: ClassVar[str] = "decision"
    title: ClassVar[str] = noted("Decision")
    order: ClassVar[int] = 50

    def blocks(self, results: Results) -> Iterable[Block]:
        """Yields what a decision-maker reads; money only where training stands against another arm."""
        from harness.scoring.coefficients import coefficients  # brings numpy

        data = results.data
        if not data.get("arms"):
            return
        yield Passage(title=say("In plain words"), sentences=plain.sentences(data))
        decision = data.get("decision") or {}
        if decision.get("arm") is not None and decision.get("against") is not None:
            yield from _volumes(data, decision)
            stake = coefficients(data)
            if stake is not None:
                yield Calculator(stake=stake)
            yield Passage(
                title=say("What would change this answer"), sentences=tuple(flip_points.sentences(data)), listed=True
            )
            table = flip_points.table(data)
            if table is not None:
                yield table
        yield Passage(title=say("Not tested"), sentences=tuple(untested(data)), listed=True)


def _volumes(data: Data, decision: Mapping[str, Any]) -> Iterator[Table]:
    """Yields what training saves at several volumes, the one that was asked for among them."""
    lines = {line["requests_per_month"]: line for line in decision.get("table") or ()}
    own = decision.get("requests_per_month")
    if own is not None:
        lines[own] = decision
    known = [lines[volume] for volume in sorted(lines) if lines[volume].get("monthly_saving") is not None]
    if not known:
        return
    yield Table(
        caption=_caption(decision),
        columns=(
            Column(title=say("Requests a month"), numeric=True, head=True),
            Column(title=say("Saved a month"), numeric=True),
            Column(title=say("In all, investment taken off"), numeric=True),
            Column(title=say("Breaks even on"), numeric=True),
            Column(title=say("Costs less")),
        ),
        rows=tuple(_line(data, decision, line) for line in known),
        highlight=next((place for place, line in enumerate(known) if line is decision), None),
    )


def _caption(decision: Mapping[str, Any]) -> str:
    names = {"arm": decision["arm"], "against": decision["against"], "months": flip_points.months(decision["months"])}
    if decision.get("shutdown_date"):
        return say(
            "What {arm} saves against {against} over {months}; its model is shut down on {day}.",
            day=str(decision["shutdown_date"]), **names,
        )  # fmt: skip
    return say("What {arm} saves against {against} over {months}.", **names)


def _line(data: Data, decision: Mapping[str, Any], line: Mapping[str, Any]) -> tuple[str | Cell, ...]:
    unit, total, chance = decision.get("unit"), line.get("total_saving"), line.get("break_even_chance")
    note = say("{chance} chance in time", chance=numbers.percent(chance, 0)) if flip_points.open_chance(chance) else ""
    return (
        Cell(text=numbers.count(line["requests_per_month"]), strong=line is decision),
        amount(line["monthly_saving"], unit),
        amount(total, unit),
        Cell(text=flip_points.break_even(line), note=note),
        numbers.MISSING if total is None else cells.named(data, decision["arm" if total > 0 else "against"]),
    )


@harness.hookimpl
def harness_report_sections() -> list[type]:
    """Declares the decision."""
    return [Decision]
