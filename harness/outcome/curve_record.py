"""From measured curves to what `results.json` and `trials.parquet` say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.execution.answers import Answered
from harness.outcome.machine_time import busy_seconds
from harness.scoring.confidence import rows_interval
from harness.scoring.curves import Measured, crossing, fit, summary
from harness.scoring.facts import groups_of
from harness.scoring.searches import whole
from harness.trials.curves import Curve, Curves, Point
from harness.types import PROMPTS, Prediction, Status


def results(curves: Curves, seed: int) -> tuple[dict[str, Any], ...]:
    """Returns `results.json["curves"]`.

    Args:
        curves: What was measured.
        seed: Of the resamples behind intervals.
    """
    shots = [curve for curve in curves.curves if curve.kind == "shots"]
    return tuple(_curve(curve, shots, seed) for curve in curves.curves)


def _curve(curve: Curve, shots: Sequence[Curve], seed: int) -> dict[str, Any]:
    points = sorted(curve.points, key=lambda point: (point.spot.x, point.spot.run))
    seconds = busy_seconds({point.spot.name: point.answers for point in points})
    measured = _measured(curve)
    learning = curve.kind == "learning"
    return {
        "arm": curve.arm,
        "kind": curve.kind,
        "split": "validation",
        "n_items": len(points[0].spot.items),
        "points": [_point(point, seconds.get(point.spot.name)) for point in points],
        "summary": summary(measured),
        "fit": fit(measured) if learning else None,
        "crossing": _crossing(curve, measured, shots, seed) if learning else None,
    }


def _measured(curve: Curve) -> list[Measured]:
    return [
        Measured(x=point.spot.x, run=point.spot.run, right=_right(point.answers))
        for point in curve.points
        if point.answers
    ]


def _right(answers: Sequence[Answered]) -> dict[str, float]:
    rows = [answer.prediction for answer in answers]
    return {row.example_id: float(row.right) for row in rows}


def _point(point: Point, seconds: float | None) -> dict[str, Any]:
    spot, rows = point.spot, [answer.prediction for answer in point.answers]
    n, groups = len(rows), groups_of(spot.items)
    interval = rows_interval([row.right for row in rows], [row.example_id for row in rows], groups)
    tokens = [row.input_tokens for row in rows if row.input_tokens is not None]
    learning, ready = spot.kind == "learning", point.ready
    return {
        "x": spot.x,
        **({"seed": spot.run, "n_train": spot.x} if learning else {"draw": spot.run, "shots": spot.x}),
        "accuracy": sum(row.right for row in rows) / n if n else None,
        "accuracy_ci": None if interval is None else list(interval),
        "unparsed": sum(row.status is Status.UNPARSED for row in rows) if n else None,
        "failed": sum(row.status is Status.FAILED for row in rows) if n else None,
        "cost_usd": whole([row.cost_usd for row in rows if row.status is not Status.FAILED]),
        "training_usd": ready.usd if ready is not None and learning else None,
        "training_s": ready.seconds if ready is not None and learning else None,
        "seconds": seconds,
        "input_tokens_mean": sum(tokens) / len(tokens) if tokens else None,
        "reason": point.reason,
    }


def _crossing(curve: Curve, measured: Sequence[Measured], shots: Sequence[Curve], seed: int) -> dict[str, Any] | None:
    """Holds a learning curve against the best prompt over the same examples."""
    items = curve.points[0].spot.items
    prompts = [prompt for prompt in _prompts(curve, shots) if prompt[2].keys() == {example.id for example in items}]
    if not prompts:
        return None
    against, k, right = max(prompts, key=lambda prompt: sum(prompt[2].values()))  # the first of equals
    found = crossing(measured, right, groups_of(items) or {}, seed)
    return None if found is None else {"against": against, "shots": k, **found}


def _prompts(curve: Curve, shots: Sequence[Curve]) -> Iterator[tuple[str, int | None, Mapping[str, float]]]:
    """Yields prompted arms as they are, then each number of shots of their curves: the mean over its draws."""
    for name, answers in curve.references.items():
        yield name, None, _right(answers)
    for other in shots:
        draws: dict[int, list[Mapping[str, float]]] = defaultdict(list)
        for point in other.points:
            if point.answers and point.spot.arm.family in PROMPTS:
                draws[point.spot.x].append(_right(point.answers))
        for k, found in draws.items():
            yield other.arm, k, {name: sum(one[name] for one in found) / len(found) for name in found[0]}


def trials(curves: Curves) -> Iterator[tuple[str, Prediction]]:
    """Yields the rows of `trials.parquet`, each with the name of what was tried."""
    told = set()
    for curve in curves.curves:
        for point in curve.points:
            for answer in point.answers:
                yield point.spot.name, replace(answer.prediction, arm=curve.arm)
        for name, answers in curve.references.items():
            if name not in told:
                yield from (("reference", answer.prediction) for answer in answers)
            told.add(name)
