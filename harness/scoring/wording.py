"""Parts of verdict sentences, how arms are called in them, and how a sentence is kept short."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from harness.numbers import count, duration, invested, number, percent, percent_interval, points, points_interval, usd

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
        return short if said else f"{family} {short}"

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
    return f"{points(line['difference'])}, 95% CI {points_interval(*line['ci'])}"


def lead(line: Line, ahead: str, other: str = "") -> str:
    """Writes who leads by how much, with the interval; the other arm is named where it is given."""
    interval = f"(95% CI {points_interval(*line['ci'])})"
    if not line["difference"]:
        return f"{ahead} and {other} are level {interval}" if other else f"{ahead} is level {interval}"
    return f"{ahead} leads{f' {other}' if other else ''} by {points(line['difference'], signed=False)} {interval}"


def right_on(arm: Line, named: Named) -> str:
    """Writes one arm's accuracy with its interval."""
    interval = percent_interval(*arm["accuracy_ci"])
    return f"{named(arm)} is right on {percent(arm['accuracy'])} of {count(arm['n'])} test items (95% CI {interval})"


def cheaper(line: Line) -> str:
    """Writes what a saves on b per request, as part of a list; nothing where that is not known."""
    cost = line["cost"]
    if cost["unit"] is None:
        return "at no fee per request" if cost["cheaper"] == "a" else ""
    if cost["cheaper"] == "same":
        return "as cheap per request" if cost["unit"] == "usd" else "just as much machine time per request"
    return f"{_less(cost)} {'cheaper' if cost['unit'] == 'usd' else 'less machine time'} per request"


def saves(line: Line) -> str:
    """Writes the same as `cheaper` with its verb, for an a that is known to be cheaper."""
    cost = line["cost"]
    if cost["unit"] is None:
        return "costs no fee per request"
    return f"is {_less(cost)} cheaper per request" if cost["unit"] == "usd" else f"needs {cheaper(line)}"


def dearer(line: Line) -> str:
    """Writes what a costs more than b per request, with its verb."""
    change, usd_unit = line["cost"]["change"], line["cost"]["unit"] == "usd"
    if change is None:
        return "costs more per request" if usd_unit or line["cost"]["unit"] is None else "takes more machine time"
    if change >= 1:
        times = f"{number(1 + change, 1)} times"
        return f"costs {times} as much per request" if usd_unit else f"takes {times} the machine time per request"
    more = percent(change, 0)
    return f"is {more} dearer per request" if usd_unit else f"takes {more} more machine time per request"


def each_extra(line: Line) -> str:
    """Writes the price of an extra correct answer, after a colon; nothing where it is not known."""
    each = line["cost_per_extra_correct"]
    if each is None:
        return ""
    amount = usd(each) if line["cost"]["unit"] == "usd" else f"{duration(each)} of machine time"
    return f": {amount} for each extra correct answer"


def training(payback: Line | None) -> str:
    """Writes the fixed cost: `its $86.00 of training`."""
    return "its training" if payback is None or payback["fixed"] is None else f"its {invested(payback)}"


def paid_back(payback: Line) -> str:
    """Writes when training is paid back, or that it is not; nothing where its cost is not known."""
    requests = payback["requests"]
    if payback["saving_per_1k"] is None:
        return ""
    if requests is None:
        return "" if payback["fixed"] is None else f"but {training(payback)} is not paid back"
    if requests == 0:
        return "with nothing to pay back"
    errors = ", errors counted" if payback["error_saving_per_1k"] is not None and payback["unit"] == "usd" else ""
    return f"{training(payback)} paid back after {count(requests)} requests{errors}"


def about(volume: float) -> str:
    """Writes a volume: `95,556`, and from a million on `2.8 million`."""
    return f"{number(volume / 1e6, 1)} million" if volume >= 999_999.5 else count(volume)


def _less(cost: Line) -> str:
    """Writes a saving; one that is not all is never written as 100%."""
    less = percent(-cost["change"], 0)
    return "over 99%" if less == "100%" and cost["a"] else less


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
