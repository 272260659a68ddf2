"""One arm's choice on validation: what was tried, what that took, and which of it is the best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.execution.answers import Answered, accuracy
from harness.experiment import LOCAL, Arm
from harness.experiment.file import ChooseBudget
from harness.journal import Entry
from harness.running.arm_training import Trained
from harness.types import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One candidate with its answers on validation; none where it could not be trained."""

    settings: Mapping[str, Any]
    ready: Trained
    answers: tuple[Answered, ...] = ()

    @property
    def usd(self) -> float:
        """Dollars that its answers have cost, this run or the one that they were taken over from."""
        return sum(answer.prediction.cost_usd or 0.0 for answer in self.answers)

    @property
    def burden(self) -> tuple[float, float]:
        """Dollars and input tokens of an answer, whoever paid for it: what asking it in production would take.

        0 where nothing is known; among candidates of one arm, which share model and endpoint, that is so for all.
        """
        rows = [answer.prediction for answer in self.answers]
        return _mean([row.cost_usd for row in rows]), _mean([row.input_tokens for row in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a choice on validation looked at and took."""

    arm: Arm
    settings: Mapping[str, Any]
    ready: Trained
    tried: tuple[Tried, ...]
    why_skipped: Mapping[str, int] = field(default_factory=dict)
    """`usd` or `seconds` → candidates for which the choice's budget had none left."""
    wall_s: float | None = None
    """Seconds that the choice has taken, where they were limited."""
    left: bool = False
    """Whether nothing is chosen yet, for candidates lack answers: the same command goes on with it."""

    @property
    def answers(self) -> tuple[Answered, ...]:
        """What the chosen candidate answered."""
        return next((each.answers for each in self.tried if each.settings == self.settings), ())

    @property
    def training_usd(self) -> float:
        """Dollars of the jobs, this run's or another's, each counted once."""
        return sum({each.ready.job: each.ready.usd or 0.0 for each in self.tried}.values())

    @property
    def shared_usd(self) -> float:
        """Dollars that are in what several candidates cost, and were paid once.

        Candidates that differ in what is made of an answer (`calibrate`) ask the same; the dearest asks for all of it.
        """
        costs: dict[str, list[float]] = {}
        for each in self.tried:
            for answer in each.answers:
                if answer.entry is not None:
                    costs.setdefault(answer.entry.key, []).append(answer.prediction.cost_usd or 0.0)
        return sum(sum(each) - max(each) for each in costs.values())

    @property
    def billed_usd(self) -> float:
        """Dollars of its answers for which this run was billed: not what was taken over or asked of this machine.

        As in the ledger, at the prices of the time: what they would cost now is in `usd`.
        """
        answers = (answer for each in self.tried for answer in each.answers)
        asked = (entry for one in answers for entry in (one.entry, *one.further, *one.common))
        return sum({entry.key: entry.usd or 0.0 for entry in asked if entry is not None and _billed(entry)}.values())

    @property
    def usd(self) -> float:
        """Dollars that the choice has cost: training and answers."""
        return self.training_usd + sum(each.usd for each in self.tried) - self.shared_usd


@dataclass(kw_only=True)
class Search:
    """One arm's choice as it goes on."""

    arm: Arm
    examples: tuple[Example, ...]
    begun: list[str]
    """Marks of the candidates that were begun, in whichever command."""
    taken: list[int]
    """Candidates that need no decision: nothing limits the choice, or they were begun before."""
    waiting: list[int]
    """Those that are begun as far as the budget allows."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Marks of candidates without which the choice was made → why they were refused for good."""
    tried: dict[tuple[int, int], Tried] = field(default_factory=dict)
    """Number of the candidate and of its checkpoint → what came of it."""
    skipped: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    closed: bool = False
    """Whether all has been decided."""

    @property
    def budget(self) -> ChooseBudget:
        """What the choice may take."""
        return self.arm.choose_budget

    @property
    def limited(self) -> bool:
        """Whether it may take only so many dollars or seconds."""
        return self.budget.usd is not None or self.budget.seconds is not None

    @property
    def late(self) -> bool:
        """Whether its seconds are used up."""
        return self.budget.seconds is not None and self.seconds >= self.budget.seconds

    def chosen(self) -> Chosen:
        """Takes the best; of equals a job's last model rather than a checkpoint, then the cheapest, then the first."""
        order = sorted(self.tried)
        best = min(order, key=self._rank)
        return Chosen(
            arm=self.arm,
            settings=self.tried[best].settings,
            ready=self.tried[best].ready,
            tried=tuple(self.tried[at] for at in order),
            why_skipped=dict(self.skipped),
            wall_s=None if self.budget.seconds is None else self.seconds,
        )

    def _rank(self, at: tuple[int, int]) -> tuple[Any, ...]:
        one = self.tried[at]
        return (one.ready.refusal is not None, -accuracy(one.answers), at[1] > 0, *one.burden, at)

    def covers(self, cost: float, kept: float) -> bool:
        """Whether the dollars cover something more, beside those that are kept for what begins with it."""
        return self.budget.usd is None or self.chosen_usd() + kept + cost <= self.budget.usd

    def chosen_usd(self) -> float:
        """Returns the dollars that the choice has cost so far."""
        return self.chosen().usd if self.tried else 0.0


def _billed(entry: Entry) -> bool:
    """Whether an answer is in the ledger's `spent_usd`: this run's own, of an endpoint that may send a bill for it."""
    return entry.reused is None and entry.error is None and entry.endpoint not in ("", LOCAL)


def _mean(values: Sequence[float | None]) -> float:
    """Returns the mean of the known ones, to nine significant digits: summing in another order must not decide."""
    known = [value for value in values if value is not None]
    return float(f"{math.fsum(known) / len(known):.9g}") if known else 0.0
