"""What the explorer's script says: the page's words and its way to write numbers, handed over as patterns."""

from __future__ import annotations

from harness import numbers
from harness.words import say


def dictionary() -> dict[str, str]:
    """Returns name → what the script says, in the language of the moment; `{n}` and its like are filled in there."""
    return {**_table(), **_dialog(), **_files(), **_units()}


def _table() -> dict[str, str]:
    return {
        "all": say("All"),
        "differ": say("{a} and {b} disagree", a="{a}", b="{b}"),
        "onlyA": say("Only {a} wrong", a="{a}"),
        "onlyB": say("Only {b} wrong", b="{b}"),
        "both": say("Both wrong"),
        "wrong": say("Wrong"),
        "unparsed": say("No label"),
        "counted": say("{n} of {all} examples", n="{n}", all="{all}"),
        "nothing": say("No example fits. Take a filter away."),
        "page": say("Page {n} of {all}", n="{n}", all="{all}"),
        "reading": say("Reading part {n} of {all} …", n="{n}", all="{all}"),
        "open": say("Open example {id}", id="{id}"),
        "example": say("Example"),
        "text": say("Text"),
        "expected": say("Expected"),
        "right": say("Arms right"),
        "of": say("{n} of {all}", n="{n}", all="{all}"),
        "any": say("Any"),
        "none": say("(no label)"),
        "noText": say("No text is stored for this example."),
        "away": say("Its text is not in this page."),
    }


def _dialog() -> dict[str, str]:
    return {
        "arm": say("Arm"),
        "answer": say("Answer"),
        "response": say("As the model wrote it"),
        "confidence": say("Confidence"),
        "tokens": say("Tokens in / out"),
        "cached": say("{n} from the cache", n="{n}"),
        "reasoning": say("{n} of reasoning", n="{n}"),
        "latency": say("Latency"),
        "attempts": say("Attempts"),
        "cost": say("Cost"),
        "reused": say("taken over from an earlier run"),
        "failed": say("no answer"),
        "absent": say("not asked"),
        "place": say("{n} of {all}", n="{n}", all="{all}"),
        "shotsOf": say("Shots before the text, for {arms}: {n}", arms="{arms}", n="{n}"),
        "noShots": say("The text alone, without shots: {arms}", arms="{arms}"),
    }


def _files() -> dict[str, str]:
    return {
        "missing": say(
            "The files beside this page ({folder}) cannot be read: only what is in the page itself can be shown.",
            folder="{folder}",
        ),
    }


def _units() -> dict[str, str]:
    """Returns how numbers are written, learnt from the one place that writes them."""
    return {
        "percent": numbers.percent(0.07, 0).replace("7", "{n}"),
        "ms": numbers.ms(7.0).replace("7,000", "{n}"),
        "usd": numbers.usd(7.0).replace("7.00", "{n}"),
        "blank": numbers.MISSING,
    }
