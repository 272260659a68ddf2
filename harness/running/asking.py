"""Asks questions: takes what is known from the journals, sends the rest, and reads the answers back."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from harness.collector import uncollected
from harness.console import Console
from harness.contract import LocalBackend
from harness.errors import DataError, UsageError
from harness.execution import in_process
from harness.execution.answers import Answered, inspect, predictions, unasked
from harness.execution.engine import Engine
from harness.execution.questions import Asker, Question, mark
from harness.execution.sender import Sender
from harness.execution.vectors import read, without_route
from harness.execution.work import Request, interleave, is_sampled
from harness.experiment import LOCAL, Arm, Experiment
from harness.journal import Entry, Journal
from harness.journal.siblings import sibling_answers
from harness.plugins import attributed
from harness.prices import Prices
from harness.running.watching import Watching
from harness.runs import RunFolder
from harness.types import Check, Context, Example, Prediction, Reply, Usage


@dataclass(kw_only=True)
class Asking:
    """What turns questions into answers, put together by the pipeline."""

    experiment: Experiment
    folder: RunFolder
    journal: Journal
    engine: Engine
    sender: Sender
    asker: Asker
    prices: Prices
    console: Console
    watching: Watching
    siblings: tuple[RunFolder, ...] = ()
    _in_process: bool = False
    """Whether a backend in this process is answering."""

    def answered(self, pairs: Sequence[tuple[Arm, Sequence[Example]]], repeat: int = 0) -> bool:
        """Whether the journal holds every answer of these arms to these examples.

        Args:
            pairs: Arms with their examples.
            repeat: How often these examples have been asked before.
        """
        if any(self.asker.lacking(arm, examples) for arm, examples in pairs):
            return False
        questions = [each for arm, examples in pairs for each in self.asker.questions(arm, examples, repeat)]
        keys = {key for question in questions for key in question.keys}
        return not keys - self.journal.known(list(keys))

    def there(self, arm: Arm, examples: Sequence[Example]) -> list[Answered] | None:
        """Returns an arm's answers, those included that would be taken over; `None` where one is missing."""
        if self.asker.lacking(arm, examples):
            return None
        questions = self.asker.questions(arm, examples)
        keys = {key for question in questions for key in question.keys}
        missing = keys - self.journal.known(list(keys))
        found = {} if missing & _drawn(questions) else self._elsewhere(missing)
        if len(found) < len(missing):
            return None
        entries = self.journal.answers(list(keys)) | found
        return self._with_vectors(arm, examples, predictions(questions, entries, {}, self.asker.labels, self._cost))

    def ask(self, pairs: Sequence[tuple[Arm, Sequence[Example]]], stage: str, repeat: int = 0) -> list[list[Answered]]:
        """Answers examples with arms, taking from the journals what is there.

        Args:
            pairs: Arms with the examples that they are asked about.
            stage: What to call it.
            repeat: How often these examples have been asked before.

        Returns:
            For each pair its answers, one for each example, matched by id.
        """
        self.embed(pairs)
        with uncollected():
            sets = [
                [] if self.asker.lacking(arm, examples) else self.asker.questions(arm, examples, repeat)
                for arm, examples in pairs
            ]
        self._tell_dropped(sets)
        keys = list(dict.fromkeys(key for questions in sets for question in questions for key in question.keys))
        known = self.journal.known(keys)
        drawn = {key for questions in sets for key in _drawn(questions)}
        known |= self._take_over([key for key in keys if key not in known and key not in drawn])
        self._send(sets, known, stage)
        with uncollected():
            entries = self.journal.answers(keys)
            return [
                self._with_vectors(
                    arm,
                    examples,
                    predictions(questions, entries, self.engine.failed, self.asker.labels, self._cost),
                )
                for (arm, examples), questions in zip(pairs, sets, strict=True)
            ]

    def embed(self, pairs: Sequence[tuple[Arm, Sequence[Example]]]) -> None:
        """Sees to it that the vectors are there which picking the shots of examples takes; mostly none are needed.

        Raises:
            UsageError: An endpoint has none to give.
        """
        missing: dict[str, tuple[Arm, Request]] = {}
        for arm, examples in pairs:
            for request in self.asker.lacking(arm, examples):
                missing.setdefault(request.key, (arm, request))
        taken = self._take_over(list(missing)) if missing else set()
        requests = [request for key, (_, request) in missing.items() if key not in taken]
        if not requests:
            return
        self.console.say(f"embeddings for shots: {len(requests):,} requests")
        for name in dict.fromkeys(request.arm for request in requests):
            self.console.expect(name, sum(request.arm == name for request in requests))

        def look(request: Request, reply: Reply) -> None:
            arm = missing[request.key][0]
            assert arm.shots is not None  # noqa: S101 - they are what it is for
            try:
                read(arm.shots.selector, Reply(reply, request))  # type: ignore[arg-type]
            except DataError as error:
                raise without_route(arm.name, UsageError(error.message)) from None

        self.engine.inspect = look
        try:
            self.engine.send(requests, self.engine.done)
        except UsageError as error:
            raise without_route(missing[requests[0].key][0].name, error) from None
        self._raise_if_stopped()
        for name in dict.fromkeys(request.arm for request in requests):
            self.console.close(name)

    def _with_vectors(self, arm: Arm, examples: Sequence[Example], answers: list[Answered]) -> list[Answered]:
        """Adds to answers what the vectors of their items cost; without any vectors no item could be asked."""
        lacking = self.asker.lacking(arm, examples)
        if lacking:
            failed = self.engine.failed.get(lacking[0].key)
            reason = (
                f"its shots cannot be picked, for it has no embeddings: {failed.message if failed else 'not asked'}"
            )
            return [unasked(arm, example, reason) for example in examples]
        requests = self.asker.embedding_requests(arm, examples)
        if not requests:
            return answers
        usd = self.asker.vectors.usd(requests)
        return [
            replace(answered, prediction=replace(answered.prediction, cost_usd=_sum(answered.prediction, usd[of.text])))
            for answered, of in zip(answers, examples, strict=True)
        ]

    def _tell_dropped(self, sets: Sequence[Sequence[Question]]) -> None:
        """Says of which arms shots do not fit."""
        for questions in sets:
            dropped = [question.dropped for question in questions if question.dropped]
            if dropped:
                self.console.say(
                    f"{questions[0].arm.name}: {sum(dropped):,} shots do not fit into the model's context and are left "
                    f"out, in the prompts of {len(dropped):,} of {len(questions):,} items"
                )

    def _take_over(self, missing: Sequence[str]) -> set[str]:
        """Copies answers from the journals of sibling runs."""
        taken = self._elsewhere(missing)
        if taken:
            self.journal.add(taken.values())
            self.console.say(f"{len(taken):,} answers taken over from other runs of this experiment")
        return set(taken)

    def _elsewhere(self, missing: Collection[str]) -> dict[str, Entry]:
        """Returns the answers that sibling runs have."""
        left = list(missing)
        taken: dict[str, Entry] = {}
        for sibling in self.siblings:
            if not left:
                break
            found = sibling_answers(sibling.journal, left)
            taken |= {key: replace(entry, reused=entry.reused or sibling.path.name) for key, entry in found.items()}
            left = [key for key in left if key not in found]
        return taken

    def _send(self, sets: Sequence[Sequence[Question]], known: set[str], stage: str) -> None:
        requests: dict[str, Request] = {}
        local: dict[int, tuple[Arm, dict[str, Question]]] = {}
        for question in (question for questions in sets for question in questions):
            if question.requests:
                requests |= {request.key: request for request in question.requests if request.key not in known}
            elif question.key not in known:
                local.setdefault(id(question.arm), (question.arm, {}))[1][question.key] = question
        totals: dict[str, int] = {}
        for request in requests.values():
            totals[request.arm] = totals.get(request.arm, 0) + 1
        for arm, questions_of in local.values():
            totals[arm.name] = totals.get(arm.name, 0) + len(questions_of)
        if not totals:
            return
        self.console.say(f"{stage}: {sum(totals.values()):,} requests of {len(totals)} arm{'s' * (len(totals) > 1)}")
        self.watching.tell("stage", message=stage, figures=totals)
        for name, total in totals.items():
            self.console.expect(name, total)
        for arm, questions_of in local.values():
            self._answer_in_process(arm, questions_of)
            self._raise_if_stopped()
        if requests:
            asked = {key: question for questions in sets for question in questions for key in question.keys}
            self.engine.inspect = lambda request, reply: inspect(asked[request.key], reply)
            with attributed(self.experiment.executor, "run"):
                calls = interleave(list(requests.values()), local=LOCAL, seed=self.engine.seed)
                self.experiment.executor.run(calls, self.sender, self.engine.done)
            if self.engine.refusal is None:
                self.engine.commit_held()
        self._raise_if_stopped()
        for name in totals:
            self.console.close(name)

    def interrupt(self) -> bool:
        """Lets nothing more be asked; returns whether something is under way that will come in."""
        elsewhere = self._in_process or self.sender.carrying
        if elsewhere:
            self.engine.interrupted = True
        return self.engine.interrupt() or elsewhere

    def _raise_if_stopped(self) -> None:
        if self.engine.interrupted:
            raise KeyboardInterrupt
        if self.engine.refusal is not None:
            raise self.engine.refusal
        if self.engine.stopped is not None:
            raise self.engine.stopped

    def _answer_in_process(self, arm: Arm, questions: Mapping[str, Question]) -> None:
        backend = arm.backend
        assert isinstance(backend, LocalBackend)  # noqa: S101 - the loader saw to it
        fit_key = self.asker.fit_keys.get(mark(arm))
        told: list[Check] = []
        ctx = Context(
            arm=arm.name,
            seed=self.asker.seed,
            labels=self.asker.labels,
            endpoints={name: table.base_url or LOCAL for name, table in self.experiment.endpoints.items()},
            folder=self.folder.model(arm.name, fit_key) if fit_key else self.folder.path,
            run=self.folder.path,
            experiment=self.experiment.path.parent,
            tell=told.append,
        )
        prompts = {key: question.prompt for key, question in questions.items()}

        def commit(entries: list[Entry]) -> None:
            self.journal.add(entries)
            self.advance(arm.name, {"done": len(entries)})

        self._in_process = True
        try:
            in_process.answer(backend, ctx, prompts, self.engine.scrub, commit, lambda: self.engine.interrupted)
        finally:
            self._in_process = False
        # On disk, for a run that goes on does not open the backend again
        self.journal.take_note(_told(arm.name), json.dumps([asdict(check) for check in told]) if told else None)

    def told(self, arms: Iterable[str]) -> tuple[Check, ...]:
        """Returns what the backends of arms have told while they answered."""
        notes = [note for arm in arms if (note := self.journal.note(_told(arm))) is not None]
        return tuple(Check(**check) for note in notes for check in json.loads(note))

    def advance(self, arm: str, figures: Mapping[str, Any]) -> None:
        """Tells the console and the observers of answers."""
        self.console.advance(arm, figures)
        self.watching.tell("arm-progress", arm=arm, figures=figures)

    def _cost(self, arm: Arm, usage: Usage, tier: str) -> float | None:
        """Returns an answer's price; a local endpoint's is settled later, from its seconds."""
        model, endpoint = arm.model, arm.endpoint
        if model is None or endpoint is None or endpoint == LOCAL:
            return None
        return self.prices.request_usd(endpoint, model, usage, tier)


def _told(arm: str) -> str:
    """Returns the key of a note in the journal."""
    return f"told by {arm}"


def _drawn(questions: Iterable[Question]) -> set[str]:
    """Returns the keys of requests whose answers are drawn by chance: those of another run are others."""
    return {request.key for question in questions for request in question.requests if is_sampled(request)}


def _sum(prediction: Prediction, usd: float | None) -> float | None:
    """Returns what an answer and its vector cost, where both are known."""
    return None if prediction.cost_usd is None or usd is None else prediction.cost_usd + usd
