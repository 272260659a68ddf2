"""Multinomial logistic regression over any features, without pickle: what classical backends share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import harness
from harness_plugins.backends._fitted import most_probable

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)
"""Inverse strengths of the L2 penalty that are tried on validation."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What is left of a trained model."""

    c: float
    labels: tuple[str, ...]
    coefficients: Any
    """Array, labels × features."""
    intercepts: Any

    @classmethod
    def of(cls, model: Any) -> Weights:
        """Copies the weights, a row for each class."""
        import numpy as np

        coefficients, intercepts = model.coef_, model.intercept_
        if len(model.classes_) == 2:
            # Two classes share one row; a row of zeros for the first makes the softmax the same sigmoid.
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
        return cls(model.C, tuple(map(str, model.classes_)), coefficients.copy(), intercepts.copy())

    def answers(self, matrix: Any, labels: Sequence[str]) -> list[harness.Answer]:
        """Returns the most probable label of each row of features, with the probabilities of all."""
        import numpy as np
        from scipy.special import softmax

        scores = (matrix @ self.coefficients.T + self.intercepts).astype(np.float64)
        shares = softmax(scores, axis=1)
        unseen = dict.fromkeys(labels, 0.0)
        return [most_probable(unseen | dict(zip(self.labels, row, strict=True))) for row in shares.tolist()]


def fit(
    train: tuple[Any, Sequence[str]],
    validation: tuple[Any, Sequence[str]],
    *,
    strengths: Sequence[float],
    balanced: bool = False,
) -> Weights:
    """Returns the weights that are right most often on validation; the strongest penalty among equals.

    Args:
        train: Features, one row for each example, and labels.
        validation: The same; where there are none, one strength is taken: the given one, or 1.
        strengths: Inverse strengths of the penalty to try.
        balanced: Whether rare classes weigh more.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn depends on it

    held_out, expected = validation
    if not expected and len(strengths) > 1:
        strengths = (1.0,)
    # Each strength starts from the one before it.
    model = LogisticRegression(C=1.0, max_iter=2000, warm_start=True, class_weight="balanced" if balanced else None)
    best = -1.0
    # One thread, for the matrices are small: 2,561 rows and 5 classes took 1.6 s instead of 14 s on 2 busy cores.
    with threadpool_limits(limits=1):
        for strength in strengths:
            model.set_params(C=strength).fit(*train)
            score = float(model.score(held_out, expected)) if expected else 0.0
            if score > best:
                best, weights = score, Weights.of(model)
    return weights
