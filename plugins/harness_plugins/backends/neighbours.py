"""A vote of the most similar training examples: the baseline that shots by likeness are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import harness
from harness_plugins.backends import _fitted
from harness_plugins.selectors import _vectors

_COUNTS = (1, 2, 4, 8, 16, 32)
_USUAL = 8


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The labels of the `k` training examples with the most similar TF-IDF, each weighing as much as it is similar."""

    name: ClassVar[str] = "neighbours"
    family: ClassVar[str] = "classical"
    deterministic: ClassVar[bool] = True

    k: int | None = None
    """How many vote; by default the best of 1, 2, 4, 8, 16, 32 on validation (8 without one)."""
    features: _vectors.Features = "characters"
    """What TF-IDF counts: character 2- to 4-grams within words, or words and pairs of them."""

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise ValueError(f"k = {self.k}, expected 1 or more")

    def fit(self, train: Sequence[harness.Example], validation: Sequence[harness.Example], folder: Path) -> None:
        """Leaves the training examples as points in `neighbours.json` and `neighbours.npz` in `folder`.

        Raises:
            harness.DataError: There are no training examples, or nothing to compare in them.
        """
        import numpy as np

        if not train:
            raise harness.DataError("there are no training examples", "give train a share in [prepare].split")
        space = _vectors.Space.tfidf(train, self.features)
        labels = sorted({example.label for example in train})
        answers = [labels.index(each.example.label) for each in space.pool]
        k = self.k or _best(space, labels, answers, validation)
        terms = space.model.get_feature_names_out().tolist()
        _fitted.save(
            folder, self.name, {"k": k, "labels": labels, "terms": terms}, idf=space.model.idf_,
            data=space.points.data, indices=space.points.indices, indptr=space.points.indptr,
            answers=np.asarray(answers, dtype=np.int64),
        )  # fmt: skip

    @contextmanager
    def open(self, ctx: harness.Context) -> Iterator[Callable[[Sequence[harness.Prompt]], list[harness.Answer]]]:
        """Opens the points in `ctx.folder`; it reads a prompt's `source` alone.

        Raises:
            harness.DataError: There are none.
        """
        from scipy import sparse

        with _fitted.loaded(ctx, self.name) as (model, stored):
            vectoriser = _vectors.vectoriser(self.features, model["terms"])
            vectoriser.idf_ = stored["idf"]
            answers = stored["answers"]
            points = sparse.csr_matrix(
                (stored["data"], stored["indices"], stored["indptr"]), shape=(len(answers), len(model["terms"]))
            )
            labels, k = list(model["labels"]), int(model["k"])
        space = _vectors.Space(pool=(), points=points, model=vectoriser)
        unseen = dict.fromkeys(ctx.labels, 0.0)

        def answer(prompts: Sequence[harness.Prompt]) -> list[harness.Answer]:
            if not prompts:
                return []
            rows = space.alike(vectoriser.transform([prompt.source for prompt in prompts]))
            votes = (_votes(row, answers, len(labels), (k,))[0].tolist() for row in rows)
            return [_fitted.most_probable(unseen | dict(zip(labels, shares, strict=True))) for shares in votes]

        yield answer


def _best(
    space: _vectors.Space, labels: Sequence[str], answers: Sequence[int], validation: Sequence[harness.Example]
) -> int:
    """Returns how many voters are right most often on validation; the fewest among equals."""
    import numpy as np

    if not validation:
        return _USUAL
    right = np.zeros(len(_COUNTS), dtype=np.int64)
    for example, (_, alike) in zip(validation, space.compared(validation), strict=True):
        shares = _votes(alike, np.asarray(answers), len(labels), _COUNTS)
        right += np.array([labels[each.argmax()] == example.label for each in shares])
    return _COUNTS[int(right.argmax())]


def _votes(alike: Any, answers: Any, n: int, counts: Sequence[int]) -> list[Any]:
    """Returns for each of `counts` the labels' shares of so many voters; where nothing is similar, those of train."""
    import numpy as np

    places = _vectors.top(alike, max(counts))
    shares = []
    for k in counts:
        votes = np.bincount(answers[places[:k]], weights=alike[places[:k]].astype(np.float64), minlength=n)
        if not votes.sum() > 0:
            votes = np.bincount(answers, minlength=n).astype(np.float64)
        shares.append(votes / votes.sum())
    return shares


@harness.hookimpl
def harness_backends() -> list[type[Neighbours]]:
    """Declares the backend."""
    return [Neighbours]
