"""The verdict: one kind and one sentence, by rule, from the results alone.

The rules are asked in order, first `BEFORE`, then `BETWEEN`; the first that applies speaks. Each reads only
`results.json`, and every number in its sentence stands there, or is the quotient or difference of two that do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.numbers import count, number, percent, points, usd
from harness.scoring import wording
from harness.scoring.contenders import TUNED
from harness.scoring.wording import Line, Named

BASELINES = ("classical", "zero-shot")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What a rule says."""

    kind: str
    write: Callable[[Named], str]
    """Writes the sentence, given how arms are called."""
    arm: str | None = None
    against: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """The two contenders and their comparison."""

    a: Line
    """The tuned one, where there is one."""
    b: Line
    line: Line
    """Their comparison, `a` against `b`."""
    results: Mapping[str, Any]

    @property
    def margin(self) -> float:
        """Differences below this share do not matter to the user."""
        return float(self.results["run"]["margin"])

    @property
    def payback(self) -> Line | None:
        """Payback of `a` against `b`, where `a` was trained and `b` is a prompt."""
        return _payback(self.results, "best-prompt")

    def ahead(self) -> tuple[Line, Line, Line]:
        """Returns the more accurate contender, the other one, and their comparison in that order; `a` in a draw."""
        if self.line["difference"] >= 0:
            return self.a, self.b, self.line
        return self.b, self.a, turned(self.line)


