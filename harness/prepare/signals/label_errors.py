"""Labels that the words of their texts contradict: confident learning on out-of-fold probabilities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDS = 5

SMOOTHING = 0.1
"""Added to the weight of every term in every class; from 0.03 to 0.3 precision hardly changes."""

LIKELY = 0.9
"""Preference for the other label (9 to 1) from which a row that the confident joint files there is a likely error."""

CERTAIN = 0.95
"""Preference (19 to 1) from which any row is: the given label is wrong, even where it is not clear which is right."""

_CALIBRATION_ROWS = 2_000

_ENOUGH_PLANTED = 200
_MOST_DRAWS = 5
"""Planted errors that a self-test wants, and draws that it takes at most to get them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a model that has not seen a row makes of its label. Each array has an entry for each judged row."""

    places: NDArray[np.int64]
    """Position of the row in what was given."""
    given: NDArray[np.int64]
    """Code of the given label."""
    other: NDArray[np.int64]
    """Code of the most probable other label."""
    p_given: NDArray[np.float64]
    p_other: NDArray[np.float64]
    confident: NDArray[np.bool_]
    """Whether the confident joint files the row under another label."""
    accuracy: float
    """Share of the given labels that are the model's most probable one."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """0 to 1: how far the other label is preferred when these two alone are asked."""
        import numpy as np

        return self.p_other / np.maximum(self.p_given + self.p_other, np.finfo(np.float64).tiny)

    @property
    def likely(self) -> NDArray[np.int64]:
        """Indices of the judged rows that are likely errors, the most suspicious first.

        The confident joint alone flags a quarter of the rows where words tell little about the label, and misses
        rows for which no label reaches its threshold; the two bounds on the odds mend the one and the other.
        """
        ranking, scores = self.ranking, self.scores
        return ranking[((self.confident & (scores >= LIKELY)) | (scores >= CERTAIN))[ranking]]

    @property
    def ranking(self) -> NDArray[np.int64]:
        """Indices of the judged rows, the most suspicious first."""
        import numpy as np

        tiny = np.finfo(np.float64).tiny
        # The logarithm tells apart what is 1.0 as a score.
        odds = np.log(np.maximum(self.p_other, tiny)) - np.log(np.maximum(self.p_given, tiny))
        return np.argsort(-odds, kind="stable")


def usable(labels: Sequence[str], groups: Sequence[str | None], most: int) -> tuple[str, ...]:
    """Returns the classes that can be judged, largest first, at most `most`.

    A class needs five rows, in five groups where rows have one: one for each fold.
    """
    members: dict[str, set[str]] = {}
    alone: Counter[str] = Counter()
    for label, group in zip(labels, groups, strict=True):
        if group is None:
            alone[label] += 1
        else:
            members.setdefault(label, set()).add(group)
    units = {label: alone[label] + len(members.get(label, ())) for label in set(labels) - {""}}
    sizes = Counter(labels)
    ordered = sorted(units, key=lambda label: (-sizes[label], label))
    return tuple([label for label in ordered if units[label] >= FOLDS][:most])


