"""What a choice on validation took, from the candidates of `results.json`; again under other prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.scoring.answers import Figures
from harness.scoring.costs import number


def total(candidates: Sequence[Mapping[str, Any]], answers: str, training: str) -> float | None:
    """Returns what all candidates took, `None` where a part of it is not known.

    Args:
        candidates: Those of an entry of `choices`. Two that one job has trained have its model.
        answers: What a candidate's answers took: `cost_usd` or `seconds`.
        training: What its job took: `training_usd` or `training_s`.
    """
    asked = [one.get(answers) for one in candidates if one.get("n")]
    jobs = {one.get("model") or place: one.get(training)
            for place, one in enumerate(candidates) if one.get("trained")}  # fmt: skip
    return whole([*asked, *jobs.values()])


def whole(values: Sequence[float | None]) -> float | None:
    """Returns a sum, `None` where a part of it is not known or there is none."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def trained_usd(tokens: float | None, price: float, before: float | None, paid: float | None) -> float | None:
    """Returns what a training costs at another price, `None` where its tokens are not known.

    Args:
        tokens: What was trained, epochs included.
        price: USD for a million of them.
        before: The price until now.
        paid: What the training has cost at that.
    """
    if tokens is not None:
        return tokens * price / 1_000_000
    return paid * price / before if before and paid is not None else None


def at_training_price(choice: Mapping[str, Any], price: float, before: float | None) -> Figures:
    """Returns an entry of `choices` as if its jobs had cost `price`, USD for a million tokens, in place of `before`."""
    candidates = [dict(one) for one in choice.get("candidates") or ()]
    trained = [one for one in candidates if one.get("trained")]  # not said by earlier versions
    for one in trained:
        one["training_usd"] = trained_usd(one.get("trained_tokens"), price, before, one.get("training_usd"))
    usd = total(candidates, "cost_usd", "training_usd")
    if usd is not None:
        usd -= number(choice.get("shared_usd")) or 0.0
    return {**choice, "candidates": candidates, "usd": usd if trained else choice.get("usd")}


def at_hour(choice: Mapping[str, Any], hour_usd: float) -> Figures:
    """Returns an entry of `choices` as if an hour of the machine that did it all had cost so much."""

    def usd(seconds: Any) -> float | None:
        known = number(seconds)
        return None if known is None else known / 3600 * hour_usd

    candidates = [
        {**one, "cost_usd": usd(one.get("seconds")), "training_usd": usd(one.get("training_s"))}
        for one in choice.get("candidates") or ()
    ]
    return {**choice, "candidates": candidates, "usd": usd(choice.get("seconds")), "shared_usd": 0.0}
