"""Experiments that are drawn, with a known truth: how often intervals hold it, how often a win is false."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from harness.scoring import statistics
from harness.scoring.bootstrap import resampled_means
from harness.scoring.comparisons import Panel, Resamples
from harness.scoring.facts import ArmFacts, RunFacts
from harness.scoring.results import build
from harness.types import Prediction, Status

Right = NDArray[np.bool_]
CLAIMS = ("win", "trade-off")
"""Verdicts that call one contender more accurate than the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of experiment.

    Args:
        n: Test items.
        accuracies: Of the two arms, in truth.
        shared: Correlation, on the normal scale, of what makes an item easy for both arms.
        size: Items in each group; 1: no groups.
        within: Correlation of the items of a group, on the normal scale.
    """

    n: int
    accuracies: tuple[float, float]
    shared: float = 0.5
    size: int = 1
    within: float = 0.3

    def draw(self, rng: np.random.Generator) -> Right:
        """Returns which items (rows) the two arms (columns) got right: a Gaussian copula keeps the accuracies exact."""
        return drawn(rng, self.n, self.accuracies, self.shared, self.size, self.within if self.size > 1 else 0.0)

    @property
    def discordant(self) -> float:
        """Number of items that one arm alone gets right, as expected."""
        a, b = self.accuracies
        rng = np.random.default_rng(0)
        both = drawn(rng, 200_000, self.accuracies, self.shared, 1, 0.0).all(axis=1).mean()
        return float((a + b - 2 * both) * self.n)


def drawn(
    rng: np.random.Generator, n: int, accuracies: Sequence[float], shared: float, size: int, within: float
) -> Right:
    """Draws right and wrong answers whose accuracies are exactly those given.

    An arm's score of an item is √within · (its group's) + √(1 − within) · (√shared · (the item's) + √(1 − shared) ·
    noise), each standard normal; arms share group and item.
    """
    groups = -(-n // size)
    group = np.repeat(rng.standard_normal(groups), size)[:n, None]
    item, noise = rng.standard_normal((n, 1)), rng.standard_normal((n, len(accuracies)))
    own = np.sqrt(shared) * item + np.sqrt(1 - shared) * noise
    score = np.sqrt(within) * group + np.sqrt(1 - within) * own
    return np.asarray(score < ndtri(np.asarray(accuracies)), dtype=np.bool_)


def panel(right: Right, size: int, seed: int, resamples: int) -> Panel:
    """Sets two arms side by side, as a run would."""
    names = ("a", "b")[: right.shape[1]]
    if size == 1:
        return Panel(names=names, right=right)
    codes = np.arange(len(right)) // size
    means = resampled_means(right, codes, seed, resamples)
    return Panel(names=names, right=right, resamples=Resamples(groups=int(codes.max()) + 1, means=means))


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Shares of experiments."""

    difference: float
    """… whose interval of the difference holds the true one."""
    accuracy: float
    """… whose interval of arm a's accuracy holds the true one."""
    decisive: float
    """… in which the difference was called one."""


def coverage(cell: Cell, experiments: int, seed: int, resamples: int = 2_000) -> Held:
    """Draws experiments and counts."""
    a, b = cell.accuracies
    rng = np.random.default_rng([seed, cell.n, cell.size, round(1000 * a), round(1000 * b), round(100 * cell.shared)])
    tallies = np.zeros(3)
    for number in range(experiments):
        found = panel(cell.draw(rng), cell.size, number, resamples)
        line = found.compare("a", "b", 0.02)
        interval, _ = found.accuracy_interval("a")
        tallies += (
            line["ci"][0] <= a - b <= line["ci"][1],
            interval[0] <= a <= interval[1],
            line["decisive"],
        )
    difference, accuracy, decisive = tallies / experiments
    return Held(difference=float(difference), accuracy=float(accuracy), decisive=float(decisive))


def power(n: int, difference: float, discordance: float, experiments: int, seed: int) -> float:
    """Returns how often a true difference shows in `n` pairs of which `discordance` are decided by one arm alone."""
    rng = np.random.default_rng(seed)
    shares = [(discordance + difference) / 2, (discordance - difference) / 2]
    shown = 0
    for only_a, only_b, _ in rng.multinomial(n, [*shares, 1 - discordance], size=experiments):
        low, high = statistics.tango(int(only_a), int(only_b), n)
        shown += statistics.mcnemar(int(only_a), int(only_b)) < statistics.ALPHA and not low <= 0 <= high
    return shown / experiments


def verdict_of_equals(rng: np.random.Generator, n: int, n_validation: int, arms: int, accuracy: float) -> Any:
    """Returns the verdict's kind of a run whose arms are all as accurate: contenders chosen on validation first."""
    truth = [accuracy] * arms
    test = drawn(rng, n, truth, 0.5, 1, 0.0)
    validation = drawn(rng, n_validation, truth, 0.5, 1, 0.0)
    families = ["fine-tuned" if place % 2 == 0 else "few-shot" for place in range(arms)]
    facts = [
        ArmFacts(
            name=f"arm {place}",
            family=families[place],
            predictions=tuple(
                Prediction(
                    arm=f"arm {place}",
                    example_id=str(item),
                    expected="yes",
                    predicted="yes" if hit else "no",
                    status=Status.ANSWERED,
                    response="yes" if hit else "no",
                    cost_usd=0.001 * (1 + place),
                )
                for item, hit in enumerate(test[:, place])
            ),
            validation_accuracy=float(validation[:, place].mean()),
            n_validation=n_validation,
            training_cost_usd=1.0 if families[place] == "fine-tuned" else None,
        )
        for place in range(arms)
    ]
    run = RunFacts(
        name="equals", id="equals-00000000", started="2026-01-01T00:00:00Z", finished="2026-01-01T00:01:00Z", seed=7,
        n_test=n, dataset="drawn", fingerprint="0" * 64, labels=("no", "yes"),
    )  # fmt: skip
    return build(run, facts)["verdict"]["kind"]
