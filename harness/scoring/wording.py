"""Parts of verdict sentences, how arms are called in them, and how a sentence is kept short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from harness import terms
from harness.numbers import count, duration, invested, number, percent, percent_interval, points, points_interval, usd
from harness.scoring.costs import NEGLIGIBLE
from harness.words import say, say_n

Line: TypeAlias = Mapping[str, Any]
"""An arm, a comparison or a payback of `results.json`."""
Named: TypeAlias = Callable[[Line], str]
"""How an arm is called in a sentence."""

LONGEST = 220
"""Characters of a verdict sentence at most."""
_NAME_LENGTHS = (80, 56, 40, 28, 20, 12)


def naming(longest: int) -> Named:
    """Returns how arms are called: family and name, `fine-tuned small`, unless the name says the family already.

    Args:
        longest: Longer names lose their end to an ellipsis.
    """

    def called(arm: Line) -> str:
        name, family = " ".join(str(arm["name"]).split()), arm["family"]
        short = name if len(name) <= longest else f"{name[: longest - 1].rstrip()}…"
        said = _letters(family) in _letters(name) or family in ("mock", "other", "classical")
        # "few-shot 8-shot" would say shot twice, "fine-tuned tuned" tuned: such a name already says what it is
        said = said or any(word in _letters(family) and word in _letters(name) for word in ("shot", "tuned"))
        return short if said else say("{family} {arm}", family=terms.family(family), arm=short)

    return called


def compose(write: Callable[[int], str], longest: int = LONGEST) -> str:
    """Writes a sentence of at most `longest` characters: names are shortened first, then its end is cut.

    Args:
        write: Writes the sentence, given the length that names may have.
        longest: Characters at most.
    """
    sentence = ""
    for length in _NAME_LENGTHS:
        sentence = " ".join(write(length).split())
        if len(sentence) <= longest:
            return sentence
    return f"{sentence[: longest - 1].rstrip()}…"


def start(text: str) -> str:
    """Returns the text with a capital letter."""
    return text[:1].upper() + text[1:]


def gap(line: Line) -> str:
    """Writes a difference with its interval: `−0.4 points, 95% CI −1.2 to +0.4`."""
    interval = points_interval(*line["ci"])
    return say("{difference}, 95% CI {interval}", difference=points(line["difference"]), interval=interval)


def lead(line: Line, ahead: str, other: str = "") -> str:
    """Writes who leads by how much, with the interval; the other arm is named where it is given."""
    said = {"a": ahead, "b": other, "interval": points_interval(*line["ci"])}
    if not line["difference"]:
        if other:
            return say("{a} and {b} are level (95% CI {interval})", **said)
        return say("{a} is level (95% CI {interval})", **said)
    said["lead"] = points(line["difference"], signed=False)
    if other:
        return say("{a} leads {b} by {lead} (95% CI {interval})", **said)
    return say("{a} leads by {lead} (95% CI {interval})", **said)


def right_on(arm: Line, named: Named) -> str:
    """Writes one arm's accuracy with its interval."""
    return say(
        "{arm} is right on {share} of {n} test items (95% CI {interval})",
        arm=named(arm),
        share=percent(arm["accuracy"]),
        n=count(arm["n"]),
        interval=percent_interval(*arm["accuracy_ci"]),
    )


def more_accurate(line: Line, other: str) -> str:
    """Writes how much more accurate a is than b: `4.1 points more accurate than 8-shot`."""
    return say("{points} more accurate than {arm}", points=points(line["difference"], signed=False), arm=other)


def cheaper(line: Line) -> str:
    """Writes what a saves on b per request, as part of a list; nothing where that is not known."""
    cost = line["cost"]
    if cost["unit"] is None:
        return say("at no fee per request") if cost["cheaper"] == "a" else ""
    if cost["cheaper"] == "same":
        if cost["unit"] == "usd":
            return say("as cheap per request")
        if max(cost["a"], cost["b"]) < NEGLIGIBLE["machine_s"]:
            return say("both with under a millisecond of machine time per request")
        return say("just as much machine time per request")
    if cost["unit"] == "usd":
        return say("{less} cheaper per request", less=_less(cost))
    return say("{less} less machine time per request", less=_less(cost))


