"""What a wrong answer costs, held against the labels that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import ExperimentError, nearest
from harness.scoring.costs import DEFAULT


def require_labels(error_usd: Mapping[str, float] | float | None, labels: Sequence[str], where: str) -> None:
    """Refuses costs of errors for labels that there are not, or that leave a label without a cost.

    Args:
        error_usd: What a wrong answer costs.
        labels: The label set.
        where: Where the costs stand.

    Raises:
        ExperimentError: Naming the nearest label.
    """
    if not isinstance(error_usd, Mapping):
        return
    for label in error_usd:
        if label not in labels and label != DEFAULT:
            raise ExperimentError(f'{where}: there is no label "{label}"; {nearest(label, labels)}')
    bare = [label for label in labels if label not in error_usd]
    if bare and DEFAULT not in error_usd:
        raise ExperimentError(
            f'{where}: says nothing of "{bare[0]}"', f"name every label, or give {DEFAULT} for those that are not named"
        )