def judge(results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the verdict: `kind`, `arm`, `against`, `sentence` (at most 220 characters), `simulated`, `rule`.

    Args:
        results: All other parts of `results.json`.
    """
    rule, ruling = _rule(results)
    a, b = (_arm(results, results["contenders"][side]) for side in "ab")
    simulated = any(arm is not None and arm["simulated"] for arm in (a, b, _arm(results, ruling.arm)))
    prefix = "Simulated: " if simulated else ""
    sentence = wording.compose(lambda longest: prefix + ruling.write(wording.naming(longest)))
    more = what_would_change(results, ruling)
    return {
        "kind": ruling.kind,
        "arm": ruling.arm,
        "against": ruling.against,
        "sentence": f"{sentence} {more}" if more and len(sentence) + len(more) < wording.LONGEST else sentence,
        "simulated": simulated,
        "rule": rule,
    }


UNPAID = ("expires", "win", "trade-off", "never-pays", "tie")
"""Kinds of verdict whose sentence goes on with what would make training pay, where it does not."""


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
        return f"Training would pay above {wording.about(volume['value'])} requests a month."
    if ruling.kind == "trade-off":
        # Without a volume the price of an extra correct answer has said it already
        if decision["pays"] is False and errors is not None and errors["above"] == tuned:
            return f"Training would pay from {usd(errors['value'])} for an error."
        return ""
    if ruling.kind == "never-pays" and price is not None and price["below"] == tuned and price["value"] < 1:
        digits = 1 if price["value"] > 0.99 else 0
        return f"Training would pay at {percent(price['value'], digits)} of the model's price."
    return ""


def turned(line: Line) -> dict[str, Any]:
    """Returns a comparison with its arms swapped."""
    cost, p95 = line["cost"], line["p95_change"]
    return {
        **line,
        "a": line["b"],
        "b": line["a"],
        "difference": -line["difference"],
        "ci": [-line["ci"][1], -line["ci"][0]],
        "only_a_right": line["only_b_right"],
        "only_b_right": line["only_a_right"],
        "p95_change": 1 / (1 + p95) - 1 if p95 is not None and p95 > -1 else None,
        "cost": {
            "unit": cost["unit"],
            "a": cost["b"],
            "b": cost["a"],
            "change": cost["b"] / cost["a"] - 1 if cost["a"] else None,
            "cheaper": {"a": "b", "b": "a"}.get(cost["cheaper"], cost["cheaper"]),
        },
    }


# Before the contenders are compared


def leak(results: Mapping[str, Any]) -> Ruling | None:
    """A check found test items in train, validation or shots: no figure can be trusted."""
    found = [check for check in results["checks"] if check["level"] == "error" and "leak" in check["kind"]]
    if not found:
        return None
    message = str(found[0]["message"]).rstrip(" .")
    return Ruling(kind="invalid", write=lambda _: f"No verdict: {message}.")


def unavailable(results: Mapping[str, Any]) -> Ruling | None:
    """Training was refused, and no tuned arm has answers."""
    refused = [arm for arm in results["arms"] if arm["refused"]]
    if not refused or any(arm["n"] for arm in results["arms"] if arm["family"] in TUNED):
        return None
    tuned, prompt = refused[0], _arm(results, results["contenders"]["b"])

    def write(named: Named) -> str:
        opening = f"Training was refused, so {named(tuned)} cannot be judged"
        return f"{opening}; {wording.right_on(prompt, named)}." if prompt is not None else f"{opening}."

    return Ruling(kind="unavailable", write=write, arm=tuned["name"], against=prompt["name"] if prompt else None)


def no_opponent(results: Mapping[str, Any]) -> Ruling | None:
    """Fewer than two contenders have answers."""
    a, b = (_arm(results, results["contenders"][side]) for side in "ab")
    if a is not None and b is not None:
        return None
    able = sorted((arm for arm in results["arms"] if arm["n"]), key=lambda arm: (-arm["accuracy"], arm["name"]))
    if not able:
        return Ruling(kind="not-enough-data", write=lambda _: "Not enough data: no arm has answered a test item.")
    alone, missing = a or b or able[0], [arm for arm in results["arms"] if not arm["n"]]

    def write(named: Named) -> str:
        why = f"{named(missing[0])} has no answers yet" if missing else "a verdict needs a second arm"
        return f"Not enough data: {wording.right_on(alone, named)}; {why}."

    return Ruling(kind="not-enough-data", write=write, arm=alone["name"])


def unequal(results: Mapping[str, Any]) -> Ruling | None:
    """The contenders did not answer the same items."""
    a, b = (_arm(results, results["contenders"][side]) for side in "ab")
    if a is None or b is None or between(results, a, b) is not None:
        return None

    def write(named: Named) -> str:
        counts = f"{count(a['n'])} and {count(b['n'])} answers to {count(results['run']['n_test'])} items"
        return f"No verdict: {named(a)} and {named(b)} did not answer the same test items ({counts})."

    return Ruling(kind="invalid", write=write, arm=a["name"], against=b["name"])


# Between the contenders


def unanswered(duel: Duel) -> Ruling | None:
    """Most requests of a contender failed: nothing is known of it yet."""
    for weak, other in ((duel.b, duel.a), (duel.a, duel.b)):
        if weak["barred"] != "unanswered" or weak["failed"] <= weak["unparsed"]:
            continue

        def write(named: Named, weak: Line = weak, other: Line = other) -> str:
            lost = f"{count(weak['failed'])} of {count(weak['n'])} requests of {named(weak)} failed"
            return f"Not enough data: {lost}; {wording.right_on(other, named)}."

        return Ruling(kind="not-enough-data", write=write, arm=other["name"], against=weak["name"])
    return None


def unfair(duel: Duel) -> Ruling | None:
    """A contender is barred: below chance, or most of its answers unparsed or failed."""
    labels = len(duel.results["run"]["labels"])
    for weak, other in ((duel.b, duel.a), (duel.a, duel.b)):
        if weak["barred"] == "unanswered":
            lost = (weak["unparsed"] + weak["failed"]) / weak["n"]
            fault = f"leaves {percent(lost)} of {count(weak['n'])} items without a readable answer"
        elif weak["barred"] == "below-chance":
            guessing = f"guessing among {labels} labels gives {percent(1 / labels)}"
            fault = f"is right on {percent(weak['accuracy'])} of items, where {guessing}"
        else:
            continue

        def write(named: Named, weak: Line = weak, other: Line = other, fault: str = fault) -> str:
            return f"No fair opponent: {named(weak)} {fault}, so nothing follows for {named(other)}."

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
            return f"{wording.start(named(a))} comes too late: its model was shut down on {day}."

        return Ruling(kind="expires", write=late, arm=a["name"], against=duel.b["name"])
    months = decision["months_to_break_even"]
    if months is None or months <= left:
        return None

    def write(named: Named) -> str:
        pace = f"{number(months, 1)} months at {count(decision['requests_per_month'])} requests a month"
        end = f"it is shut down {number(left, 1)} months after the run, on {day}"
        cost = wording.training(_payback(duel.results, decision["role"]))
        return f"{wording.start(named(a))} never pays back: {cost} needs {pace}, but {end}."

    return Ruling(kind="expires", write=write, arm=a["name"], against=decision["against"])


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
                stands = f"{points(line['difference'], signed=False)} more accurate than {named(leader)}"
            else:
                stands = f"within {points(duel.margin, signed=False)} of {named(leader)} ({wording.gap(line)})"
            return f"{wording.start(named(baseline))} suffices: {stands}, {wording.cheaper(line)}."

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
        gain = f"{points(line['difference'], signed=False)} more accurate than {named(other)}"
        parts = [gain, wording.cheaper(line), wording.paid_back(payback) if payback else ""]
        return f"{wording.start(named(better))} wins: {', '.join(part for part in parts if part)}."

    return Ruling(kind="win", write=write, arm=better["name"], against=other["name"])


def trade_off(duel: Duel) -> Ruling | None:
    """One contender is more accurate, but dearer."""
    better, other, line = duel.ahead()
    if not line["decisive"] or line["cost"]["cheaper"] != "b":
        return None

    def write(named: Named) -> str:
        gain = f"{points(line['difference'], signed=False)} more accurate than {named(other)}"
        return f"{wording.start(named(better))} is {gain} but {wording.dearer(line)}{wording.each_extra(line)}."

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
        cost = wording.dearer(line) if line["cost"]["cheaper"] == "b" else "is no cheaper per request"
        fault = f"{named(a)} is no more accurate ({wording.gap(line)}) and {cost}"
        return f"{wording.start(named(b))} wins: {fault}, so {wording.training(duel.payback)} never pays back."

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
        opening = f"No clear accuracy winner: {wording.lead(line, named(ahead), named(other))}"
        if thrifty["cost"]["cheaper"] != "a":
            return f"{opening}, within the margin of {points(duel.margin, signed=False)}."
        end = wording.paid_back(payback) if payback is not None else ""
        pays = f", {end}" if end else ""
        return f"{opening}; {named(thrift)} {wording.saves(thrifty)}{pays}."

    return Ruling(kind="tie", write=write, arm=thrift["name"], against=dear["name"])


def not_enough_data(duel: Duel) -> Ruling:
    """Everything else: the interval holds both no difference and one that matters."""
    ahead, other, line = duel.ahead()

    def write(named: Named) -> str:
        power = f"with {count(line['n'])} test items"
        if line["smallest_difference"] is not None:
            least = points(line["smallest_difference"], signed=False)
            power += f", differences under about {least} cannot be told apart"
        return f"Not enough data: {power}; {wording.lead(line, named(ahead), named(other))}."

    return Ruling(kind="not-enough-data", write=write, arm=ahead["name"], against=other["name"])


BEFORE: tuple[Callable[[Mapping[str, Any]], Ruling | None], ...] = (leak, unavailable, no_opponent, unequal)
"""Rules that may find that there is nothing to compare."""
BETWEEN: tuple[Callable[[Duel], Ruling | None], ...] = (
    unanswered, unfair, expires, baseline_suffices, win, trade_off, never_pays, tie, not_enough_data,
)  # fmt: skip
"""Rules on the comparison of the contenders; the last one always applies."""


def between(results: Mapping[str, Any], x: Line, y: Line) -> Line | None:
    """Returns the comparison of two arms, turned so that `x` is its a; `None` where they were not paired."""
    for line in results["comparisons"]:
        if {line["a"], line["b"]} == {x["name"], y["name"]}:
            return dict(line) if line["a"] == x["name"] else turned(line)
    return None


def _rule(results: Mapping[str, Any]) -> tuple[str, Ruling]:
    """Returns the name of the first rule that applies, and what it says."""
    for early in BEFORE:
        if (ruling := early(results)) is not None:
            return early.__name__, ruling
    a, b = (_arm(results, results["contenders"][side]) for side in "ab")
    line = None if a is None or b is None else between(results, a, b)
    if a is None or b is None or line is None:
        raise ValueError("the rules of BEFORE let a verdict without comparison pass")
    duel = Duel(a=a, b=b, line=line, results=results)
    return next((rule.__name__, ruling) for rule in BETWEEN if (ruling := rule(duel)) is not None)


def _arm(results: Mapping[str, Any], name: str | None) -> Line | None:
    return next((arm for arm in results["arms"] if arm["name"] == name), None)


def _payback(results: Mapping[str, Any], role: str | None) -> Line | None:
    return next((line for line in results["payback"] if line["role"] == role), None)
