"""What fine-tuning taught: the form of an answer, how often each label is right, or the task itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.scoring.answers import SUM_TOLERANCE, Answers, Codes, Figures, Flags, Floats, probabilities
from harness.scoring.bootstrap import group_codes
from harness.scoring.facts import ArmFacts, RunFacts
from harness.scoring.resampling import interval, kinds_of, method, resampled
from harness.types import PROMPTS, TUNED
from harness.words import noted

PARTS = ("format", "prior", "task")
NO_PRIOR = noted("the labels' shares in the training split are not known")


def decompose(
    tuned: Answers, prompt: Answers, prior: Mapping[str, float], labels: Sequence[str], groups: Codes | None = None,
    seed: int = 0,
) -> Figures:  # fmt: skip
    """Splits accuracy(tuned) − accuracy(prompt) into three parts that sum to it.

    `format`: what the prompt would have gained had it been right on the items that it left without a readable answer
    and that the tuned arm read (`recovered` of them) as often as on the items that it did answer: recovered / n times
    its accuracy over answered items.

    `prior`: what the prompt would have gained from the labels' shares in the training split alone, see `_by_prior`
    and `_by_chance`; never below 0, for a prompt that loses by them has nothing to learn from them. `task`: the rest.

    Args:
        tuned: Answers of the tuned arm.
        prompt: Answers of the prompt to the same items.
        prior: Label → share of the training split.
        labels: The label set.
        groups: The group of each item; `None` without groups.
        seed: Of the resamples.

    Returns:
        Also `difference` and `prior_method`: `probabilities`, `chance`, or `None` where there is no prior; `prior` is
        `None` then and the task's part holds it. Each part has its 95% interval (`format_ci`, …): all parts are worked
        out anew on the same resamples of test items, both arms paired, the threshold at 0 included. All parts are
        `None`, with a `reason`, where the prompt has no answer.
    """
    n = len(prompt)
    if not prompt.labelled.any():
        difference = (int(tuned.right.sum()) - int(prompt.right.sum())) / n if n else None
        nothing = dict.fromkeys((*PARTS, *(f"{part}_ci" for part in PARTS), "ci_method", "prior_method", "recovered"))
        return {"difference": difference, **nothing, "reason": noted("the prompt has no readable answer")}
    table, kinds, counts = _Table.of(tuned, prompt, prior, labels)
    form, learned, task, difference = table.parts(counts[None, :])[0].tolist()
    codes = np.arange(n) if groups is None else groups
    drawn = resampled(kinds, codes, table.parts, seed, table.width)
    found = [interval(column, int(codes.max()) + 1) for column in drawn.T[: len(PARTS)]]
    if table.how is None:
        learned, found[1] = None, None
    return {
        "difference": difference,
        **dict(zip(PARTS, (form, learned, task), strict=True)),
        "prior_method": table.how,
        "recovered": int((tuned.answered & ~prompt.answered).sum()),
        **{f"{part}_ci": None if each is None else list(each) for part, each in zip(PARTS, found, strict=True)},
        "ci_method": method(len(drawn), clustered=groups is not None) if found[0] is not None else None,
        "reason": None if table.how else NO_PRIOR,
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
    groups = group_codes(ids, run.groups) if run.groups and ids else None
    tuned = [arm.name for arm in arms if arm.family in TUNED and ids and answers[arm.name].ids == ids]
    tuned.sort(key=lambda name: name != first)
    return [
        {
            "a": name,
            "b": prompt.name,
            **decompose(answers[name], answers[prompt.name], run.prior, run.labels, groups, run.seed),
        }
        for name in tuned
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """The kinds of items: what an arm and a prompt did on one of each kind."""

    gap: Floats
    """Right of the tuned arm less right of the prompt."""
    recovered: Floats
    answered: Floats
    """Whether the prompt has a label."""
    right: Floats
    """… and the right one."""
    expected: Codes
    predicted: Codes
    """0 where there is no label: it counts for nothing then."""
    prior: Floats
    """Label → share of the training split."""
    how: str | None
    """`probabilities`, `chance`, or `None` without a prior."""
    told: Floats | None
    """Kinds × labels: the prompt's probabilities."""

    @classmethod
    def of(
        cls, tuned: Answers, prompt: Answers, prior: Mapping[str, float], labels: Sequence[str]
    ) -> tuple[_Table, Codes, Floats]:
        """Returns the table, the kind of each item, and how many there are of each."""
        shares = {label: prior.get(label, 0.0) for label in labels}
        known = bool(labels) and math.isclose(math.fsum(shares.values()), 1.0, abs_tol=SUM_TOLERANCE)
        names = [*labels, *(name for name in prompt.names if name not in shares)]
        place = {name: number for number, name in enumerate(names)}
        places = np.array([place[name] for name in prompt.names], dtype=np.intp)
        answered = prompt.labelled
        predicted = np.where(answered, places[prompt.predicted_code], 0)
        told = _told(prompt, answered, labels) if known else None
        columns = [
            tuned.right.astype(np.intp) - prompt.right,
            tuned.answered & ~prompt.answered,
            answered,
            prompt.right,
            places[prompt.expected_code],
            predicted,
        ]
        if told is None:
            kinds, codes = kinds_of(*columns)
        else:  # hardly two answers have the same probabilities
            kinds, codes = np.column_stack(columns), np.arange(len(prompt))
        gap, recovered, there, right = kinds[:, :4].T.astype(np.float64)
        table = cls(
            gap=gap,
            recovered=recovered,
            answered=there,
            right=right,
            expected=kinds[:, 4],
            predicted=kinds[:, 5],
            prior=np.array([shares.get(name, 0.0) for name in names]),
            how=None if not known else "chance" if told is None else "probabilities",
            told=told,
        )
        return table, codes, np.bincount(codes, minlength=len(kinds)).astype(np.float64)

    @property
    def width(self) -> int:
        """Numbers that are held for each kind."""
        return 4 if self.told is None else 4 * self.told.shape[1]

    def parts(self, counts: Floats) -> Floats:
        """Returns the parts and their sum, NaN where the prompt has no answer.

        Args:
            counts: Resamples × kinds.
        """
        n, given = counts.sum(axis=1), counts @ self.answered
        with np.errstate(invalid="ignore", divide="ignore"):
            form = counts @ self.recovered / n * (counts @ self.right / given)
            gain = np.zeros(len(counts))
            if self.how is not None:
                answered = counts * self.answered
                gain = self._by_chance(answered, given) if self.told is None else self._by_prior(answered, given)
        learned, difference = np.maximum(gain / n, 0.0), counts @ self.gap / n
        return np.column_stack([form, learned, difference - form - learned, difference])

    def _by_prior(self, answered: Floats, given: Floats) -> Floats:
        """Returns the gain of the most probable label after exchanging the prompt's own prior for that of training.

        p'(y | x) ∝ p(y | x) · π(y) / q(y), with π the training split's shares and q the mean of p over the answered
        items (Saerens, Latinne & Decaestecker 2002, Neural Comput. 14:21–41; the mean as the model's own prior: Zhou
        et al. 2024, Batch calibration, ICLR).
        """
        assert self.told is not None  # noqa: S101 - it is what tells the methods apart
        among = self.told.shape[1]
        own = answered @ self.told / given[:, None]
        weights = np.divide(self.prior[:among], own, out=np.zeros_like(own), where=own > 0)
        # The prompt's own answer wins a tie: nothing is changed without cause
        known = self.predicted < among
        own_place = np.where(known, self.predicted, 0)
        best = np.where(known, self.told[np.arange(len(self.told)), own_place] * weights[:, own_place], -1.0)
        right = np.broadcast_to(self.right, best.shape).astype(np.bool_)
        for label in range(among):
            adjusted = self.told[:, label] * weights[:, label, None]
            better = adjusted > best
            best = np.where(better, adjusted, best)
            right = np.where(better, self.expected == label, right)
        return np.asarray((answered * (right - self.right)).sum(axis=1))

    def _by_chance(self, answered: Floats, given: Floats) -> Floats:
        """Returns the expected gain where answers only are known: as few as possible are exchanged, by chance.

        With Q the shares of the labels among the answers, an answer y that is given too often keeps its label with
        probability π(y) / Q(y) and else becomes z with probability d(z) / Σ d, d(z) = max(0, π(z) − Q(z)): the
        coupling that changes least (Lindvall 2002, Lectures on the Coupling Method).
        """
        said = np.zeros((len(self.predicted), len(self.prior)))
        said[np.arange(len(said)), self.predicted] = 1.0
        shares = answered @ said / given[:, None]
        lacking = np.maximum(self.prior - shares, 0.0)
        total = lacking.sum(axis=1, keepdims=True)
        kept = np.divide(self.prior, shares, out=np.ones_like(shares), where=shares > 0)
        leaves = np.maximum(1.0 - kept, 0.0)[:, self.predicted]
        becomes = np.divide(lacking, total, out=np.zeros_like(lacking), where=total > 0)[:, self.expected]
        gains = (answered * leaves * (becomes - self.right)).sum(axis=1)
        return np.where(total[:, 0] > 0, gains, 0.0)


def _told(prompt: Answers, answered: Flags, labels: Sequence[str]) -> Floats | None:
    """Returns items × labels, zeros where there is no answer; `None` where not all answers come with probabilities."""
    given = probabilities([prompt.rows[place] for place in np.flatnonzero(answered).tolist()], labels)
    if given is None:
        return None
    table = np.zeros((len(prompt), len(labels)))
    table[answered] = given
    return table
