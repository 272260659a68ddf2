"""What earlier runs of an experiment know: answers that need not be bought again, models, and what was measured."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.execution.work import is_sampled, tokens_of
from harness.journal import Entry, Job, read_keys, read_spent, reading
from harness.journal.siblings import sibling_answers, sibling_job
from harness.outcome.machine_time import machine_seconds
from harness.runs import RunFolder
from harness.types import Call

T = TypeVar("T")

SAMPLE = 2_000
"""Most answers of an arm that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What answers of an arm have shown."""

    answers: int
    output_tokens: float | None
    """Mean; `None` where the endpoint does not count."""
    service_s: float
    """Mean seconds of a request."""
    busy_s: float
    """Seconds in which any of them was under way, for each answer: those of a machine that does the work itself."""
    source: str
    """Where they come from, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """The run itself, where it has begun, and the other runs of its name."""

    own: RunFolder
    siblings: tuple[RunFolder, ...]

    def known(self, requests: Mapping[str, Call]) -> set[str]:
        """Returns the keys whose answers would not be asked for again."""
        found: set[str] = _asked(self.own.journal, lambda journal: read_keys(journal, list(requests)), set())
        for sibling in self.siblings:
            left = [key for key, request in requests.items() if key not in found and not is_sampled(request)]
            found |= sibling_answers(sibling.journal, left).keys() if left else set()
        return found

    def answers(self, keys: Sequence[str]) -> dict[str, Entry]:
        """Returns the answers that would not be asked for again, by key."""
        found: dict[str, Entry] = {}
        for folder in (self.own, *self.siblings):
            left = [key for key in keys if key not in found]
            found |= sibling_answers(folder.journal, left) if left else {}
        return found

    def job(self, tag: str) -> Job | None:
        """Returns a succeeded training job."""
        for folder in (self.own, *self.siblings):
            job = sibling_job(folder.journal, tag)
            if job is not None:
                return job
        return None

    def measured(self, arm: str) -> Measured | None:
        """Returns what the newest run with answers of an arm has measured."""
        for folder in (self.own, *self.siblings):
            found = _measured(folder.journal, arm, folder.path.name)
            if found is not None:
                return found
        return None

    def training_pace(self, arm: str) -> float | None:
        """Returns the seconds that a billed token took in the newest training of an arm."""
        for folder in (self.own, *self.siblings):
            query = "SELECT result FROM jobs WHERE arm = ? AND model IS NOT NULL AND result IS NOT NULL"
            for (text,) in _rows(folder.journal, query, arm):
                result = json.loads(text)
                if result.get("seconds") and result.get("trained_tokens"):
                    return float(result["seconds"]) / float(result["trained_tokens"])
        return None

    def spent(self) -> float:
        """Returns what the run has spent so far, in USD."""
        return _asked(self.own.journal, read_spent, 0.0)


def _asked(journal: Path, question: Callable[[sqlite3.Connection], T], nothing: T) -> T:
    """Asks a journal; one that is not there, or cannot be read, has `nothing` to say."""
    try:
        with reading(journal) as connection:
            return question(connection)
    except sqlite3.Error:
        return nothing


def _rows(journal: Path, query: str, *values: str | int) -> list[tuple[Any, ...]]:
    return _asked(journal, lambda connection: connection.execute(query, values).fetchall(), [])


def _measured(journal: Path, arm: str, run: str) -> Measured | None:
    rows = _rows(
        journal,
        "SELECT body, started, service_s FROM answers WHERE arm = ? AND error IS NULL AND reused IS NULL LIMIT ?",
        arm,
        SAMPLE,
    )
    if not rows:
        return None
    outputs = []
    for body, _, _ in rows:
        usage = tokens_of(json.loads(zlib.decompress(body)))
        outputs += [usage.output] if usage is not None else []
    spans = [(started, started + seconds) for _, started, seconds in rows]
    n = len(rows)
    return Measured(
        answers=n,
        output_tokens=sum(outputs) / len(outputs) if outputs else None,
        service_s=sum(stop - start for start, stop in spans) / n,
        busy_s=machine_seconds({arm: spans})[arm] / n,
        source=f"{n:,} answers of {run}",
    )
