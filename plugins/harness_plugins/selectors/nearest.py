"""The training examples that are most like the item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import harness
from harness_plugins.selectors import _embeddings, _order, _vectors


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The `k` most similar training examples: by TF-IDF, or by an endpoint's embeddings. Nothing is drawn."""

    name: ClassVar[str] = "nearest"
    features: _vectors.Features = "characters"
    """What TF-IDF counts: character 2- to 4-grams within words, or words and pairs of them."""
    order: Literal["closest-last", "closest-first"] = "closest-last"
    """Whether the most similar one stands next to the item."""
    embeddings: _embeddings.Embeddings | None = None
    """An endpoint's model whose vectors are compared instead: `endpoint`, `model`, `dimensions`."""

    def embedding_calls(self, texts: Sequence[str]) -> tuple[harness.Call, ...]:
        """Describes the requests that bring the vectors of texts; the engine sends them."""
        return self.embeddings.calls(texts) if self.embeddings else ()

    def read_embeddings(self, bodies: Sequence[harness.Reply]) -> Mapping[str, Sequence[float]]:
        """Returns text → vector."""
        return _embeddings.read(bodies)

    def fit(
        self, train: Sequence[harness.Example], seed: int, vectors: Mapping[str, Sequence[float]] | None = None
    ) -> NearestPicker:
        """Turns the train split into points.

        Raises:
            harness.DataError: There is nothing to compare.
        """
        space = _vectors.space(train, self.features, vectors)
        return NearestPicker(space=space, last=self.order == "closest-last")


@dataclass(frozen=True, kw_only=True)
class NearestPicker:
    """The train split as points."""

    space: _vectors.Space
    last: bool

    def pick(self, example: harness.Example, k: int) -> Sequence[harness.Example]:
        """Returns the `k` most similar ones that are neither `example` nor nearly the same text.

        Raises:
            harness.DataError: The train split has fewer.
        """
        return self.pick_all([example], k)[0]

    def pick_all(self, examples: Sequence[harness.Example], k: int) -> list[Sequence[harness.Example]]:
        """Returns the shots of many items: all of them are compared with the train split at once."""
        return [self._shots(item, alike, k) for item, alike in self.space.compared(examples)]

    def _shots(self, item: _order.Candidate, alike: Any, k: int) -> Sequence[harness.Example]:
        shots = [self.space.pool[place].example for place in self.space.neighbours(item, alike, k)]
        return _order.enough(shots[::-1] if self.last else shots, k)


@harness.hookimpl
def harness_selectors() -> list[type[Nearest]]:
    """Declares the selector."""
    return [Nearest]
