"""Texts as points: TF-IDF by default, or an endpoint's embeddings; and which training examples are most alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import harness
from harness_plugins.selectors import _order

Features = Literal["characters", "words"]

_BLOCK = 256
"""Items compared with the train split at once: 20 MB where that has 20,000 rows."""
_SPARE = 8
"""Neighbours beyond `k` that are looked at first: some may be the item itself in another spelling."""
_DIGITS = 5
"""Of a similarity. What differs by less is equal, and equals have an order of their own: no machine's rounding
decides."""


def vectoriser(features: Features, terms: Sequence[str] | None = None) -> Any:
    """Returns an untrained `TfidfVectorizer` (with `terms`, one that lacks its weights alone).

    On BANKING77 (77 intents, 10,003 training texts) 8 neighbours vote right for 85.0% of the 3,080 test texts by
    characters and for 79.2% by words and pairs; on 1,574 text messages for 98.4% and 98.2%; on 300 reviews of 400
    characters, of which fewer decide nothing, for 68.3% and 72.0%.
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    kinds = {
        "characters": {"analyzer": "char_wb", "ngram_range": (2, 4)},
        "words": {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    }
    return TfidfVectorizer(dtype=np.float32, sublinear_tf=True, vocabulary=terms, **kinds[features])


@dataclass(frozen=True, kw_only=True)
class Space:
    """The train split as points of length 1, in the order of ids: nothing depends on the order of rows."""

    pool: tuple[_order.Candidate, ...]
    points: Any
    """A row for each of `pool`: a sparse matrix or an array, float32."""
    model: Any
    """Turns texts into points."""

    @classmethod
    def tfidf(cls, train: Sequence[harness.Example], features: Features) -> Space:
        """Counts n-grams.

        Raises:
            harness.DataError: There are none.
        """
        pool = _pool(train)
        model = vectoriser(features)
        try:
            points = model.fit_transform(each.example.text for each in pool)
        except ValueError as error:
            raise harness.DataError(
                f"the training texts cannot be compared: {error}", "check the text column"
            ) from None
        return cls(pool=pool, points=points, model=model)

    @classmethod
    def embedded(cls, train: Sequence[harness.Example], vectors: Mapping[str, Sequence[float]]) -> Space:
        """Takes an endpoint's vectors: those of the train split, and later those of the items."""
        pool, model = _pool(train), _Table(vectors)
        return cls(pool=pool, points=model.transform([each.example.text for each in pool]), model=model)

    def compared(self, examples: Sequence[harness.Example]) -> Iterator[tuple[_order.Candidate, Any]]:
        """Yields each example with its similarity to each of `pool`: cosines, float32, rounded."""
        if not examples:
            return
        rows = self.alike(self.model.transform([example.text for example in examples]))
        yield from zip(map(_order.candidate, examples), rows, strict=True)

    def alike(self, points: Any) -> Iterator[Any]:
        """Yields for each of some points its similarity to each of `pool`."""
        n = points.shape[0]
        for start in range(0, n, _BLOCK):
            yield from _product(points[start : start + _BLOCK], self._columns)

    @cached_property
    def _columns(self) -> Any:
        return self.points.T.tocsr() if hasattr(self.points, "tocsr") else self.points.T

    @cached_property
    def middle(self) -> Any:
        """The similarity of each of `pool` to the middle of all."""
        import numpy as np

        centre = np.asarray(self.points.mean(axis=0), dtype=np.float64).ravel()
        length = float(np.sqrt((centre**2).sum())) or 1.0
        return np.asarray(self.points @ (centre / length)).ravel().round(_DIGITS)

    def likeness(self, places: Sequence[int]) -> Any:
        """Returns the similarities among some of `pool`: a square array."""
        points = self.points[places]
        return _product(points, points.T)

    def neighbours(self, item: _order.Candidate, alike: Any, k: int) -> list[int]:
        """Returns the places of the `k` most similar that may be shown beside `item`, most similar first.

        Args:
            item: What is asked about.
            alike: Its similarities.
            k: How many; fewer come back where there are fewer.
        """
        m = k + _SPARE
        while True:
            found: list[int] = []
            for place in top(alike, m):
                if len(found) < k and not self.pool[place].shows(item):
                    found.append(place)
            if len(found) == k or m >= len(self.pool):
                return found
            m *= 4


@dataclass(frozen=True, kw_only=True)
class Picker:
    """Shots for each item, by its similarity to the train split."""

    space: Space
    shots: Callable[[_order.Candidate, Any, int], Sequence[harness.Example]]
    """The item, its similarity to each of the pool, and k → its shots."""

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns `k` shots that are neither `example` nor nearly the same text.

        Raises:
            harness.DataError: The train split has fewer.
        """
        return self.pick_all([example], k)[0]

    def pick_all(self, examples: Sequence[harness.Example], k: int) -> list[Sequence[harness.Example]]:
        """Returns the shots of many items: all of them are compared with the train split at once."""
        return [self.shots(item, alike, k) for item, alike in self.space.compared(examples)]


@dataclass(frozen=True, slots=True)
class _Table:
    """Vectors by their texts."""

    vectors: Mapping[str, Sequence[float]]

    def transform(self, texts: Sequence[str]) -> Any:
        import numpy as np

        rows = np.array([self.vectors[text] for text in texts], dtype=np.float32).reshape(len(texts), -1)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths > 0, lengths, 1)


def space(train: Sequence[harness.Example], features: Features, vectors: Mapping[str, Sequence[float]] | None) -> Space:
    """Returns the train split as points: an endpoint's where there are vectors, else by TF-IDF."""
    return Space.tfidf(train, features) if vectors is None else Space.embedded(train, vectors)


def top(alike: Any, m: int) -> list[int]:
    """Returns the places of the `m` largest, largest first, equals in the order of their places."""
    import numpy as np

    if m < len(alike):
        least = np.partition(alike, len(alike) - m)[len(alike) - m]
        places = np.flatnonzero(alike >= least)
    else:
        places = np.arange(len(alike))
    ranked: list[int] = places[np.argsort(-alike[places], kind="stable")][:m].tolist()
    return ranked


def spread(relevance: Any, among: Any, weight: float, k: int, first: int | None = None) -> list[int]:
    """Returns `k` places by maximal marginal relevance (Carbonell and Goldstein 1998).

    Each is the one that is most relevant and least like those before it:
    `weight` × relevance − (1 − `weight`) × the largest similarity to one that was taken.

    Args:
        relevance: Of each place.
        among: Place → its similarity to each place.
        weight: Between 0 and 1.
        k: How many.
        first: The place to begin with; by default the most relevant.
    """
    import numpy as np

    score = weight * np.asarray(relevance, dtype=np.float64)
    closest = np.full(len(score), -np.inf)
    taken: list[int] = []
    place = int(score.argmax()) if first is None else first
    for _ in range(min(k, len(score))):
        taken.append(place)
        closest = np.maximum(closest, among(place))
        left = score - (1 - weight) * closest
        left[taken] = -np.inf
        place = int(left.argmax())
    return taken


def _pool(train: Sequence[harness.Example]) -> tuple[_order.Candidate, ...]:
    return tuple(sorted(_order.candidates(train), key=lambda each: each.example.id))


def _product(rows: Any, columns: Any) -> Any:
    """Returns the cosines of rows and columns, rounded."""
    import numpy as np

    if hasattr(rows, "tocsr"):
        return (rows @ columns).toarray().round(_DIGITS)
    # Always of one height: libraries multiply few rows another way than many, which shows in the last digits.
    padded = np.zeros((max(_BLOCK, len(rows)), rows.shape[1]), dtype=np.float32)
    padded[: len(rows)] = rows
    return (padded @ columns)[: len(rows)].round(_DIGITS)
