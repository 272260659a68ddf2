"""The verdict in plain words: four sentences by rule, for readers who know nothing of tests and intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness import numbers
from harness.report import flip_points
from harness.report.arms import Arm
from harness.report.facts import Data, Measure, comparison, contenders, cost_measure, latency, with_monthly
from harness.words import say, say_n


def sentences(data: Data) -> tuple[str, str, str, str]:
    """Returns what was compared on what; who was right how often; what it costs and takes; what is advised."""
    return compared(data), right(data), price(data), advice(data)


def compared(data: Data) -> str:
    """Says what was compared on what."""
    run = data.get("run") or {}
    dataset = str((run.get("dataset") or {}).get("name") or run.get("name") or "")
    tried = sum(1 for arm in data.get("arms") or () if arm.get("n"))
    values = {
        "ways": numbers.count(tried),
        "dataset": dataset,
        "items": numbers.count(run.get("n_test")),
        "labels": numbers.count(len(run.get("labels") or ())),
    }
    return say_n(
        tried,
        "One way of giving each text of {dataset} one of {labels} labels was tried, on {items} examples that had been "
        "kept aside for it.",
        "{ways} ways of giving each text of {dataset} one of {labels} labels were compared, on the same {items} "
        "examples, which had been kept aside for it.",
        **values,
    )


def right(data: Data) -> str:
    """Says who was right how often, and how sure that is; where too much failed to know, who answered how much."""
    if _asked_in_vain(data):
        return _answered(data)
    best, other = _by_accuracy(data)
    if best is None:
        return say("Nothing has been answered, so nobody knows yet who is right how often.")
    share = numbers.percent(best.get("accuracy"))
    if other is None:
        low, high = best.get("accuracy_ci") or (None, None)
        if low is None:
            return say("{arm} was right on {share} of them.", arm=best["name"], share=share)
        return say(
            "{arm} was right on {share} of them; on all texts of this kind the share very likely lies between {low} "
            "and {high}.",
            arm=best["name"], share=share, low=numbers.percent(low), high=numbers.percent(high),
        )  # fmt: skip
    values = {"best": best["name"], "share": share, "other": other["name"], "less": numbers.percent(other["accuracy"])}
    line = comparison(data, best["name"], other["name"]) or {}
    low, high = line.get("ci") or (None, None)
    if low is None:
        return say("{best} was right on {share} of them, {other} on {less}.", **values)
    bounds = {"low": numbers.number(low * 100, 1, signed=True), "high": numbers.points(high)}
    if line.get("decisive"):
        return say(
            "{best} was right on {share} of them, {other} on {less}: hardly by luck, for the lead very likely lies "
            "between {low} and {high}.", **values, **bounds,
        )  # fmt: skip
    if line.get("within_margin"):
        return say(
            "{best} was right on {share} of them, {other} on {less}: as good as equal, for the lead very likely lies "
            "between {low} and {high}.", **values, **bounds,
        )  # fmt: skip
    return say(
        "{best} was right on {share} of them, {other} on {less}: that may well be luck, for the lead can be anything "
        "between {low} and {high}.", **values, **bounds,
    )  # fmt: skip


def _asked_in_vain(data: Data) -> bool:
    """Whether there is no verdict because most requests of a contender failed, the one that is held against."""
    _, weak = contenders(data)
    kind = (data.get("verdict") or {}).get("kind")
    return kind == "not-enough-data" and weak is not None and weak.get("barred") == "unanswered"


def _answered(data: Data) -> str:
    told: dict[str, str] = {}
    for arm, name in zip(contenders(data), ("first", "second"), strict=True):
        n, failed = (arm or {}).get("n"), (arm or {}).get("failed")
        known = None if n is None or failed is None else n - failed
        told |= {name: str((arm or {}).get("name")), f"{name}_n": numbers.count(n), f"{name}_of": numbers.count(known)}
    return say(
        "{first} answered {first_of} of {first_n} questions, {second} {second_of} of {second_n}; the others failed, so "
        "nobody knows yet which of the two is right more often.", **told,
    )  # fmt: skip


def price(data: Data) -> str:
    """Says what a thousand answers cost, and how long one takes."""
    first, second = contenders(data)
    if first is None:
        return say("What they cost and how fast they are is not known.")
    measure = cost_measure(data)
    if second is None:
        return _price_alone(first, measure)
    costs, waits = (measure.of(first), measure.of(second)), (latency(first), latency(second))
    values = {"first": first["name"], "second": second["name"]}
    amounts = {"cost": measure.write(costs[0]), "other_cost": measure.write(costs[1])}
    times = {"wait": numbers.ms(waits[0]), "other_wait": numbers.ms(waits[1])}
    if None in waits and None in costs:
        if waits == costs == (None, None):
            return say("What both cost and how fast they are was not measured.")
        return say("What they cost and how fast they are is not known for both of them.")
    if None in costs:
        return say(
            "All but the slowest 5% of the answers came within {wait} from {first} and within {other_wait} from "
            "{second}; what they cost is not known for both.", **values, **times,
        )  # fmt: skip
    if None in waits:
        return (
            say("A thousand answers cost {cost} from {first} and {other_cost} from {second}.", **values, **amounts)
            if measure.unit == "usd"
            else say(
                "A thousand answers keep this machine busy for {cost} with {first} and for {other_cost} with {second}.",
                **values, **amounts,
            )
        )  # fmt: skip
    if measure.unit == "usd":
        return say(
            "A thousand answers cost {cost} from {first} and {other_cost} from {second}; all but the slowest 5% came "
            "within {wait} and {other_wait}.", **values, **amounts, **times,
        )  # fmt: skip
    return say(
        "A thousand answers keep this machine busy for {cost} with {first} and for {other_cost} with {second}; all "
        "but the slowest 5% came within {wait} and {other_wait}.", **values, **amounts, **times,
    )  # fmt: skip


def _price_alone(arm: Arm, measure: Measure) -> str:
    cost, wait = measure.of(arm), latency(arm)
    if cost is None and wait is None:
        return say("What its answers cost and how fast they are was not measured.")
    values = {"cost": measure.write(cost), "wait": numbers.ms(wait)}
    if cost is None:
        return say("All but the slowest 5% of its answers came within {wait}; what they cost is not known.", **values)
    if wait is None and measure.unit == "usd":
        return say("A thousand answers cost {cost}; how fast they are was not measured.", **values)
    if wait is None:
        return say(
            "A thousand answers keep this machine busy for {cost}; how fast they are was not measured.", **values
        )
    if measure.unit == "usd":
        return say("A thousand answers cost {cost}; all but the slowest 5% came within {wait}.", **values)
    return say(
        "A thousand answers keep this machine busy for {cost}; all but the slowest 5% came within {wait}.", **values
    )


def _by_accuracy(data: Data) -> tuple[Arm | None, Arm | None]:
    """Returns the two arms of the verdict, the more accurate first; an arm without answers is none."""
    pair = [arm for arm in contenders(data) if arm is not None and arm.get("accuracy") is not None]
    pair.sort(key=lambda arm: -arm["accuracy"])
    return (pair[0] if pair else None), (pair[1] if len(pair) > 1 else None)


def advice(data: Data) -> str:
    """Says what is advised, and for whom it would be different."""
    verdict = data.get("verdict") or {}
    if not verdict.get("kind"):
        return say("There is no verdict, so there is nothing to advise.")
    if verdict.get("simulated"):
        return say("These figures are simulated: they show what a report looks like, and advise nothing.")
    write = ADVICE.get(str(verdict["kind"]))
    return say("What follows is said in the sentence at the top of the page.") if write is None else write(data)


def _names(data: Data) -> dict[str, str]:
    first, second = contenders(data)
    return {"arm": str(first["name"]) if first else "", "against": str(second["name"]) if second else ""}


def _paid_back(data: Data) -> Mapping[str, Any] | None:
    """Returns the payback of exactly the pair of which the verdict speaks."""
    pair = set(_names(data).values())
    return next((entry for entry in data.get("payback") or () if {entry["arm"], entry["against"]} == pair), None)


def _if_enough(data: Data, entry: Mapping[str, Any]) -> str:
    """Advises by the monthly volume, where something recurs each month that requests must make up for as well."""
    decision, names = data.get("decision") or {}, _names(data)
    turns = (point for point in decision.get("flip_points") or () if point["quantity"] == "requests_per_month")
    point = next(turns, None) if {decision.get("arm"), decision.get("against")} == set(names.values()) else None
    if point is None or point["above"] != entry["arm"]:
        return say(
            "Our advice: use {arm} if you ask so much that it makes up for its training and for what it takes each "
            "month; if you ask less, {against} costs less.", **names,
        )  # fmt: skip
    return say(
        "Our advice: use {arm} if you expect more than {volume} requests a month over {months}; with fewer its "
        "training and what it takes each month are not paid for, and {against} costs less.",
        **names, volume=numbers.count(point["value"]), months=flip_points.months(decision["months"]),
    )  # fmt: skip


def _win(data: Data) -> str:
    names, entry = _names(data), _paid_back(data)
    if entry is None or entry["arm"] != names["arm"]:
        cost = (comparison(data, names["arm"], names["against"]) or {}).get("cost") or {}
        if cost and cost["cheaper"] not in ("a", "b"):
            return say(
                "Our advice: use {arm}; {against} would be the choice only if another model or other data made it "
                "right as often.", **names,
            )  # fmt: skip
        return say(
            "Our advice: use {arm}; {against} would be the choice only if another model, other data or other prices "
            "turned both the accuracy and the cost.", **names,
        )  # fmt: skip
    if with_monthly(entry):
        return _if_enough(data, entry)
    requests = entry.get("requests")
    if requests:
        return say_n(
            requests,
            "Our advice: use {arm}; its training is paid for by the first request.",
            "Our advice: use {arm} if you expect more than {requests} requests in all; with fewer its training is not "
            "paid for, and {against} costs less.",
            **names, requests=numbers.count(requests),
        )  # fmt: skip
    if requests == 0 or entry.get("fixed") is None:
        return say("Our advice: use {arm}; only who cannot train or host a model should stay with {against}.", **names)
    if entry.get("saving_per_1k") is None:
        return say(
            "Our advice: use {arm} if being right more often is worth {invested} to you; which of the two costs less "
            "for a request is not known.", **names, invested=numbers.invested(entry),
        )  # fmt: skip
    return say(
        "Our advice: use {arm} if being right more often is worth {invested} to you; if only the cost counts, use "
        "{against}.", **names, invested=numbers.invested(entry),
    )  # fmt: skip


def _trade_off(data: Data) -> str:
    names = _names(data)
    line = comparison(data, names["arm"], names["against"]) or {}
    each = line.get("cost_per_extra_correct")
    if each is None or (line.get("cost") or {}).get("unit") != "usd":
        return say(
            "Our advice: use {arm} if being right more often is worth its higher cost to you; otherwise use {against}.",
            **names,
        )
    return say(
        "Our advice: use {arm} if one more right answer is worth more than {each} to you; otherwise use {against}.",
        **names, each=numbers.usd(each),
    )  # fmt: skip


def _never_pays(data: Data) -> str:
    return say(
        "Our advice: use {arm}; {against} would be the choice only if it became cheaper, or more often right with "
        "other data or settings.", **_names(data),
    )  # fmt: skip


def _baseline(data: Data) -> str:
    return say(
        "Our advice: use {arm}, the simpler of the two; {against} is worth a look only if the last bit of accuracy "
        "matters more to you than the cost.", **_names(data),
    )  # fmt: skip


def _tie(data: Data) -> str:
    names, entry = _names(data), _paid_back(data)
    mine = entry if entry is not None and entry["arm"] == names["arm"] else {}
    if with_monthly(mine):
        return _if_enough(data, mine)
    if mine.get("requests"):
        return say_n(
            mine["requests"],
            "Our advice: use {arm}, which costs less; its training is paid for by the first request.",
            "Our advice: use {arm}, which costs less, if you expect more than {requests} requests in all; with fewer "
            "its training is not paid for, and {against} does as well.",
            **names, requests=numbers.count(mine["requests"]),
        )  # fmt: skip
    return say(
        "Our advice: either will do, so take what is easier for you to run; a difference that matters to you would "
        "have shown.",
    )


def _too_little(data: Data) -> str:
    names = _names(data)
    if not names["against"]:
        return say("Our advice: decide nothing yet; there must be a second one to compare with.")
    if _asked_in_vain(data):
        return say(
            "Our advice: decide nothing yet; run the same command again, which asks {against} for what has failed.",
            **names,
        )
    line = comparison(data, names["arm"], names["against"]) or {}
    items, margin = line.get("n_for_80_power"), (data.get("run") or {}).get("margin")
    if items is None or margin is None or items <= (line.get("n") or 0):
        return say("Our advice: decide nothing yet; label more test examples, and stay with what you use today.")
    return say(
        "Our advice: decide nothing yet and stay with what you use today; it would take about {items} test examples "
        "to show a difference of {margin}.", items=numbers.count(items), margin=numbers.points(margin, signed=False),
    )  # fmt: skip


def _expires(data: Data) -> str:
    names, day = _names(data), (data.get("decision") or {}).get("shutdown_date")
    if day is None:
        return say("Our advice: train a model that stays available for longer, and until then use {against}.", **names)
    return say(
        "Our advice: use {against}, or train a model that stays available beyond {day}; {arm} is for those alone who "
        "ask so much that it pays before.", **names, day=str(day),
    )  # fmt: skip


def _unavailable(data: Data) -> str:
    names = _names(data)
    if not names["against"]:
        return say("Our advice: ask why the training was refused, mend it, and run the same command again.")
    return say("Our advice: use {against} until the training is possible, then run the same command again.", **names)


def _invalid(data: Data) -> str:
    return say("Our advice: decide nothing on these figures; mend what the verdict names, and run it again.")


ADVICE: Mapping[str, Callable[[Data], str]] = {
    "win": _win,
    "trade-off": _trade_off,
    "never-pays": _never_pays,
    "baseline-suffices": _baseline,
    "tie": _tie,
    "not-enough-data": _too_little,
    "expires": _expires,
    "unavailable": _unavailable,
    "invalid": _invalid,
}
"""Kind of verdict → what is advised."""
