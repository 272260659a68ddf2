"""Quality signals: which rows to look at before a training is paid for, and whether the texts are diverse."""

from __future__ import annotations

from collections.abc import Sequence

from harness.prepare.signals.values import Ranked, RankedItem, Signals
from harness.types import Example

__all__ = ["Ranked", "RankedItem", "Signals", "signals"]


def signals(examples: Sequence[Example], labels: Sequence[str], seed: int) -> Signals:
    """Looks for likely label errors, odd texts and a lack of diversity."""
    return Signals(checks=(), ranked=())
