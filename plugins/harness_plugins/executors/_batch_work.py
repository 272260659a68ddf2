"""Carries calls out by the batch: hands in, waits, collects, hands in again what is missing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import harness
from harness_plugins.executors import _batch_files as files
from harness_plugins.executors._batch_desk import Desk, Passing, Unknown, blamed, counted, promised
from harness_plugins.executors._batch_tickets import Group, Live, forget, keep, kept, ticket_for

if TYPE_CHECKING:
    from openai.types import Batch

    from harness_plugins.executors.openai_batch import OpenAIBatch

ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
"""Every other status, known or not, is one of a batch that goes on."""
ROUNDS = 3
"""Batches in which a request may come to nothing before it is given up."""
PATIENCE_S = 3600.0
"""Seconds without any reply after which waiting ends; the batches themselves go on."""
FETCHES = 3
"""Times that files with broken lines are fetched."""
POLL_MAX_S = 60.0
GLANCE_S = 0.5
"""Seconds between two looks at whether to stop."""
TEXTS = frozenset({"messages", "prompt", "input"})
"""What differs from request to request; the rest of a body are the settings."""
QUEUE_FULL = "token_limit_exceeded"


@dataclass(kw_only=True)
class Work:
    """One run of the executor."""

    options: OpenAIBatch
    send: harness.Send
    done: Callable[[harness.Call, harness.Reply], None]
    stack: ExitStack
    """Closes the endpoints' clients."""
    waiting: dict[Group, dict[str, harness.Call]] = field(default_factory=dict)
    """Calls that are in no batch."""
    live: dict[str, Live] = field(default_factory=dict)
    """Tag → batch."""
    desks: dict[str, Desk] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=dict)
    """Key → batches in which it came to nothing."""
    narrow: dict[Group, int] = field(default_factory=dict)
    """Requests that fit into the endpoint's queue, where it was full: its batches then go one after the other."""

    def run(self, calls: Iterable[harness.Call]) -> None:
        """Sees to all calls; what is in a batch already is only waited for."""
        here: list[harness.Call] = []
        for call in calls:
            if self.send.here(call):
                here.append(call)
            else:
                self.waiting.setdefault(Group.of(call), {})[self.send.key(call)] = call
        try:
            self._take_up()
            self._hand_in()
            if here and not self.send.stopped:
                self.send(here, self.done)
            self._wait()
            while left := self._room_again():
                self._hand_in()
                self._wait()
                if self._room_again() == left and not self.send.stopped:
                    self._give_up(left, "not handed in: the budget covers it at once, but not by the batch")
                    break
        except KeyboardInterrupt:
            self._leave()
            raise
        if self.send.stopped:
            self.send((), self.done)  # raises what is wrong, where it is a key, a model or a setting

    def _room_again(self) -> dict[str, harness.Call]:
        """Returns the calls that wait for money that has been given back; where none was, the budget has said no."""
        left = {key: call for calls in self.waiting.values() for key, call in calls.items()}
        return left if left and not self.send.stopped and self.send.admit(next(iter(left.values()))) else {}

    # What is there from before

    def _take_up(self) -> None:
        """Takes up the batches that hold a call which is wanted; others are left to whoever wants their calls."""
        for ticket in kept(self.send):
            found = [(group, wanted) for group, of in self.waiting.items() if (wanted := ticket.wanted(of))]
            if not found:
                continue
            # An endpoint's URL stands in its keys, its name does not: of several the batch's own, or who wants most.
            group, _ = max(found, key=lambda each: (each[0].endpoint == ticket.endpoint, len(each[1])))
            calls = {key: call for _, wanted in found for key, call in wanted.items()}
            for call in calls.values():
                del self.waiting[Group.of(call)][self.send.key(call)]
            if ticket.lost and ticket.said_by == self.send.command:
                self._give_up(calls, f"{ticket.batch} is lost, or its answers are")
                continue
            for call in calls.values():
                self._admit(call, "batch")  # it is bought already; what it may cost must not be spent twice
            if ticket.elsewhere:  # from here on it is this run's too
                ticket = keep(self.send, replace(ticket, endpoint=group.endpoint))
            try:
                known = ticket if ticket.batch is not None else self._desk(ticket.endpoint).find(ticket)
            except Passing as error:
                self._give_up(calls, str(error))
                continue
            if known is None:
                forget(self.send, ticket)
                self._wait_again(calls)
                continue
            self.live[known.tag] = Live(ticket=known, group=group, calls=calls)
            self.send.say(f"{known.batch} was handed in before: {len(calls):,} of its answers are wanted")

    def _wait_again(self, calls: Mapping[str, harness.Call]) -> None:
        """Lets calls wait for another batch, each where it belongs."""
        for key, call in calls.items():
            self.waiting[Group.of(call)][key] = call

    # Handing in

    def _hand_in(self) -> None:
        """Sends small groups at once and hands in batches of the others, as far as the budget goes."""
        small, large = [], []
        for group, calls in self.waiting.items():
            if 0 < len(calls) < self.options.at_least:
                small += list(calls.items())
            elif calls and not (group in self.narrow and self._others(group)):
                large.append(group)
        self._ask_now(small)
        if self.options.try_first:
            self._try_out(large)
        for group in large:
            self._hand_in_group(group)

    def _admit(self, call: harness.Call, tier: str = "") -> bool:
        # Patient: what does not fit beside the batches under way may fit when they have ended.
        return not self.send.stopped and bool(self.send.admit(call, tier, patient=True))

    def _ask_now(self, calls: Iterable[tuple[str, harness.Call]]) -> set[str]:
        """Sends calls at once, as far as the budget goes, and returns the keys of those that were answered."""
        answered: set[str] = set()

        def done(call: harness.Call, reply: harness.Reply) -> None:
            self.done(call, reply)
            answered.add(self.send.key(call))

        # The engine must not wait for money that batches hold: what it is given has been admitted.
        admitted = [(key, call) for key, call in calls if self._admit(call)]
        if admitted:
            self.send([call for _, call in admitted], done)
        for key, _ in admitted:
            for waiting in self.waiting.values():
                waiting.pop(key, None)
        return answered

    def _try_out(self, groups: Sequence[Group]) -> None:
        """Asks one request of each arm and settings at once: what is wrong with all must not cost a batch's time."""
        kinds: dict[str, list[tuple[str, harness.Call]]] = {}
        for group in groups:
            for key, call in self.waiting[group].items():
                settings = {name: value for name, value in call.body.items() if name not in TEXTS}
                kind = json.dumps([group, self.send.arm(call), settings], sort_keys=True, default=str)
                kinds.setdefault(kind, []).append((key, call))
        for start, end in ((0, 1), (1, 5)):
            answered = self._ask_now([of for calls in kinds.values() for of in calls[start:end]])
            kinds = {kind: calls for kind, calls in kinds.items() if answered.isdisjoint(key for key, _ in calls)}
        for calls in kinds.values():
            left = {key: call for key, call in calls if any(key in of for of in self.waiting.values())}
            if len(left) < len(calls) and not self.send.stopped:
                self._give_up(left, "not handed in: the first requests of this kind were not answered")
                for waiting in self.waiting.values():
                    for key in left:
                        waiting.pop(key, None)

    def _hand_in_group(self, group: Group) -> None:
        calls = self.waiting[group]
        limit = self.narrow.get(group)
        large: dict[str, harness.Call] = {}
        made = files.parts(
            list(calls.items()),
            prefix=self.options.prefix,
            most=min(self.options.requests, limit or self.options.requests),
            most_bytes=int(self.options.megabytes * 1_000_000),
            admit=lambda call: self._admit(call, "batch"),
            too_large=large.__setitem__,
        )
        for part in made:
            if len(part.calls) < self.options.at_least:
                self._ask_now(list(part.calls.items()))
                continue
            for key in part.calls:
                del calls[key]
            ticket = ticket_for(group.endpoint, group.path, tuple(part.calls), part.content)
            keep(self.send, ticket)
            try:
                ticket = self._desk(group.endpoint).submit(ticket, part.content, self.options.prefix)
            except harness.UsageError:
                forget(self.send, ticket)  # it was refused: there is no batch
                raise
            except Passing as error:
                self._give_up({**part.calls, **calls}, str(error))
                calls.clear()
                break
            self.live[ticket.tag] = Live(ticket=ticket, group=group, calls=part.calls)
            self.send.say(f"{ticket.batch}: {len(part.calls):,} requests for {group.model} handed in")
            if limit is not None:
                break
        self._ask_now(list(large.items()))

    # Waiting and collecting

    def _wait(self) -> None:
        """Looks after the batches until all have ended, or nothing more may be done."""
        interval = self.options.poll_s
        while self.live and self._rested(interval):
            ended = [live for live in list(self.live.values()) if self._look(live)]
            if ended:
                self._hand_in()
                interval = self.options.poll_s
            else:
                interval = min(interval * 1.3, max(POLL_MAX_S, self.options.poll_s))
        self._leave()

    def _rested(self, seconds: float) -> bool:
        """Waits; returns early, and False, where nothing more may be done."""
        until = time.monotonic() + seconds
        while not self.send.stopped:
            left = until - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, GLANCE_S))
        return False

    def _leave(self) -> None:
        if self.live:
            names = ", ".join(str(live.ticket.batch) for live in self.live.values())
            self.send.say(f"these go on at the endpoint: {names}; the same command collects their answers")

    def _look(self, live: Live) -> bool:
        """Asks how a batch stands and collects it where it has ended; returns whether it is done with."""
        try:
            batch = self._desk(live.group.endpoint).batch(live.ticket)
            if (news := live.news(str(batch.status), *counted(batch))) is not None:
                self.send.say(news)
            if batch.status not in ENDED:
                live.heard_at = time.monotonic()
                return False
            if batch.status == "failed":
                self._failed(live, batch)
                return True
            return self._collect(live, batch)
        except Unknown:
            self._lost(live)
        except Passing as error:
            if time.monotonic() - live.heard_at < PATIENCE_S:
                if str(error) != live.passing:
                    live.passing = str(error)
                    self.send.say(f"{live.ticket.batch}: {error}; it is asked again")
                return False
            self._give_up(live.calls, f"nothing was heard of {live.ticket.batch}: {error}")
            del self.live[live.ticket.tag]
        return True

    def _collect(self, live: Live, batch: Batch) -> bool:
        """Takes what a batch has come to; its ticket goes when that is on disk. Returns whether it is done with."""
        for _ in range(FETCHES):  # what is bought again should not have been lost on the way only
            found, seen = self._read(live, batch)
            if seen == len(live.ticket.keys) or not found.broken:
                break
        lines = seen + found.broken if seen else 0  # of a page in a file's place every line is broken
        if live.calls and lines < (answered := promised(batch, len(live.ticket.keys))):
            live.short += 1
            if live.short < FETCHES:
                return False
            if not live.ticket.lost:
                self._ask_for_word(live, f"{batch.id} has answered {answered:,}, but its files hold {seen:,}")
                return True
        if found.useless:
            self.send.say(f"{batch.id}: {found.useless:,} lines that are broken, repeated or nobody's were passed over")
        self._settle(live, batch, found)
        self._done_with(live)
        return True

    def _read(self, live: Live, batch: Batch) -> tuple[files.Collected, int]:
        """Reads a batch's files and commits the answers; returns the rest, and of how many keys there is a line."""
        started = harness.replies.moment(batch.in_progress_at or batch.created_at) or time.time()
        found, keys, seen = files.Collected(), frozenset(live.ticket.keys), set[str]()
        replies: list[harness.Reply] = []

        def answer(key: str, body: dict[str, object]) -> None:
            call = live.calls.pop(key, None)
            if call is not None:  # otherwise it was collected before, or is not wanted now
                reply = harness.Reply(body, call)
                reply.timing = {"tier": "batch", "started": started, "service_s": 0.0}
                replies.append(reply)

        for name in (batch.output_file_id, batch.error_file_id):
            try:
                lines = self._desk(live.group.endpoint).lines(name) if name else ()
            except Unknown:
                self.send.say(f"{batch.id}: its file {name} is there no more")
                continue
            files.read(lines, keys, found, seen, answer)
            if replies:
                self.send.take(replies)  # all at once: a commit for each would take longer than the rest
                replies.clear()
        return found, len(seen)

    def _settle(self, live: Live, batch: Batch, found: files.Collected) -> None:
        """Gives up what was refused, and lets the rest wait for another batch."""
        refused = live.calls.keys() & found.refused.keys()
        if len(refused) >= 5 and not found.answered:
            self._done_with(live)
            raise harness.UsageError(
                f"{self._desk(live.group.endpoint)} refused {len(found.refused):,} requests of {batch.id} and answered "
                f"none: {next(iter(found.refused.values()))}",
                "change the arm, or leave it out with --only",
            )
        for key, call in live.calls.items():
            if key in refused:
                self.send.give_up(call, found.refused[key], final=True)
                continue
            reason = found.passing.get(key, f"{batch.id} {batch.status} without an answer to it")
            self.rounds[key] = self.rounds.get(key, 0) + 1
            if batch.status == "cancelled" or key in found.unpaid or self.rounds[key] >= ROUNDS:
                self.send.give_up(call, reason, final=False)
            else:
                self._wait_again({key: call})

    def _failed(self, live: Live, batch: Batch) -> None:
        """Says what is wrong with a batch that was refused as a whole; one that found no room waits for some."""
        self._done_with(live)
        code, message, line = blamed(batch)
        if code == QUEUE_FULL:
            self._no_room(live, message)
            return
        where = f"{batch.id}{f', line {line} of its file' if line else ''}"
        told = self.send.scrub(f"{self._desk(live.group.endpoint)} refused {where}: {message}")
        if harness.replies.is_unpaid(400, message, code):
            self._give_up(live.calls, told)
            return
        raise harness.UsageError(
            f"{told} ({code})" if code else told,
            f'is {live.group.model} offered by the batch? executor = {{ plugin = "local" }} asks at once',
        )

    def _no_room(self, live: Live, message: str) -> None:
        """Lets calls wait for a batch that is under way, or for a smaller one."""
        size = len(live.ticket.keys) if self._others(live.group) else len(live.ticket.keys) // 2
        if size < max(1, self.options.at_least):
            waiting = self.waiting[live.group]
            self._give_up({**live.calls, **waiting}, f"the endpoint's queue for batches is full: {message}")
            waiting.clear()
            return
        self.narrow[live.group] = size
        self._wait_again(live.calls)
        self.send.say(f"{live.ticket.batch} found no room in the queue; the next has at most {size:,} requests")

    def _lost(self, live: Live) -> None:
        """Asks for the user's word, once, before requests are bought again of which nothing is known."""
        ticket = live.ticket
        if ticket.lost:
            self._done_with(live)
            self._wait_again(live.calls)
            self.send.say(f"{ticket.batch} is still unknown there: its requests are handed in anew")
            return
        desk = self._desk(ticket.endpoint)
        self._ask_for_word(live, f"{desk} does not know {ticket.batch}: does the key belong to another project?")

    def _ask_for_word(self, live: Live, what: str) -> None:
        """Leaves a batch whose answers cannot be had; the user's word for buying them again is the same command."""
        del self.live[live.ticket.tag]
        keep(self.send, replace(live.ticket, lost=True, said_by=self.send.command))
        self._give_up(
            live.calls, f"{what}. If they are lost, the same command looks once more, then hands the requests in anew"
        )

    def _done_with(self, live: Live) -> None:
        del self.live[live.ticket.tag]
        forget(self.send, live.ticket)

    def _give_up(self, calls: dict[str, harness.Call], message: str) -> None:
        for call in calls.values():
            self.send.give_up(call, message, final=False)

    def _others(self, group: Group) -> bool:
        return any(live.group == group for live in self.live.values())

    def _desk(self, endpoint: str) -> Desk:
        if endpoint not in self.desks:
            client = self.stack.enter_context(self.send.client(endpoint))
            self.desks[endpoint] = Desk(name=endpoint, client=client, send=self.send)
        return self.desks[endpoint]
