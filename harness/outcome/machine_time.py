"""Whose machine time: seconds of this machine that each arm's answers took, though arms were interleaved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.execution.answers import Answered
from harness.experiment import LOCAL, Arm
from harness.journal import Entry

HERE = ("", LOCAL)
"""Endpoints of entries whose answers this machine gave: none, in process, and the local one."""


def takes_this_machine(arm: Arm) -> bool:
    """Whether answers of an arm take seconds of this machine: in process or by its local endpoint, and truly."""
    return arm.endpoint in (None, LOCAL) and not arm.simulated and not arm.imported


def clocked(answers: Sequence[Answered]) -> list[tuple[Entry, ...]]:
    """Returns the requests behind each answer that has times of its own.

    Answers that were taken over from another run count where this machine gave them, in process or by its local
    endpoint: they took its seconds then, at other times than this run's, and what an answer takes is the same whoever
    asked. Their key holds the same model and settings; that runs beside each other are of one machine is taken for
    granted, and moments that they shared with an arm which this run lacks are wholly theirs. Answers from elsewhere
    that were taken over are left out. So is a request that all items share: a prompt needs it once, however often it
    is asked.
    """
    return [
        (answer.entry, *answer.further)
        for answer in answers
        if answer.entry is not None
        and answer.entry.error is None
        and (answer.entry.reused is None or answer.entry.endpoint in HERE)
    ]


def spans(answers: Sequence[Answered]) -> list[tuple[float, float]]:
    """Returns when the requests behind answers began and ended; see `clocked`."""
    return [(entry.started, entry.started + entry.service_s) for entries in clocked(answers) for entry in entries]


def busy_seconds(by_name: Mapping[str, Sequence[Answered]]) -> dict[str, float]:
    """Shares the busy seconds out among arms, candidates or points; those whose answers have no times are left out."""
    under_way = {name: spans(answers) for name, answers in by_name.items()}
    return machine_seconds({name: found for name, found in under_way.items() if found})


def machine_seconds(by_arm: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, float]:
    """Shares the busy seconds out.

    Every moment in which requests are under way counts once; it is divided among the arms by how many requests each
    has under way just then. So the arms' seconds add up to the time in which the machine was busy with any of them.
    """
    steps = sorted(
        (moment, change, arm)
        for arm, spans_of in by_arm.items()
        for start, stop in spans_of
        for moment, change in ((start, 1), (stop, -1))
    )
    seconds = dict.fromkeys(by_arm, 0.0)
    open_now = dict.fromkeys(by_arm, 0)
    total, before = 0, 0.0
    for moment, change, arm in steps:
        if total:
            for name, count in open_now.items():
                if count:
                    seconds[name] += (moment - before) * count / total
        open_now[arm] += change
        total += change
        before = moment
    return seconds
