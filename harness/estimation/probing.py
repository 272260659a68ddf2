"""`harness estimate --probe`: what endpoints and models really do, seen in a few requests of each arm.

Nothing is guessed from a model's name. The answers go into a journal that is thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.errors import HarnessError
from harness.estimation.earlier import Measured
from harness.experiment import LOCAL, Arm, plain
from harness.running.arm_training import ArmTraining
from harness.training.base_models import looked_up
from harness.types import Example, Prediction, Status

ITEMS = 3
"""Validation items that an arm is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was seen of one arm."""

    arm: str
    settings: Mapping[str, Any]
    """Those of the candidate that was asked, where something is to be chosen."""
    answers: tuple[Prediction, ...] = ()
    usage: bool | None = None
    """Whether the endpoint counts tokens."""
    logprobs: bool | None = None
    """Whether labels came with probabilities; `None` where the arm asks for none."""
    error: str | None = None
    cure: str | None = None
    skipped: str | None = None
    """Why nothing was asked."""

    @property
    def measured(self) -> Measured | None:
        """What the answers have shown, for the estimate."""
        timed = [row for row in self.answers if row.latency_s is not None and row.status is not Status.FAILED]
        if not timed:
            return None
        outputs = [row.output_tokens for row in timed if row.output_tokens is not None and not row.tokens_estimated]
        seconds = sum(row.latency_s or 0.0 for row in timed) / len(timed)
        return Measured(
            answers=len(timed),
            output_tokens=sum(outputs) / len(outputs) if outputs else None,
            service_s=seconds,
            busy_s=seconds,
            source=f"{len(timed)} answers of the probe",
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns what `harness estimate --json` shows of it."""
        status = [row.status for row in self.answers]
        measured, cut = self.measured, sum(row.truncated for row in self.answers)
        cached = [row.cached_tokens for row in self.answers if row.cached_tokens is not None]
        thought = [row.reasoning_tokens for row in self.answers if row.reasoning_tokens is not None]
        return {
            "arm": self.arm,
            "settings": dict(self.settings),
            "works": None if self.skipped else self.error is None,
            "skipped": self.skipped,
            "error": self.error,
            "cure": self.cure,
            "asked": len(self.answers),
            "answered": status.count(Status.ANSWERED),
            "unparsed": status.count(Status.UNPARSED),
            "failed": status.count(Status.FAILED),
            "truncated": cut,
            "usage": self.usage,
            "logprobs": self.logprobs,
            "cached_tokens": max(cached, default=None),
            "reasoning_tokens": max(thought, default=None),
            "input_tokens": [row.input_tokens for row in self.answers],
            "output_tokens": [row.output_tokens for row in self.answers],
            "latency_s": None if measured is None else measured.service_s,
            "said": next((row.response[:80] for row in self.answers if row.response), None),
        }


def probe(work: ArmTraining, arms: Sequence[Arm], validation: Sequence[Example]) -> tuple[Probe, ...]:
    """Asks each arm a few validation items, through the engine and the journal of `work`.

    Args:
        work: A run's tools over a journal of their own.
        arms: The arms. One that is yet to be trained is not asked.
        validation: The validation split; train items where it is empty.
    """
    found = []
    for arm in arms:
        asked: set[str] = set()
        for settings, one in arm.candidates or (({}, arm),):
            mark = str(plain(one.backend))
            if mark not in asked:  # other shots are asked the same way
                asked.add(mark)
                found.append(_one(work, replace(one, candidates=()), settings, validation[:ITEMS]))
    return tuple(found)


def _one(work: ArmTraining, arm: Arm, settings: Mapping[str, Any], items: Sequence[Example]) -> Probe:
    nothing = Probe(arm=arm.name, settings=settings)
    if not hasattr(arm.backend, "calls"):
        return replace(nothing, skipped="it answers in this process")
    if arm.trained:
        return replace(nothing, skipped="its model is yet to be trained")
    if arm.shots is not None and work.asking.asker.lacking(arm, items):
        selector: Any = arm.shots.selector  # it would ask about the whole train split, for three items
        arm = replace(arm, shots=replace(arm.shots, selector=replace(selector, embeddings=None)))
    engine = work.asking.engine
    try:
        (answered,) = work.asking.ask([(arm, items)], f"probing {arm.name}")
    except HarnessError as error:
        engine.refusal = engine.stopped = None  # the other arms are looked at all the same
        return replace(nothing, error=error.message, cure=error.hint or None)
    rows = tuple(one.prediction for one in answered)
    seen = replace(nothing, answers=rows, usage=_usage(rows), logprobs=_logprobs(arm, rows))
    lost = next((row for row in rows if row.status is Status.FAILED), None)
    if lost is not None:
        return replace(seen, error=lost.error or "no answer", cure="see what the endpoint says, then probe again")
    return replace(seen, cure=_advice(rows))


def _usage(rows: Sequence[Prediction]) -> bool | None:
    known = [row for row in rows if row.input_tokens is not None]
    return not any(row.tokens_estimated for row in known) if known else None


def _logprobs(arm: Arm, rows: Sequence[Prediction]) -> bool | None:
    if arm.answer_mode != "choose":
        return None
    return any(row.probabilities is not None for row in rows)


def _advice(rows: Sequence[Prediction]) -> str | None:
    """Says what to do where answers came that are of no use."""
    if any(row.status is Status.ANSWERED for row in rows) or not rows:
        return None
    if all(row.truncated for row in rows):
        return "the token limit cuts every answer before it names a label: raise max_tokens"
    return 'no label was found in the answers: say in the instruction how to answer, or use answer = "choose"'


def shutdown_dates(work: ArmTraining, models: Mapping[str, str]) -> dict[str, str | None]:
    """Asks endpoints from when on models answer no more.

    Args:
        work: A run's tools.
        models: Model → endpoint.

    Returns:
        Model → ISO date, `None` where the endpoint names none, does not know the model, or lists no models.
    """
    dates: dict[str, str | None] = {}
    for model, endpoint in models.items():
        dates[model] = None if endpoint == LOCAL else _shutdown_date(work, endpoint, model)
    return dates


def _shutdown_date(work: ArmTraining, endpoint: str, model: str) -> str | None:
    import openai

    try:
        with work.asking.sender.client(endpoint) as client:
            return looked_up(client, model).shutdown_date
    except (openai.OpenAIError, HarnessError):
        return None
