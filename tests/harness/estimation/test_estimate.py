"""Figures that are not known before: bounds hold whatever comes, and what is unknown stays so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.estimation.estimate import (
    IN_PROCESS,
    NO_PRICE,
    NOTHING,
    ArmEstimate,
    Band,
    Estimate,
    Load,
    Training,
    any_of,
    either,
    payback_if_tied,
)
from harness.scoring.facts import Decision

POWER = {"test": 10, "smallest_difference": None, "needed_for_margin": None, "margin": 0.02, "assumed_discordance": 0.1}


@st.composite
def bands(draw: st.DrawFn) -> Band:
    low, middle, high = sorted(draw(st.tuples(*(st.floats(0, 1e6),) * 3)))
    return Band(low=low, expected=draw(st.sampled_from([None, middle])), high=high)


@given(st.lists(bands(), min_size=1, max_size=8))
def test_sums_and_choices_keep_their_order(given_bands: list[Band]) -> None:
    for band in (sum(given_bands, NOTHING), either(given_bands)):
        assert band.low <= band.high
        unknown = any(each.expected is None for each in given_bands)
        assert (band.expected is None) == unknown
        if band.expected is not None:
            assert band.low * (1 - 1e-9) <= band.expected <= band.high * (1 + 1e-9) + 1e-9


def test_a_choice_by_hand() -> None:
    cheap = Load(requests=3, input_tokens=10, usd=Band.exactly(1.0))
    dear = Load(requests=3, known=2, input_tokens=31, usd=Band(low=2.0, expected=3.0, high=4.0))
    chosen = any_of([cheap, dear])
    assert (chosen.requests, chosen.known, chosen.input_tokens) == (3, 0, 20)
    assert chosen.usd == Band(low=1.0, expected=2.0, high=4.0)
    assert any_of([cheap, Load(usd=None)]).usd is None


def arm(name: str, usd: Band | None = None, **more: object) -> ArmEstimate:
    values = {"family": "few-shot", "model": "m", "endpoint": "api", "test": Load(requests=10, usd=usd), **more}
    return ArmEstimate(name=name, **values)  # type: ignore[arg-type]


def estimate(*arms: ArmEstimate, **more: object) -> Estimate:
    return Estimate(arms=arms, power=POWER, **more)  # type: ignore[arg-type]


def test_training_is_part_of_the_dollars_where_its_price_is_known() -> None:
    asked = Band(low=1.0, expected=None, high=2.0)
    assert arm("a", asked, training=Training(jobs=1, tokens=5, usd=3.0)).usd == Band(low=4.0, expected=None, high=5.0)
    assert arm("a", asked, training=Training(jobs=1, tokens=5, usd=None)).usd is None
    assert arm("a", asked, training=Training(known=1)).usd == asked


def test_the_budget_counts_what_is_spent_the_probe_and_the_upper_bound() -> None:
    known = arm("a", Band(low=1.0, expected=1.5, high=2.0))
    found = estimate(known, arm("b", usd_reason=NO_PRICE), probe_usd=0.25, spent_usd=0.5, max_usd=2.75)
    assert found.usd == Band(low=1.25, expected=1.75, high=2.25)
    assert found.unpriced == ("b",)
    assert not found.over_budget
    assert estimate(known, probe_usd=0.25, spent_usd=0.5, max_usd=2.74).over_budget
    assert not estimate(known).over_budget


def test_where_no_arm_costs_there_are_no_dollars() -> None:
    found = estimate(arm("c", endpoint=None, usd_reason=IN_PROCESS))
    assert found.usd is None
    assert found.unpriced == ()
    assert found.as_dict()["total"]["usd"] is None


def test_endpoints_work_side_by_side_and_one_unknown_time_leaves_all_unknown() -> None:
    three = [arm("a", seconds=2.0), arm("b", seconds=3.0), arm("c", seconds=4.0, endpoint="other")]
    assert estimate(*three).seconds == 5.0
    assert estimate(*three, arm("d")).seconds is None


def test_payback_were_all_arms_equally_accurate() -> None:
    shots = arm("shots", per_request={"input_tokens": 900.0, "output_tokens": 1.0, "usd": 0.003})
    zero = arm("zero", family="zero-shot", per_request={"input_tokens": 90.0, "output_tokens": 1.0, "usd": 0.0005})
    tuned = arm("tuned", family="fine-tuned", per_request={"usd": 0.001, "training_usd": 4.0})
    lines = {line["against"]: line for line in payback_if_tied([shots, zero, tuned], 0.02, Decision())}
    assert lines["shots"]["requests"] == 2000
    assert lines["zero"]["requests"] is None
    assert "more" in lines["zero"]["reason"]
    (only,) = payback_if_tied([shots, zero, tuned], 0.02, Decision(incumbent="zero", setup_hours=1, hour_usd=6))
    assert (only["against"], only["fixed"]) == ("zero", 10.0)
    assert payback_if_tied([shots, zero], 0.02, Decision()) == ()
    (line, _) = payback_if_tied([shots, zero, tuned], 0.02, Decision(label_usd=0.5), 40)
    assert (line["fixed"], line["requests"]) == (24.0, 12_000)


def test_payback_in_seconds_of_this_machine() -> None:
    shots = arm("shots", endpoint="local", per_request={"machine_s": 0.5})
    tuned = arm("tuned", family="fine-tuned", endpoint="local", per_request={"machine_s": 0.1, "training_s": 80.0})
    (line,) = payback_if_tied([shots, tuned], 0.02, Decision())
    assert (line["unit"], line["requests"]) == ("machine_s", 200)
    (unknown,) = payback_if_tied([arm("shots", endpoint="local"), tuned], 0.02, Decision())
    assert (unknown["requests"], unknown["saving_per_1k"]) == (None, None)


def test_json_has_no_nan_and_keeps_unknowns() -> None:
    found = estimate(arm("a", Band(low=1.0, expected=None, high=2.0)), arm("b", usd_reason=NO_PRICE)).as_dict()
    loaded = json.loads(json.dumps(found, allow_nan=False))
    assert loaded["arms"][0]["usd"] == {"low": 1.0, "expected": None, "high": 2.0}
    assert loaded["arms"][1]["usd"] is None
    assert loaded["arms"][1]["usd_reason"] == NO_PRICE
    assert loaded["total"]["requests"] == 20
    assert loaded["total"]["usd"]["high"] == pytest.approx(2.0)
