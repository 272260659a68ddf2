"""TF-IDF and logistic regression: the baseline that costs next to nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import harness

_MODEL, _WEIGHTS = "classical.json", "classical.npz"
_STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)


@dataclass(frozen=True, kw_only=True)
class Classical:
    """Words and word pairs weighted by TF-IDF, multinomial logistic regression over them (scikit-learn)."""

    name: ClassVar[str] = "classical"
    family: ClassVar[str] = "classical"
    deterministic: ClassVar[bool] = True

    c: float | None = None
    """Inverse strength of the L2 penalty; by default the best of 0.3, 1, 3, 10, 30 on validation (1 without one)."""
    ngrams: int = 2
    """Longest word n-gram."""
    features: int | None = None
    """Keep only so many of the most frequent n-grams; by default all."""
    sublinear: bool = True
    """Whether a term counts 1 + ln(frequency) instead of its frequency."""
    balanced: bool = False
    """Whether rare classes weigh more in training."""

    def __post_init__(self) -> None:
        for option in ("c", "ngrams", "features"):
            value = getattr(self, option)
            if value is not None and not value > 0:
                raise ValueError(f"{option} = {value}, expected a number above 0")

    def fit(self, train: Sequence[harness.Example], validation: Sequence[harness.Example], folder: Path) -> None:
        """Trains, and leaves `classical.json` and `classical.npz` in `folder`.

        Raises:
            harness.DataError: The training examples have a single class or no words.
        """
        if len({example.label for example in train}) < 2:
            raise harness.DataError("the training examples have a single class", "Add examples of another class.")
        vectoriser = self._vectoriser()
        # A fixed order: sums of floats depend on it.
        rows = sorted(train, key=lambda example: example.id)
        try:
            matrix = vectoriser.fit_transform(example.text for example in rows)
        except ValueError as error:
            raise harness.DataError(
                f"no word features in the training texts: {error}", "Check the text column."
            ) from None
        _save(folder, vectoriser, self._best(vectoriser, matrix, [example.label for example in rows], validation))

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Opens the model in `ctx.folder`; it reads a prompt's `source` alone.

        Raises:
            harness.DataError: There is no model.
        """
        import numpy as np

        try:
            model = json.loads((ctx.folder / _MODEL).read_text(encoding="utf-8"))
            with np.load(ctx.folder / _WEIGHTS, allow_pickle=False) as stored:
                weights = {name: stored[name] for name in ("idf", "coefficients", "intercepts")}
            vectoriser = self._vectoriser(model["terms"])
            vectoriser.idf_ = weights["idf"]
            labels = list(model["labels"])
        except (OSError, ValueError, KeyError):
            raise harness.DataError(
                f'arm "{ctx.arm}" has no readable {_MODEL} and {_WEIGHTS} in {ctx.folder}',
                "Run the training stage again.",
            ) from None

        def answer(prompts: Sequence[harness.Prompt]) -> list[harness.Answer]:
            if not prompts:
                return []
            matrix = vectoriser.transform([prompt.source for prompt in prompts])
            scores = (matrix @ weights["coefficients"].T + weights["intercepts"]).astype(np.float64)
            unseen = dict.fromkeys(ctx.labels, 0.0)
            return [_answer(unseen | dict(zip(labels, row, strict=True))) for row in _softmax(scores).tolist()]

        yield answer

    def _best(
        self, vectoriser: Any, matrix: Any, labels: Sequence[str], validation: Sequence[harness.Example]
    ) -> _Weights:
        """Returns the weights that are right most often on validation; the strongest penalty among equals."""
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn depends on it

        held_out = vectoriser.transform(example.text for example in validation) if validation else None
        expected = [example.label for example in validation]
        strengths = (self.c,) if self.c is not None else _STRENGTHS if validation else (1.0,)
        # Each strength starts from the one before it.
        model = LogisticRegression(
            C=1.0, max_iter=2000, warm_start=True, class_weight="balanced" if self.balanced else None
        )
        best = -1.0
        # One thread, for the matrices are small: 2,561 rows and 5 classes took 1.6 s instead of 14 s on 2 busy cores.
        with threadpool_limits(limits=1):
            for strength in strengths:
                model.set_params(C=strength).fit(matrix, labels)
                score = float(model.score(held_out, expected)) if held_out is not None else 0.0
                if score > best:
                    best, weights = score, _Weights.of(model)
        return weights

    def _vectoriser(self, terms: Sequence[str] | None = None) -> Any:
        import numpy as np
        from sklearn.feature_extraction.text import TfidfVectorizer

        return TfidfVectorizer(
            dtype=np.float32,
            ngram_range=(1, self.ngrams),
            max_features=self.features if terms is None else None,
            sublinear_tf=self.sublinear,
            vocabulary=terms,
        )


@dataclass(frozen=True, slots=True)
class _Weights:
    """What is left of a trained model."""

    c: float
    labels: tuple[str, ...]
    coefficients: Any
    intercepts: Any

    @classmethod
    def of(cls, model: Any) -> _Weights:
        """Copies the weights, a row for each class."""
        import numpy as np

        coefficients, intercepts = model.coef_, model.intercept_
        if len(model.classes_) == 2:
            # Two classes share one row; a row of zeros for the first makes the softmax the same sigmoid.
            coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
            intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
        return cls(model.C, tuple(map(str, model.classes_)), coefficients.copy(), intercepts.copy())


def _save(folder: Path, vectoriser: Any, weights: _Weights) -> None:
    import numpy as np

    stored = folder / f".{_WEIGHTS}"
    with stored.open("wb") as stream:
        np.savez_compressed(
            stream, idf=vectoriser.idf_, coefficients=weights.coefficients, intercepts=weights.intercepts
        )
    stored.replace(folder / _WEIGHTS)
    model = {"c": weights.c, "labels": weights.labels, "terms": vectoriser.get_feature_names_out().tolist()}
    described = folder / f".{_MODEL}"
    described.write_text(json.dumps(model), encoding="utf-8")
    described.replace(folder / _MODEL)


def _softmax(scores: Any) -> Any:
    import numpy as np

    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _answer(probabilities: dict[str, float]) -> harness.Answer:
    return harness.Answer(text=max(probabilities, key=probabilities.__getitem__), probabilities=probabilities)


@harness.hookimpl
def harness_backends() -> list[type[Classical]]:
    """Declares the backend."""
    return [Classical]
