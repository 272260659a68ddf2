"""What the data stage is asked for, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from harness.errors import ExperimentError
from harness.prepare.clean import Cluster, Conflicts
from harness.prepare.signals import Ranked
from harness.types import Check, Example, Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Fractions:
    """Shares of the rows; they sum to 1.

    Raises:
        ExperimentError: A share is negative, none is left to train on, or they do not sum to 1.
    """

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1
    stratify: bool | Literal["where-possible"] = True
    """Whether each class is cut by these shares, instead of all rows together; where possible, a class that has fewer
    rows than there are splits stands in the first of them."""
    by: Literal["content", "time"] = "content"
    """What orders the rows before they are cut: their content and the seed, or their dates, the oldest first. By time
    there are no strata."""

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if not all(0 <= share <= 1 for share in shares) or self.train == 0:
            raise ExperimentError(
                f"prepare.split: train = {self.train}, validation = {self.validation}, test = {self.test}",
                "each share lies between 0 and 1, and train is above 0",
            )
        if abs(sum(shares) - 1) > 1e-6:
            raise ExperimentError(
                f"prepare.split: train + validation + test = {sum(shares):g}, expected 1",
                "give three shares that sum to 1, e.g. { train = 0.8, validation = 0.1, test = 0.1 }",
            )

    @property
    def shares(self) -> dict[Split, Fraction]:
        """The splits that get rows, with their exact decimal shares."""
        given = {Split.TRAIN: self.train, Split.VALIDATION: self.validation, Split.TEST: self.test}
        return {split: Fraction(str(share)) for split, share in given.items() if share}


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareOptions:
    """The experiment's `[prepare]` table, its seed, and what its `[dataset]` table says about labels."""

    duplicates: Literal["off", "exact", "near"] = "near"
    """Which duplicates are removed. Those that stay never stand on both sides of a split that is made here."""
    conflicts: Conflicts = "majority"
    """Which of duplicates with different labels stay."""
    balance: Literal["none", "downsample", "weights"] = "none"
    """What is done for small classes in train: nothing; the other classes lose rows; their examples weigh more."""
    split: Fractions = field(default_factory=Fractions)
    pii: Literal["warn", "mask", "stop"] = "warn"
    """What happens to personal data and keys in texts: a warning; `[EMAIL]` and the like in their place; an error."""
    seed: int = 0
    labels: tuple[str, ...] | None = None
    """The label set, in rank order where `ordered`; by default the labels that occur."""
    ordered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """Two examples that must not stand in different splits."""

    kind: Literal["exact", "near", "group"]
    a: str
    """Id of the example in the split that is held back: test, or validation against train."""
    b: str
    """Id of the example in the other split."""
    split_a: Split
    split_b: Split
    similarity: float | None = None
    """Jaccard similarity of the character 5-grams of the folded texts; `None` for a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The data of a run: clean, split and checked."""

    examples: tuple[Example, ...]
    """Each with its split set, in the order of their ids."""
    labels: tuple[str, ...]
    """The label set; in rank order where ordered, in numeric order where all are numbers."""
    removed: Mapping[str, int]
    """Rows removed by each rule: `rows_in` = rows out + their sum."""
    rows_in: int
    leaks: tuple[Leak, ...]
    checks: tuple[Check, ...]
    fingerprint: str
    """SHA-256 (hex) over the examples as they were loaded, whatever their order."""
    clusters: tuple[Cluster, ...] = ()
    """Rows that say the same or nearly the same, of which some were removed."""
    ranked: tuple[Ranked, ...] = ()
    """Rows worth a look, most suspicious first."""
    weights: Mapping[str, float] | None = None
    """Label → weight of its training examples, where they are weighted; their mean over the examples is 1."""

    def of(self, split: Split | str) -> tuple[Example, ...]:
        """Returns the examples of one split, in the order of their ids."""
        return tuple(example for example in self.examples if example.split == split)
