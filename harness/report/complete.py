"""Results as a report may rely on them: the schema only grows, so what an older run lacks is filled in as unknown.

Nothing is made up: a figure that is absent, or is none (`NaN`, another type), becomes `null`, a list that is absent an
empty one. An entry without what says whose it is (an arm without a name) cannot be shown and is left out, counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class _Leaf(str):
    """The kind of a value that holds no others."""

    __slots__ = ()


ANY, NUMBER, TEXT = _Leaf("any"), _Leaf("number"), _Leaf("text")
NAME, FIGURE = _Leaf("name"), _Leaf("figure")
"""A text and a number without which the entry that has them says nothing."""
PAIR, OPEN, BOUNDS = _Leaf("pair"), _Leaf("open pair"), _Leaf("bounds")
"""Two bounds; an open pair may lack either, and without `BOUNDS` the entry that has them says nothing."""


def _each(names: str, leaf: _Leaf = NUMBER) -> dict[str, Any]:
    return dict.fromkeys(names.split(), leaf)


TIMES = _each("p50 p95 p99")
GATE = {"wanted": FIGURE, **_each("threshold coverage accepted precision"), **_each("coverage_ci precision_ci", PAIR)}
ARM: Mapping[str, Any] = {
    "name": NAME,
    **_each("family model of letter ci_method mode barred shutdown_date", TEXT),
    **_each("simulated imported local refused complete tokens_estimated", ANY),
    **_each("shots n answered unparsed failed rank timed retried reused attempts truncated truncated_cost_usd"),
    **_each("accuracy accuracy_strict accuracy_without_leaks macro_f1 mae mae_all off_by_one"),
    **_each("input_tokens_mean output_tokens_mean cached_tokens_mean reasoning_tokens_mean cacheable_tokens_mean"),
    **_each("cost_per_1k_usd machine_s_per_1k training_cost_usd training_s failed_training_usd validation_accuracy"),
    **_each("n_validation"),
    "accuracy_ci": PAIR,
    **dict.fromkeys(("latency_s", "first_token_s", "queue_s", "retry_s"), TIMES),
    "price": _each("input cached_input output training cache_write reasoning hosting_hour"),
    "confidence": {**_each("available reason", ANY), "n_validation": NUMBER, "gates": [GATE], "curve": [PAIR]},
    "per_class": [{"label": NAME, **_each("support predicted precision recall f1")}],
}
COMPARISON: Mapping[str, Any] = {
    **_each("a b", NAME),
    **_each("ci_method p_method", TEXT),
    **_each("primary decisive claimed within_margin", ANY),
    **_each("difference mcnemar_p p_adjusted p only_a_right only_b_right n_for_80_power n groups design_effect"),
    **_each("discordance smallest_difference p95_change cost_per_extra_correct"),
    "ci": PAIR,
}
INVESTED = {"name": NAME, **_each("usd machine_s"), "counted": ANY}
PAYBACK: Mapping[str, Any] = {
    **_each("arm against unit", NAME),
    **_each("role reason", TEXT),
    **_each("fixed saving_per_1k price_saving_per_1k error_saving_per_1k requests cache_hit cache_hit_run"),
    **_each("training setup"),
    "monthly": _each("cost requests_per_month requests"),
    "ci": OPEN,
    "saving_ci": PAIR,
    "investment": [INVESTED],
}
MONTHLY = _each("monthly_saving total_saving months_to_break_even break_even_chance")
DECISION: Mapping[str, Any] = {
    **_each("arm against role unit break_even_date shutdown_date", TEXT),
    "months": FIGURE,
    **_each("requests_per_month horizon_months months_until_shutdown monthly_upkeep"),
    **MONTHLY,
    "pays": ANY,
    "flip_points": [{"quantity": NAME, "value": FIGURE, "unit": NAME, "above": NAME, "below": NAME}],
    "table": [{"requests_per_month": FIGURE, **MONTHLY, "break_even_date": TEXT}],
    "recurring": [{**_each("arm name", NAME), **_each("usd machine_s")}],
    "totals": [
        {
            "arm": NAME,
            "unit": TEXT,  # null where nothing is known of an arm's cost
            **_each("per_1k errors_per_1k fixed monthly total"),
            "errors_ci": PAIR,
        }
    ],
}
CANDIDATE = {
    **_each("settings reason name checkpoint model", ANY),
    **_each("n accuracy unparsed failed cost_usd seconds training_usd training_s trained_tokens"),
    "accuracy_ci": PAIR,
}
POINT = {
    "x": FIGURE,
    **_each("seed draw n_train shots accuracy unparsed failed cost_usd training_usd training_s seconds"),
    "input_tokens_mean": NUMBER,
    "accuracy_ci": PAIR,
    "reason": TEXT,
}
CURVE: Mapping[str, Any] = {
    **_each("arm kind", NAME),
    "n_items": NUMBER,
    "points": [POINT],
    "summary": [{**_each("x mean", FIGURE), **_each("low high n")}],
    "fit": {"slope": FIGURE, "slope_ci": BOUNDS, **_each("slope_se intercept n_points n_sizes")},
    "crossing": {**_each("against kind", NAME), "accuracy": FIGURE, **_each("shots n reached"), "ci": OPEN},
}
CASCADE: Mapping[str, Any] = {
    "stages": [NAME],
    "shares": [FIGURE],
    "wanted": FIGURE,
    "against": TEXT,
    "simulated": ANY,
    **_each("accuracy difference cost_per_1k_usd machine_s_per_1k"),
    **_each("accuracy_ci difference_ci", BOUNDS),
}
SLICE: Mapping[str, Any] = {
    "name": NAME,
    "ci_method": TEXT,
    "values": [
        {
            "value": TEXT,  # null where there are too many to name
            "n": FIGURE,
            "others": NUMBER,
            "arms": [{"arm": NAME, "accuracy": FIGURE, "n": NUMBER, "accuracy_ci": PAIR}],
        }
    ],
}
JOB: Mapping[str, Any] = {
    "arm": NAME,
    **_each("job model base status reason shutdown_date", TEXT),
    **_each("seconds trained_tokens n_train n_validation n_steps"),
    **_each("hyperparameters reused", ANY),
    "steps": [{"step": FIGURE}],
    "checkpoints": [{"model": NAME}],
}
SHAPE: Mapping[str, Any] = {
    "schema": ANY,
    "run": {
        **_each("name id started finished command machine prices_date", TEXT),
        **_each("seed n_test margin groups disagreements"),
        **_each("preview ordered", ANY),
        "dataset": _each("name fingerprint", TEXT),
        **{name: [NAME] for name in ("labels", "varied", "not_varied")},
    },
    "checks": [{**_each("kind message level", NAME), **_each("heading advice", TEXT), "mended": NUMBER}],
    "arms": [ARM],
    "comparisons": [COMPARISON],
    "variation": [
        {**_each("of what", NAME), "arms": [NAME], **_each("mean sd_between sd_sample share_between")},
    ],
    "decomposition": [
        {**_each("a b", NAME), **_each("difference format prior task recovered"), "reason": TEXT},
    ],
    "cascades": [CASCADE],
    "slices": [SLICE],
    "choices": [{"arm": NAME, **_each("chosen budget", ANY), "candidates": [CANDIDATE]}],
    "curves": [CURVE],
    "training": [JOB],
    "repeats": [
        {
            "arm": NAME,
            **_each("repeats n left_out agreement flip_rate accuracy_sd"),
            "reason": TEXT,
            "accuracy": [FIGURE],
        }
    ],
    "payback": [PAYBACK],
    "decision": DECISION,
    "data": {
        "rows_in": NUMBER,
        "removed": ANY,
        "ranked": [{"title": NAME}],
        "labels": [{"label": NAME, **_each("train validation test")}],
    },
    "ledger": ANY,
    "contenders": _each("a b chosen_on", TEXT),
    "verdict": {**_each("kind arm against sentence", TEXT), "margin": NUMBER},
}


class _UnreadableError(Exception):
    """An entry lacks what says whose it is."""


@dataclass(slots=True)
class Completed:
    """Results, whole."""

    data: dict[str, Any]
    dropped: int = 0
    """Entries that were left out."""


def completed(data: Mapping[str, Any]) -> Completed:
    """Returns results with every key that a report asks for; the given ones are not touched."""
    found = Completed(data={})
    found.data = _object(data, SHAPE, found)
    arms = list({arm["name"]: arm for arm in reversed(found.data["arms"])}.values())[::-1]  # the first of a name
    found.dropped += len(found.data["arms"]) - len(arms)
    found.data["arms"] = arms
    decision = found.data["decision"]
    if decision is not None and None in (decision["arm"], decision["against"], decision["unit"]):
        decision |= {"arm": None, "against": None, "unit": None}  # about a pair, or about none
    for curve in found.data["curves"]:
        between = curve["crossing"] is not None and curve["crossing"]["kind"] == "between"
        if between and curve["crossing"]["n"] is None:
            curve["crossing"] = None
    return found


def _object(value: Mapping[str, Any], shape: Mapping[str, Any], found: Completed) -> dict[str, Any]:
    whole = {name: _fitted(value.get(name), wanted, found) for name, wanted in shape.items()}
    return {name: whole[name] if name in whole else _plain(given) for name, given in {**value, **whole}.items()}


def _fitted(value: Any, shape: Any, found: Completed) -> Any:
    if isinstance(shape, Mapping):
        if not isinstance(value, Mapping):
            return None
        try:
            return _object(value, shape, found)
        except _UnreadableError:
            return None
    if isinstance(shape, list):
        return _list(value, shape[0], found)
    return _leaf(value, shape)


def _list(value: Any, shape: Any, found: Completed) -> list[Any]:
    if not isinstance(value, list | tuple):
        return []
    kept = []
    for entry in value:
        try:
            fitted = _object(entry, shape, found) if isinstance(shape, Mapping) else _fitted(entry, shape, found)
        except (_UnreadableError, AttributeError, TypeError):
            fitted = None
        if fitted is None:
            found.dropped += 1
        else:
            kept.append(fitted)
    return kept


def _leaf(value: Any, leaf: _Leaf) -> Any:
    if leaf == ANY:
        return _plain(value)
    known: Any = value if isinstance(value, str) else None
    if leaf in (NUMBER, FIGURE):
        known = _number(value)
    elif leaf in (PAIR, OPEN, BOUNDS):
        known = _bounds(value, may_lack=leaf == OPEN)
    if known is None and leaf in (NAME, FIGURE, BOUNDS):
        raise _UnreadableError
    return known


def _bounds(value: Any, *, may_lack: bool) -> list[float | None] | None:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return None
    bounds = [_number(bound) for bound in value]
    return bounds if may_lack or None not in bounds else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number that no float holds
        return None


def _plain(value: Any) -> Any:
    """Returns a value that no shape describes, without numbers that are none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
