"""Whether a prompt fits into a model's context, known before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.execution.budget import MOST_OUTPUT, output_limit
from harness.experiment import LOCAL
from harness.types import Call

if TYPE_CHECKING:
    from harness.tokens import Vocabulary

LONGEST = 4
"""Bytes of a character in UTF-8, at most; no token is shorter than a byte."""
DOUBT = 0.2
"""Share of the context that stays free where tokens are counted in another model's vocabulary: SmolLM2 makes 3% to 16%
more tokens of English texts than o200k_base."""


@dataclass(kw_only=True)
class Fitting:
    """Counts prompts that may be too long, each distinct line of them once.

    Args:
        contexts: Endpoint → tokens of its model's context, where the experiment says so.
    """

    contexts: Mapping[str, int] = field(default_factory=dict)
    _known: dict[tuple[str, str], tuple[int, Vocabulary] | None] = field(default_factory=dict, repr=False)
    """Endpoint and model → tokens that prompt and answer may have, and how they are counted."""
    _counts: dict[str, dict[str, int]] = field(default_factory=dict, repr=False)
    """Vocabulary → text → tokens."""

    def most(self, shots: int, calls: Callable[[int], Iterable[Call]]) -> int:
        """Returns how many of `shots` shots can be shown; none where not even the bare prompt fits.

        Args:
            shots: How many there are.
            calls: Number of shots that are shown → the requests.
        """
        if all(self.fits(call) for call in calls(shots)):
            return shots
        fit, too_many = 0, shots
        while too_many - fit > 1:
            middle = (fit + too_many) // 2
            fit, too_many = (middle, too_many) if all(map(self.fits, calls(middle))) else (fit, middle)
        return fit

    def fits(self, call: Call) -> bool:
        """Whether a request's prompt and the longest answer that it allows fit; also where no limit is known."""
        key = (call.endpoint, str(call.body.get("model", "")))
        if key not in self._known:
            self._known[key] = self._limit(*key)
        known = self._known[key]
        if known is None:
            return True
        limit, vocabulary = known
        prompts, around = _prompts(call.body)
        room = limit - around - _answer(call.body, len(prompts), limit)
        return all(self._short(prompt, room, vocabulary) for prompt in prompts)

    def _short(self, texts: Sequence[str], room: int, vocabulary: Vocabulary) -> bool:
        if sum(map(len, texts)) * LONGEST <= room:
            return True
        if sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) <= room:
            return True
        # Shots stand in many prompts: their lines are counted once. Lines apart have rarely fewer tokens than joined.
        lines = [line for text in texts for line in text.splitlines(keepends=True)]
        counts = self._counts.setdefault(vocabulary.name, {})
        new = [line for line in dict.fromkeys(lines) if line not in counts]
        counts |= zip(new, map(int, vocabulary.count(new)), strict=True)
        if sum(counts[line] for line in lines) <= room:
            return True
        return int(vocabulary.count(texts).sum()) <= room

    def _limit(self, endpoint: str, model: str) -> tuple[int, Vocabulary] | None:
        from harness.tokens import context_limit, vocabulary_of

        local = endpoint == LOCAL
        limit = self.contexts.get(endpoint) or context_limit(model, local)
        if limit is None:
            return None
        vocabulary = vocabulary_of(model, local)
        return (limit if vocabulary.exact else int(limit * (1 - DOUBT))), vocabulary


def _prompts(body: Mapping[str, Any]) -> tuple[list[list[str]], int]:
    """Returns the texts of each prompt of a request, and the tokens that stand around them."""
    from harness.tokens import PER_MESSAGE, PER_REPLY

    messages = body.get("messages")
    if isinstance(messages, list | tuple):
        return [list(_contents(messages))], PER_REPLY + (PER_MESSAGE + 1) * len(messages)  # a role is a token
    prompt = body.get("prompt")
    if isinstance(prompt, str):
        return [[prompt]], 0
    return [[text] for text in prompt or () if isinstance(text, str)], 0


def _contents(messages: Iterable[Any]) -> Iterator[str]:
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, str):
            yield content


def _answer(body: Mapping[str, Any], prompts: int, limit: int) -> int:
    """Returns the tokens of the longest answer; of an unlimited one, what leaves prompts most of the room."""
    if all(body.get(key) is None for key in ("max_tokens", "max_completion_tokens")):
        return min(MOST_OUTPUT, limit // 4)
    each: int = output_limit({**body, "n": 1, "best_of": 1}) // max(prompts, 1)
    return each
