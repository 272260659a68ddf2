"""What the page's calculator says and asks for; it computes in the browser (`assets/decision.js`, `calculator.js`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.blocks import Calculator
from harness.words import say, say_n

MOST = 1e12
"""The greatest number that a field takes: written out, its results still are numbers that people read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One number that the reader may change."""

    key: str
    label: str
    most: float = MOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One number that follows."""

    key: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The calculator as its template prints it."""

    island: Mapping[str, Any]
    """What the scripts read: the run's figures and the words."""
    opponents: tuple[str, ...]
    against: str
    fields: tuple[Field, ...]
    outcomes: tuple[Outcome, ...]


def form(block: Calculator) -> Form:
    """Returns a calculator's fields, outcomes and data."""
    stake = block.stake
    opponents = tuple(str(name) for name in stake["arms"] if name != stake["arm"])
    return Form(
        island={"run": stake, "words": _words(), "fields": _arm_fields()},
        opponents=opponents,
        against=str(stake["against"]),
        fields=(*_common(), *(Field(key=key, label="") for key in _PRICES)),
        outcomes=(
            Outcome(key="saving_per_1k", label=say("Saved per 1,000 requests")),
            Outcome(key="monthly_saving", label=say("Saved a month")),
            Outcome(key="requests", label=say("Paid back after")),
            Outcome(key="months_to_break_even", label=say("Breaks even after")),
            Outcome(key="total_saving", label=say("Saved in all, what was invested taken off")),
        ),
    )


_PRICES = ("hour", "a_input", "a_output", "a_1k", "b_input", "b_output", "b_1k")
"""Fields that depend on what the two arms pay for; the script labels them and shows those that apply."""


def _common() -> tuple[Field, ...]:
    return (
        Field(key="requests", label=say("Requests a month")),
        Field(key="months", label=say("Months ahead"), most=1200),
        Field(key="cache", label=say("Prompt tokens found cached, %"), most=100),
        Field(key="error", label=say("A wrong answer costs, USD")),
    )


def _arm_fields() -> dict[str, str]:
    """Returns what the fields of prices are called."""
    return {
        "input": say("A million input tokens of {arm}, USD"),
        "output": say("A million output tokens of {arm}, USD"),
        "1k": say("1,000 requests of {arm}, USD"),
        "hour": say("An hour of this machine, USD"),
    }


def _words() -> dict[str, str | list[str]]:
    """Returns the sentences of the scripts, with names in braces."""
    return {
        "s": say("{n} s"),
        "min": say("{n} min"),
        "h": say("{n} h"),
        "h_min": say("{hours} h {minutes} min"),
        "requests": [say_n(n, "{n} request", "{n} requests", n="{n}") for n in (1, 2)],
        "days": [say_n(n, "{n} day", "{n} days", n="{n}") for n in (1, 2)],
        "months": [say_n(n, "{n} month", "{n} months", n="{n}") for n in (1, 2)],
        "on": say("on {date}"),
        "never": say("never"),
        "as_run": say("as in the run"),
        "as_labels": say("by label, as in the run"),
        "pays": say(
            "{arm} pays: at {volume} requests a month it saves {total} over {months}, after it has paid back the "
            "{invested} invested."
        ),
        "pays_not": say(
            "{arm} does not pay: at {volume} requests a month over {months} it costs {total} more than {against}."
        ),
        "pays_machine": say(
            "{arm} pays: at {volume} requests a month it saves {total} of machine time over {months}, after it has "
            "paid back the {invested} invested."
        ),
        "pays_not_machine": say(
            "{arm} does not pay: at {volume} requests a month over {months} it takes {total} more machine time than "
            "{against}."
        ),
        "level": say("{arm} never pays: its requests cost as much as those of {against}."),
        "level_machine": say("{arm} never pays: its requests take as much machine time as those of {against}."),
        "dearer": say("{arm} never pays: 1,000 of its requests cost {more} more than those of {against}."),
        "dearer_machine": say(
            "{arm} never pays: 1,000 of its requests take {more} more machine time than those of {against}."
        ),
        "volume": say("{arm} saves {saving} on 1,000 requests: say how many there are a month to see when that pays."),
        "unknown": say("What a request costs is not known for {arm} and {against} in one unit: give their prices."),
        "untrained": say("What the training of {arm} cost is not known, so nobody can say when it is paid back."),
        "ended": say("The model of {arm} is shut down before it could save anything."),
        "bad": say("“{field}” must be a number from 0 to {most}."),
        "bad_months": say("“{field}” must be a number above 0, at most {most}."),
    }
