"""The training examples that are most like the item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
    ) -> _vectors.Picker:
        """Turns the train split into points.

        Raises:
            harness.DataError: There is nothing to compare.
        """
        space = _vectors.space(train, self.features, vectors)
        return _vectors.Picker(space=space, shots=partial(self._shots, space))

    def _shots(self, space: _vectors.Space, item: _order.Candidate, alike: Any, k: int) -> Sequence[harness.Example]:
        shots = [space.pool[place].example for place in space.neighbours(item, alike, k)]
        return _order.enough(shots[::-1] if self.order == "closest-last" else shots, k)


@harness.hookimpl
def harness_selectors() -> list[type[Nearest]]:
    """Declares the selector."""
    return [Nearest]
