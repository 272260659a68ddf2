"""What each request cost and each error would cost, and the paired bootstrap of the difference between two arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from harness.scoring.answers import CACHEABLE_TOKENS, Codes, Floats, Requests, floats
from harness.scoring.bootstrap import group_codes, percentile_interval, resampled_means
from harness.scoring.costs import Arm, as_bought, assumed_cached, error_usd, price_of, tokens_usd
from harness.scoring.facts import Decision
from harness.scoring.statistics import Interval
from harness.types import Status

PRICE_RESAMPLES = 2_000
"""Resamples of prices: means of thousands of prices vary so little that more would change no digit that is shown."""


@dataclass(frozen=True, kw_only=True)
class Savings:
    """The paired bootstrap over arms that answered the same items: all arms share each resample."""

    arms: Mapping[str, Arm]
    """Arms of `results.json`, by name."""
    requests: Mapping[str, Requests]
    """Of arms that answered every test item."""
    decision: Decision
    seed: int
    groups: Mapping[str, str] = field(default_factory=dict)
    """Example id → group."""

    def samples(self, a: str, b: str) -> Floats | None:
        """Returns resampled savings of `a` against `b` on 1,000 requests, in USD, errors included where they cost.

        `None` where a price is missing, or where the items are of fewer than two groups.
        """
        if not {a, b} <= self._costs.keys() or self._number < 2:
            return None
        saving = (self._means[b] - self._means[a]) * 1000
        return saving[np.isfinite(saving)]

    def interval(self, a: str, b: str) -> Interval | None:
        """Returns the 95% interval of the same."""
        saving = self.samples(a, b)
        return None if saving is None or not len(saving) else percentile_interval(saving, self._number)

    def errors_interval(self, arm: str) -> Interval | None:
        """Returns the 95% interval of what the errors of 1,000 requests cost."""
        if self.decision.error_usd is None or arm not in self.requests or self._number < 2:
            return None
        _, errors = self._resampled
        return percentile_interval(errors[arm] * 1000, self._number)

    @cached_property
    def _costs(self) -> dict[str, Floats]:
        found = {name: request_costs(each, self.arms[name], self.decision) for name, each in self.requests.items()}
        return {name: costs for name, costs in found.items() if costs is not None}

    @cached_property
    def _codes(self) -> Codes:
        return group_codes(next(iter(self.requests.values())).ids, self.groups)

    @property
    def _number(self) -> int:
        return int(self._codes.max()) + 1

    @cached_property
    def _resampled(self) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Arm → resampled mean cost of a request, and of its errors.

        Failed requests without a price count in neither sum of the former.
        """
        costs = self._costs
        columns = [np.nan_to_num(each) for each in costs.values()] + [np.isfinite(each) for each in costs.values()]
        if self.decision.error_usd is not None:
            columns += [request_errors(each, self.decision) for each in self.requests.values()]
        means = resampled_means(np.array(columns, dtype=np.float64).T, self._codes, self.seed, PRICE_RESAMPLES)
        n = len(costs)
        # A small resample may hold failed requests alone: it says nothing of their price
        with np.errstate(invalid="ignore", divide="ignore"):
            priced = means[:, :n] / means[:, n : 2 * n]
        wrong = means[:, 2 * n :]
        errors = {name: wrong[:, place] for place, name in enumerate(self.requests) if wrong.shape[1]}
        return {name: priced[:, place] for place, name in enumerate(costs)}, errors

    @cached_property
    def _means(self) -> dict[str, Floats]:
        costs, errors = self._resampled
        return {name: each + errors[name] if name in errors else each for name, each in costs.items()}


def requests_by_arm(columns: Mapping[str, Sequence[Any]]) -> dict[str, Requests]:
    """Returns arm → its requests, from the columns of `predictions.parquet`."""
    places: dict[str, list[int]] = {}
    for place in sorted(range(len(columns["arm"])), key=lambda place: str(columns["example_id"][place])):
        places.setdefault(str(columns["arm"][place]), []).append(place)
    return {arm: _requests(columns, chosen) for arm, chosen in places.items()}


def _requests(columns: Mapping[str, Sequence[Any]], places: Sequence[int]) -> Requests:
    def column(name: str) -> list[Any]:
        return [columns[name][place] for place in places]

    status, expected = column("status"), column("expected")
    right = [
        state == Status.ANSWERED and told == wanted
        for state, told, wanted in zip(status, column("predicted"), expected, strict=True)
    ]
    return Requests(
        ids=tuple(column("example_id")),
        expected=tuple(expected),
        right=np.array(right, dtype=np.bool_),
        failed=np.array([state == Status.FAILED for state in status], dtype=np.bool_),
        usd=floats(column("cost_usd")),
        input=floats(column("input_tokens")),
        output=floats(column("output_tokens")),
        cached=floats(column("cached_tokens")),
        reasoning=floats(column("reasoning_tokens")),
    )


def request_costs(requests: Requests, arm: Arm, decision: Decision) -> Floats | None:
    """Returns what each request costs under the assumptions, `None` where an answered one has no price.

    Args:
        requests: Those of an arm.
        arm: The arm of `results.json`; with `repriced` its price has replaced what the run paid.
        decision: The assumptions.
    """
    usd = _billed(requests, arm, decision)
    return usd if bool(np.isfinite(usd[~requests.failed]).all()) and bool(np.isfinite(usd).any()) else None


def _billed(requests: Requests, arm: Arm, decision: Decision) -> Floats:
    price = price_of(arm)
    assumed = assumed_cached(arm, decision)
    if arm.get("repriced") in ("hour", "request"):  # known for all requests together
        each = arm["cost_per_1k_usd"]
        return np.where(requests.failed, np.nan, np.nan if each is None else float(each) / 1000)
    if price is None or not (assumed or arm.get("repriced")):
        return requests.usd
    cached, written = np.nan_to_num(requests.cached), np.zeros_like(requests.cached)
    if assumed and decision.cache_hit is not None:
        able = np.where(requests.input >= CACHEABLE_TOKENS, requests.input, 0.0)
        cached, written = decision.cache_hit * able, (1 - decision.cache_hit) * able
    reasoning = np.nan_to_num(requests.reasoning)
    bought = as_bought(arm, price)
    usd: Floats = tokens_usd(
        bought, fresh=requests.input, cached=cached, written=written, output=requests.output, reasoning=reasoning
    )
    return usd


def request_errors(requests: Requests, decision: Decision) -> Floats:
    """Returns what each answer costs for being wrong."""
    each = {label: error_usd(decision, label) for label in set(requests.expected)}
    return np.where(requests.right, 0.0, np.array([each[label] for label in requests.expected], dtype=np.float64))
