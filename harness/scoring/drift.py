"""Old answers against new ones: what fresh data says of a verdict. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.numbers import MISSING, count, percent, points, points_interval
from harness.scoring.answers import Answers, Codes, Figures, counts
from harness.scoring.comparisons import Panel, accuracy_interval
from harness.scoring.facts import ArmFacts
from harness.scoring.statistics import Interval
from harness.types import Prediction

AHEAD, EQUAL = "ahead", "equal"
"""What a verdict claims of two arms' accuracy."""


def moved(old: float, old_ci: Interval, new: float, new_ci: Interval) -> tuple[float, Interval]:
    """Returns new − old of two independent estimates, with the interval that follows from theirs.

    Square-and-add: Newcombe (1998), Stat. Med. 17:873–890, method 10; Zou & Donner (2008), Stat. Med. 27:1693–1702.
    """
    change = new - old
    low = change - math.hypot(new - new_ci[0], old_ci[1] - old)
    high = change + math.hypot(new_ci[1] - new, old - old_ci[0])
    return change, (low, high)


def panel_of(
    rows: Mapping[str, Sequence[Prediction]], n: int, groups: Mapping[str, str] | None, seed: int
) -> tuple[dict[str, Answers], Panel]:
    """Aligns the answers of arms to the same `n` items."""
    facts = {name: ArmFacts(name=name, family="other", predictions=tuple(given)) for name, given in rows.items()}
    answers = {name: Answers.of(one) for name, one in facts.items()}
    return answers, Panel.of(answers, n, groups, seed)


