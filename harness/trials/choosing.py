"""Chooses settings on validation: tries candidates within a budget and takes the best of each arm.

Choosing sees what training sees, `Learning`: no test example is in its reach. What it has decided (which candidates
were begun, and that the budget let no more begin) is noted in the journal: see `harness.trials.notes`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.experiment import LOCAL, Arm
from harness.experiment.candidates import CHECKPOINT, worded
from harness.numbers import counted, duration
from harness.numbers import usd as usd_text
from harness.running.arm_training import JOBS_AT_ONCE, ArmTraining, Trained
from harness.trials import notes
from harness.trials.search import Chosen, Search, Tried
from harness.trials.sweeps import Sweeps
from harness.types import Example, Status


@dataclass(kw_only=True)
class Choosing:
    """Choices of one run."""

    work: ArmTraining
    _known: dict[str, Chosen] = field(default_factory=dict, init=False)
    """Arm → what it came to, where nothing was left to do for it."""

    def choose(self, arms: Sequence[Arm]) -> list[Chosen]:
        """Tries the candidates of every arm on validation, and takes the best of each arm.

        Arms whose time is limited are searched one after the other: the clock is theirs alone. Where requests ran out
        of attempts, or a job failed, nothing is chosen yet.

        Raises:
            GateError: The run's budget is used up.
        """
        searches = [self._opened(arm) for arm in arms if arm.name not in self._known]
        together = [search for search in searches if search.budget.seconds is None]
        alone = [[search] for search in searches if search.budget.seconds is not None]
        for group in (together, *alone):
            while any(search.taken or search.waiting for search in group):
                self._round(group)
            for search in group:
                self._close(search)
        chosen = self._known | {search.arm.name: self._chosen(search) for search in searches}
        return [chosen[arm.name] for arm in arms]

    def known(self, arm: Arm) -> Arm | None:
        """Returns an arm as it would answer, where nothing has to be trained, asked or decided for that."""
        work = self.work
        if not arm.candidates:
            return work.train(arm).arm if work.is_trained(arm) else None
        search = self._opened(arm)
        candidates = [arm.candidates[number] for number in search.taken]
        candidates = [each for each in candidates if notes.mark_of(each[0]) not in search.refused]
        if search.waiting or not all(work.is_trained(one, candidate=True) for _, one in candidates):
            return None
        ready = [(settings, work.train(one, candidate=True)) for settings, one in candidates]
        asked = [one for _, one in ready]
        asked += [other for each in ready for settings, other in self._checkpoints(arm, *each)
                  if not search.limited or notes.mark_of(settings) in search.begun]  # fmt: skip
        if not work.asking.answered([(one.arm, search.examples) for one in asked]):
            return None
        self._known[arm.name] = self.choose([arm])[0]
        return self._known[arm.name].ready.arm

    # One arm's search

    def _opened(self, arm: Arm) -> Search:
        """Returns a search with what was decided before."""
        everything = list(range(len(arm.candidates)))
        refused = notes.noted(self.work, arm, " refused").get("refused", {})
        search = Search(
            arm=arm, examples=self.work.sample(arm.choose_items), begun=[], taken=everything, waiting=[],
            refused=refused,
        )  # fmt: skip
        if not search.limited:
            return search
        note = notes.noted(self.work, arm)
        search.begun, search.seconds = list(note.get("begun", ())), float(note.get("seconds", 0.0))
        search.closed = notes.is_closed(note, search.budget)
        search.taken = [number for number in everything if self._begun(search, number)]
        if search.closed:
            search.skipped = Counter(note["skipped"])
        else:
            search.waiting = [number for number in everything if number not in search.taken]
        return search

    def _begun(self, search: Search, number: int) -> bool:
        """Whether a candidate was begun before, or has answered everything before the choice had a budget."""
        settings, one = search.arm.candidates[number]
        if notes.mark_of(settings) in search.begun or search.closed:
            return notes.mark_of(settings) in search.begun
        if not self.work.is_trained(one, candidate=True):
            return False
        return self.work.asking.answered([(self.work.train(one, candidate=True).arm, search.examples)])

    def _round(self, group: Sequence[Search]) -> None:
        """Trains and asks the next candidates of some searches, side by side, and then their checkpoints."""
        clock = time.monotonic()
        going = [(search, number) for search in group for number in self._next(search)]
        for search in group:
            self._note(search)
        ready = self._trained(going)
        self._ask([(search, (number, 0), Tried(settings=search.arm.candidates[number][0], ready=one))
                   for (search, number), one in zip(going, ready, strict=True)])  # fmt: skip
        for search in group:
            search.seconds += time.monotonic() - clock
        clock = time.monotonic()
        further = [found for search, number in going for found in self._further(search, number)]
        for search in group:
            self._note(search)
        self._ask(further)
        for search in group:
            search.seconds += time.monotonic() - clock
            self._note(search)

    def _trained(self, going: Sequence[tuple[Search, int]]) -> list[Trained]:
        """Trains candidates, but for those without which the choice was made."""
        candidates = [(search, *search.arm.candidates[number]) for search, number in going]
        refused = [search.refused.get(notes.mark_of(settings)) for search, settings, _ in candidates]
        left = [each for each, why in zip(candidates, refused, strict=True) if why is None]
        names = [search.arm.name + _in_brackets(settings) for search, settings, _ in left]
        came = iter(self.work.train_all([one for _, _, one in left], candidate=True, names=names))
        return [
            next(came) if why is None else Trained(arm=one, refusal=why, refused=True)
            for (_, _, one), why in zip(candidates, refused, strict=True)
        ]

    def _ask(self, asked: Sequence[tuple[Search, tuple[int, int], Tried]]) -> None:
        pairs = [(each.ready.arm, search.examples) for search, _, each in asked if not each.ready.refusal]
        answers = iter(self.work.asking.ask(pairs, "choosing on validation"))
        for search, at, each in asked:
            search.tried[at] = each if each.ready.refusal else replace(each, answers=tuple(next(answers)))

    def _next(self, search: Search) -> list[int]:
        """Takes the candidates that begin now out of those that wait; those for which nothing is left are skipped."""
        if search.taken or not search.limited:
            batch, search.taken = search.taken, []
            return self._begin(search, batch)
        batch, kept = [], 0.0
        while search.waiting and len(batch) < _abreast(search.arm.candidates[search.waiting[0]][1]):
            number = search.waiting.pop(0)
            first = not (search.tried or batch)
            cost = self._cost(search, number)
            if search.late and not first:
                search.skipped["seconds"] += 1
            elif first or search.covers(cost, kept):
                batch.append(number)
                kept += cost
            else:
                search.skipped["usd"] += 1
        return self._begin(search, batch)

    def _cost(self, search: Search, number: int) -> float:
        if search.budget.usd is None:
            return 0.0
        return Sweeps(work=self.work).cost(search.arm.candidates[number][1], search.arm.choose_items)

    def _begin(self, search: Search, batch: list[int]) -> list[int]:
        marks = [notes.mark_of(search.arm.candidates[number][0]) for number in batch]
        search.begun += [each for each in marks if each not in search.begun]
        return batch

    def _further(self, search: Search, number: int) -> Iterator[tuple[Search, tuple[int, int], Tried]]:
        """Yields the checkpoints of a candidate that are asked too; each costs what the candidate itself has cost."""
        last, kept = search.tried[number, 0], 0.0
        for place, (settings, ready) in enumerate(self._checkpoints(search.arm, last.settings, last.ready), 1):
            here = notes.mark_of(settings)
            if search.limited and here not in search.begun:
                if search.closed:
                    continue
                if search.late or not search.covers(last.usd, kept):
                    search.skipped["seconds" if search.late else "usd"] += 1
                    continue
                search.begun.append(here)
                kept += last.usd
            yield search, (number, place), Tried(settings=settings, ready=ready)

    def _checkpoints(
        self, arm: Arm, settings: Mapping[str, Any], ready: Trained
    ) -> Iterator[tuple[Mapping[str, Any], Trained]]:
        for each in ready.checkpoints if arm.checkpoints else ():
            backend = replace(ready.arm.backend, model=each["model"])  # type: ignore[type-var]
            yield (
                {**settings, CHECKPOINT: each.get("step")},
                replace(ready, arm=replace(ready.arm, backend=backend), model=each["model"]),
            )

    def _close(self, search: Search) -> None:
        """Lets nothing more be decided."""
        if search.limited and not search.closed:
            search.closed = True
            self._note(search)
        if search.skipped:
            spent = f"{usd_text(search.chosen_usd())}, {duration(search.seconds)}"
            self.work.asking.console.say(
                f"{search.arm.name}: {search.skipped.total():,} candidates left out, for the budget of the choice "
                f"does not cover them ({spent} are spent)"
            )

    def _chosen(self, search: Search) -> Chosen:
        """Takes the best, or nothing yet: what one candidate lacks could make it the best when the command goes on."""
        chosen = search.chosen()
        lacking = [each for each in chosen.tried if self._lacks(each, search.examples)]
        if not lacking:
            self._go_without(search, chosen)
            return chosen
        tried = counted(len(chosen.tried), "candidate")
        why = f"{search.arm.name}: nothing is chosen yet, as {len(lacking):,} of {tried} lack answers"
        self.work.asking.console.say(f"{why}; it is asked the test items when these have come")
        refusal = next((each.ready.refusal for each in lacking if each.ready.refusal), None)
        if refusal is not None:
            failure, _, advice = refusal.partition("\n")
            why = f"{why}: {failure}\n{advice or 'the same command goes on'}; or leave its values out of choose"
        waiting = Trained(arm=search.arm, refusal=why)
        return replace(chosen, settings={}, ready=waiting, left=True)

    def _lacks(self, each: Tried, examples: Sequence[Example]) -> bool:
        """Whether a model or answers are missing that would be asked for again; what was refused for good would not."""
        if each.ready.refusal is not None:
            return not each.ready.refused
        failed = any(answer.prediction.status is Status.FAILED for answer in each.answers)
        return failed and not self.work.asking.answered([(each.ready.arm, examples)])

    def _go_without(self, search: Search, chosen: Chosen) -> None:
        """Notes what was refused for good where something else is taken: it is not tried again once that is tested."""
        refused = {notes.mark_of(each.settings): each.ready.refusal for each in chosen.tried if each.ready.refused}
        if refused and chosen.ready.refusal is None:
            notes.take(self.work, search.arm, {"refused": refused}, " refused")

    def _note(self, search: Search) -> None:
        if search.limited:
            told = {
                "budget": notes.limits(search.budget), "begun": search.begun, "seconds": search.seconds,
                "skipped": dict(search.skipped), "closed": search.closed,
            }  # fmt: skip
            notes.take(self.work, search.arm, told)


def _abreast(one: Arm) -> int:
    """Returns how many candidates begin together where a budget watches: jobs elsewhere wait for others, not for us."""
    return JOBS_AT_ONCE if one.needs_job and one.endpoint != LOCAL else 1


def _in_brackets(settings: Mapping[str, Any]) -> str:
    return f" ({worded(settings)})" if settings else ""
