"""Arms beside each other on the same test items: intervals, paired comparisons, ranks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from harness.scoring import statistics
from harness.scoring.answers import Answers, Figures, Flags, Floats, complete
from harness.scoring.bootstrap import RESAMPLES, bootstrap_p, group_codes, percentile_interval, resampled_means
from harness.scoring.statistics import ALPHA, Interval

WILSON = "Wilson score interval"
TANGO = "Tango score interval"
CLUSTERED = f"clustered bootstrap, {RESAMPLES:,} resamples of groups"
MIDP = "McNemar mid-p"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resamples:
    """What the clustered bootstrap drew: the same resamples for all arms."""

    groups: int
    """Number of groups."""
    means: Floats
    """Resamples × arms: resampled accuracies."""

    @classmethod
    def of(cls, right: Flags, ids: Sequence[str], groups: Mapping[str, str] | None, seed: int) -> Resamples | None:
        """Draws them; `None` without groups, where closed forms serve better.

        Args:
            right: Examples × arms.
            ids: The examples.
            groups: Example id → group.
            seed: The same seed gives the same resamples.
        """
        if not groups:
            return None
        codes = group_codes(ids, groups)
        return cls(groups=int(codes.max()) + 1, means=resampled_means(right, codes, seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """All arms that answered all test items, aligned by example id."""

    names: tuple[str, ...]
    right: Flags
    """Examples × arms."""
    resamples: Resamples | None = None
    """Set where the examples have groups."""

    @classmethod
    def of(cls, answers: Mapping[str, Answers], n_test: int, groups: Mapping[str, str] | None, seed: int) -> Panel:
        """Aligns the arms that answered the same `n_test` items; other arms cannot be paired and stay out."""
        # Sorted: the order of the arms must not matter, not even for the resamples
        names = tuple(sorted(complete(answers, n_test)))
        if not names:
            return cls(names=(), right=np.zeros((0, 0), np.bool_))
        right = np.stack([answers[name].right for name in names], axis=1)
        return cls(names=names, right=right, resamples=Resamples.of(right, answers[names[0]].ids, groups, seed))

    @property
    def groups(self) -> int | None:
        """Number of groups, where the examples have groups."""
        return None if self.resamples is None else self.resamples.groups

    def column(self, name: str) -> Flags:
        """Returns which items the arm answered correctly."""
        return self.right[:, self.names.index(name)]

    def accuracy_interval(self, name: str) -> tuple[Interval, str]:
        """Returns the interval of one arm's accuracy and the method's name."""
        right, n = int(self.column(name).sum()), len(self.right)
        drawn = self.resamples
        if drawn is None:
            return statistics.wilson(right, n), WILSON
        if right in (0, n):
            # No resample differs from the sample: count the groups as if each were one example
            return statistics.wilson(drawn.groups if right else 0, drawn.groups), f"{WILSON} over groups"
        low, high = percentile_interval(drawn.means[:, self.names.index(name)], drawn.groups)
        return (max(0.0, low), min(1.0, high)), CLUSTERED

    def compare(self, a: str, b: str, margin: float) -> Figures:
        """Compares two arms on the items that both answered: all of them."""
        right_a, right_b = self.column(a), self.column(b)
        n = len(self.right)
        only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
        midp = statistics.mcnemar(only_a, only_b)
        discordance = (only_a + only_b) / n
        interval, p, effect, methods = statistics.tango(only_a, only_b, n), midp, 1.0, (TANGO, MIDP)
        if self.resamples is not None and not only_a + only_b:
            # As above: without a discordant pair the bootstrap would claim certainty
            interval, methods = statistics.tango(0, 0, self.resamples.groups), (f"{TANGO} over groups", MIDP)
        elif self.resamples is not None:
            interval, p, effect = self._clustered(self.resamples, a, b, (only_a, only_b))
            methods = CLUSTERED, "clustered bootstrap"
        low, high = interval
        told = self.groups != 1  # one group alone says nothing of how much groups vary
        return {
            "a": a,
            "b": b,
            "metric": "accuracy",
            "primary": False,
            "difference": (only_a - only_b) / n,
            "ci": [low, high],
            "mcnemar_p": midp,
            "p_adjusted": None,
            "only_a_right": only_a,
            "only_b_right": only_b,
            "n_for_80_power": statistics.n_for_80_power(margin, discordance, effect) if told else None,
            "ci_method": methods[0],
            "p": p,
            "p_method": methods[1],
            "n": n,
            "groups": self.groups,
            "design_effect": effect if told else None,
            "discordance": discordance,
            "smallest_difference": statistics.smallest_difference(n, discordance, effect) if told else None,
            # Both: a claim must not contradict the interval that stands beside it
            "decisive": p < ALPHA and not low <= 0 <= high,
            "within_margin": -margin < low and high < margin,
            "not_worse": [name for name, worst in ((a, low), (b, -high)) if worst > -margin],
            "claimed": False,
        }

    def _clustered(
        self, drawn: Resamples, a: str, b: str, discordant: tuple[int, int]
    ) -> tuple[Interval, float, float]:
        """Returns interval, p value and design effect by the clustered bootstrap."""
        gap = drawn.means[:, self.names.index(a)] - drawn.means[:, self.names.index(b)]
        low, high = percentile_interval(gap, drawn.groups)
        n, (only_a, only_b) = len(self.right), discordant
        simple = ((only_a + only_b) / n - ((only_a - only_b) / n) ** 2) / n
        # Never below 1: a lucky draw of groups must not promise power that independent examples would not have
        effect = max(1.0, float(np.var(gap)) / simple) if simple else 1.0
        return (max(-1.0, low), min(1.0, high)), bootstrap_p(gap, drawn.groups), effect


def accuracy_interval(name: str, answers: Answers, panel: Panel) -> tuple[Interval, str]:
    """Returns the interval of an arm's accuracy and the method's name, of an arm outside the panel too.

    Args:
        name: The arm's name.
        answers: Its answers; at least one.
        panel: The arms that answered all items.
    """
    if name in panel.names:
        return panel.accuracy_interval(name)
    return statistics.wilson(int(answers.right.sum()), len(answers)), WILSON


def compare_all(panel: Panel, primary: tuple[str, str] | None, stars: Iterable[str], margin: float) -> list[Figures]:
    """Compares the contenders with each other, then each of `stars` with every other arm.

    The primary comparison decides at 5%. Only where it does are others claimed, adjusted by Holm among themselves:
    a fixed sequence keeps the chance of any false claim at 5% (Maurer, Hothorn & Lehmacher 1995).

    Args:
        panel: The arms.
        primary: The contenders, where both are in the panel.
        stars: Arms whose comparison with every other arm is wanted: contenders, the leader.
        margin: Of the user.
    """
    pairs = [primary] if primary else []
    wanted = [(star, other) for star in stars for other in panel.names if other != star and star in panel.names]
    for pair in wanted:
        if not any(set(pair) == set(known) for known in pairs):
            pairs.append(pair)
    table = [panel.compare(a, b, margin) for a, b in pairs]
    if primary and table[0]["decisive"]:
        first, others = table[0], table[1:]
        first |= {"p_adjusted": first["p"], "claimed": True}
        for line, adjusted in zip(others, statistics.holm([line["p"] for line in others]), strict=True):
            line |= {"p_adjusted": adjusted, "claimed": adjusted < ALPHA and not line["ci"][0] <= 0 <= line["ci"][1]}
    if primary:
        table[0]["primary"] = True
    return table


def rank(order: Sequence[str], panel: Panel, margin: float) -> dict[str, int]:
    """Ranks arms that stand in order of accuracy; those that cannot be told from their rank's first arm share it.

    Two arms cannot be told apart where the 95% interval of their difference includes 0, unadjusted: the same reading
    as of the intervals in the table. Arms outside the panel are ranked by their place alone.
    """
    ranks: dict[str, int] = {}
    first: str | None = None
    for place, name in enumerate(order, start=1):
        if first is not None and {first, name} <= set(panel.names):
            low, high = panel.compare(first, name, margin)["ci"]
            if low <= 0 <= high:
                ranks[name] = ranks[first]
                continue
        first = name
        ranks[name] = place
    return ranks


def letters(count: int) -> list[str]:
    """Returns the letters that stand for arms in rank order: A … Z, then AA, AB and so on."""
    alphabet = [chr(ord("A") + number) for number in range(26)]
    longer = [first + second for first in alphabet for second in alphabet]
    return [*alphabet, *longer][:count]


def disagreements(panel: Panel) -> int:
    """Counts the items on which at least two arms disagree about right and wrong."""
    if len(panel.names) < 2:
        return 0
    columns = [panel.right[:, number] for number in range(len(panel.names))]
    return int(np.any([one != other for one, other in combinations(columns, 2)], axis=0).sum())
