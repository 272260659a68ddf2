"""The verdict: one kind and one sentence, by rule, from the results alone.

The rules are asked in order, first `BEFORE`, then `BETWEEN`; the first that applies speaks. Each reads only
`results.json`, and every number in its sentence stands there, or is the quotient or difference of two that do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness import findings
from harness.numbers import count, number, percent, points, usd
from harness.scoring import wording
from harness.scoring.duel import Duel, Ruling, arm_of, between, payback_of, turned
from harness.scoring.wording import Line, Named
from harness.types import TUNED
from harness.words import say

BASELINES = ("classical", "zero-shot")
UNPAID = ("expires", "win", "trade-off", "never-pays", "tie")
"""Kinds of verdict whose sentence goes on with what would make training pay, where it does not."""


def judge(results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the verdict: `kind`, `arm`, `against`, `sentence` (at most 220 characters), `simulated`, `rule`.

    Args:
        results: All other parts of `results.json`.
    """
    rule, ruling = _rule(results)
    a, b = _contenders(results)
    simulated = any(arm is not None and arm["simulated"] for arm in (a, b, arm_of(results, ruling.arm)))

    def write(longest: int) -> str:
        sentence = ruling.write(wording.naming(longest))
        return say("Simulated: {sentence}", sentence=sentence) if simulated else sentence

    sentence = wording.compose(write)
    more = what_would_change(results, ruling)
    return {
        "kind": ruling.kind,
        "arm": ruling.arm,
        "against": ruling.against,
        "sentence": f"{sentence} {more}" if more and len(sentence) + len(more) < wording.LONGEST else sentence,
        "simulated": simulated,
        "rule": rule,
    }


def what_would_change(results: Mapping[str, Any], ruling: Ruling) -> str:
    """Returns one more sentence: at what volume, cost of errors or price training would pay; else nothing.

    It speaks of the pair of the verdict alone, and of the first of these that is known.
    """
    decision = results["decision"]
    if ruling.kind not in UNPAID or {ruling.arm, ruling.against} != {decision["arm"], decision["against"]}:
        return ""
    if decision["pays"] or not decision["months"]:
        return ""
    tuned = decision["arm"]
    points = {point["quantity"]: point for point in decision["flip_points"]}
    volume, errors, price = (points.get(name) for name in ("requests_per_month", "error_usd", "tuned_price"))
    if decision["pays"] is False and volume is not None and volume["above"] == tuned:
        return say("Training would pay above {n} requests a month.", n=wording.about(volume["value"]))
    if ruling.kind == "trade-off":
        # Without a volume the price of an extra correct answer has said it already
        if decision["pays"] is False and errors is not None and errors["above"] == tuned:
            return say("Training would pay from {cost} for an error.", cost=usd(errors["value"]))
        return ""
    if ruling.kind == "never-pays" and price is not None and price["below"] == tuned and price["value"] < 1:
        digits = 1 if price["value"] > 0.99 else 0
        return say("Training would pay at {share} of the model's price.", share=percent(price["value"], digits))
    return ""


# Before the contenders are compared


def leak(results: Mapping[str, Any]) -> Ruling | None:
    """A check found test items in train, validation or shots: no figure can be trusted."""
    found = [check for check in results["checks"] if check["level"] == "error" and "leak" in check["kind"]]
    if not found:
        return None
    reason = findings.message(found[0]).rstrip(" .")
    return Ruling(kind="invalid", write=lambda _: say("No verdict: {reason}.", reason=reason))


def unavailable(results: Mapping[str, Any]) -> Ruling | None:
    """Training was refused, and no tuned arm has answers."""
    refused = [arm for arm in results["arms"] if arm["refused"]]
    if not refused or any(arm["n"] for arm in results["arms"] if arm["family"] in TUNED):
        return None
    tuned, prompt = refused[0], arm_of(results, results["contenders"]["b"])

    def write(named: Named) -> str:
        if prompt is None:
            return say("Training was refused, so {arm} cannot be judged.", arm=named(tuned))
        evidence = wording.right_on(prompt, named)
        return say("Training was refused, so {arm} cannot be judged; {evidence}.", arm=named(tuned), evidence=evidence)

    return Ruling(kind="unavailable", write=write, arm=tuned["name"], against=prompt["name"] if prompt else None)