def folds(codes: NDArray[np.int64], groups: Sequence[str | None]) -> NDArray[np.int64]:
    """Returns the fold of each row: classes spread evenly, rows of one group in one fold.

    Greedy, the largest groups first: each goes where its classes have the fewest rows so far.
    """
    import numpy as np

    members: dict[tuple[bool, str], list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault((group is None, str(place) if group is None else group), []).append(place)
    filled = np.zeros((FOLDS, int(codes.max()) + 1))
    result = np.empty(len(codes), dtype=np.int64)
    for places in sorted(members.values(), key=len, reverse=True):
        inside = codes[places]
        crowded = filled[:, inside].sum(axis=1) + filled.sum(axis=1) / (1.0 + filled.sum())
        fold = int(crowded.argmin())
        result[places] = fold
        np.add.at(filled[fold], inside, 1)
    return result


def judge(vectors: Any, codes: NDArray[np.int64], fold: NDArray[np.int64]) -> Judged:
    """Judges each label by a model that was trained without the row's fold.

    Multinomial naive Bayes on TF-IDF weights (Rennie et al. 2003), its probabilities made honest by one temperature
    (Guo et al. 2017). Confident learning (Northcutt, Jiang and Chuang 2021, JAIR 70): a class's threshold is the mean
    probability of that label among the rows that have it; a row is filed under the most probable label of those whose
    threshold it reaches. A row whose class is absent from the other folds is not judged.

    Args:
        vectors: Sparse matrix, a row for each text.
        codes: Class of each row, 0 to k − 1.
        fold: Fold of each row.
    """
    import numpy as np

    logs = _out_of_fold(vectors, codes, fold)
    places = np.flatnonzero(np.isfinite(logs[np.arange(len(codes)), codes]))
    given, probabilities = codes[places], _tempered(logs[places], codes[places])
    rows = np.arange(len(places))
    own = probabilities[rows, given]
    sizes = np.bincount(given, minlength=probabilities.shape[1])
    thresholds = np.where(sizes, np.bincount(given, own, probabilities.shape[1]) / np.maximum(sizes, 1), np.inf)
    reached = np.where(probabilities >= thresholds, probabilities, -1.0)
    filed = np.where(reached.max(axis=1) >= 0, reached.argmax(axis=1), given)
    accuracy = float((probabilities.argmax(axis=1) == given).mean()) if len(places) else 0.0
    probabilities[rows, given] = -1.0
    other = probabilities.argmax(axis=1)
    return Judged(
        places=places,
        given=given,
        other=other,
        p_given=own,
        p_other=probabilities[rows, other],
        confident=filed != given,
        accuracy=accuracy,
    )


def _out_of_fold(vectors: Any, codes: NDArray[np.int64], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns unscaled log probabilities (rows × classes); −∞ for a class that the model has not seen.

    scikit-learn's naive Bayes does the same to the last digit; looking at what it is given takes it most of its time
    on a few hundred rows, and a search fits up to thirty models.
    """
    import numpy as np
    from scipy.special import logsumexp

    logs = np.full((len(codes), int(codes.max()) + 1), -np.inf)
    for each in range(FOLDS):
        held_out = np.flatnonzero(fold == each)
        rest = np.flatnonzero(fold != each)
        if len(held_out) and len(rest):
            classes, own = np.unique(codes[rest], return_inverse=True)
            weights = np.ascontiguousarray(np.eye(len(classes))[own].T @ vectors[rest]) + SMOOTHING
            terms = np.log(weights) - np.log(weights.sum(axis=1, keepdims=True))
            sizes = np.bincount(own)
            joint = vectors[held_out] @ terms.T + (np.log(sizes) - np.log(sizes.sum()))
            logs[np.ix_(held_out, classes)] = joint - logsumexp(joint, axis=1, keepdims=True)
    return logs


def _tempered(logs: NDArray[np.float64], given: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns probabilities after dividing by the temperature that makes the given labels most likely.

    Naive Bayes counts words as if they were independent, so that its own probabilities are far too sure.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax, softmax

    part, labels = logs[:_CALIBRATION_ROWS], given[:_CALIBRATION_ROWS]

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(part / np.exp(log_temperature), axis=1)
        return float(-scaled[np.arange(len(labels)), labels].mean())

    if not len(labels):
        return np.exp(logs)
    found = minimize_scalar(loss, bounds=(-2.0, 4.0), method="bounded")
    probabilities: NDArray[np.float64] = softmax(logs / np.exp(found.x), axis=1)
    return probabilities


def self_test(
    vectors: Any, codes: NDArray[np.int64], fold: NDArray[np.int64], seed: int, share: float = 0.05
) -> tuple[int, float]:
    """Changes a share of the labels to another class at random and looks for them: how well does the search work here?

    Small data are tried several times, for one draw of a few rows says little.

    Returns:
        Number of labels that were changed (n) and the share of them among the first n of the ranking, between 0 and
        1, the mean of one to five draws. Real errors take places in the ranking too, so the share is a lower bound.
    """
    import numpy as np

    n = max(1, round(share * len(codes)))
    draws = min(_MOST_DRAWS, -(-_ENOUGH_PLANTED // n))
    found = 0.0
    for draw in range(draws):
        changed, places = planted(codes, n, np.random.default_rng([abs(seed), draw]))
        judged = judge(vectors, changed, fold)
        first = judged.places[judged.ranking[:n]]
        found += float(np.isin(places, first).mean()) / draws
    return n, found


def planted(codes: NDArray[np.int64], n: int, draw: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Gives `n` rows another class, each with the same probability.

    Returns:
        The changed codes, and the positions that were changed.
    """
    classes = int(codes.max()) + 1
    changed = codes.copy()
    places = draw.choice(len(codes), n, replace=False)
    changed[places] = (changed[places] + draw.integers(1, classes, n)) % classes
    return changed, places
