"""What tests read off a run's journal."""

from __future__ import annotations

from collections import Counter

from harness.journal import Journal


def fault_counts(journal: Journal) -> dict[str, int]:
    """Returns how many attempts failed, by kind, whichever arm they were of."""
    total: Counter[str] = Counter()
    for kinds in journal.faults_by_arm().values():
        total.update(kinds)
    return dict(total)