def no_opponent(results: Mapping[str, Any]) -> Ruling | None:
    """Fewer than two contenders have answers."""
    a, b = _contenders(results)
    if a is not None and b is not None:
        return None
    able = sorted((arm for arm in results["arms"] if arm["n"]), key=lambda arm: (-arm["accuracy"], arm["name"]))
    if not able:
        return Ruling(kind="not-enough-data", write=lambda _: say("Not enough data: no arm has answered a test item."))
    alone, missing = a or b or able[0], [arm for arm in results["arms"] if not arm["n"]]

    def write(named: Named) -> str:
        evidence = wording.right_on(alone, named)
        if missing:
            return say(
                "Not enough data: {evidence}; {arm} has no answers yet.", evidence=evidence, arm=named(missing[0])
            )
        return say("Not enough data: {evidence}; a verdict needs a second arm.", evidence=evidence)

    return Ruling(kind="not-enough-data", write=write, arm=alone["name"])


def unequal(results: Mapping[str, Any]) -> Ruling | None:
    """The contenders did not answer the same items."""
    a, b = _contenders(results)
    if a is None or b is None or between(results, a, b) is not None:
        return None

    def write(named: Named) -> str:
        return say(
            "No verdict: {a} and {b} did not answer the same test items ({n_a} and {n_b} answers to {n} items).",
            a=named(a), b=named(b), n_a=count(a["n"]), n_b=count(b["n"]), n=count(results["run"]["n_test"]),
        )  # fmt: skip

    return Ruling(kind="invalid", write=write, arm=a["name"], against=b["name"])


# Between the contenders


def unanswered(duel: Duel) -> Ruling | None:
    """Most requests of a contender failed: nothing is known of it yet."""
    for weak, other in ((duel.b, duel.a), (duel.a, duel.b)):
        if weak["barred"] != "unanswered" or weak["failed"] <= weak["unparsed"]:
            continue

        def write(named: Named, weak: Line = weak, other: Line = other) -> str:
            return say(
                "Not enough data: {failed} of {n} requests of {arm} failed; {evidence}.",
                failed=count(weak["failed"]), n=count(weak["n"]), arm=named(weak),
                evidence=wording.right_on(other, named),
            )  # fmt: skip

        return Ruling(kind="not-enough-data", write=write, arm=other["name"], against=weak["name"])
    return None


def unfair(duel: Duel) -> Ruling | None:
    """A contender is barred: below chance, or most of its answers unparsed or failed."""
    labels = len(duel.results["run"]["labels"])
    for weak, other in ((duel.b, duel.a), (duel.a, duel.b)):
        if weak["barred"] == "unanswered":
            lost = (weak["unparsed"] + weak["failed"]) / weak["n"]
            fault = say(
                "leaves {share} of {n} items without a readable answer", share=percent(lost), n=count(weak["n"])
            )
        elif weak["barred"] == "below-chance":
            fault = say(
                "is right on {share} of items, where guessing among {labels} labels gives {chance}",
                share=percent(weak["accuracy"]), labels=labels, chance=percent(1 / labels),
            )  # fmt: skip
        else:
            continue

        def write(named: Named, weak: Line = weak, other: Line = other, fault: str = fault) -> str:
            return say(
                "No fair opponent: {arm} {fault}, so nothing follows for {other}.",
                arm=named(weak), fault=fault, other=named(other),
            )  # fmt: skip

        return Ruling(kind="invalid", write=write, arm=weak["name"], against=other["name"])
    return None


