"""What a choice on validation is going to cost, before anything is sent: estimates, and the refusal of those too large.

Prompts are taken at 3 characters a token, which is on the safe side in most languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import ExperimentError
from harness.execution.answers import Answered
from harness.experiment import LOCAL, Arm
from harness.experiment.candidates import worded
from harness.journal import Job
from harness.journal.siblings import sibling_job
from harness.numbers import usd as usd_text
from harness.running.arm_prices import unpriced
from harness.running.arm_training import ArmTraining
from harness.trials.notes import is_closed, mark_of, noted
from harness.types import Example, Usage

OUTPUT_TOKENS = 8
"""Tokens of an answer that names a label."""


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """Estimates the choices of a run."""

    work: ArmTraining

    def cost(self, one: Arm, items: int | None = None) -> float:
        """Returns the dollars that training and asking a candidate would cost; 0 where none are billed.

        Args:
            one: The candidate.
            items: How many validation examples it is asked about; all where `None`.
        """
        if one.endpoint in (None, LOCAL) or self._there(one, items) is not None:
            return 0.0
        return self.training(one) + self._asking(one, items)

    def _there(self, one: Arm, items: int | None) -> Sequence[Answered] | None:
        """Returns a candidate's answers, this run's or another's; `None` where one is missing."""
        ready = self._ready(one)
        return None if ready is None else self.work.asking.there(ready, self.work.sample(items))

    def _asking(self, one: Arm, items: int | None, asked: set[str] | None = None) -> float:
        """Returns the dollars that asking a candidate would cost, each of an item's requests as much as its prompt.

        Args:
            one: The candidate.
            items: How many validation examples it is asked about; all where `None`.
            asked: Keys of what others ask before; those of its own are added.
        """
        asking, examples = self.work.asking, self.work.sample(items)
        prompts = asking.asker.prompts(one, examples)
        sizes = [len(p.text) + sum(len(m.content) for m in p.messages) for p in prompts]
        usages = [Usage(input=size // 3 + 1, output=OUTPUT_TOKENS) for size in sizes]
        costs = [asking.prices.request_usd(str(one.endpoint), self._model(one), usage) or 0.0 for usage in usages]
        times = self._requests(one, examples, set() if asked is None else asked)
        return sum(cost * n for cost, n in zip(costs, times, strict=True))

    def _requests(self, one: Arm, examples: Sequence[Example], asked: set[str]) -> list[int]:
        """Returns how many requests that have no answer each example takes; one where they cannot be known yet."""
        ready, asking = self._ready(one), self.work.asking
        if ready is None or asking.asker.lacking(ready, examples):
            return [1] * len(examples)
        questions = asking.asker.questions(ready, examples)
        asked |= asking.journal.known([key for question in questions for key in question.keys])
        counts = []
        for question in questions:
            counts.append(len(set(question.keys) - asked))
            asked.update(question.keys)
        return counts

    def training(self, one: Arm) -> float:
        """Returns the dollars of a candidate's job, 0 where its model is there."""
        return 0.0 if self._ready(one) is not None else self.work.plan(one, candidate=True).usd or 0.0

    def _ready(self, one: Arm) -> Arm | None:
        """Returns a candidate with the model that this run, or another of the experiment, has trained for it."""
        if not one.needs_job:
            return one
        plan = self.work.plan(one, candidate=True)
        job = self._job(plan.tag)
        if job is None:
            return None
        self.work.asking.prices.trained[str(job.model)] = plan.spec.base
        return replace(one, backend=replace(one.backend, model=job.model))  # type: ignore[type-var]

    def _job(self, tag: str) -> Job | None:
        """Returns the job that has trained a model, this run's or another's."""
        elsewhere = (sibling_job(journal, tag) for journal in self.work.trainer.siblings)
        jobs = (self.work.asking.journal.job(tag), *elsewhere)
        return next((job for job in jobs if job is not None and job.model is not None), None)

    def _billed(self, one: Arm) -> dict[str, float]:
        """Returns the dollars of a candidate's job by its tag: what it has cost, else what it would; empty: none."""
        if not one.needs_job:
            return {}
        plan = self.work.plan(one, candidate=True)
        job = self._job(plan.tag)
        tokens = None if job is None else (job.result or {}).get("trained_tokens")
        usd = self.work.asking.prices.training_usd(plan.spec.base, tokens)
        return {plan.tag: (plan.usd or 0.0) if usd is None else usd}

    def _open(self, arm: Arm, note: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Arm]]:
        """Returns the candidates that have still a part in an arm's choice; others cost nothing, whatever is missing.

        What a finished choice has left out is not begun, and what it went without is not tried again. One at least.
        """
        refused = noted(self.work, arm, " refused").get("refused", {})
        begun = list(arm.candidates)
        if is_closed(note, arm.choose_budget):
            begun = [each for each in begun if mark_of(each[0]) in note["begun"]]
        return [each for each in begun if mark_of(each[0]) not in refused] or begun

    def foreseen(self, arm: Arm) -> list[tuple[Mapping[str, Any], Arm]]:
        """Returns the candidates that the choice has let begin, or that its dollars would, were all estimates right."""
        note, budget, items = noted(self.work, arm), arm.choose_budget, arm.choose_items
        candidates = self._open(arm, note)
        if budget.usd is None or arm.endpoint in (None, LOCAL) or is_closed(note, budget):
            return candidates
        there = [self._there(one, items) for _, one in candidates]
        begun = {number for number, (settings, _) in enumerate(candidates)
                 if there[number] is not None or mark_of(settings) in note.get("begun", ())}  # fmt: skip
        kept: set[int] = set()
        asked, jobs, keys, paid = 0.0, dict[str, float](), set[str](), dict[str, float]()
        for number in (*sorted(begun), *(other for other in range(len(candidates)) if other not in begun)):
            one, answers = candidates[number][1], there[number]
            theirs = set(keys)
            more = self._asking(one, items, theirs) if answers is None else _beyond(paid, answers)
            billed = jobs | self._billed(one)
            if number in begun or not kept or asked + more + sum(billed.values()) <= budget.usd:
                kept.add(number)
                asked, jobs, keys = asked + more, billed, theirs
        return [candidates[number] for number in sorted(kept)]

    def refuse(self, arms: Sequence[Arm]) -> None:
        """Refuses choices that their budget, or the run's, cannot cover.

        Raises:
            ExperimentError: With the figures and what to change; nothing has been sent.
        """
        cap = self.work.asking.engine.budget.max_usd
        trained = 0.0
        for arm in (arm for arm in arms if arm.candidates):
            limits = (("choose.budget.usd", arm.choose_budget.usd), ("budget.max_usd", cap))
            given = [(name, limit) for name, limit in limits if limit is not None]
            if not given:
                continue
            self._require_prices(arm)
            candidates = self._open(arm, noted(self.work, arm))
            jobs = {self.work.plan(one, True).tag: self.training(one) for _, one in candidates if one.needs_job}
            settings, first = candidates[0]
            name = f"its first candidate ({worded(settings)}) alone" if settings else "the arm"
            alone = self.cost(first, arm.choose_items)
            for each in given:
                _refuse(arm, each, f"training its {len(jobs)} candidates", sum(jobs.values()))
                _refuse(arm, each, f"trying {name} on validation", alone)
            trained += sum(jobs.values())
        if cap is not None and trained > cap:
            raise ExperimentError(
                f"training the candidates of all choices would cost about {usd_text(trained)}, more than the "
                f"{usd_text(cap)} of budget.max_usd; nothing was launched",
                "raise it, or give fewer values to try",
            )

    def _require_prices(self, arm: Arm) -> None:
        for _, one in arm.candidates:
            lacking = unpriced(self.work.asking.prices, one)
            if lacking is not None:
                model, advice = lacking
                raise ExperimentError(
                    f"arms.{arm.name}: its choice has a budget in dollars, but no price is known for {model}", advice
                )

    def _model(self, one: Arm) -> str:
        """Returns a model with a candidate's price: of one that is not trained yet, a name that says its base."""
        if not one.needs_job:
            return str(one.model)
        base = self.work.plan(one, candidate=True).spec.base
        self.work.asking.prices.trained[f"ft:{base}"] = base
        return f"ft:{base}"


def _beyond(paid: dict[str, float], answers: Sequence[Answered]) -> float:
    """Returns the dollars of answers that are not `paid` with those of candidates before, and adds them there.

    Candidates that ask the same share it, and the dearest asks for all of it: see `Chosen.shared_usd`.
    """
    before = sum(paid.values())
    for each in answers:
        if each.entry is not None:
            paid[each.entry.key] = max(each.prediction.cost_usd or 0.0, paid.get(each.entry.key, 0.0))
    return sum(paid.values()) - before


def _refuse(arm: Arm, limit: tuple[str, float], what: str, usd: float) -> None:
    name, most = limit
    if usd > most:
        raise ExperimentError(
            f"arms.{arm.name}: {what} would cost about {usd_text(usd)}, more than the {usd_text(most)} of {name}; "
            "nothing was launched",
            "raise it, or give fewer or cheaper values to try, or fewer items",
        )
