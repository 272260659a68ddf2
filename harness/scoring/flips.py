"""Flip points: the volume, the prices, the cache-hit rate and the cost of errors at which the answer changes.

The answer is whether training pays: whether over the horizon it saves more than it takes; without a monthly volume,
whether a request saves anything. All costs are linear in each of the quantities, so the points have a closed form;
each of them is kept only if the answer on its two sides really differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.scoring.answers import Figures
from harness.scoring.costs import SAME, Arm, Bills, assumed_cached, errors_usd_per_1k
from harness.scoring.facts import Decision

NEAR = 1e-7
"""How far beside a point the answer is looked at, relative to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """All on which the answer depends."""

    tuned: Arm
    other: Arm
    decision: Decision
    fixed: float
    monthly: float
    """What the trained arm takes each month beside its requests, less what the other does."""
    months: float

    @property
    def takes(self) -> float:
        """What requests must make up for each month: the investment, spread over the horizon, and what recurs."""
        return self.fixed / self.months + self.monthly

    @property
    def need(self) -> float:
        """What 1,000 requests must save for training to pay; 0 where no volume is given."""
        volume = self.decision.requests_per_month
        if volume is None:
            return 0.0
        if not volume:  # nothing is asked, so nothing is saved by it
            return -math.inf if self.takes < 0 else math.inf
        return self.takes / volume * 1000

    def pays(self, bills: Bills) -> bool:
        """Whether training pays at these bills."""
        return bills.counted > self.need


def flip_points(stake: Stake) -> list[Figures]:
    """Returns the points at which the answer changes, each quantity on its own, all others staying as they are.

    Each is `quantity`, `value`, `above` and `below` (the arm that is the answer there) and `unit`.
    """
    bills = Bills.of(stake.tuned, stake.other, stake.decision)
    if bills.unit is None or not stake.months:
        return []
    points = _volume(stake, bills)
    if bills.unit == "usd":
        points += [*_prices(stake, bills), *_cache_hit(stake), *_errors(stake, bills)]
    return points


def _point(stake: Stake, quantity: str, value: float, unit: str, *, tuned_above: bool) -> Figures:
    names = stake.tuned["name"], stake.other["name"]
    above, below = names if tuned_above else names[::-1]
    return {"quantity": quantity, "value": value, "above": above, "below": below, "unit": unit}


def _volume(stake: Stake, bills: Bills) -> list[Figures]:
    saving = bills.counted
    volume = stake.takes / saving * 1000 if saving else 0.0
    if volume <= 0:
        return []
    return [_point(stake, "requests_per_month", volume, "requests", tuned_above=saving > 0)]


def _prices(stake: Stake, bills: Bills) -> Iterator[Figures]:
    """Yields by what factor all prices of one arm would have to change, and what 1,000 requests would then cost."""
    for place, name in enumerate(("tuned", "against")):
        cost = bills.prices[place]

        def at(factor: float, place: int = place) -> Bills:
            prices = [each * factor if index == place else each for index, each in enumerate(bills.prices)]
            return replace(bills, prices=(prices[0], prices[1]))

        for factor, rising in _changes(stake, at, math.inf) if cost else ():
            yield _point(stake, f"{name}_price", factor, "factor", tuned_above=rising)
            yield _point(stake, f"{name}_cost_per_1k", factor * cost, "usd", tuned_above=rising)


def _cache_hit(stake: Stake) -> Iterator[Figures]:
    """Yields the share of prompt tokens out of the cache, for all arms, at which the answer changes."""
    arms = stake.tuned, stake.other
    assumed = replace(stake.decision, cache_hit=0.0)
    if not any(assumed_cached(arm, assumed) for arm in arms):
        return

    def at(share: float) -> Bills:
        # Outside 0 to 1 there is no such share, but the costs go on in a line
        decision = replace(stake.decision, cache_hit=share)
        return Bills.of(*arms, decision)

    for share, rising in _changes(stake, at, 1.0):
        yield _point(stake, "cache_hit", share, "share", tuned_above=rising)


def _errors(stake: Stake, bills: Bills) -> Iterator[Figures]:
    """Yields what a wrong answer would have to cost; of costs by label, by what factor they would change."""
    given = stake.decision.error_usd
    by_label = not (given is None or isinstance(given, int | float))
    unit = replace(stake.decision, error_usd=given if by_label else 1.0)
    each = [usd for arm in (stake.tuned, stake.other) if (usd := errors_usd_per_1k(arm, unit)) is not None]
    if len(each) < 2:
        return

    def at(cost: float) -> Bills:
        return replace(bills, errors=(each[0] * cost, each[1] * cost))

    for cost, rising in _changes(stake, at, math.inf):
        if by_label:
            yield _point(stake, "error_usd_factor", cost, "factor", tuned_above=rising)
        else:
            yield _point(stake, "error_usd", cost, "usd", tuned_above=rising)


def _changes(stake: Stake, at: Callable[[float], Bills], high: float) -> Iterator[tuple[float, bool]]:
    """Yields the values between 0 and `high` at which the answer changes, and whether training pays above them.

    Args:
        stake: All that stays as it is.
        at: Value → bills, linear in the value.
        high: The greatest value, left out.
    """
    (x0, y0), (x1, y1) = at(0.0).totals, at(1.0).totals
    x1, y1, level = x1 - x0, y1 - y0, 1 - SAME["usd"]
    # What is saved meets what is needed; the arms become level from the one side, and from the other
    lines = ((y0 - x0 - stake.need, y1 - x1), (level * y0 - x0, level * y1 - x1), (level * x0 - y0, level * x1 - y1))
    roots = sorted({-constant / slope for constant, slope in lines if slope})
    for root in roots:
        if 0.0 < root < high:
            step = NEAR * root
            before, after = stake.pays(at(root - step)), stake.pays(at(root + step))
            if before != after:
                yield root, after
