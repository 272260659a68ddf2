"""What the right answer's probability costs in nats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness
from harness_plugins.metrics._columns import probabilities


@dataclass(frozen=True, kw_only=True)
class LogLoss:
    """Mean negative logarithm of the probability of the right label (Good 1952, J. R. Stat. Soc. B 14:107–114)."""

    name: ClassVar[str] = "log-loss"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `log_loss` in nats over the rows with probabilities, 0 being best; else `None`."""
        found = probabilities(rows)
        if found is None:
            return {"log_loss": None}
        from sklearn.metrics import log_loss

        expected, table, names = found
        return {"log_loss": float(log_loss(expected, table, labels=names))}


@harness.hookimpl
def harness_metrics() -> list[type[LogLoss]]:
    """Declares the metric."""
    return [LogLoss]
