"""What the engine is asked for and what it hands back. Plain values: no torch here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

TopTokens = tuple[tuple[int, float], ...]
"""The most probable tokens at a position with their log-probabilities, best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        max_tokens: Most tokens to generate; 0 only scores.
        temperature: 0 takes the most probable token.
        top_p: Draws from the smallest set of tokens that has this probability together.
        stop: Texts that end an answer; they are not part of it.
        seed: Makes draws repeatable.
        bias: Token ids with what is added to their logits before a draw.
        schema: JSON schema, as text, that the answer must fit; None for free text.
    """

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    bias: tuple[tuple[int, float], ...] = ()
    schema: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A prompt's beginning and the branches that go on from it; the beginning is computed once.

    Attributes:
        model: Adapter's id, or None for the base model.
        stem: Tokens that all branches share; at least one.
        branches: For each, the tokens it adds to the prompt (none for a plain prompt).
        sampling: How each branch is continued.
        scored: Whether the log-probabilities of the prompt's own tokens are wanted.
        top: How many most probable tokens to report at each position.
    """

    model: str | None
    stem: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]
    sampling: Sampling
    scored: bool = False
    top: int = 0

    @property
    def tokens(self) -> int:
        """Prompt tokens to compute when nothing can be reused."""
        return len(self.stem) + sum(map(len, self.branches))


@dataclass(frozen=True, slots=True)
class Token:
    """One token with its log-probability in nats (None for a text's very first) and the most probable ones there."""

    id: int
    logprob: float | None
    top: TopTokens = ()


@dataclass(slots=True)
class Continuation:
    """What became of one branch."""

    tail: list[Token] = field(default_factory=list)
    generated: list[Token] = field(default_factory=list)
    text: str = ""
    finish: str = "length"


@dataclass(slots=True)
class Outcome:
    """What became of a piece of work.

    Attributes:
        stem: Scores of the shared tokens, when `Work.scored`.
        continuations: One for each branch, in order.
        reused: Tokens of the stem that came from the prefix cache.
    """

    stem: list[Token] = field(default_factory=list)
    continuations: list[Continuation] = field(default_factory=list)
    reused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What one branch gained, for askers who want to see an answer grow.

    The texts of all its progress, joined, are the branch's text: what could still turn out to be the beginning of a
    stop text, or half a character, is held back until that is known.

    Attributes:
        branch: Its place among the work's branches.
        text: Added to the answer.
        tokens: The tokens that spelled it; over all progress, each generated token once.
        finish: ``stop`` or ``length`` with the last, None before.
    """

    branch: int
    text: str
    tokens: tuple[Token, ...]
    finish: str | None = None


Listener = Callable[[Progress], None]
"""Called in the engine's thread, so it must be quick and must not raise."""


@dataclass(slots=True, eq=False)
class Ticket:
    """Work on its way: resolve `future`, or drop it once the asker is gone."""

    work: Work
    listener: Listener | None = None
    future: Future[Outcome] = field(default_factory=Future)

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.future.cancelled()

    def deliver(self, result: Outcome | Exception) -> None:
        """Hands over a result, unless the asker has gone."""
        with contextlib.suppress(InvalidStateError):
            if isinstance(result, Exception):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)
