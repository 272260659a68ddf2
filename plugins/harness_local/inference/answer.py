"""One answer as it grows, token by token."""

from __future__ import annotations

from collections.abc import Callable

from harness_local.inference.work import Continuation, Progress, Sampling, Token
from harness_local.models.tokens import TextStream


class Answer:
    """Collects the tokens of one branch, finds its end, and tells of its progress.

    Args:
        branch: Its place among the work's branches.
        sampling: When it ends.
        ends: Tokens that end it and are no part of it.
        text: Decodes its tokens.
        tell: Called with each progress; None where nobody listens.
    """

    def __init__(
        self,
        branch: int,
        sampling: Sampling,
        ends: frozenset[int],
        text: TextStream,
        tell: Callable[[Progress], None] | None,
    ) -> None:
        self.result = Continuation()
        self.done = False
        self._branch, self._sampling, self._ends = branch, sampling, ends
        self._stream, self._tell = text, tell
        self._parts: list[str] = []
        self._held = ""  # settled text that could be the beginning of a stop text
        self._untold = 0  # the first token that has not been told of

    @property
    def room(self) -> int:
        """How many more tokens it may have."""
        return self._sampling.max_tokens - len(self.result.generated)

    def add(self, token: Token, *, complete: bool = False) -> None:
        """Takes the next token; where it makes the answer `complete`, the answer ends with it."""
        if token.id in self._ends:
            self.end("stop")
            return
        self.result.generated.append(token)
        self._held += self._stream.add(token.id)
        if not self._stopped():
            if complete or self.room <= 0:
                self.end("stop" if complete else "length")
            else:
                self._release(len(self._held) - self._promising())

    def end(self, finish: str) -> None:
        """Ends it here, unless a stop text in what is left ends it earlier."""
        self._held += self._stream.rest()
        if not self._stopped():
            self._finish(len(self._held), finish)

    def _stopped(self) -> bool:
        places = [at for stop in self._sampling.stop if (at := self._held.find(stop)) >= 0]
        if places:
            self._finish(min(places), "stop")
        return bool(places)

    def _promising(self) -> int:
        """Length of the longest end of the held text that a stop text begins with."""
        longest = max(map(len, self._sampling.stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._sampling.stop):
                return length
        return 0

    def _release(self, length: int) -> None:
        if length:
            text, self._held = self._held[:length], self._held[length:]
            self._parts.append(text)
            self._report(text, None)

    def _finish(self, length: int, finish: str) -> None:
        self._parts.append(self._held[:length])
        self.result.text, self.result.finish, self.done = "".join(self._parts), finish, True
        self._report(self._parts[-1], finish)

    def _report(self, text: str, finish: str | None) -> None:
        if self._tell is not None:
            tokens = tuple(self.result.generated[self._untold :])
            self._untold += len(tokens)
            self._tell(Progress(branch=self._branch, text=text, tokens=tokens, finish=finish))
