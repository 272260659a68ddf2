"""What `results.json` and `trials.parquet` say of a choice on validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.execution.answers import accuracy
from harness.experiment import LOCAL
from harness.experiment.candidates import CHECKPOINT, worded
from harness.outcome.machine_time import busy_seconds
from harness.scoring.searches import total, whole
from harness.trials.search import Chosen, Tried
from harness.types import Status


def record(chosen: Chosen, hour_usd: float | None, groups: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns a choice for `results.json`: what was tried, what each of it came to, and what it cost.

    Args:
        chosen: The choice.
        hour_usd: USD for an hour of a local endpoint's machine, where that has a price.
        groups: Validation example → group, where they have groups.
    """
    seconds = busy_seconds({str(place): each.answers for place, each in enumerate(chosen.tried)})
    hourly = hour_usd if chosen.arm.endpoint == LOCAL else None
    candidates = [_candidate(each, seconds.get(str(place)), hourly, groups) for place, each in enumerate(chosen.tried)]
    shared = chosen.shared_usd if hourly is None else 0.0  # seconds of this machine were shared out already
    budget, usd = chosen.arm.choose_budget, total(candidates, "cost_usd", "training_usd")
    return {
        "arm": chosen.arm.name,
        "split": "validation",
        "chosen": dict(chosen.settings),
        "candidates": candidates,
        "tried": len(candidates),
        "combinations": chosen.arm.combinations,
        "skipped": sum(chosen.why_skipped.values()),
        "why_skipped": dict(chosen.why_skipped),
        "budget": {"trials": budget.trials, "usd": budget.usd, "seconds": budget.seconds},
        "usd": None if usd is None else usd - shared,
        "shared_usd": shared,
        "billed_usd": chosen.billed_usd,
        "seconds": total(candidates, "seconds", "training_s"),
        "wall_s": chosen.wall_s,
    }


def names(chosen: Chosen) -> list[str]:
    """Returns what each candidate is called in `trials.parquet`, in the order of `Chosen.tried`."""
    return [worded(each.settings) or "final" for each in chosen.tried]


def _candidate(
    each: Tried, seconds: float | None, hour_usd: float | None, groups: Mapping[str, str] | None
) -> dict[str, Any]:
    from harness.scoring.confidence import rows_interval

    answers, ready = each.answers, each.ready
    rows = [answer.prediction for answer in answers]
    interval = rows_interval([row.right for row in rows], [row.example_id for row in rows], groups)
    costs = [row.cost_usd for row in rows if row.status != Status.FAILED]
    tokens = [row.input_tokens for row in rows if row.input_tokens is not None]
    last = CHECKPOINT not in each.settings  # a checkpoint's training is that of its job's last model
    trained = last and ready.seconds is not None
    return {
        "settings": dict(each.settings),
        "checkpoint": each.settings.get(CHECKPOINT),
        "model": ready.model,
        "n": len(rows),
        "accuracy": accuracy(answers) if answers else None,
        "accuracy_ci": None if interval is None else list(interval),
        "unparsed": sum(row.status == Status.UNPARSED for row in rows),
        "failed": sum(row.status == Status.FAILED for row in rows),
        "cost_usd": _priced(whole(costs), seconds, hour_usd),
        "seconds": seconds,
        "input_tokens_mean": sum(tokens) / len(tokens) if tokens else None,
        "trained": trained,
        "training_usd": _priced(ready.usd, ready.seconds, hour_usd) if trained else None,
        "training_s": ready.seconds if trained else None,
        "trained_tokens": ready.tokens if trained else None,
        "reason": None if ready.refusal is None else ready.refusal.partition("\n")[0],
    }


def _priced(usd: float | None, seconds: float | None, hour_usd: float | None) -> float | None:
    return usd if hour_usd is None or seconds is None else seconds / 3600 * hour_usd
