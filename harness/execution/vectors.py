"""The vectors of texts that selectors compare: which requests bring them, and what their answers held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.contract import EmbeddingSelector
from harness.errors import UsageError
from harness.execution.work import Request, answer_key
from harness.journal import Entry
from harness.plugins import attributed
from harness.types import Example, Reply


def asker_of(arm: str) -> str:
    """Returns the name under which an arm's requests for vectors stand in the journal.

    It is none of the arm's own: its first prompt is still looked at before more is sent, and what prompts take is
    measured without them.
    """
    return f"{arm} (embeddings)"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What one answer held."""

    vectors: Mapping[str, Sequence[float]]
    usd: float | None


@dataclass(kw_only=True)
class Vectors:
    """Vectors that have been bought.

    Args:
        stored: Keys → the answers that are on disk.
    """

    stored: Callable[[Sequence[str]], Mapping[str, Entry]] = lambda _keys: {}
    _read: dict[str, _Read] = field(default_factory=dict)

    def requests(
        self,
        selector: EmbeddingSelector,
        arm: str,
        identities: Mapping[str, str],
        sets: Iterable[Sequence[Example]],
    ) -> tuple[Request, ...]:
        """Describes the requests for the vectors of sets of examples, each set on its own.

        So the train split is asked about the same way whatever else is, and its answers are found again. Their keys
        do not hang on the plugin's source: what came is read anew each time.
        """
        requests = []
        for examples in sets:
            with attributed(selector, "embedding_calls"):
                calls = selector.embedding_calls([example.text for example in examples])
            requests += [
                Request(
                    endpoint=call.endpoint, path=call.path, body=call.body, note=call.note, arm=asker_of(arm),
                    key=answer_key(identities[call.endpoint], call, ""),
                )
                for call in calls
            ]  # fmt: skip
        return tuple(requests)

    def recall(self, selector: EmbeddingSelector, requests: Sequence[Request]) -> tuple[Request, ...]:
        """Reads what is on disk and returns the requests that have no answer there."""
        new = {request.key: request for request in requests if request.key not in self._read}
        found = self.stored(list(new)) if new else {}
        for key, entry in found.items():
            if entry.error is None:
                self._read[key] = _Read(vectors=read(selector, Reply(entry.body, new[key])), usd=entry.usd)
        return tuple(request for key, request in new.items() if key not in self._read)

    def of(self, requests: Sequence[Request]) -> dict[str, Sequence[float]]:
        """Returns text → vector of requests that were recalled."""
        return {text: vector for request in requests for text, vector in self._read[request.key].vectors.items()}

    def usd(self, requests: Sequence[Request]) -> dict[str, float | None]:
        """Returns text → what its vector has cost: its part of the request; `None` where no price is known."""
        read = [self._read[request.key] for request in requests]
        return {text: None if one.usd is None else one.usd / len(one.vectors) for one in read for text in one.vectors}


def read(selector: EmbeddingSelector, reply: Reply) -> Mapping[str, Sequence[float]]:
    """Reads one reply."""
    with attributed(selector, "read_embeddings"):
        return selector.read_embeddings([reply])


def without_route(arm: str, error: UsageError) -> UsageError:
    """Says of whom it is that an endpoint cannot bring vectors."""
    return UsageError(
        f"the arm {arm} needs embeddings for its shots: {error.message}",
        "does that endpoint have /embeddings and that model? Name one that does in shots.embeddings, "
        "or leave it out: texts are then compared by TF-IDF",
    )
