"""Share of right answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import harness


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Right answers over all rows; unparsed and failed answers are wrong."""

    name: ClassVar[str] = "accuracy"

    def score(self, rows: harness.Rows) -> Mapping[str, float | None]:
        """Returns `accuracy` (lenient parser) and `accuracy_strict`, both from 0 to 1; `None` without rows."""
        if not rows:
            return {"accuracy": None, "accuracy_strict": None}
        return {
            "accuracy": sum(row.right for row in rows) / len(rows),
            "accuracy_strict": sum(row.strict == row.expected for row in rows) / len(rows),
        }


@harness.hookimpl
def harness_metrics() -> list[type[Accuracy]]:
    """Declares the metric."""
    return [Accuracy]