def expires(duel: Duel) -> Ruling | None:
    """The tuned model holds its own, but is shut down before its training has paid back."""
    decision, a = duel.results["decision"], duel.a
    day, left = decision["shutdown_date"], decision["months_until_shutdown"]
    if a["family"] not in TUNED or day is None or duel.line["ci"][0] <= -duel.margin:
        return None
    if left <= 0:

        def late(named: Named) -> str:
            return wording.start(say("{arm} comes too late: its model was shut down on {day}.", arm=named(a), day=day))

        return Ruling(kind="expires", write=late, arm=a["name"], against=duel.b["name"])
    payback = payback_of(duel.results, decision["role"])
    months = decision["months_to_break_even"]
    if not _eaten_up(payback) if months is None else months <= left:
        return None

    def write(named: Named) -> str:
        told = {
            "arm": named(a), "training": wording.training(payback), "n": count(decision["requests_per_month"]),
            "left": number(left, 1), "day": day,
        }  # fmt: skip
        if months is None:
            said = say(
                "{arm} never pays back {training}: {n} requests a month save no more than its monthly costs, "
                "and it is shut down {left} months after the run, on {day}.", **told,
            )  # fmt: skip
        else:
            said = say(
                "{arm} never pays back: {training} needs {months} months at {n} requests a month, "
                "but it is shut down {left} months after the run, on {day}.", **told, months=number(months, 1),
            )  # fmt: skip
        return wording.start(said)

    return Ruling(kind="expires", write=write, arm=a["name"], against=decision["against"])


def _eaten_up(payback: Line | None) -> bool:
    """Whether each request saves something, but the volume no more than what recurs each month."""
    monthly = None if payback is None else payback["monthly"]
    if payback is None or monthly is None or monthly["requests_per_month"] is None:
        return False
    return bool(payback["requests"]) and monthly["requests"] is None


def baseline_suffices(duel: Duel) -> Ruling | None:
    """A classical or zero-shot arm is within the margin of the more accurate contender, and cheaper."""
    leader, _, _ = duel.ahead()
    able = [arm for arm in duel.results["arms"] if arm["family"] in BASELINES and arm["name"] != leader["name"]]
    for baseline in sorted(able, key=lambda arm: (-(arm["accuracy"] or 0), arm["name"])):
        line = between(duel.results, baseline, leader)
        if line is None or line["ci"][0] <= -duel.margin or line["cost"]["cheaper"] != "a":
            continue

        def write(named: Named, baseline: Line = baseline, line: Line = line) -> str:
            if line["decisive"] and line["difference"] > 0:
                stands = wording.more_accurate(line, named(leader))
            else:
                stands = say(
                    "within {margin} of {arm} ({gap})",
                    margin=points(duel.margin, signed=False), arm=named(leader), gap=wording.gap(line),
                )  # fmt: skip
            cost = wording.cheaper(line)
            return wording.start(
                say("{arm} suffices: {stands}, {cost}.", arm=named(baseline), stands=stands, cost=cost)
            )

        return Ruling(kind="baseline-suffices", write=write, arm=baseline["name"], against=leader["name"])
    return None


def win(duel: Duel) -> Ruling | None:
    """One contender is more accurate, and not dearer as far as is known."""
    better, other, line = duel.ahead()
    if not line["decisive"] or line["cost"]["cheaper"] == "b":
        return None
    if other["family"] in TUNED and better["family"] not in TUNED and line["cost"]["cheaper"] is not None:
        return None  # training lost on both counts: `never_pays` says so
    payback = duel.payback if better["family"] in TUNED else None

    def write(named: Named) -> str:
        gain = wording.more_accurate(line, named(other))
        parts = [gain, wording.cheaper(line), wording.paid_back(payback) if payback else ""]
        evidence = ", ".join(part for part in parts if part)
        return wording.start(say("{arm} wins: {evidence}.", arm=named(better), evidence=evidence))

    return Ruling(kind="win", write=write, arm=better["name"], against=other["name"])


def trade_off(duel: Duel) -> Ruling | None:
    """One contender is more accurate, but dearer."""
    better, other, line = duel.ahead()
    if not line["decisive"] or line["cost"]["cheaper"] != "b":
        return None

    def write(named: Named) -> str:
        said = {"arm": named(better), "gain": wording.more_accurate(line, named(other)), "cost": wording.dearer(line)}
        each = wording.each_extra(line)
        if each:
            said["each"] = each
            return wording.start(say("{arm} is {gain} but {cost}: {each} for each extra correct answer.", **said))
        return wording.start(say("{arm} is {gain} but {cost}.", **said))

    return Ruling(kind="trade-off", write=write, arm=better["name"], against=other["name"])