def arm_drift(
    name: str,
    old: tuple[Answers, Panel],
    new: tuple[Answers, Panel],
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Figures:
    """Compares an arm's accuracy on the test with that on fresh items.

    Items that were in the test are paired with their old answers, both judged by the fresh label; the others are held
    against the whole test. The change is the paired one where most fresh items were in the test.

    Args:
        name: The arm.
        old: Its answers to the test, as `panel_of` has aligned them.
        new: Those to the fresh items.
        groups: Fresh example → group, where the fresh items have groups: then whole groups are resampled.
        seed: Of the resamples.
    """
    (before, old_panel), (after, new_panel) = old, new
    old_ci, _ = accuracy_interval(name, before, old_panel)
    new_ci, _ = accuracy_interval(name, after, new_panel)
    then = {row.example_id: row for row in before.rows}
    again = [row for row in after.rows if row.example_id in then]
    added = [row for row in after.rows if row.example_id not in then]
    parts: dict[str, Figures] = {}
    if again:
        old_rows = [replace(then[row.example_id], expected=row.expected) for row in again]
        _, both = panel_of({"now": again, "then": old_rows}, len(again), groups, seed)
        parts["paired"] = _paired(both)
    if added:
        answers, panel = panel_of({name: added}, len(added), groups, seed) if again else ({name: after}, new_panel)
        parts["unpaired"] = _apart(name, (before, old_ci), answers[name], panel)
    how = "paired" if 2 * len(again) >= len(after) else "unpaired"
    change, ci = parts[how]["change"], parts[how]["ci"]
    return {
        "name": name,
        **counts(after),
        "test_accuracy": float(before.right.mean()),
        "test_accuracy_ci": list(old_ci),
        "accuracy": float(after.right.mean()),
        "accuracy_ci": list(new_ci),
        "change": change,
        "change_ci": ci,
        "how": how,
        "drift": not ci[0] <= 0 <= ci[1],
        "paired": parts.get("paired"),
        "unpaired": parts.get("unpaired"),
    }


def untold(line: Figures, missing: int, *, simulated: bool = False) -> Figures:
    """Returns an arm's line without what it cannot tell.

    As long as the arm lacks answers, what these could change is `None`. A simulated arm cannot know fresh labels: its
    figures move, and this is no drift.

    Args:
        line: What `arm_drift` returned, the missing answers being counted as failed.
        missing: How many there are.
        simulated: Whether the arm's answers are made up.
    """
    unknown = ("accuracy", "accuracy_ci", "change", "change_ci", "drift", "paired", "unpaired") if missing else ()
    claimed = ("drift",) if simulated else ()
    return {**line, **dict.fromkeys((*unknown, *claimed)), "missing": missing, "simulated": simulated}


def _paired(both: Panel) -> Figures:
    """Compares answers `now` with those to the same items `then`."""
    line = both.compare("now", "then", 0.0)
    return {
        "n": line["n"],
        "groups": line["groups"],
        "before": float(both.column("then").mean()),
        "after": float(both.column("now").mean()),
        "change": line["difference"],
        "ci": line["ci"],
        "ci_method": line["ci_method"],
        "mcnemar_p": line["mcnemar_p"],
        "only_now_right": line["only_a_right"],
        "only_then_right": line["only_b_right"],
    }


def _apart(name: str, old: tuple[Answers, Interval], fresh: Answers, panel: Panel) -> Figures:
    """Compares the fresh items that were not in the test with the test."""
    before, old_ci = old
    was, now = float(before.right.mean()), float(fresh.right.mean())
    fresh_ci, _ = accuracy_interval(name, fresh, panel)
    change, ci = moved(was, old_ci, now, fresh_ci)
    return {
        "n": len(fresh),
        "groups": panel.groups,
        "n_test": len(before),
        "before": was,
        "after": now,
        "change": change,
        "ci": [max(-1.0, ci[0]), min(1.0, ci[1])],
    }


def label_shift(
    old: Sequence[str],
    new: Sequence[str],
    known: Sequence[str],
    codes: tuple[Codes | None, Codes | None] = (None, None),
) -> Figures:
    """Compares how often labels occur.

    Args:
        old: Labels of the test items.
        new: Those of the fresh ones.
        known: The run's label set.
        codes: Group of each test item and of each fresh one; `None` without groups.

    Returns:
        Shares, the distance between them (half the sum of the differences: 0 equal, 1 nothing in common), the p value
        of the test that both come from one distribution (chi-square; with groups, by their design effects), and the
        labels that the run has never seen.
    """
    then, now = Counter(old), Counter(new)
    labels = [*known, *sorted(set(now) - set(known))]
    shares: list[dict[str, Any]] = [
        {"label": label, "test": then[label] / len(old), "fresh": now[label] / len(new)}
        for label in labels
        if then[label] or now[label]
    ]
    seen = [[counted[one["label"]] for one in shares] for counted in (then, now)]
    return {
        "shares": shares,
        "distance": sum(abs(one["fresh"] - one["test"]) for one in shares) / 2,
        "p": _chi_square(seen, [_spread(*each) for each in zip((old, new), codes, strict=True)]),
        "unseen": {label: now[label] for label in sorted(set(now) - set(known))},
    }


def _spread(labels: Sequence[str], codes: Codes | None) -> tuple[float, int | None]:
    """Returns the mean design effect of the labels' shares, never below 1, and the number of groups where there are.

    Where all items have one label, each group counts as one item.
    """
    if codes is None:
        return 1.0, None
    _, coded = np.unique(np.array(labels, dtype=np.str_), return_inverse=True)
    groups, kinds, n = int(codes.max()) + 1, int(coded.max()) + 1, len(labels)
    if groups < 2 or kinds < 2:
        return n / groups, groups
    table = np.bincount(codes * kinds + coded, minlength=groups * kinds).reshape(groups, kinds).astype(np.float64)
    shares = table.sum(axis=0) / n
    gaps = table - table.sum(axis=1, keepdims=True) * shares
    variances = groups / (groups - 1) * (gaps**2).sum(axis=0) / n**2
    return max(1.0, float((variances / shares).sum()) * n / (kinds - 1)), groups


def _chi_square(table: Sequence[Sequence[int]], spread: Sequence[tuple[float, int | None]]) -> float:
    """Returns the p value of the chi-square test; with groups, counts are divided by their sample's design effect.

    First-order correction of Rao & Scott (1981), J. Am. Stat. Assoc. 76:221–230, its statistic held against F for the
    few groups that there are (Thomas & Rao 1987, J. Am. Stat. Assoc. 82:630–636).
    """
    from scipy.stats import chi2_contingency, f

    counts = np.array(table, dtype=np.float64) / np.array([[effect] for effect, _ in spread])
    found = chi2_contingency(counts, correction=False)
    groups = [n for _, n in spread if n is not None]
    if not groups or not found.dof:
        return float(found.pvalue)
    return float(f.sf(found.statistic / found.dof, found.dof, found.dof * max(1, sum(groups) - len(groups))))


def claim_of(line: Mapping[str, Any] | None) -> str | None:
    """Returns what a comparison of the run claims: that one arm is ahead, that both are equal, or nothing."""
    if line is None:
        return None
    if line["decisive"]:
        return AHEAD
    return EQUAL if line["within_margin"] else None


def ruling(claim: str | None, old: Mapping[str, Any], new: Mapping[str, Any], margin: float) -> bool | None:
    """Returns whether a claim holds on fresh data; `None` where that cannot be told.

    Args:
        claim: As `claim_of` returns it.
        old: The comparison of the run.
        new: That of the same two arms, in the same order, on the fresh items.
        margin: Of the user.
    """
    low, high = new["ci"]
    if claim == AHEAD:
        if new["decisive"]:
            return bool((new["difference"] > 0) == (old["difference"] > 0))
        return False if new["within_margin"] else None
    if claim == EQUAL:
        if new["within_margin"]:
            return True
        return False if low > margin or high < -margin else None
    return None


def sentence(found: Mapping[str, Any]) -> str:
    """Says in one sentence whether the verdict holds; it begins with "Simulated: " where it speaks of such an arm.

    Args:
        found: All other parts of `recheck.json`.
    """
    duel = found["contenders"]
    told = [arm for arm in found["arms"] if not duel or arm["name"] in duel["pair"]]
    return f"{'Simulated: ' if made_up(told) else ''}{_sentence(found)}"


def made_up(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names the arms that are simulated."""
    return [arm["name"] for arm in arms if arm.get("simulated")]


def _sentence(found: Mapping[str, Any]) -> str:
    duel, n = found["contenders"], count(found["n"])
    moves = [_move(arm) for arm in found["arms"] if arm["drift"] and (not duel or arm["name"] in duel["pair"])]
    aside = f"; {', '.join(moves)}" if moves else ""
    lost = ", ".join(lacking(found["arms"]))
    if not duel:
        return f"There are no two arms to compare on {n} fresh items{aside}{lost and f'; missing: {lost}'}."
    if duel["fresh"] is None:
        return f"Whether the verdict holds cannot be told yet; missing: {lost}."
    a, b = duel["pair"]
    line, old = duel["fresh"], duel["test"]
    known = f"95% CI {points_interval(*line['ci'])}; {points(old['difference'])} on the test"
    lead = f"{_ahead(a, b, line['difference'])} ({known})"
    holds, claim = found["verdict"]["holds"], found["verdict"]["claim"]
    if claim is None:
        return f"The run claimed no difference that could hold or fall; on {n} fresh items {lead}{aside}."
    if holds is None:
        return f"Whether the verdict holds cannot be told from {n} fresh items: {lead}{aside}."
    return f"The verdict {'still holds' if holds else 'no longer holds'} on {n} fresh items: {lead}{aside}."


def lacking(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """Says of each arm that lacks answers how many."""
    lines = [arm for arm in arms if arm.get("missing")]
    return [f"{count(arm['missing'])} of {count(arm['n'])} answers of {arm['name']}" for arm in lines]


def _ahead(a: str, b: str, gap: float) -> str:
    if not gap:
        return f"{a} and {b} are level"
    return f"{a} {'leads' if gap > 0 else 'trails'} {b} by {points(abs(gap), signed=False)}"


def _move(arm: Mapping[str, Any]) -> str:
    how = "fell" if arm["change"] < 0 else "rose"
    size = points(abs(arm["change"]), signed=False)
    return f"accuracy of {arm['name']} {how} by {size} (95% CI {points_interval(*arm['change_ci'])})"


def table(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Returns the rows of the table that the command shows, the heads first.

    `test`, `fresh` and `change` are over the items that were compared; the last three columns over all fresh ones.
    An arm that lacks answers was not compared.
    """
    heads = ("arm", "compared", "test", "fresh", "change", "95% CI", "all fresh items", "unparsed", "failed")
    rows = []
    for arm in found["arms"]:
        part = arm[arm["how"]] or {}
        items = f"{count(part['n'])} {'of the test' if arm['how'] == 'paired' else 'new'}, {arm['how']}" if part else ""
        rows.append(
            (
                arm["name"],
                items or MISSING,
                percent(part.get("before")),
                percent(part.get("after")),
                points(arm["change"]),
                points_interval(*(arm["change_ci"] or (None, None))),
                f"{percent(arm['accuracy'])} of {count(arm['n'])}",
                count(arm["unparsed"]),
                count(arm["failed"]),
            )
        )
    return [heads, *rows]
