"""What fine-tuning taught: the form of an answer, how often each label is right, or the task itself."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from harness.scoring.answers import Answers, Figures
from harness.scoring.contenders import PROMPTS, TUNED
from harness.scoring.facts import ArmFacts, RunFacts
from harness.types import Prediction, Status

SUM_TOLERANCE = 1e-3
"""How far probabilities may be from summing to 1: files with results from elsewhere round theirs."""
NOTHING = {"format": None, "prior": None, "task": None, "prior_method": None, "recovered": None}


def decompose(tuned: Answers, prompt: Answers, prior: Mapping[str, float], labels: Sequence[str]) -> Figures:
    """Splits accuracy(tuned) − accuracy(prompt) into three parts that sum to it.

    `format`: what the prompt would have gained had it been right on the items that it left without a readable answer
    and that the tuned arm read (`recovered` of them) as often as on the items that it did answer: recovered / n times
    its accuracy over answered items.

    `prior`: what the prompt would have gained from the labels' shares in the training split alone, see `_by_prior`
    and `_by_chance`; never below 0, for a prompt that loses by them has nothing to learn from them.

    `task`: the rest.

    Args:
        tuned: Answers of the tuned arm.
        prompt: Answers of the prompt to the same items.
        prior: Label → share of the training split.
        labels: The label set.

    Returns:
        Also `difference` and `prior_method`: `probabilities`, `chance`, or `None` where there is no prior; `prior` is
        `None` then and the task's part holds it. All parts are `None`, with a `reason`, where the prompt has no answer.
    """
    n = len(prompt)
    difference = (int(tuned.right.sum()) - int(prompt.right.sum())) / n if n else None
    answered = [row for row in prompt.rows if row.status is Status.ANSWERED and row.predicted is not None]
    if not answered or difference is None:
        return {"difference": difference, **NOTHING, "reason": "the prompt has no readable answer"}
    recovered = int((tuned.answered & ~prompt.answered).sum())
    form = recovered / n * (int(prompt.right.sum()) / len(answered))
    gain, method = _prior_gain(answered, prior, labels)
    learned = None if gain is None else max(0.0, gain / n)
    return {
        "difference": difference,
        "format": form,
        "prior": learned,
        "task": difference - form - (learned or 0.0),
        "prior_method": method,
        "recovered": recovered,
        "reason": None if method else "the labels' shares in the training split are not known",
    }


def decompositions(
    arms: Sequence[ArmFacts], answers: Mapping[str, Answers], best: str | None, first: str | None, run: RunFacts
) -> list[Figures]:
    """Splits the gain of each tuned arm over the best prompt.

    Args:
        arms: All arms.
        answers: Those of each arm.
        best: The contender among the prompts, if there is one.
        first: The tuned contender, whose line comes first.
        run: The run.
    """
    prompt = next((arm for arm in arms if arm.name == best and arm.family in PROMPTS), None)
    if prompt is None or len(answers[prompt.name]) != run.n_test:
        return []
    ids = answers[prompt.name].ids
    tuned = [arm.name for arm in arms if arm.family in TUNED and ids and answers[arm.name].ids == ids]
    tuned.sort(key=lambda name: name != first)
    return [
        {"a": name, "b": prompt.name, **decompose(answers[name], answers[prompt.name], run.prior, run.labels)}
        for name in tuned
    ]


def _prior_gain(
    rows: Sequence[Prediction], prior: Mapping[str, float], labels: Sequence[str]
) -> tuple[float | None, str | None]:
    """Returns how many more items would be right with the training split's shares, and by which method."""
    shares = {label: prior.get(label, 0.0) for label in labels}
    if not labels or not math.isclose(math.fsum(shares.values()), 1.0, abs_tol=SUM_TOLERANCE):
        return None, None
    told = [_probabilities(row, labels) for row in rows]
    known = [each for each in told if each is not None]
    if len(known) == len(rows):
        return _by_prior(rows, known, shares), "probabilities"
    return _by_chance(rows, shares), "chance"


def _by_prior(rows: Sequence[Prediction], told: Sequence[Mapping[str, float]], prior: Mapping[str, float]) -> float:
    """Returns the gain of the most probable label after exchanging the prompt's own prior for that of training.

    p'(y | x) ∝ p(y | x) · π(y) / q(y), with π the training split's shares and q the mean of p over the answered items
    (Saerens, Latinne & Decaestecker 2002, Neural Comput. 14:21–41; the mean as the model's own prior: Zhou et
    al. 2024, Batch calibration, ICLR).
    """
    own = {label: math.fsum(each[label] for each in told) / len(told) for label in prior}
    weights = {label: prior[label] / own[label] if own[label] else 0.0 for label in prior}
    gain = 0
    for row, each in zip(rows, told, strict=True):
        adjusted = {label: each[label] * weights[label] for label in prior}
        most = max(adjusted.values())
        # The prompt's own answer wins a tie: nothing is changed without cause
        held = row.predicted is not None and adjusted.get(row.predicted, -1.0) == most
        chosen = row.predicted if held else max(adjusted, key=lambda label: adjusted[label])
        gain += (chosen == row.expected) - (row.predicted == row.expected)
    return float(gain)


def _by_chance(rows: Sequence[Prediction], prior: Mapping[str, float]) -> float:
    """Returns the expected gain where answers only are known: as few as possible are exchanged, by chance.

    With Q the shares of the labels among the answers, an answer y that is given too often keeps its label with
    probability π(y) / Q(y) and else becomes z with probability d(z) / Σ d, d(z) = max(0, π(z) − Q(z)): the coupling
    that changes least (Lindvall 2002, Lectures on the Coupling Method).
    """
    given = Counter(row.predicted for row in rows)
    lacking = {label: max(0.0, share - given[label] / len(rows)) for label, share in prior.items()}
    total = math.fsum(lacking.values())
    if not total:
        return 0.0
    gains = []
    for row in rows:
        leaves = max(0.0, 1.0 - prior.get(row.predicted or "", 0.0) * len(rows) / given[row.predicted])
        gains.append(leaves * (lacking.get(row.expected, 0.0) / total - (row.predicted == row.expected)))
    return math.fsum(gains)


def _probabilities(row: Prediction, labels: Sequence[str]) -> dict[str, float] | None:
    """Returns a probability for each label; `None` where those given are none."""
    if row.probabilities is None:
        return None
    told = {label: row.probabilities.get(label, math.nan) for label in labels}
    if not all(math.isfinite(value) and value >= 0 for value in told.values()):
        return None
    return told if abs(math.fsum(told.values()) - 1) <= SUM_TOLERANCE else None
