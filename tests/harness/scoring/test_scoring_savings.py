"""The bootstrap of what an arm saves: costs and errors of each request by hand, and what is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.scoring.bootstrap import group_codes, percentile_interval, resampled_means
from harness.scoring.facts import Decision
from harness.scoring.savings import PRICE_RESAMPLES, Savings, request_costs, request_errors, requests_by_arm

PRICE = {"input": 2.0, "cached_input": 0.5, "output": 10.0, "cache_write": 2.5, "reasoning": 8.0}


def columns(arm: str = "x", **changes: list[Any]) -> dict[str, list[Any]]:
    """Three answers, one of them wrong and one long enough for a cache, and a request that failed."""
    known: dict[str, list[Any]] = {
        "example_id": ["d", "a", "c", "b"],
        "status": ["failed", "answered", "answered", "unparsed"],
        "expected": ["p", "p", "q", "q"],
        "predicted": [None, "p", "p", None],
        "cost_usd": [None, 0.1, 0.3, 0.2],
        "input_tokens": [None, 100, 2000, 1023],
        "output_tokens": [None, 10, 30, 20],
        "cached_tokens": [None, None, 1000, 0],
        "reasoning_tokens": [None, 5, None, 0],
    }
    found = {**known, **changes}
    return {"arm": [arm] * len(found["example_id"]), **found}


def requests(**changes: list[Any]) -> Any:
    return requests_by_arm(columns(**changes))["x"]


def arm(**changes: Any) -> dict[str, Any]:
    known = {"price": PRICE, "input_tokens_mean": 1500.0, "cacheable_tokens_mean": 700.0, "cost_per_1k_usd": 200.0}
    return {**known, **changes}


def test_columns_are_sorted_by_example() -> None:
    both = {key: [*column, *columns("y")[key]] for key, column in columns().items()}
    found = requests_by_arm(both)
    assert list(found) == ["x", "y"]
    told = found["x"]
    assert (told.ids, told.expected) == (("a", "b", "c", "d"), ("p", "q", "q", "p"))
    assert (told.right.tolist(), told.failed.tolist()) == ([True, False, False, False], [False, False, False, True])
    assert told.usd.tolist()[:3] == [0.1, 0.2, 0.3]
    assert np.isnan([told.usd[3], told.input[3], told.cached[0], told.reasoning[2]]).all()
    failed = requests(status=["failed", "failed", "answered", "unparsed"])
    assert failed.right.tolist() == [False] * 4


def test_what_was_paid_stands_where_nothing_else_is_assumed() -> None:
    for same in (arm(), arm(price=None, repriced="tokens"), arm(price=None)):
        costs = request_costs(requests(), same, Decision())
        assert costs is not None
        assert costs[:3].tolist() == [0.1, 0.2, 0.3]
    # The assumption of a cache does not hold for a model without a price for it
    plain = arm(price={**PRICE, "cached_input": None})
    costs = request_costs(requests(), plain, Decision(cache_hit=0.5))
    assert costs is not None
    assert costs[:3].tolist() == [0.1, 0.2, 0.3]


def test_tokens_at_other_prices() -> None:
    costs = request_costs(requests(), arm(repriced="tokens"), Decision())
    assert costs is not None
    # 100 × 2 + 5 × 10 + 5 × 8; 1,023 × 2 + 20 × 10; 1,000 × 2 + 1,000 × 0.5 + 30 × 10
    assert (costs[:3] * 1e6).tolist() == pytest.approx([290.0, 2246.0, 2800.0])
    assert np.isnan(costs[3])


def test_an_assumed_cache_serves_long_prompts() -> None:
    costs = request_costs(requests(), arm(), Decision(cache_hit=0.25))
    assert costs is not None
    # Of the 2,000 a quarter is read at 0.5 and the rest written at 2.5
    assert (costs[:3] * 1e6).tolist() == pytest.approx([290.0, 2246.0, 250.0 + 3750.0 + 300.0])


@pytest.mark.parametrize("how", ["hour", "request"])
def test_a_price_for_all_together(how: str) -> None:
    costs = request_costs(requests(), arm(repriced=how), Decision())
    assert costs is not None
    assert costs[:3].tolist() == [0.2] * 3
    assert np.isnan(costs[3])
    assert request_costs(requests(), arm(repriced=how, cost_per_1k_usd=None), Decision()) is None


def test_an_answer_without_a_price_leaves_all_unknown() -> None:
    assert request_costs(requests(cost_usd=[None, 0.1, None, 0.2]), arm(), Decision()) is None
    lost = requests(status=["failed"] * 4, cost_usd=[None] * 4)
    assert request_costs(lost, arm(), Decision()) is None
    billed = request_costs(requests(cost_usd=[0.4, 0.1, 0.3, 0.2]), arm(), Decision())
    assert billed is not None
    assert billed[3] == 0.4


def test_errors_cost_by_the_label_that_was_right() -> None:
    assert request_errors(requests(), Decision(error_usd=2.0)).tolist() == [0.0, 2.0, 2.0, 2.0]
    by_label = Decision(error_usd={"p": 1.0, "default": 5.0})
    assert request_errors(requests(), by_label).tolist() == [0.0, 5.0, 5.0, 1.0]


def savings(groups: dict[str, str] | None = None, **assumed: Any) -> Savings:
    """Two arms of 40 answers: `a` costs 1 to 40 millionths, `b` twice as much, and each errs on other items."""
    ids = [f"{place:02}" for place in range(40)]
    found = {}
    for name, factor, wrong in (("a", 1e-6, range(8)), ("b", 2e-6, range(4, 20)), ("free", None, range(3))):
        made = columns(
            name, example_id=ids, status=["answered"] * 40, expected=["p"] * 40,
            predicted=["q" if place in wrong else "p" for place in range(40)],
            cost_usd=[None if factor is None else factor * (place + 1) for place in range(40)],
            **{f"{kind}_tokens": [1] * 40 for kind in ("input", "output", "cached", "reasoning")},
        )  # fmt: skip
        found |= requests_by_arm(made)
    arms = {name: arm() for name in found}
    return Savings(arms=arms, requests=found, decision=Decision(**assumed), seed=5, groups=groups or {})


def test_savings_are_the_paired_bootstrap_of_both_costs() -> None:
    made = savings()
    drawn = made.samples("a", "b")
    assert drawn is not None
    costs = np.arange(1, 41) * 1e-6
    codes = group_codes([f"{place:02}" for place in range(40)], {})
    # Paired: a saving is as large as the cost of a itself, in each resample
    alone = resampled_means(np.stack([costs, np.ones(40)], axis=1), codes, 5, PRICE_RESAMPLES)[:, 0] * 1000
    assert drawn == pytest.approx(alone)
    assert made.interval("a", "b") == pytest.approx(percentile_interval(alone, 40))
    back = made.samples("b", "a")
    assert back is not None
    assert back == pytest.approx(-drawn)


def test_errors_count_where_they_cost() -> None:
    made = savings(error_usd=0.5)
    drawn, plain = made.samples("a", "b"), savings().samples("a", "b")
    assert drawn is not None
    assert plain is not None
    assert drawn.mean() == pytest.approx(plain.mean() + 0.5 * (16 - 8) / 40 * 1000, rel=0.05)
    low, high = made.errors_interval("a") or (0, 0)
    assert low < 0.5 * 8 / 40 * 1000 < high
    assert made.errors_interval("free") is not None
    assert savings().errors_interval("a") is None
    assert made.errors_interval("unknown") is None


def test_what_cannot_be_drawn() -> None:
    assert savings().samples("a", "free") is None  # it has no price
    assert savings().samples("unknown", "a") is None
    assert savings().interval("a", "free") is None
    one = {f"{place:02}": "g" for place in range(40)}
    assert savings(one).samples("a", "b") is savings(one).interval("a", "b") is None
    assert savings(one, error_usd=0.5).errors_interval("a") is None
    two = {name: "g" if name < "20" else "h" for name in one}
    assert savings(two).interval("a", "b") is not None
