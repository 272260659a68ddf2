"""Metric plugins over the answers of a run's arms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.contract import Metric
from harness.errors import UsageError
from harness.findings import finding
from harness.plugins import attributed, blamed, guard
from harness.plugins.origins import origin
from harness.types import Check, Example, Prediction, Row, Rows
from harness.words import noted


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What answers are held against."""

    examples: Mapping[str, Example]
    """Id → test example."""
    labels: tuple[str, ...]
    ordered: bool = False
    """Whether the labels have an order."""


def measured(
    metrics: Sequence[Metric],
    tested: Tested,
    answers: Mapping[str, Sequence[Prediction]],
    needed: Callable[[Metric], bool],
) -> tuple[dict[str, dict[str, float | None]], list[Check]]:
    """Computes every metric for every arm that has answers.

    Args:
        metrics: The plugins.
        tested: What answers are held against.
        answers: Arm → its answers.
        needed: Whether somebody asked for a metric; one that fails, and that nobody asked for, is left out of all arms.

    Returns:
        Arm → figures, and a warning for each metric that is left out.

    Raises:
        UsageError: A metric that is needed raised, or returned something that is no figure.
    """
    rows = {arm: _rows(tested, given) for arm, given in answers.items() if given}
    found: dict[str, dict[str, float | None]] = {arm: {} for arm in answers}
    lost = []
    for metric in metrics:
        try:
            scored = {arm: _figures(metric, of) for arm, of in rows.items()}
        except UsageError as error:
            if needed(metric):
                raise
            lost.append(_lost(metric, error))
            continue
        for arm, figures in scored.items():
            found[arm] |= figures
    return found, lost


def _rows(tested: Tested, answers: Sequence[Prediction]) -> Rows:
    rows = tuple(_row(row, tested.examples[row.example_id]) for row in answers)
    return Rows(rows=rows, labels=tested.labels, ordered=tested.ordered)


def _row(row: Prediction, example: Example) -> Row:
    return Row(
        example_id=row.example_id,
        expected=row.expected,
        predicted=row.predicted,
        status=row.status,
        strict=row.strict,
        probabilities=row.probabilities,
        group=example.group,
        slices=example.slices,
    )


def _figures(metric: Metric, rows: Rows) -> dict[str, float | None]:
    with attributed(metric, "score"):
        return guard.figures(metric, metric.score(rows))


def _lost(metric: Metric, error: UsageError) -> Check:
    """Says that a metric is left out: it came with an installed package, and the run does not need it."""
    return finding(
        "metric-failed",
        "warning",
        {"metric": metric.name, "origin": origin(metric), "reason": blamed(metric, error)},
        advice=noted("Mend or update it, or leave it out with --no-plugin."),
    )
