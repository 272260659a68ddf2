"""TF-IDF and logistic regression: the baseline that costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import harness
from harness_plugins.backends import _fitted, _logistic


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
            raise harness.DataError("the training examples have a single class", "add examples of another class")
        vectoriser = self._vectoriser()
        # A fixed order: sums of floats depend on it.
        rows = sorted(train, key=lambda example: example.id)
        try:
            matrix = vectoriser.fit_transform(example.text for example in rows)
        except ValueError as error:
            raise harness.DataError(
                f"no word features in the training texts: {error}", "check the text column"
            ) from None
        held_out = vectoriser.transform(example.text for example in validation) if validation else None
        weights = _logistic.fit(
            (matrix, [example.label for example in rows]),
            (held_out, [example.label for example in validation]),
            strengths=(self.c,) if self.c is not None else _logistic.STRENGTHS,
            balanced=self.balanced,
        )
        terms = vectoriser.get_feature_names_out().tolist()
        _fitted.save(
            folder, self.name, {"c": weights.c, "labels": weights.labels, "terms": terms},
            idf=vectoriser.idf_, coefficients=weights.coefficients, intercepts=weights.intercepts,
        )  # fmt: skip

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Opens the model in `ctx.folder`; it reads a prompt's `source` alone.

        Raises:
            harness.DataError: There is no model.
        """
        with _fitted.loaded(ctx, self.name) as (model, stored):
            vectoriser = self._vectoriser(model["terms"])
            vectoriser.idf_ = stored["idf"]
            weights = _logistic.Weights(
                model["c"], tuple(model["labels"]), stored["coefficients"], stored["intercepts"]
            )

        def answer(prompts: Sequence[harness.Prompt]) -> list[harness.Answer]:
            if not prompts:
                return []
            return weights.answers(vectoriser.transform([prompt.source for prompt in prompts]), ctx.labels)

        yield answer

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


@harness.hookimpl
def harness_backends() -> list[type[Classical]]:
    """Declares the backend."""
    return [Classical]
