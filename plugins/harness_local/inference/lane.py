"""The sequences in progress under one set of weights, advanced together one forward pass at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness_local.inference.answer import Answer
from harness_local.inference.constraints import ConstraintError, Constraints
from harness_local.inference.decoder import Decoder
from harness_local.inference.head import Head
from harness_local.inference.packed import Lineage, PackedCache, Rows
from harness_local.inference.prefixes import Prefix, PrefixCache, Room
from harness_local.inference.sampling import Drawer, described
from harness_local.inference.work import Outcome, Ticket, Token, TopTokens
from harness_local.models.tokens import Codec

_PASS_TOKENS = 1024  # new tokens of one forward pass: more gains nothing on a processor's cores
_COLUMNS = 32_768  # keys and values held at a time
_EXPECTED = 512  # columns to keep free for an answer; few are as long as they might be
_DRAWS = 128  # rows of logits held at a time


@dataclass(slots=True, eq=False)
class _Branch:
    """A continuation on its way.

    Attributes:
        lineage: Which columns its tokens see.
        start: Position after its prompt.
        drawer: Chooses its tokens.
        answer: What it has said.
        forced: Tokens that follow the last one for certain; their log-probabilities come with the next pass.
        computed: Columns it has, those of the prompt's tail left out.
        rows: Places of its tokens in the pass in progress.
    """

    lineage: Lineage
    start: int
    drawer: Drawer
    answer: Answer
    forced: list[int]
    computed: int = 0
    rows: range = range(0)

    @property
    def final(self) -> bool:
        """Whether nothing is drawn after what is forced."""
        return self.answer.room <= len(self.forced) or self.drawer.complete

    @property
    def certain(self) -> list[int]:
        """Forced tokens that must be computed: a last one has no successor that needs it."""
        return self.forced[: self.answer.room][:-1] if self.final else self.forced

    @property
    def targets(self) -> list[int | None]:
        """What its next rows of logits are for: the forced tokens, then a draw."""
        return [*self.forced[: self.answer.room]] if self.final else [*self.forced, None]


@dataclass(slots=True, eq=False)
class _Running:
    """A ticket that has been taken up; `rows` are the places of its stem in the first pass."""

    ticket: Ticket
    outcome: Outcome
    branches: list[_Branch]
    prefix: Prefix | None
    matched: int
    rows: range = range(0)
    error: Exception | None = None

    @property
    def going(self) -> list[_Branch]:
        """Branches that are not at their end."""
        return [] if self.error else [branch for branch in self.branches if not branch.answer.done]


class Lane:
    """Sequences under one set of weights.

    Args:
        decoder: Runs the model, with these weights active while `step` runs.
        head: Its output layer.
        codec: Its tokenizer.
        ends: Tokens that end an answer.
        constraints: Holds answers to schemas.
        room: Memory for kept prefixes.
    """

    def __init__(
        self, decoder: Decoder, head: Head, codec: Codec, ends: frozenset[int], constraints: Constraints, room: Room
    ) -> None:
        self.queue: deque[Ticket] = deque()
        self._cache = PackedCache(decoder)
        self._head, self._codec, self._ends, self._constraints = head, codec, ends, constraints
        self._prefixes = PrefixCache(room)
        self._running: list[_Running] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.queue or self._running)

    def step(self) -> int:
        """One forward pass: advances what is running, takes up what is queued; returns how many tickets it held."""
        self._running = [r for r in self._running if not r.ticket.abandoned]
        if any(ticket.abandoned for ticket in self.queue):
            self.queue = deque(ticket for ticket in self.queue if not ticket.abandoned)
        rows = Rows()
        advancing = self._go_on(rows)
        fresh = self._take_up(rows)
        if rows.ids:
            hidden = self._cache.forward(rows)
            self._score(fresh, hidden)
            self._advance(hidden, advancing, fresh)
        return self._finish()

    def abort(self, error: Exception) -> None:
        """Gives an error to everybody who took part in a pass, and forgets what was computed for it."""
        if not self._running and self.queue:
            self.queue.popleft().deliver(error)
        for running in self._running:
            running.ticket.deliver(error)
        self._running.clear()
        self._cache.clear()

    def close(self, error: Exception) -> None:
        """Forgets everything, and gives an error to everybody who waits."""
        self._prefixes.clear()
        self.abort(error)
        for ticket in self.queue:
            ticket.deliver(error)
        self.queue.clear()

    def _go_on(self, rows: Rows) -> list[tuple[_Running, _Branch]]:
        """Adds the last tokens of branches, oldest first, as far as there is room for their answers to grow."""
        advancing: list[tuple[_Running, _Branch]] = []
        held = 0
        for running in self._running:
            held += running.ticket.work.tokens - running.matched
            for branch in running.going:
                branch.rows = range(0)
                held += branch.computed + min(branch.answer.room, _EXPECTED)
                if advancing and (held > _COLUMNS or len(rows.ids) >= _PASS_TOKENS):
                    return advancing
                feed = [branch.answer.result.generated[-1].id, *branch.certain]
                branch.rows = rows.add(feed, branch.start + branch.computed, branch.lineage)
                branch.computed += len(feed)
                advancing.append((running, branch))
        return advancing

    def _take_up(self, rows: Rows) -> list[_Running]:
        """Takes tickets from the queue up to what one pass should hold, and computes beginnings that they share."""
        fresh: list[_Running] = []
        while self.queue:
            work = self.queue[0].work
            prefix, matched = self._prefixes.match(work.stem)
            need = max(work.tokens - matched, len(work.branches))
            if fresh and len(rows.ids) + need > _PASS_TOKENS:
                break
            if rows.ids and len(self._cache) + len(rows.ids) + need > _COLUMNS:
                break
            if worth := self._prefixes.worth(work.stem, matched):
                prefix = self._compute_prefix(work.stem[:worth], prefix, matched)
            ticket = self.queue.popleft()
            try:
                running = self._start(ticket, prefix, worth or matched)
            except Exception as error:  # it alone fails
                ticket.deliver(error)
                continue
            running.outcome.reused = matched
            self._running.append(running)
            self._place(running, rows)
            fresh.append(running)
        return fresh

    def _compute_prefix(self, ids: tuple[int, ...], known: Prefix | None, matched: int) -> Prefix:
        """Computes a beginning on its own, going on from one that is known, and keeps it."""
        import torch

        cache = self._cache
        root = cache.root(known) if known else -1
        own = cache.name()
        rows = Rows()
        rows.add(ids[matched:], matched, Lineage(own, root=root, root_limit=matched))
        hidden = cache.forward(rows)
        keys, values = cache.columns(own)
        if known:
            hidden = torch.cat([known.hidden[:matched], hidden])
            keys = tuple(torch.cat([a[:, :, :matched], b], 2) for a, b in zip(known.keys, keys, strict=True))
            values = tuple(torch.cat([a[:, :, :matched], b], 2) for a, b in zip(known.values, values, strict=True))
        logprobs = [None, *self._head.score(hidden[:-1], ids[1:], 0)[0]]
        tokens = tuple(Token(token, logprob) for token, logprob in zip(ids, logprobs, strict=True))
        prefix = Prefix(ids, keys, values, hidden, tokens)
        self._prefixes.keep(prefix)
        return prefix

    def _start(self, ticket: Ticket, prefix: Prefix | None, matched: int) -> _Running:
        """A ticket as running; nothing of it is in the pass yet."""
        work, sampling = ticket.work, ticket.work.sampling
        root = self._cache.root(prefix) if prefix else -1
        stem = self._cache.name()
        branches = []
        for index, tail in enumerate(work.branches):
            lineage = Lineage(self._cache.name(), parent=stem, root=root, root_limit=matched)
            matcher = None if sampling.schema is None else self._constraints.matcher(sampling.schema)
            drawer = Drawer(sampling, index, matcher)
            answer = Answer(index, sampling, self._ends, self._codec.stream(), ticket.listener)
            forced = drawer.forced()
            if drawer.complete and not forced:
                raise ConstraintError("the schema allows no answer")
            branches.append(_Branch(lineage, len(work.stem) + len(tail), drawer, answer, forced))
        outcome = Outcome(continuations=[branch.answer.result for branch in branches])
        return _Running(ticket, outcome, branches, prefix, matched)

    def _place(self, running: _Running, rows: Rows) -> None:
        """Adds a fresh ticket's prompt to the pass, and what is certain to follow it."""
        work, stem = running.ticket.work, running.branches[0].lineage
        own = Lineage(stem.parent, root=stem.root, root_limit=stem.root_limit)
        running.rows = rows.add(work.stem[running.matched :], running.matched, own)
        for branch, tail in zip(running.branches, work.branches, strict=True):
            # A tail that is only scored needs no state after its last token.
            feed = [*tail, *branch.certain] if work.sampling.max_tokens else tail[:-1]
            branch.rows = rows.add(feed, len(work.stem), branch.lineage)
            branch.computed = len(branch.certain)

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
                branch.answer.result.tail.append(Token(token, logprob, best[: work.top]))

    def _advance(self, hidden: Any, advancing: Iterable[tuple[_Running, _Branch]], fresh: Iterable[_Running]) -> None:
        """Gives every branch of the pass its next tokens."""
        import torch

        moving = [(running, branch, [*branch.rows]) for running, branch in advancing]
        for running in fresh:
            for branch, tail in zip(running.branches, running.ticket.work.branches, strict=True):
                if running.ticket.work.sampling.max_tokens:
                    moving.append((running, branch, [running.rows[-1], *branch.rows][len(tail) :]))
                else:
                    branch.answer.end("length")
        wanted = [
            (running, branch, place, target)
            for running, branch, places in moving
            for place, target in zip(places, branch.targets, strict=True)
        ]
        for start in range(0, len(wanted), _DRAWS):
            part = wanted[start : start + _DRAWS]
            logits = self._head.logits(hidden[torch.tensor([place for _, _, place, _ in part], device=hidden.device)])
            self._draw([(running, branch, target) for running, branch, _, target in part], logits)

    def _draw(self, wanted: Sequence[tuple[_Running, _Branch, int | None]], logits: Any) -> None:
        """Takes one token from each row of logits: the one that is forced there, or one that is drawn."""
        chosen = logits.argmax(-1).tolist()
        for place, (running, branch, target) in enumerate(wanted):
            if target is not None:
                chosen[place] = target
            elif not running.error:
                try:
                    chosen[place] = branch.drawer.draw(logits[place], chosen[place])
                except Exception as error:  # its ticket alone fails
                    running.error = error
        tokens = described(logits, chosen, max(running.ticket.work.top for running, _, _ in wanted))
        drawing = {branch for _, branch, target in wanted if target is None}
        for (running, branch, target), token in zip(wanted, tokens, strict=True):
            if not running.error and not branch.answer.done:
                try:
                    told = Token(token.id, token.logprob, token.top[: running.ticket.work.top])
                    self._extend(branch, told, target, last=target is None or branch not in drawing)
                except Exception as error:
                    running.error = error

    @staticmethod
    def _extend(branch: _Branch, token: Token, target: int | None, *, last: bool) -> None:
        """Adds a token to an answer; what was drawn after a forced one, but is not yet added, may have completed it."""
        branch.forced = branch.drawer.forced() if target is None else branch.forced[1:]
        branch.answer.add(token, complete=last and branch.drawer.complete and not branch.forced)

    def _finish(self) -> int:
        """Hands over what is ready; forgets columns that nobody needs."""
        count = len(self._running)
        for running in self._running:
            if not running.going:
                running.ticket.deliver(running.error or running.outcome)
        self._running = [running for running in self._running if running.going]
        lineages = [branch.lineage for running in self._running for branch in running.going]
        self._cache.keep_only({owner for line in lineages for owner in (line.own, line.parent, line.root)})
        return count
