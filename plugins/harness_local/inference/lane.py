"""The sequences in progress under one set of weights, advanced together one forward pass at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness_local.inference.head import Head
from harness_local.inference.packed import Lineage, PackedCache, Rows
from harness_local.inference.prefixes import Prefix, PrefixCache, common
from harness_local.inference.sampling import Drawer
from harness_local.inference.work import Continuation, Outcome, Ticket, Token, TopTokens, Work
from harness_local.models.tokens import Codec

_PASS_TOKENS = 1024  # new tokens of one forward pass: more gains nothing on a processor's cores
_COLUMNS = 16_384  # keys and values held at a time


@dataclass(slots=True, eq=False)
class _Branch:
    """A continuation on its way."""

    lineage: Lineage
    length: int
    drawer: Drawer
    result: Continuation = field(default_factory=Continuation)
    rows: range = range(0)
    done: bool = False


@dataclass(slots=True, eq=False)
class _Running:
    """A ticket that has been taken up."""

    ticket: Ticket
    outcome: Outcome
    branches: list[_Branch]
    prefix: Prefix | None
    matched: int
    rows: range


class Lane:
    """Sequences under one set of weights.

    Args:
        model: The model with these weights active while `step` runs.
        head: Its output layer.
        codec: Its tokenizer.
        ends: Tokens that end an answer.
        prefix_bytes: Room for kept prefixes.
    """

    def __init__(self, model: Any, head: Head, codec: Codec, ends: frozenset[int], prefix_bytes: int) -> None:
        self.queue: deque[Ticket] = deque()
        self._cache = PackedCache(model)
        self._head, self._codec, self._ends = head, codec, ends
        self._prefixes = PrefixCache(prefix_bytes)
        self._running: list[_Running] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.queue or self._running)

    def step(self) -> int:
        """One forward pass: takes up what is queued, advances what is running; returns how many tickets it held."""
        rows = Rows()
        self._running = [r for r in self._running if not r.ticket.abandoned]
        for running in self._running:
            for branch in running.branches:
                branch.rows = range(0)
                if not branch.done:
                    last = branch.result.generated[-1].id
                    branch.rows = rows.add([last], branch.length, branch.lineage)
                    branch.length += 1
        fresh = [self._start(ticket, rows) for ticket in self._admit(len(rows.ids))]
        if not rows.ids:
            return 0
        hidden = self._cache.forward(rows)
        self._score(fresh, hidden)
        self._running += fresh
        self._advance(hidden, fresh)
        return self._finish()

    def fail(self, error: Exception) -> None:
        """Gives an error to everybody who waits, and forgets everything that was computed."""
        tickets = [r.ticket for r in self._running] + list(self.queue)
        self._running.clear()
        self.queue.clear()
        self._cache.clear()
        self._prefixes.clear()
        for ticket in tickets:
            ticket.deliver(error)

    def _admit(self, used: int) -> list[Ticket]:
        """Takes tickets from the queue up to what one pass should hold, and computes beginnings that they share."""
        taken: list[Ticket] = []
        held = len(self._cache)
        while self.queue:
            ticket = self.queue[0]
            stem = ticket.work.stem
            _, matched = self._prefixes.match(stem)
            need = ticket.work.tokens - matched
            if (taken or used) and (used + need > _PASS_TOKENS or held + need > _COLUMNS):
                break
            self.queue.popleft()
            if ticket.abandoned:
                continue
            if worth := self._prefixes.worth(stem, matched):
                self._compute_prefix(stem[:worth])
                need = ticket.work.tokens - worth
            used, held = used + need, held + need
            taken.append(ticket)
        return taken

    def _compute_prefix(self, ids: tuple[int, ...]) -> None:
        """Computes a beginning on its own, going on from one that is known, and keeps it."""
        import torch

        cache = self._cache
        prefix, matched = self._prefixes.match(ids)
        root = cache.root(prefix) if prefix else -1
        own = cache.name()
        rows = Rows()
        rows.add(ids[matched:], matched, Lineage(own, root=root, root_limit=matched))
        hidden = cache.forward(rows)
        keys, values = cache.columns(own)
        if prefix:
            hidden = torch.cat([prefix.hidden[:matched], hidden])
            keys = tuple(torch.cat([a[:, :, :matched], b], 2) for a, b in zip(prefix.keys, keys, strict=True))
            values = tuple(torch.cat([a[:, :, :matched], b], 2) for a, b in zip(prefix.values, values, strict=True))
        logprobs = [None, *self._head.score(hidden[:-1], ids[1:], 0)[0]]
        tokens = tuple(Token(token, logprob) for token, logprob in zip(ids, logprobs, strict=True))
        self._prefixes.keep(Prefix(ids, keys, values, hidden, tokens))

    def _start(self, ticket: Ticket, rows: Rows) -> _Running:
        work = ticket.work
        prefix, matched = self._prefixes.match(work.stem)
        root = self._cache.root(prefix) if prefix else -1
        stem = self._cache.name()
        placed = rows.add(work.stem[matched:], matched, Lineage(stem, root=root, root_limit=matched))
        branches = []
        for index, tail in enumerate(work.branches):
            lineage = Lineage(self._cache.name(), parent=stem, root=root, root_limit=matched)
            # A tail that is only scored needs no state after its last token.
            computed = tail if work.sampling.max_tokens else tail[:-1]
            branch = _Branch(lineage, len(work.stem) + len(tail), Drawer(work.sampling, index))
            branch.rows = rows.add(computed, len(work.stem), lineage)
            branches.append(branch)
        outcome = Outcome(continuations=[branch.result for branch in branches], reused=matched)
        return _Running(ticket, outcome, branches, prefix, matched, placed)

    def _score(self, fresh: Iterable[_Running], hidden: Any) -> None:
        """Scores the prompts' own tokens, all in one go."""
        import torch

        places: list[int] = []
        targets: list[int] = []
        extra: list[Any] = []
        wanted = [r for r in fresh if r.ticket.work.scored]
        for running in wanted:
            work = running.ticket.work
            if running.matched and running.prefix:
                extra.append(running.prefix.hidden[running.matched - 1])
                places.append(len(hidden) + len(extra) - 1)
                targets.append(work.stem[running.matched])
            places += running.rows[:-1]
            targets += work.stem[running.matched + 1 :]
            for branch, tail in zip(running.branches, work.branches, strict=True):
                # Each tail's first token is predicted by the stem's last row, the others by the row before them.
                places += [running.rows[-1], *branch.rows][: len(tail)]
                targets += tail
        if not targets:
            for running in wanted:
                running.outcome.stem = [Token(running.ticket.work.stem[0], None)]
            return
        state = torch.cat([hidden, torch.stack(extra)]) if extra else hidden
        top = max(r.ticket.work.top for r in wanted)
        logprobs, tops = self._head.score(state[torch.tensor(places, device=state.device)], targets, top)
        scores = iter(zip(targets, logprobs, tops, strict=True))
        for running in wanted:
            self._record(running, scores)

    def _record(self, running: _Running, scores: Iterable[tuple[int, float, TopTokens]]) -> None:
        """Hands the scores to their tokens."""
        work, stem = running.ticket.work, running.outcome.stem
        source = iter(scores)
        if running.prefix:
            known = list(running.prefix.tokens[: running.matched])
            if work.top and len(known) > 1:
                _, tops = self._head.score(running.prefix.hidden[: len(known) - 1], work.stem[1 : len(known)], work.top)
                pairs = zip(known[1:], tops, strict=True)
                known[1:] = [Token(token.id, token.logprob, best) for token, best in pairs]
            stem += known
        else:
            stem.append(Token(work.stem[0], None))
        while len(stem) < len(work.stem):
            token, logprob, best = next(source)
            stem.append(Token(token, logprob, best[: work.top]))
        for branch, tail in zip(running.branches, work.branches, strict=True):
            for _ in tail:
                token, logprob, best = next(source)
                branch.result.tail.append(Token(token, logprob, best[: work.top]))

    def _advance(self, hidden: Any, fresh: Sequence[_Running]) -> None:
        """Draws the next token of every branch that goes on."""
        import torch

        stems = {id(r): r.rows[-1] for r in fresh}
        drawing = [
            (running, branch, branch.rows[-1] if branch.rows else stems[id(running)])
            for running in self._running
            for branch in running.branches
            if not branch.done and running.ticket.work.sampling.max_tokens
        ]
        if not drawing:
            return
        logits = self._head.logits(hidden[torch.tensor([place for _, _, place in drawing], device=hidden.device)])
        for (running, branch, _), row in zip(drawing, logits, strict=True):
            self._extend(branch, running.ticket.work, branch.drawer.draw(row, running.ticket.work.top))

    def _extend(self, branch: _Branch, work: Work, token: Token) -> None:
        result = branch.result
        if token.id in self._ends:
            result.finish, branch.done = "stop", True
            return
        result.generated.append(token)
        result.text = self._codec.decode([t.id for t in result.generated])
        cut = min((at for stop in work.sampling.stop if (at := result.text.find(stop)) >= 0), default=-1)
        if cut >= 0:
            result.text, result.finish, branch.done = result.text[:cut], "stop", True
        elif len(result.generated) >= work.sampling.max_tokens:
            branch.done = True

    def _finish(self) -> int:
        """Hands over what is ready; forgets columns that nobody needs."""
        going = []
        for running in self._running:
            if running.ticket.work.sampling.max_tokens and not all(branch.done for branch in running.branches):
                going.append(running)
            else:
                running.ticket.deliver(running.outcome)
        count = len(self._running)
        self._running = going
        lineages = [branch.lineage for running in going for branch in running.branches]
        self._cache.keep_only({owner for line in lineages for owner in (line.own, line.parent, line.root)})
        return count


def shared(prompts: Sequence[Sequence[int]]) -> int:
    """Number of tokens that all prompts begin with."""
    return min((common(prompts[0], prompt) for prompt in prompts[1:]), default=len(prompts[0]))
