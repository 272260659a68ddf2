"""What would change the answer: the flip points of the decision in words, and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness import numbers
from harness.blocks import Cell, Column, Table
from harness.report import cells
from harness.report.facts import Data
from harness.words import say, say_n

Point = Mapping[str, Any]
"""One of `decision.flip_points`."""
SURE = 0.005
"""Half a percent, below which a share is written as 0%."""


def sentences(data: Data) -> list[str]:
    """Returns one sentence for each quantity that alone would turn the answer; one that says so where none would."""
    decision = data.get("decision") or {}
    if decision.get("arm") is None or decision.get("against") is None:
        return []
    points = _points(decision)
    said = [text for point in points if (text := _said(point, points, decision)) is not None]
    if said:
        return said
    return [_nothing(data, decision)]


def _points(decision: Data) -> list[Point]:
    return [point for point in decision.get("flip_points") or () if "unit" in point]


def _nothing(data: Data, decision: Data) -> str:
    names = {"arm": decision["arm"], "against": decision["against"]}
    role, lines = decision.get("role"), data.get("payback") or ()
    entry: Mapping[str, Any] = next((line for line in lines if line.get("role") == role), {})
    if entry.get("saving_per_1k") is None:
        return say("What would change it is not known: the costs of {arm} and {against} are not.", **names)
    if entry.get("fixed") is None:
        return say("What would change it is not known: what the training of {arm} cost is not.", **names)
    if entry.get("unit") == "usd":
        return say(
            "No other volume, price, share of cached tokens or cost of errors alone would change which of {arm} and "
            "{against} costs less.", **names,
        )  # fmt: skip
    return say("At no other volume would {arm} save machine time against {against}.", **names)


def _said(point: Point, points: Sequence[Point], decision: Data) -> str | None:
    """Writes one flip point; prices by the factor are said with the cost that they amount to."""
    names = {"above": point["above"], "below": point["below"]}
    quantity, value = point["quantity"], point["value"]
    if quantity == "requests_per_month":
        return say(
            "Above {volume} requests a month for {months}, {above} costs less in all; below that, {below}.",
            volume=numbers.count(value), months=months(decision["months"]), **names,
        )  # fmt: skip
    if quantity in ("tuned_cost_per_1k", "against_cost_per_1k"):
        return _price(point, points, decision)
    if quantity == "cache_hit":
        return say(
            "With more than {share} of the prompt tokens found cached, {above} costs less; with fewer, {below}.",
            share=numbers.percent(value), **names,
        )  # fmt: skip
    if quantity == "error_usd":
        return say(
            "If a wrong answer costs more than {amount}, {above} costs less in all; below that, {below}.",
            amount=numbers.usd(value), **names,
        )  # fmt: skip
    if quantity == "error_usd_factor":
        return say(
            "If wrong answers cost more than {factor} times what was assumed, {above} costs less; below that, {below}.",
            factor=numbers.significant(value), **names,
        )  # fmt: skip
    return None


def _price(point: Point, points: Sequence[Point], decision: Data) -> str:
    side = "arm" if point["quantity"] == "tuned_cost_per_1k" else "against"
    values = {
        "arm": decision[side],
        "amount": numbers.usd(point["value"]),
        "above": point["above"],
        "below": point["below"],
    }
    factor = _factor(point, points)
    if factor is None:
        return say(
            "If 1,000 requests of {arm} cost more than {amount}, {above} costs less; below that, {below}.", **values
        )
    if factor < 1:
        return say(
            "If 1,000 requests of {arm} cost more than {amount}, {share} of what they cost now, {above} costs less; "
            "below that, {below}.", share=_share(factor), **values,
        )  # fmt: skip
    return say(
        "If 1,000 requests of {arm} cost more than {amount}, {factor} times what they cost now, {above} costs less; "
        "below that, {below}.", factor=numbers.significant(factor), **values,
    )  # fmt: skip


def _factor(point: Point, points: Sequence[Point]) -> float | None:
    """Returns the factor of all prices that belongs to a cost of requests; none to what an error costs."""
    if not point["quantity"].endswith("_cost_per_1k"):
        return None
    twin = point["quantity"].replace("_cost_per_1k", "_price")
    found = next((other["value"] for other in points if other["quantity"] == twin), None)
    return None if found is None else float(found)


def _share(factor: float) -> str:
    return f"{numbers.significant(factor * 100)}%"


def open_chance(chance: float | None) -> bool:
    """Whether a chance says something beside the date: whether it is neither none nor certainty, as it is written."""
    return chance is not None and SURE < chance < 1 - SURE


def break_even(line: Mapping[str, Any]) -> str:
    """Writes the day on which training breaks even at some volume; an ISO date, and no longer than one."""
    if line.get("break_even_date"):
        return str(line["break_even_date"])[:10]
    return say("never") if (line.get("monthly_saving") or 0) <= 0 else numbers.MISSING


def months(ahead: float) -> str:
    """Writes how many months are looked ahead: `12 months`."""
    return say_n(ahead, "{n} month", "{n} months", n=numbers.number(ahead, 0 if float(ahead).is_integer() else 1))


def table(data: Data) -> Table | None:
    """Returns the same as a table: each quantity now, where it turns, and which arm costs less on either side."""
    decision = data.get("decision") or {}
    if decision.get("arm") is None or decision.get("against") is None:
        return None
    points = _points(decision)
    rows = [row for point in points if (row := _row(point, points, decision)) is not None]
    if not rows:
        return None
    titles = (say("In the run"), say("Turns at"))
    return Table(
        caption=say("Where the answer turns, each quantity on its own, and which arm costs less on either side."),
        columns=(
            *cells.heads(say("Quantity"), *titles),
            Column(title=say("Above that")),
            Column(title=say("Below that")),
        ),
        rows=tuple(rows),
    )


def _row(point: Point, points: Sequence[Point], decision: Data) -> tuple[str | Cell, ...] | None:
    value, unit = point["value"], point["unit"]
    name = _quantity(point["quantity"], decision)
    if name is None:
        return None
    factor = _factor(point, points) if unit == "usd" else None
    note = "" if factor is None else _share(factor) if factor < 1 else say("{n} times", n=numbers.significant(factor))
    turns = {"usd": numbers.usd, "share": numbers.percent, "requests": numbers.count}.get(unit, numbers.significant)
    now = _now(point["quantity"], decision)
    sides = (Cell(text=str(point[side]), arm=str(point[side])) for side in ("above", "below"))
    return (name, now, Cell(text=turns(value), note=note), *sides)


def _quantity(quantity: str, decision: Data) -> str | None:
    """Says what is varied; factors of all prices have no row of their own beside the cost that they amount to."""
    known = {
        "requests_per_month": say("Requests a month over {months}", months=months(decision["months"])),
        "tuned_cost_per_1k": say("1,000 requests of {arm}", arm=decision["arm"]),
        "against_cost_per_1k": say("1,000 requests of {arm}", arm=decision["against"]),
        "cache_hit": say("Prompt tokens found cached"),
        "error_usd": say("A wrong answer costs"),
        "error_usd_factor": say("The costs of wrong answers, times"),
    }
    return known.get(quantity)


def _now(quantity: str, decision: Data) -> str:
    """Writes what the quantity is under the run's assumptions, as far as that is known."""
    assumed = decision.get("assumptions") or {}
    if quantity == "requests_per_month":
        return numbers.count(decision.get("requests_per_month"))
    if quantity in ("tuned_cost_per_1k", "against_cost_per_1k"):
        arm = decision["arm" if quantity == "tuned_cost_per_1k" else "against"]
        priced = (line for line in decision.get("totals") or () if line["arm"] == arm and line.get("unit") == "usd")
        return numbers.usd(next((line["per_1k"] for line in priced if line.get("per_1k") is not None), None))
    if quantity == "cache_hit":
        return numbers.percent(assumed.get("cache_hit"))
    if quantity == "error_usd":  # one cost for all labels; else it is a mapping
        each = assumed.get("error_usd")
        return numbers.usd(each) if isinstance(each, int | float) else numbers.MISSING
    return numbers.significant(1)