def saves(line: Line) -> str:
    """Writes the same as `cheaper` with its verb, for an a that is known to be cheaper."""
    cost = line["cost"]
    if cost["unit"] is None:
        return say("costs no fee per request")
    if cost["unit"] == "usd":
        return say("is {less} cheaper per request", less=_less(cost))
    return say("needs {less} less machine time per request", less=_less(cost))


def dearer(line: Line) -> str:
    """Writes what a costs more than b per request, with its verb."""
    change, usd_unit = line["cost"]["change"], line["cost"]["unit"] == "usd"
    if change is None:
        if usd_unit or line["cost"]["unit"] is None:
            return say("costs more per request")
        return say("takes more machine time")
    if change >= 1:
        times = number(1 + change, 1)
        if usd_unit:
            return say("costs {n} times as much per request", n=times)
        return say("takes {n} times the machine time per request", n=times)
    more = percent(change, 0)
    if usd_unit:
        return say("is {more} dearer per request", more=more)
    return say("takes {more} more machine time per request", more=more)


def each_extra(line: Line) -> str:
    """Writes the price of an extra correct answer; nothing where it is not known."""
    each = line["cost_per_extra_correct"]
    if each is None:
        return ""
    return usd(each) if line["cost"]["unit"] == "usd" else say("{time} of machine time", time=duration(each))


def training(payback: Line | None) -> str:
    """Writes the fixed cost: `its $86.00 of training`."""
    if payback is None or payback["fixed"] is None:
        return say("its training")
    return say("its {investment}", investment=invested(payback))


def paid_back(payback: Line) -> str:
    """Writes when training is paid back, or that it is not; nothing where its cost is not known."""
    requests = payback["requests"]
    if payback["saving_per_1k"] is None:
        return ""
    if requests is None:
        return "" if payback["fixed"] is None else say("but {training} is not paid back", training=training(payback))
    if payback["monthly"] is not None:
        said = _paid_back_monthly(payback, payback["monthly"])
    elif requests == 0:
        return say("with nothing to pay back")
    else:
        said = say_n(
            requests,
            "{training} paid back after {n} request",
            "{training} paid back after {n} requests",
            training=training(payback),
            n=count(requests),
        )
    if payback["error_saving_per_1k"] is not None and payback["unit"] == "usd":
        return say("{paid_back}, errors counted", paid_back=said)
    return said


def _paid_back_monthly(payback: Line, monthly: Line) -> str:
    """Writes the same where something recurs each month: whether the volume pays for that as well."""
    said, invested = {"training": training(payback), "n": count(payback["requests"])}, payback["requests"] > 0
    if monthly["requests_per_month"] is None:
        if not invested:
            return say("with nothing to pay back, monthly costs left out")
        return say_n(
            payback["requests"],
            "{training} paid back after {n} request, monthly costs left out",
            "{training} paid back after {n} requests, monthly costs left out",
            **said,
        )
    said["volume"] = about(monthly["requests_per_month"])
    if monthly["requests"] is None:
        if not invested:
            return say("but its monthly costs are not made up for at {volume} requests a month", **said)
        return say("but {training} is not paid back at {volume} requests a month", **said)
    if not invested:
        return say("with nothing to pay back")
    said["n"] = count(monthly["requests"])
    return say_n(
        monthly["requests"],
        "{training} paid back after {n} request at {volume} a month",
        "{training} paid back after {n} requests at {volume} a month",
        **said,
    )


def about(volume: float) -> str:
    """Writes a volume: `95,556`, and from a million on `2.8 million`."""
    return say("{n} million", n=number(volume / 1e6, 1)) if volume >= 999_999.5 else count(volume)


def _less(cost: Line) -> str:
    """Writes a saving; one that is not all is never written as 100%."""
    less = percent(-cost["change"], 0)
    return say("over 99%") if less == "100%" and cost["a"] else less


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