def never_pays(duel: Duel) -> Ruling | None:
    """The tuned arm gains no more than the margin at best, and a request of it is no cheaper."""
    a, b, line = duel.a, duel.b, duel.line
    better = line["decisive"] and line["difference"] > 0
    if a["family"] not in TUNED or better or line["cost"]["cheaper"] not in ("b", "same"):
        return None
    if line["ci"][1] >= duel.margin or (duel.payback is not None and duel.payback["requests"] is not None):
        return None  # what errors cost can pay for it all the same

    def write(named: Named) -> str:
        cost = wording.dearer(line) if line["cost"]["cheaper"] == "b" else say("is no cheaper per request")
        said = say(
            "{winner} wins: {arm} is no more accurate ({gap}) and {cost}, so {training} never pays back.",
            winner=named(b), arm=named(a), gap=wording.gap(line), cost=cost, training=wording.training(duel.payback),
        )  # fmt: skip
        return wording.start(said)

    return Ruling(kind="never-pays", write=write, arm=b["name"], against=a["name"])


def tie(duel: Duel) -> Ruling | None:
    """The interval of the difference lies inside ± margin; the cheaper contender is named."""
    ahead, other, line = duel.ahead()
    if not line["within_margin"]:
        return None
    swap = line["cost"]["cheaper"] == "b"
    thrift, dear = (other, ahead) if swap else (ahead, other)
    thrifty = turned(line) if swap else line
    payback = duel.payback if thrift["family"] in TUNED else None

    def write(named: Named) -> str:
        said = {"lead": wording.lead(line, named(ahead), named(other))}
        if thrifty["cost"]["cheaper"] != "a":
            said["margin"] = points(duel.margin, signed=False)
            return say("No clear accuracy winner: {lead}, within the margin of {margin}.", **said)
        said |= {"arm": named(thrift), "saves": wording.saves(thrifty)}
        pays = wording.paid_back(payback) if payback is not None else ""
        if pays:
            return say("No clear accuracy winner: {lead}; {arm} {saves}, {pays}.", pays=pays, **said)
        return say("No clear accuracy winner: {lead}; {arm} {saves}.", **said)

    return Ruling(kind="tie", write=write, arm=thrift["name"], against=dear["name"])


def not_enough_data(duel: Duel) -> Ruling:
    """Everything else: the interval holds both no difference and one that matters."""
    ahead, other, line = duel.ahead()

    def write(named: Named) -> str:
        said = {"n": count(line["n"]), "lead": wording.lead(line, named(ahead), named(other))}
        if line["smallest_difference"] is None:
            return say("Not enough data: with {n} test items; {lead}.", **said)
        return say(
            "Not enough data: with {n} test items, differences under about {least} cannot be told apart; {lead}.",
            least=points(line["smallest_difference"], signed=False), **said,
        )  # fmt: skip

    return Ruling(kind="not-enough-data", write=write, arm=ahead["name"], against=other["name"])


BEFORE: tuple[Callable[[Mapping[str, Any]], Ruling | None], ...] = (leak, unavailable, no_opponent, unequal)
"""Rules that may find that there is nothing to compare."""
BETWEEN: tuple[Callable[[Duel], Ruling | None], ...] = (
    unanswered, unfair, expires, baseline_suffices, win, trade_off, never_pays, tie, not_enough_data,
)  # fmt: skip
"""Rules on the comparison of the contenders; the last one always applies."""


def _contenders(results: Mapping[str, Any]) -> tuple[Line | None, Line | None]:
    """Returns the two contenders, `None` for one that is not there."""
    named = results["contenders"]
    return arm_of(results, named["a"]), arm_of(results, named["b"])


def _rule(results: Mapping[str, Any]) -> tuple[str, Ruling]:
    """Returns the name of the first rule that applies, and what it says."""
    for early in BEFORE:
        if (ruling := early(results)) is not None:
            return early.__name__, ruling
    a, b = _contenders(results)
    line = None if a is None or b is None else between(results, a, b)
    if a is None or b is None or line is None:
        raise ValueError("the rules of BEFORE let a verdict without comparison pass")
    duel = Duel(a=a, b=b, line=line, results=results)
    return next((rule.__name__, ruling) for rule in BETWEEN if (ruling := rule(duel)) is not None)
